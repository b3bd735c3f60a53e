"""What an agent did, in the words of whoever traced it: gen_ai.*, OpenInference, and gen_ai as it was before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptosentinel.adapters.otlp_spans import Span
from cryptosentinel.errors import DataError

What = Literal["tool", "model", "agent", "decision", "other"]
DECISION = "cryptosentinel.decision"  # a span of any framework may carry one: JSON, or attributes with this prefix
_OPERATIONS: Mapping[str, What] = {
    "execute_tool": "tool", "invoke_agent": "agent", "chat": "model", "text_completion": "model",
    "generate_content": "model",
}  # fmt: skip
_KINDS: Mapping[str, What] = {"tool": "tool", "agent": "agent", "llm": "model"}
_MOST_TURNS = 200
DEEPEST = 32  # of JSON in an attribute; deeper is text


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a span says was done; `part` tells the acts of a span apart, `at` is its time."""

    part: str
    kind: str
    at: float
    sender: str  # "agent", or a name
    recipient: str
    body: dict[str, Any]


def agent_of(span: Span) -> str:
    """Which agent does this span name itself? Empty if it names none."""
    a = span.attributes
    named = _first(a, "gen_ai.agent.name", "agent.name")
    if not named and what(span) == "agent":
        named = _first(a, "graph.node.name", "traceloop.entity.name", "gen_ai.agent.id") or span.name
    return named[:200].strip()


def session_of(span: Span) -> str:
    """Which conversation does it say it belongs to? Empty if it does not say."""
    return _first(
        span.attributes, "gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id"
    )[:200]  # fmt: skip


def what(span: Span) -> What:
    """What kind of act is this span, in any of the dialects?"""
    a = span.attributes
    kind = a.get("openinference.span.kind") or a.get("traceloop.span.kind")
    if isinstance(kind, str):
        return _KINDS.get(kind.lower(), "other")
    if isinstance(operation := a.get("gen_ai.operation.name"), str):
        return _OPERATIONS.get(operation, "other")
    if "gen_ai.tool.name" in a:
        return "tool"
    named = "gen_ai.system" in a or "gen_ai.provider.name" in a
    return "model" if "llm.request.type" in a or (named and "gen_ai.request.model" in a) else "other"


def acts_of(span: Span) -> list[Act]:
    """What does this span say was done? Nothing for most spans: requests, database calls, chains.

    Raises:
        DataError: it carries a decision that cannot be read.
    """
    kind = what(span)
    found = list(_MAKERS[kind](span)) if kind in _MAKERS else []
    if decided := _declared(span):
        found.append(Act("decision", "decision", span.end, "agent", "", {"attributes": decided}))
    return found


def _tool(span: Span) -> Iterator[Act]:
    a = span.attributes
    tool = (_first(a, "gen_ai.tool.name", "tool.name", "traceloop.entity.name") or span.name)[:200]
    given = _any(a, "gen_ai.tool.call.arguments", "tool.parameters", "input.value", "traceloop.entity.input")
    arguments = _parsed(given)
    if "traceloop.entity.input" in a and isinstance(arguments, dict):
        arguments = arguments.get("inputs", arguments.get("kwargs", arguments))
    body = {"tool": tool, "arguments": arguments if isinstance(arguments, dict) else {"input": arguments}}
    yield Act("call", "tool_call", span.start, "agent", tool, body if given is not None else body | {"arguments": {}})
    result = _any(a, "gen_ai.tool.call.result", "output.value", "traceloop.entity.output")
    if result is not None:
        yield Act("result", "tool_result", span.end, tool, "agent", {"tool": tool, "result": _said(result)})


def _model(span: Span) -> Iterator[Act]:
    turns = _turns(span)
    for n, turn in enumerate(turns[-_MOST_TURNS:]):
        body = {"text": turn["text"], "role": "assistant", "tool_calls": turn["tool_calls"]}
        yield Act(f"said{n}", "message", span.end, "agent", "", {k: v for k, v in body.items() if v})


def _agent(span: Span) -> Iterator[Act]:
    a = span.attributes
    asked = _any(a, "input.value", "traceloop.entity.input")
    if asked is None and (messages := _messages(a.get("gen_ai.input.messages"))):
        asked = next((m["text"] for m in reversed(messages) if m["role"] == "user"), None)
    if asked is not None:
        yield Act("asked", "message", span.start, "user", "agent", {"text": _said(asked), "role": "user"})
    answer = _any(a, "output.value", "traceloop.entity.output")
    if answer is None and (messages := _messages(a.get("gen_ai.output.messages"))):
        answer = messages[-1]["text"]
    if answer is None:
        return
    parsed = _parsed(answer)
    if isinstance(parsed, dict) and not _declared(span):
        yield Act("decision", "decision", span.end, "agent", "", {"attributes": parsed})
    else:
        said = {"text": _said(answer), "role": "assistant", "final": True}
        yield Act("answer", "message", span.end, "agent", "user", said)


