"""What do the bodies of events hold? One reader for each kind, for the guard and whoever feeds it.

    message      {"text", "role": "system" | "user" | "assistant"}   sender and recipient: "user", "system" or an agent
    tool_call    {"tool", "arguments": object or JSON text, "call_id"?}
    tool_result  {"tool", "result": text, "call_id"?}
    decision     {"attributes": object}

The last event of a run has `"final": true`. `"trusted": bool` overrides who is believed by default: the system and the
user are, tool results and other agents' words are not.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from cryptosentinel.types import Event

Voice = Literal["principal", "agent", "outside"]  # whoever is obeyed; an agent's own words; anything else
DEEPEST = 40
MOST_LEAVES = 5_000
LONGEST_LITERAL = 20_000
_NAME = re.compile(r"[^\W\d]+(?:[_\- ][^\W\d_]+)*\d?")


def text_of(event: Event) -> str:
    """What does this event say? The text of a message, the result of a tool, else the arguments as JSON.

    >>> text_of(Event("1", 0.0, "r", "a", "message", "user", "a", {"text": "Sell.", "role": "user"}))
    'Sell.'
    """
    body = event.body
    if event.kind == "message":
        return _text(body.get("text"))
    if event.kind == "tool_result":
        return _text(body.get("result"))
    if event.kind == "tool_call":
        return f"{tool_of(event)} {_text(body.get('arguments'))}"
    return _text(body.get("attributes", {k: v for k, v in body.items() if k not in ("trusted", "final")}))


def tool_of(event: Event) -> str:
    """Which tool is called or answers? Empty if the event names none."""
    tool = event.body.get("tool")
    return tool if isinstance(tool, str) else ""


def arguments_of(event: Event) -> Mapping[str, Any] | None:
    """The arguments of a call or the attributes of a decision; None if they cannot be read."""
    given = event.body.get("arguments" if event.kind == "tool_call" else "attributes")
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        given = _object(given)
    return given if isinstance(given, Mapping) else None


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every (path, text) at the ends of a nested value, and every key that may be a value itself.

    What lies deeper than 40 levels is one text.

    Raises:
        ValueError: more than 5,000 of them, or nested too deeply to be read.

    >>> list(leaves({"to": ["a@b.c"], "n": 3, "ok": True}))
    [('to.0', 'a@b.c'), ('n', '3'), ('ok', 'true')]
    >>> list(leaves({"shares": {"a@b.c": 5}}))
    [('shares', 'a@b.c'), ('shares.a@b.c', '5')]
    """
    stack: list[tuple[str, Any, int]] = [(path, value, depth)]
    count = 0
    while stack:
        at, item, deep = stack.pop()
        if isinstance(item, Mapping | list | tuple) and deep < DEEPEST:
            pairs = list(item.items() if isinstance(item, Mapping) else enumerate(item))
            stack += reversed([(f"{at}.{k}" if at else str(k), v, deep + 1) for k, v in pairs])
            if isinstance(item, Mapping):  # an address or an asset may be a key; the name of an argument is none
                names = [k for k, _ in pairs if isinstance(k, str)]
                stack += [(at, k, DEEPEST) for k in names if not _NAME.fullmatch(k) or (k.isupper() and deep > depth)]
            continue
        count += 1
        if count > MOST_LEAVES:
            raise ValueError(f"more than {MOST_LEAVES} values in one call")
        yield at, item if isinstance(item, str) else _text(item)


def voice_of(event: Event) -> Voice:
    """Whose words are these: of somebody the agents obey, of an agent, or of anyone at all?

    >>> voice_of(Event("1", 0.0, "r", "a", "tool_result", "web", "a", {"tool": "web", "result": "Buy!"}))
    'outside'
    """
    trusted = event.body.get("trusted")
    if isinstance(trusted, bool):
        return "principal" if trusted else "outside"
    if event.kind == "tool_result":
        return "outside"
    if event.kind == "message":
        role = event.body.get("role")
        if event.sender in ("user", "system") or (not event.sender and role in ("user", "system")):
            return "principal"
    return "agent"


def _object(text: str) -> Any:
    """JSON, or a literal as Python prints it, which many models write."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if len(text) < LONGEST_LITERAL and text.lstrip().startswith("{") else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        raise ValueError("a value is nested too deeply to be read") from None
    except (ValueError, TypeError):
        return repr(value)[:10_000]
