"""The filters of an aggregate: which events does it count?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from cryptosentinel.agentspec.problems import nearest
from cryptosentinel.agentspec.reader import Reader
from cryptosentinel.agentspec.syntax import EVENTS, Duration, Literal_, Reference, Scope, Symbol, Window

FILTERS = ("tool", "event", "within", "by", "scope")
_SCOPES: tuple[Scope, ...] = get_args(Scope)
Argument = Literal_ | Reference | Symbol


def window(named: Sequence[tuple[str, Argument]], reader: Reader) -> Window:
    """The window that these filters describe; what does not fit is reported."""
    events: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    within: Duration | None = None
    by: Reference | None = None
    scope: Scope = "run"
    for name, value in named:
        match name:
            case "tool":
                tools = _names(value, reader)
            case "event":
                events = _names(value, reader)
                if unknown := [e for e in events if e not in EVENTS]:
                    hint = nearest(unknown[0], EVENTS)
                    reader.fail(value.at, f"unknown event {unknown[0]!r}; a tool is named by tool=", hint)
            case "within":
                if not isinstance(value, Literal_) or not isinstance(value.value, Duration) or not value.value.seconds:
                    reader.fail(value.at, f"within takes a time such as 30s, 10m, 1h or 2d, got {value}")
                within = value.value
            case "by":
                if not isinstance(value, Reference):
                    reader.fail(value.at, f"by takes a value of the event such as arg.recipient, got {value}")
                by = value
            case "scope":
                said = value.name if isinstance(value, Symbol) else value.root if isinstance(value, Reference) else ""
                if said not in _SCOPES:
                    reader.fail(value.at, f"scope takes one of {', '.join(_SCOPES)}, got {value}")
                scope = next(s for s in _SCOPES if s == said)
            case _:
                reader.fail(value.at, f"unknown filter {name!r}", nearest(name, FILTERS))
    return Window(events, tools, within, by, scope)


def _names(value: Argument, reader: Reader) -> tuple[str, ...]:
    if isinstance(value, Symbol):
        return (value.name,)
    items = value.value if isinstance(value, Literal_) and isinstance(value.value, tuple) else (value,)
    names = [str(i.value) for i in items if isinstance(i, Literal_) and isinstance(i.value, str) and i.value]
    if len(names) != len(items) or not names:
        reader.fail(value.at, f"expected a name or a list of names in quotes, got {value}")
    return tuple(names)
