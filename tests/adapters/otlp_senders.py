"""Spans as agents' tracers send them, for the tests: built by hand, in protobuf and in JSON."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

NOW = time.time()
TRACE = "ab" * 16
Given = Mapping[str, Any]


def span(
    n: int, attributes: Given, parent: int = 0, *, name: str = "span", at: float = 0.0, trace: str = TRACE
) -> Given:
    """Span number n of a trace, a child of number `parent`."""
    nano = int((NOW - 60 + at) * 1e9)
    return {
        "traceId": trace, "spanId": f"{n:016x}", "parentSpanId": f"{parent:016x}" if parent else "", "name": name,
        "startTimeUnixNano": str(nano), "endTimeUnixNano": str(nano + 10**9),
        "attributes": [{"key": k, "value": value(v)} for k, v in attributes.items()],
    }  # fmt: skip


def value(given: Any) -> Given:
    """As OTLP's JSON has it."""
    if isinstance(given, bool):
        return {"boolValue": given}
    if isinstance(given, int):
        return {"intValue": str(given)}
    if isinstance(given, float):
        return {"doubleValue": given}
    if isinstance(given, list):
        return {"arrayValue": {"values": [value(v) for v in given]}}
    if isinstance(given, dict):
        return {"kvlistValue": {"values": [{"key": k, "value": value(v)} for k, v in given.items()]}}
    return {"stringValue": given}


def body_json(spans: Sequence[Any], service: str = "desk") -> bytes:
    """One request in JSON."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}).encode()


def body_protobuf(spans: Sequence[Given], service: str = "desk") -> bytes:
    """The same in protobuf."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    attribute = group.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope = group.scope_spans.add()
    for given in spans:
        made = scope.spans.add(
            trace_id=bytes.fromhex(given["traceId"]), span_id=bytes.fromhex(given["spanId"]),
            parent_span_id=bytes.fromhex(given["parentSpanId"]), name=given["name"],
            start_time_unix_nano=int(given["startTimeUnixNano"]), end_time_unix_nano=int(given["endTimeUnixNano"]),
        )  # fmt: skip
        for pair in given["attributes"]:
            fill(made.attributes.add(key=pair["key"]).value, pair["value"])
    found: bytes = request.SerializeToString()
    return found


def fill(target: AnyValue, given: Given) -> None:
    """JSON's value into protobuf's."""
    ((which, inner),) = given.items()
    if which == "arrayValue":
        for item in inner["values"]:
            fill(target.array_value.values.add(), item)
    elif which == "kvlistValue":
        for pair in inner["values"]:
            fill(target.kvlist_value.values.add(key=pair["key"]).value, pair["value"])
    elif which == "intValue":
        target.int_value = int(inner)
    else:
        setattr(
            target,
            {"stringValue": "string_value", "boolValue": "bool_value", "doubleValue": "double_value"}[which],
            inner,
        )


def packed(body: bytes) -> bytes:
    """In gzip, the same bytes at any time: test workers must name the tests alike."""
    return gzip.compress(body, mtime=0)


ARGUMENTS = '{"token": "ETH", "amount": 5}'
CHOICE = '{"asset": "ETH", "size": 5.0}'
CALL = {"type": "tool_call", "id": "c1", "name": "swap", "arguments": {"token": "ETH"}}


def messages(role: str, *parts: Given) -> str:
    """As gen_ai.input.messages has them."""
    return json.dumps([{"role": role, "parts": list(parts)}])


def text(said: str) -> Given:
    """A part of a message."""
    return {"type": "text", "content": said}


TEAM = {
    "gen_ai": [
        span(2, {
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap",
            "gen_ai.tool.call.arguments": ARGUMENTS, "gen_ai.tool.call.result": "done",
        }, 9, at=1),
        span(3, {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
            "gen_ai.output.messages": messages("assistant", text("Buy."), CALL),
        }, 9),
        span(9, {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Trader", "gen_ai.conversation.id": "s1",
            "gen_ai.input.messages": messages("user", text("Trade.")),
            "gen_ai.output.messages": messages("assistant", text(CHOICE)),
        }),
    ],
    "OpenInference": [
        span(2, {
            "openinference.span.kind": "TOOL", "tool.name": "swap", "input.value": ARGUMENTS, "output.value": "done",
        }, 9, at=1),
        span(3, {
            "openinference.span.kind": "LLM", "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Buy.",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "swap",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"token": "ETH"}',
        }, 9),
        span(9, {
            "openinference.span.kind": "AGENT", "agent.name": "Trader", "session.id": "s1", "input.value": "Trade.",
            "output.value": CHOICE,
        }),
    ],
    "gen_ai as it was": [
        span(2, {
            "traceloop.span.kind": "tool", "traceloop.entity.name": "swap",
            "traceloop.entity.input": '{"inputs": {"token": "ETH", "amount": 5}}', "traceloop.entity.output": "done",
        }, 9, at=1),
        span(3, {
            "gen_ai.system": "openai", "gen_ai.request.model": "m", "llm.request.type": "chat",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "Buy.",
            "gen_ai.completion.0.tool_calls.0.name": "swap",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"token": "ETH"}',
        }, 9),
        span(9, {
            "traceloop.span.kind": "agent", "traceloop.entity.name": "Trader",
            "traceloop.association.properties.session_id": "s1", "traceloop.entity.input": "Trade.",
            "traceloop.entity.output": CHOICE,
        }),
    ],
}  # fmt: skip