_MAKERS = {"tool": _tool, "model": _model, "agent": _agent}


def _turns(span: Span) -> list[dict[str, Any]]:
    """What the model said, in whichever form."""
    a = span.attributes
    if messages := _messages(a.get("gen_ai.output.messages")):
        return messages
    for prefix, inner in (("llm.output_messages.", "message."), ("gen_ai.completion.", "")):
        if turns := _numbered(a, prefix, inner):
            return turns
    found = [_event(fields) for name, fields in span.events if name in ("gen_ai.choice", "gen_ai.content.completion")]
    if found:
        return found
    said = a.get("output.value")
    return [{"role": "assistant", "text": _said(said), "tool_calls": []}] if said is not None else []


def _messages(given: Any) -> list[dict[str, Any]]:
    """Messages with parts, as gen_ai.input.messages and gen_ai.output.messages have them."""
    parsed = _parsed(given)
    found = []
    for message in parsed if isinstance(parsed, list) else []:
        if not isinstance(message, dict):
            continue
        parts = message.get("parts")
        parts = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
        texts = [_said(p.get("content")) for p in parts if p.get("type") == "text"]
        if "content" in message:
            texts.append(_said(message["content"]))
        calls = [
            {"id": p.get("id"), "name": p.get("name"), "arguments": p.get("arguments")}
            for p in parts
            if p.get("type") == "tool_call"
        ]
        found.append({"role": message.get("role"), "text": "\n".join(texts), "tool_calls": calls})
    return found


def _numbered(a: Mapping[str, Any], prefix: str, inner: str) -> list[dict[str, Any]]:
    """Messages that are spread over attributes: PREFIX.0.content, PREFIX.0.tool_calls.0.name, ..."""
    turns: dict[str, dict[str, Any]] = {}
    for key, value in a.items():
        if not key.startswith(prefix):
            continue
        n, _, rest = key[len(prefix) :].partition(".")
        rest = rest.removeprefix(inner)
        turn = turns.setdefault(n, {"role": "assistant", "text": "", "calls": {}})
        if rest in ("content", "text") or rest.endswith("message_content.text"):
            turn["text"] = "\n".join(filter(None, [turn["text"], _said(value)]))
        elif rest.startswith("tool_calls."):
            m, _, field = rest.removeprefix("tool_calls.").partition(".")
            field = field.removeprefix("tool_call.").removeprefix("function.")
            turn["calls"].setdefault(m, {})[field] = value
    return [{"role": t["role"], "text": t["text"], "tool_calls": list(t["calls"].values())} for t in turns.values()]


def _event(fields: Mapping[str, Any]) -> dict[str, Any]:
    said = fields.get("gen_ai.completion", fields.get("content", fields.get("message")))
    parsed = _parsed(said)
    if isinstance(parsed, dict):
        calls = parsed.get("tool_calls")
        said = parsed.get("content", said)
        return {"role": "assistant", "text": _said(said), "tool_calls": calls if isinstance(calls, list) else []}
    return {"role": "assistant", "text": _said(said), "tool_calls": []}


def _declared(span: Span) -> dict[str, Any]:
    a = span.attributes
    keys = [k for k in a if k.startswith(DECISION)]
    if not keys:
        return {}
    given = a.get(DECISION)
    whole = {} if given is None else _parsed(given.strip() if isinstance(given, str) else given)
    if not isinstance(whole, dict):
        raise DataError(f"span {span.id}: {DECISION} is no JSON object at most {DEEPEST} deep, got {str(given)[:40]!r}")
    return whole | {k[len(DECISION) + 1 :]: a[k] for k in keys if k.startswith(f"{DECISION}.")}


def _first(a: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        if (value := a.get(key)) and isinstance(value, str):
            return value
    return ""


def _any(a: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        if (value := a.get(key)) is not None:
            return value
    return None


def _parsed(value: Any) -> Any:
    """JSON if it is that and nothing odd; else the value itself."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            parsed = _DECODER.decode(value)
        except (ValueError, RecursionError):
            return value
        shallow = value.count("[") + value.count("{") <= DEEPEST
        return parsed if shallow or _within(parsed, DEEPEST) else value
    return value


def _within(value: Any, deepest: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = [v for v in (value.values() if isinstance(value, dict) else value) if isinstance(v, dict | list)]
    return deepest > 0 and all(_within(v, deepest - 1) for v in inner) if inner else True


def _odd(name: str) -> Any:
    raise ValueError(name)


def _real(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


_DECODER = json.JSONDecoder(parse_constant=_odd, parse_float=_real)


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
