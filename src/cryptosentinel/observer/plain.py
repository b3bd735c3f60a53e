"""Whatever an event holds, in a form that a ledger can keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

DEEPEST = 60
LONGEST = 200_000  # characters of one text; the rest is cut, with a note of how much


def plain(value: Any, depth: int = 0) -> Any:
    r"""The value as JSON can hold it: what it cannot hold is written as text, and nothing is dropped unseen.

    >>> plain({1: float("nan"), "at": Decimal("2.50"), "to": ("a", b"\xff")})
    {'1': 'nan', 'at': '2.50', 'to': ['a', "b'\\xff'"]}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        cut = len(value) - LONGEST
        return value if cut <= 0 else f"{value[:LONGEST]}[{cut} characters left out]"
    if isinstance(value, int):
        return value if abs(value) < 1 << 256 else hex(value)[:LONGEST]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return str(value)
    if depth >= DEEPEST:
        return "[nested too deeply to write down]"
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            while name in kept:
                name += "'"
            kept[name] = plain(item, depth + 1)
        return kept
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    return repr(value)[:LONGEST]
