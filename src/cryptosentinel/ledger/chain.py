"""The links of the chain: what an entry is and how its hash follows from the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cryptosentinel.errors import LedgerError

Kind = Literal["run", "finding", "verdict", "event"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain; `hash` = SHA-256 of prev_hash, kind and the canonical JSON of the body."""

    seq: int
    kind: Kind
    body: Mapping[str, Any]
    prev_hash: str
    hash: str

    @property
    def id(self) -> str:
        """The name by which other entries refer to this one."""
        return f"{self.kind}-{self.seq}"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Does the chain hold? `n` entries verified up to `head`; `broken_seq` is the first that does not fit."""

    ok: bool
    n: int
    head: str
    broken_seq: int | None = None
    reason: str = ""


def canonical(kind: str, body: Mapping[str, Any]) -> str:
    r"""The one way to write this body: JSON, ASCII, keys sorted, no spaces.

    Raises:
        LedgerError: unknown kind, or a body that JSON cannot hold.

    >>> canonical("run", {"b": 1, "a": "ü"})
    '{"a":"\\u00fc","b":1}'
    """
    if kind not in KINDS:
        raise LedgerError(f"unknown kind of entry {kind!r} (known: {', '.join(KINDS)})")
    try:
        return json.dumps(dict(body), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"a {kind} entry must be JSON: {error}") from None


def link(previous: str, kind: str, text: str) -> str:
    """The hash of an entry: `previous` has a fixed length and `text` begins with a brace, so no two inputs collide."""
    return hashlib.sha256(f"{previous}{kind}{text}".encode("utf-8", "surrogatepass")).hexdigest()
