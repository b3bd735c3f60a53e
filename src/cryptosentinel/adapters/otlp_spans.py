"""Spans as OTLP brings them, protobuf or JSON: read with distrust, what cannot be read with its reason."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.errors import DataError, MissingExtraError

MOST_SPANS = 20_000  # in one request
MOST_ATTRIBUTES = 512  # of one span, its resource or one of its events
MOST_EVENTS = 128
LONGEST = 65_536  # characters of a text
DEEPEST = 8  # lists and tables within each other
EARLIEST_S = 946_684_800.0  # the year 2000
AHEAD_S = 86_400.0  # how far a sender's clock may be ahead of ours
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """One span; ids are lower-case hex, `parent` is empty at the root, times are seconds since 1970."""

    trace: str
    id: str
    parent: str
    name: str
    start: float
    end: float
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]]
    service: str


def spans_of_protobuf(body: bytes, now: float) -> Iterator[Span | str]:
    """The spans of an ExportTraceServiceRequest; for each that cannot be taken, why.

    Raises:
        DataError: the body is no such message, or has too many spans.
        MissingExtraError: the protobuf messages are not installed.
    """
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise MissingExtraError("opentelemetry-proto", "web", "receiving OTLP") from None
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise DataError(f"no ExportTraceServiceRequest: {' '.join(str(error).split())[:120]}") from None
    groups = [(group, scope) for group in request.resource_spans for scope in group.scope_spans]
    _few(sum(len(scope.spans) for _, scope in groups))
    for group, scope in groups:
        try:
            service = _service(_pairs(group.resource.attributes))
        except ValueError as error:
            yield from [f"resource: {error}"] * len(scope.spans)
            continue
        for span in scope.spans:
            try:
                events = [(e.name[:LONGEST], _pairs(e.attributes)) for e in span.events[: MOST_EVENTS + 1]]
                yield _span(
                    (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()), span.name,
                    span.start_time_unix_nano, span.end_time_unix_nano, _pairs(span.attributes), events, service, now,
                )  # fmt: skip
            except ValueError as error:
                yield str(error)


def spans_of_json(body: bytes, now: float) -> Iterator[Span | str]:
    """The same of OTLP's JSON, in which ids are hex and long integers are text.

    Raises:
        DataError: the body is no such document, or has too many spans.
    """
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is not JSON: {' '.join(str(error).split())[:120]}") from None
    groups: list[tuple[Any, list[Any]]] = []
    for group in _objects(document, "resourceSpans"):
        resource = _object(group.get("resource") or {}, "resource")
        groups += [(resource, _list(scope.get("spans"), "spans")) for scope in _objects(group, "scopeSpans")]
    _few(sum(len(spans) for _, spans in groups))
    for resource, spans in groups:
        try:
            service = _service(_json_pairs(resource.get("attributes")))
        except ValueError as error:
            yield from [f"resource: {error}"] * len(spans)
            continue
        for given in spans:
            try:
                yield _json_span(given, service, now)
            except ValueError as error:
                yield str(error)


def _json_span(given: Any, service: str, now: float) -> Span:
    if not isinstance(given, dict):
        raise ValueError(f"a span is an object, got {type(given).__name__}")
    trace, own, parent = (_hex(given.get(k), k) for k in ("traceId", "spanId", "parentSpanId"))
    events = []
    for event in _items(given.get("events"), "events")[: MOST_EVENTS + 1]:
        if not isinstance(event, dict) or not isinstance(event.get("name", ""), str):
            raise ValueError("an event of a span is an object with a name")
        events.append((event.get("name", "")[:LONGEST], _json_pairs(event.get("attributes"))))
    start, end = (_integer(given.get(k, 0), k) for k in ("startTimeUnixNano", "endTimeUnixNano"))
    attributes = _json_pairs(given.get("attributes"))
    return _span((trace, own, parent), given.get("name", ""), start, end, attributes, events, service, now)


def _hex(value: Any, what: str) -> str:
    if value is None and what == "parentSpanId":
        return ""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-fA-F]{0,64}", value):
        raise ValueError(f"{what} must be hex, got {str(value)[:40]!r}")
    return value.lower()


def _span(
    ids: tuple[str, str, str], name: Any, start_ns: int, end_ns: int, attributes: Attributes,
    events: list[tuple[str, Attributes]], service: str, now: float,
) -> Span:  # fmt: skip
    trace, own, parent = ids
    if len(trace) != 32 or trace == _NO_TRACE:
        raise ValueError(f"a trace id is 16 bytes, not all 0, got {trace[:40]!r}")
    if len(own) != 16 or own == _NO_SPAN:
        raise ValueError(f"a span id is 8 bytes, not all 0, got {own[:40]!r}")
    if parent == _NO_SPAN:
        parent = ""
    if parent and len(parent) != 16:
        raise ValueError(f"a parent's id is 8 bytes or nothing, got {parent[:40]!r}")
    if not isinstance(name, str):
        raise ValueError(f"a span's name is text, got {type(name).__name__}")
    if len(events) > MOST_EVENTS:
        raise ValueError(f"span {own}: more than {MOST_EVENTS} events")
    start, end = start_ns / 1e9, end_ns / 1e9
    for what, time in (("start", start), ("end", end)):
        if not EARLIEST_S <= time <= now + AHEAD_S:
            raise ValueError(f"span {own}: {what} is {time:.0f} s, outside 2000 to a day from now: check the clock")
    return Span(trace, own, parent, name[:200], start, max(start, end), attributes, events, service)


def _pairs(attributes: Any) -> Attributes:
    if len(attributes) > MOST_ATTRIBUTES:
        raise ValueError(f"{len(attributes)} attributes, at most {MOST_ATTRIBUTES} are taken")
    found = {}
    for pair in attributes:
        value = pair.value
        text = value.string_value  # nearly all are text, and asking which one it is costs more
        found[pair.key] = text if text and len(text) <= LONGEST else _value(value, 0)
    return found


def _value(value: Any, depth: int) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        return _text(value.string_value)
    if which in ("int_value", "bool_value"):
        return getattr(value, which)
    if which == "double_value":
        return _finite(value.double_value)
    if which == "bytes_value":
        return _text(value.bytes_value.hex())
    if which is None:
        return None
    if depth >= DEEPEST:
        raise ValueError(f"an attribute is more than {DEEPEST} deep")
    inner = getattr(value, which).values
    if len(inner) > MOST_ATTRIBUTES:
        raise ValueError(f"an attribute has {len(inner)} parts, at most {MOST_ATTRIBUTES} are taken")
    if which == "array_value":
        return [_value(v, depth + 1) for v in inner]
    return {pair.key: _value(pair.value, depth + 1) for pair in inner}


def _json_pairs(given: Any, depth: int = 0) -> Attributes:
    found: Attributes = {}
    for pair in _items(given, "attributes"):
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise ValueError("an attribute is an object with a key")
        found[pair["key"]] = _json_value(pair.get("value"), depth)
    return found


def _json_value(given: Any, depth: int) -> Any:
    if given is None or given == {}:
        return None
    if not isinstance(given, dict) or len(given) != 1:
        raise ValueError("an attribute's value is an object with one key, such as stringValue")
    ((which, value),) = given.items()
    if which in ("stringValue", "bytesValue") and isinstance(value, str):
        return _text(value)
    if which == "boolValue" and isinstance(value, bool):
        return value
    if which == "intValue":
        return _integer(value, which, signed=True)
    if which == "doubleValue" and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return _finite(float(value))
        except (ValueError, OverflowError):
            raise ValueError(f"doubleValue must be a finite number, got {str(value)[:40]!r}") from None
    if depth >= DEEPEST:
        raise ValueError(f"an attribute is more than {DEEPEST} deep")
    if which == "arrayValue" and isinstance(value, dict):
        return [_json_value(v, depth + 1) for v in _items(value.get("values"), "values")]
    if which == "kvlistValue" and isinstance(value, dict):
        return _json_pairs(value.get("values"), depth + 1)
    raise ValueError(f"an attribute's {which[:40]} is a {type(value).__name__}")


def _integer(value: Any, what: str, signed: bool = False) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not (-(2**63) if signed else 0) <= value < 2**64:
        raise ValueError(f"{what} must be a 64-bit integer, got {str(value)[:40]!r}")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"an attribute is {value}, which is no number")
    return value


def _text(value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(f"an attribute has {len(value)} characters, at most {LONGEST} are taken")
    return value


def _service(resource: Attributes) -> str:
    found = resource.get("service.name")
    return found[:200] if isinstance(found, str) else ""


def _few(spans: int) -> None:
    if spans > MOST_SPANS:
        raise DataError(f"{spans} spans in one request, at most {MOST_SPANS} are taken: send smaller batches")


def _items(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list, got {type(value).__name__}")
    if len(value) > MOST_ATTRIBUTES:
        raise ValueError(f"{len(value)} {what}, at most {MOST_ATTRIBUTES} are taken")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise DataError(f"{what} must be a list, got {type(value).__name__}")
    return value or []


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{what} must be an object, got {type(value).__name__}")
    return value


def _objects(value: Any, key: str) -> list[dict[str, Any]]:
    return [_object(item, key) for item in _list(_object(value, "the body").get(key), key)]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
