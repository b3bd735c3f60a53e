"""What Agno keeps of a run, as events: inputs, messages, calls, results."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from cryptosentinel.observer.plain import plain
from cryptosentinel.types import Event, EventKind

USER, SYSTEM = "user", "system"
_ENCODER = json.JSONEncoder(sort_keys=True)
_clock: ContextVar[Callable[[], float]] = ContextVar("clock", default=time.time)


def made(kind: EventKind, run_id: str, agent: str, sender: str, recipient: str, body: Mapping[str, Any]) -> Event:
    """An event of now, with an id that no other has."""
    return Event(uuid4().hex[:16], _clock.get()(), run_id, agent, kind, sender, recipient, body)


@contextmanager
def on_clock(clock: Callable[[], float]) -> Iterator[None]:
    """While a simulation runs: now is what this clock says, so that rules count its days and not ours."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def text_of(content: Any) -> str:
    r"""What does this content say? All of its parts.

    >>> text_of([{"type": "text", "text": "Buy"}, {"type": "text", "text": "now"}, {"url": "u"}])
    'Buy\nnow\n{"url": "u"}'
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if type(content).__module__.startswith("agno."):  # a message, a tool's result
        return text_of(getattr(content, "content", None))
    if isinstance(content, BaseModel):
        try:
            return content.model_dump_json()
        except ValueError:
            return repr(content)
    if isinstance(content, list | tuple):
        return "\n".join(text_of(part) for part in content)
    if isinstance(content, dict):
        if isinstance(content.get("text"), str) and set(content) <= {"type", "text"}:
            return str(content["text"])
        return json.dumps(plain(content), ensure_ascii=False)
    return str(content)


def inputs_of(content: Any) -> list[tuple[str, str]]:
    """Who said what in the input of a run? (role, text) pairs; whatever has no role is the user's.

    >>> inputs_of("Buy."), inputs_of([{"role": "assistant", "content": "Bought."}])
    ([('user', 'Buy.')], [('assistant', 'Bought.')])
    """
    if not isinstance(content, list):
        content = [content]
    if not any(_role(part) for part in content):
        return [(USER, text_of(content))]
    return [(_role(part) or USER, text_of(_content(part))) for part in content]


def decision_of(content: Any) -> Mapping[str, Any] | None:
    """The attributes of a structured answer, also of one that is still text; None if the answer is none.

    >>> decision_of('{"buy": "SOL"}'), decision_of("Buy SOL.")
    ({'buy': 'SOL'}, None)
    """
    if isinstance(content, str) and content.strip()[:1] == "{":
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return None
    if isinstance(content, BaseModel):
        content = content.model_dump()
    return dict(plain(content)) if isinstance(content, dict) else None


def calls_of(message: Any) -> list[tuple[str, Mapping[str, Any], str]]:
    """(tool, arguments, call id) of each call in an assistant's message, read as Agno reads it.

    A call that Agno cannot read is none: it is answered with an error and never made.
    """
    from agno.tools.function import Function
    from agno.utils.functions import get_function_call

    found: list[tuple[str, Mapping[str, Any], str]] = []
    for call in message.tool_calls or ():
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            continue
        read = get_function_call(name, function.get("arguments") or "{}", None, {name: Function(name=name)})
        if read is not None and read.error is None:
            found.append((name, read.arguments or {}, str(call.get("id") or "")))
    return found


def asking(messages: Sequence[Any] | None) -> Any:
    """The assistant's message whose calls are being made: the latest with any."""
    return next((m for m in reversed(messages or ()) if m.role == "assistant" and m.tool_calls), None)


def digest(*parts: Any) -> str:
    """A short name for this content: equal content, equal name."""
    written = _ENCODER.encode(parts if all(type(part) is str for part in parts) else plain(parts))
    return hashlib.sha256(written.encode()).hexdigest()[:32]


def _role(part: Any) -> str:
    role = part.get("role") if isinstance(part, dict) else getattr(part, "role", None)
    return role if isinstance(role, str) else ""


def _content(part: Any) -> Any:
    return part.get("content") if isinstance(part, dict) else getattr(part, "content", part)
