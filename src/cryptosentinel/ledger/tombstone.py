"""What stands in the chain for entries that were removed: how many, and the hash of the last of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

COMMAND = "ledger prune"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Entries 1 to `last` are gone, and `last_hash` was the hash of the last: what follows it still fits.

    >>> stone = Tombstone(2, "ab", 2, "2026-11-01T00:00:00+00:00")
    >>> Tombstone.read("run", json.dumps(stone.body())) == stone
    True
    """

    last: int
    last_hash: str
    removed: int  # by this prune; `last` counts those of earlier ones too
    before: str

    def body(self) -> dict[str, Any]:
        """As the body of a run entry."""
        return {"command": COMMAND, **asdict(self)}

    @classmethod
    def read(cls, kind: str, text: str) -> Tombstone | None:
        """The tombstone that this entry is, if it is one."""
        if kind != "run" or COMMAND not in text:
            return None
        try:
            body = json.loads(text)
            if body.pop("command") != COMMAND:
                return None
            return cls(**body)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
