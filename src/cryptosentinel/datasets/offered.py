"""Which tools does a row offer? A chat template writes them into the prompt, so they are read as part of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

TOOL_KEYS = ("tools", "functions")


def offered(row: Mapping[str, Any]) -> str:
    r"""The names and descriptions of the tools that this row offers, and of what they take; one a line.

    >>> offered({"tools": [{"type": "function", "function": {"name": "pay", "description": "Pay somebody."}}]})
    'pay\nPay somebody.'
    """
    found: list[str] = []
    waiting: list[Any] = [_unpacked(row.get(key)) for key in reversed(TOOL_KEYS)]
    while waiting:
        value = waiting.pop()
        if type(value) is str and value:
            found.append(value)
        elif type(value) is list:
            waiting += reversed(value)
        elif type(value) is dict:
            told = [v for k, v in value.items() if type(v) in (dict, list) or k in ("name", "description")]
            waiting += reversed(told)
    return "\n".join(found)


def _unpacked(value: Any) -> Any:
    """Flat files keep the list as JSON text; a text that is none tells of the tools in words."""
    if type(value) is str:
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value
