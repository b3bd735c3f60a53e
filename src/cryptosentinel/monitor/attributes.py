"""What does a decision say of itself? Its attributes by path, read with distrust."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from cryptosentinel.types import Event

MISSING = object()
MOST_ATTRIBUTES = 200
DEEPEST = 4
LONGEST = 1000
MOST_INTEGER = 10**300  # longer ones some readers of JSON refuse


def attributes_of(event: Event) -> Mapping[str, Any]:
    """The attributes of a decision; of a tool call `tool` and `arguments`; of any other event none.

    >>> body = {"tool": "swap", "arguments": '{"amount": 5}'}
    >>> attributes_of(Event("1", 0.0, "r", "Trader", "tool_call", "Trader", "dex", body))
    {'tool': 'swap', 'arguments': {'amount': 5}}
    """
    if event.kind == "tool_call":
        given = event.body.get("arguments")
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError):
                given = None
        return {"tool": event.body.get("tool", event.body.get("name", "")), "arguments": given}
    found = event.body.get("attributes") if event.kind == "decision" else None
    return found if isinstance(found, Mapping) else {}


def value_at(event: Event, path: str) -> Any:
    """What stands at this path? `MISSING` if nothing does; "time" and "agent" are the event's own, if no attribute is.

    >>> value_at(Event("1", 5.0, "", "a", "decision", "a", "", {"attributes": {"order": {"size": 3}}}), "order.size")
    3
    """
    found: Any = attributes_of(event)
    if path in found:
        return found[path]
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return {"time": event.time, "agent": event.agent}.get(path, MISSING)
        found = found[step]
    return found


def number_of(value: Any) -> float | None:
    """The number that this is; None if it is none. Infinity counts as the largest there is, NaN as none.

    >>> number_of(3), number_of("3"), number_of(True), number_of(float("nan")), number_of(10**400) >= 1e300
    (3.0, None, None, None, True)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    if math.isnan(number):
        return None
    return max(-1e300, min(1e300, number))


def flat(attributes: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All attributes with their paths, tables within tables included; at most 200, four deep.

    >>> dict(flat({"a": 1, "b": {"c": "x"}}))
    {'a': 1, 'b.c': 'x'}
    """
    count = 0
    for name, value in attributes.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and depth < DEEPEST:
            for found in flat(value, f"{path}.", depth + 1):
                yield found
                count += 1
                if count >= MOST_ATTRIBUTES:
                    return
        else:
            yield path, value
            count += 1
            if count >= MOST_ATTRIBUTES:
                return


def finite(value: Any, depth: int = 0) -> Any:
    """The same as JSON has it: infinity becomes the largest number there is, NaN nothing, other objects their text.

    >>> finite({"a": float("inf"), "b": [float("nan"), 1]})
    {'a': 1e+300, 'b': [None, 1]}
    """
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MOST_INTEGER):
        return number_of(value)
    if isinstance(value, Mapping) and depth < DEEPEST:
        return {str(name): finite(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple) and depth < DEEPEST:
        return [finite(inner, depth + 1) for inner in value]
    return value if value is None or isinstance(value, str | int) else repr(value)[:LONGEST]
