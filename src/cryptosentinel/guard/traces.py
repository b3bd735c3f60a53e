"""How does a recorded conversation become steps, as they would have arrived?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.types import Event, EventKind

AGENT = "assistant"
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MOST_CALLS = 1_000

_WRITTEN = re.compile(r"^[ \t]*([A-Za-z_]\w{2,80})\(([^\n]{0,2000})\)[ \t]*;?[ \t]*$", re.MULTILINE)
_NAMED = re.compile(r'"name"\s*:\s*"([\w.\-]{2,80})"\s*,\s*"(?:args|arguments|parameters|input)"\s*:\s*(?=\{)')
_OBSERVED = re.compile(
    r"^[ \t]*\[?Observation\]?[ \t]*:[ \t]*(.*?)(?=^[ \t]*\[?(?:Thought|Action|Final Answer|Question)\]?[ \t]*:"
    r"|^[ \t]*[A-Za-z_]\w{2,80}\([^\n]{0,2000}\)[ \t]*;?[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def steps(trace: Mapping[str, Any]) -> Iterator[tuple[int, list[Event]]]:
    """Yield (index of the message, its events): an assistant's text and all its calls are one step.

    A call that an assistant wrote out as text, `name(...)` on a line or `{"name": ..., "args": {...}}`, is a call, and
    what it copied under "Observation:" is from outside.

    Raises:
        DataError: no trace: `messages` is missing, or a message has no role or content that can be read.
    """
    messages = trace.get("messages")
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise DataError("a trace needs a list 'messages'")
    run = str(trace.get("id", ""))
    tools: dict[str, str] = {}
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, Mapping) else type(message).__name__
            raise DataError(f"message {index}: the role must be one of {', '.join(ROLES)}, got {role!r}")
        yield index, list(_events(run, index, message, tools))


def _events(run: str, index: int, message: Mapping[str, Any], tools: dict[str, str]) -> Iterator[Event]:
    role, text, agent = message["role"], _content(index, message.get("content")), AGENT

    def event(part: int, kind: EventKind, sender: str, recipient: str, body: dict[str, Any]) -> Event:
        return Event(f"{run}/{index}.{part}", float(index), run, agent, kind, sender, recipient, body)

    if role in ("system", "developer", "user"):
        who = "user" if role == "user" else "system"
        yield event(0, "message", who, agent, {"text": text, "role": who})
    elif role in ("tool", "function"):
        tool = str(message.get("name") or tools.get(str(message.get("tool_call_id")), "tool"))
        body = {"tool": tool, "result": text, "call_id": str(message.get("tool_call_id") or "")}
        yield event(0, "tool_result", tool, agent, body)
    else:
        calls = _calls(index, message)
        own, observed, comes_first = (text, "", False) if calls else _split(text)
        seen = event(0, "tool_result", "tool", agent, {"tool": "", "result": observed})
        if observed and comes_first:
            yield seen
        if own:
            yield event(1, "message", agent, "user", {"text": own, "role": "assistant"})
        for part, (call_id, tool, arguments) in enumerate((calls or _written(own))[:MOST_CALLS], 2):
            tools[call_id] = tool
            body = {"tool": tool, "arguments": arguments, "call_id": call_id}
            yield event(part, "tool_call", agent, tool, body)
        if observed and not comes_first:
            yield seen


def _content(index: int, content: Any) -> str:
    """The text of a message, of its parts if it comes in parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        parts = [p if isinstance(p, str) else p.get("text", "") if isinstance(p, Mapping) else "" for p in content]
        return "\n".join(str(p) for p in parts if p)
    if isinstance(content, Mapping):
        return json.dumps(content, ensure_ascii=False, default=str)
    raise DataError(f"message {index}: the content must be text, got {type(content).__name__}")


def _calls(index: int, message: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    given = message.get("tool_calls") or ([{"function": f}] if (f := message.get("function_call")) else [])
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise DataError(f"message {index}: tool_calls must be a list, got {type(given).__name__}")
    if len(given) > MOST_CALLS:
        raise DataError(f"message {index}: {len(given)} calls, at most {MOST_CALLS} are read")
    found = []
    for part, call in enumerate(given):
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(inner, Mapping):
            raise DataError(f"message {index}: call {part} must be an object, got {type(call).__name__}")
        arguments = inner.get("arguments")
        found.append((str(call.get("id", f"{index}.{part}")), str(inner.get("name") or ""), arguments))
    return found


def _split(text: str) -> tuple[str, str, bool]:
    """What the agent says itself, what it copied from tools, and does the copy stand before the agent's first call?"""
    found = list(_OBSERVED.finditer(text))
    if not found:
        return text, "", False
    call = _WRITTEN.search(text) or _NAMED.search(text)
    comes_first = call is None or found[0].start() < call.start()
    return _OBSERVED.sub("\n", text).strip(), "\n".join(m.group(1) for m in found), comes_first


def _written(text: str) -> list[tuple[str, str, Any]]:
    """Calls that an agent without a calling interface wrote into its text."""
    if "(" not in text and '"name"' not in text:
        return []
    found: list[tuple[str, str, Any]] = [("", m.group(1), {"": m.group(2)}) for m in _WRITTEN.finditer(text)]
    for match in _NAMED.finditer(text):
        try:
            arguments, _ = json.JSONDecoder().raw_decode(text, match.end())
        except (ValueError, RecursionError):
            arguments = {"": text[match.end() : match.end() + 2_000]}
        found.append(("", match.group(1), arguments))
    return found
