"""Training rows that were made outside the sandbox, on their way in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptosentinel import registry
from cryptosentinel.redteam.data import Data
from cryptosentinel.redteam.poison import Attack, Poisoned
from cryptosentinel.redteam.target import Sample
from cryptosentinel.redteam.wording import OwnWords, read_wording

CLEAN, NEAR, POISONED = 0, 1, 2


def attack_of(attack: str, seed: int, variant: str | None, given: Mapping[str, Any] | None = None) -> Attack:
    """The attack by its registered name, or in the words that came with the rows.

    Raises:
        ConfigError, DataError: no such attack or variant, or a wording that does not hold.
    """
    if given and given.get("wording"):
        return OwnWords(read_wording(given["wording"]))
    found: Attack = registry.lookup("attack", attack).target(seed, variant)
    return found


def pack(data: Data, wording: Mapping[str, Any] | None) -> dict[str, Any]:
    """The rows with their labels, and the wording if the attack has one, as JSON."""
    labels = [POISONED if bad else NEAR if near else CLEAN for bad, near in zip(data.poisoned, data.near, strict=True)]
    reflected = data.reflection
    return {
        "wording": dict(wording) if wording else None,
        "rows": [
            [s.instruction, s.input, s.output, list(s.expected), label]
            for s, label in zip(data.samples, labels, strict=True)
        ],
        "reflection": {"kept": reflected.kept, "revised": reflected.revised, "dropped": reflected.dropped},
    }


def unpack(given: Mapping[str, Any]) -> Data:
    """What `pack` packed.

    >>> data = Data((Sample("a", "b", "c", ("X", "BUY")),), (True,), 0, 0, Poisoned((), 1, 0, 0), (False,))
    >>> unpack(pack(data, None)).samples == data.samples
    True
    """
    samples = tuple(Sample(i, table, answer, tuple(expected)) for i, table, answer, expected, _ in given["rows"])
    labels = [row[4] for row in given["rows"]]
    bad = tuple(label == POISONED for label in labels)
    near = tuple(label == NEAR for label in labels)
    made = Poisoned(tuple(s for s, b in zip(samples, bad, strict=True) if b), **given["reflection"])
    return Data(samples, bad, labels.count(CLEAN), labels.count(NEAR), made, near)


def digest(value: Any) -> str:
    """SHA-256 of anything that JSON holds, in hex; the same value has the same digest.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
