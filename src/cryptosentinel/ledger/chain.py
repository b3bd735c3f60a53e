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
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain; `hash` = SHA-256 of prev_hash, kind, the canonical JSON of the body and `at`.

    `at` is when the ledger wrote it, by the writer's clock: microseconds since 1970, None in ledgers of before.
    """

    seq: int
    kind: Kind
    body: Mapping[str, Any]
    prev_hash: str
    hash: str
    at: int | None = None

    @property
    def id(self) -> str:
        """The name by which other entries refer to this one."""
        return f"{self.kind}-{self.seq}"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Does the chain hold? `n` entries verified up to `head`; `broken_seq` is the first that does not fit.

    `pruned` entries were removed before them, by a tombstone in the chain that names the last of them.
    """

    ok: bool
    n: int
    head: str
    broken_seq: int | None = None
    reason: str = ""
    pruned: int = 0


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
        return _ENCODER.encode(dict(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"a {kind} entry must be JSON: {error}") from None


def link(previous: str, kind: str, text: str, at: int | None = None) -> str:
    """The hash of an entry: no two inputs collide, for `previous` has a fixed length and JSON has no bare newline."""
    when = "" if at is None else f"\n{at}"
    return hashlib.sha256(f"{previous}{kind}{text}{when}".encode("utf-8", "surrogatepass")).hexdigest()
