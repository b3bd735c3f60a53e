"""Whatever is sent, the receiver answers in its own words and keeps what can be kept; and what `kill -9` leaves."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.adapters import otlp_spans
from cryptosentinel.adapters.otlp_dialects import DECISION
from cryptosentinel.adapters.otlp_intake import Intake
from cryptosentinel.adapters.otlp_serve import serve
from cryptosentinel.adapters.otlp_spans import DEEPEST, LONGEST, MOST_ATTRIBUTES, Span
from cryptosentinel.adapters.otlp_wire import JSON, PROTOBUF, RefusedError, spans_of
from cryptosentinel.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from otlp_senders import NOW, TEAM, body_json, body_protobuf, span  # type: ignore[import-not-found]

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap"}
KEYS = sorted({a["key"] for spans in TEAM.values() for s in spans for a in s["attributes"]} | {DECISION})
FIELDS = """resourceSpans scopeSpans spans resource attributes key value events traceId spanId parentSpanId name
    startTimeUnixNano stringValue intValue doubleValue boolValue arrayValue kvlistValue values""".split()
IDS = ["ab" * 16, "cd" * 8]
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(IDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
DEEP = "[" * 400 + "]" * 400
contents = st.sampled_from(
    ["{", "[]", "{}", '[{"parts": 5}]', '{"a": 1e999}', "NaN", DEEP, '[{"parts":[{"type":"text"}]}]', "9" * 5000]
)
texts = odd.filter(lambda v: v is None or isinstance(v, str | bool)) | contents


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Intake:
    return Intake(Ledger.open(tmp_path_factory.mktemp("hostile") / "l.db"), patience_s=0.0)


def sent(intake: Intake, body: bytes, media: str, packed: bool = False) -> None:
    """What is sent is taken or refused, and nothing else happens."""
    try:
        spans, reasons = spans_of(body, media, packed, NOW)
    except RefusedError as error:
        assert error.status in (400, 413)
        assert len(str(error)) < 400
        return
    assert all(isinstance(r, str) and r for r in reasons)
    assert len(intake.take(spans).refused) <= len(spans)


@settings(max_examples=50)
@given(odd)
def test_any_json(intake: Intake, document: Any) -> None:
    sent(intake, json.dumps(document).encode(), JSON)
    sent(intake, body_json([document]), JSON)
    sent(intake, body_json([dict(span(1, TOOL)) | (document if isinstance(document, dict) else {})]), JSON)


@settings(max_examples=40)
@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_any_bytes(intake: Intake, noise: bytes, at: int, packed: bool) -> None:
    sent(intake, noise, PROTOBUF, packed)
    body = body_protobuf(TEAM["OpenInference"])
    sent(intake, body[:at] + noise + body[at + len(noise) :], PROTOBUF)
    sent(intake, gzip.compress(body)[:at] + noise, PROTOBUF, True)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(KEYS), texts, max_size=9))
def test_any_attributes(intake: Intake, attributes: dict[str, Any]) -> None:
    given = dict(span(random.randrange(1, 2**63), {k: v for k, v in attributes.items() if v is not None}))
    before = len(list(intake.ledger.entries()))
    sent(intake, body_json([given]), JSON)
    assert len(list(intake.ledger.entries())) >= before


def nested(depth: int) -> Any:
    return "x" if depth == 0 else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"traceId": "xyz"}, "traceId must be hex, got 'xyz'"),
        ({"traceId": "ab"}, "a trace id is 16 bytes"),
        ({"traceId": 5}, "traceId must be hex, got '5'"),
        ({"spanId": "0" * 16}, "a span id is 8 bytes"),
        ({"parentSpanId": "12"}, "a parent's id is 8 bytes"),
        ({"startTimeUnixNano": "0"}, "start is 0 s, outside 2000 to a day from now: check the clock"),
        ({"endTimeUnixNano": str(2**63)}, "check the clock"),
        ({"startTimeUnixNano": str(2**70)}, "startTimeUnixNano must be a 64-bit integer"),
        ({"startTimeUnixNano": -5}, "startTimeUnixNano must be a 64-bit integer"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano must be a 64-bit integer"),
        ({"name": 5}, "a span's name is text"),
        ({"attributes": {}}, "attributes must be a list, got dict"),
        ({"attributes": [5]}, "an attribute is an object with a key"),
        ({"attributes": [{"key": "a", "value": 5}]}, "an attribute's value is an object with one key"),
        (
            {"attributes": [{"key": "a", "value": {"doubleValue": "NaN"}}]},
            "doubleValue must be a finite number, got 'NaN'",
        ),
        ({"attributes": [{"key": "a", "value": {"doubleValue": 10**400}}]}, "doubleValue must be a finite number"),
        ({"attributes": [{"key": "a", "value": {"boolValue": 1}}]}, "an attribute's boolValue is a int"),
        (
            {"attributes": [{"key": "a", "value": {"stringValue": "x" * (LONGEST + 1)}}]},
            "65537 characters, at most 65536",
        ),
        ({"attributes": [{"key": str(n)} for n in range(MOST_ATTRIBUTES + 1)]}, "513 attributes, at most 512"),
        ({"attributes": span(1, {"a": nested(DEEPEST + 1)})["attributes"]}, "an attribute is more than 8 deep"),
        ({"events": [{"name": "e"}] * 129}, "more than 128 events"),
        ({"events": [5]}, "an event of a span is an object"),
    ],
)
def test_a_span_that_cannot_be_taken_says_why_and_the_next_is_taken(changes: dict[str, Any], reason: str) -> None:
    spans, reasons = spans_of(body_json([dict(span(1, TOOL)) | changes, span(2, TOOL)]), JSON, False, NOW)
    assert [s.id for s in spans] == [f"{2:016x}"]
    assert len(reasons) == 1
    assert reason in reasons[0]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"a": float("nan")}, "nan, which is no number"),
        ({"a": float("-inf")}, "-inf, which is no number"),
        ({"a": nested(DEEPEST + 1)}, "more than 8 deep"),
        ({"a": [1] * (MOST_ATTRIBUTES + 1)}, "513 parts"),
        ({"a": "x" * (LONGEST + 1)}, "at most 65536"),
        ({str(n): n for n in range(MOST_ATTRIBUTES + 1)}, "513 attributes"),
    ],
)
def test_the_same_in_protobuf(attributes: dict[str, Any], reason: str) -> None:
    spans, reasons = spans_of(
        body_protobuf([span(1, attributes), span(2, {"a": nested(DEEPEST)})]), PROTOBUF, False, NOW
    )
    assert [s.id for s in spans] == [f"{2:016x}"]
    assert reason in reasons[0]


def test_a_resource_that_cannot_be_read_refuses_its_spans_alone() -> None:
    body = json.loads(body_json([span(1, TOOL), span(2, TOOL)]))
    other = json.loads(body_json([span(3, TOOL)]))
    body["resourceSpans"][0]["resource"]["attributes"] = 5
    body["resourceSpans"] += other["resourceSpans"]
    found = list(otlp_spans.spans_of_json(json.dumps(body).encode(), NOW))
    assert [type(f) for f in found] == [str, str, Span]


def test_kill_9_loses_nothing_that_was_acknowledged_and_counts_nothing_twice(tmp_path: Path) -> None:
    path, rng = tmp_path / "l.db", random.Random(3)
    acknowledged: set[str] = set()
    waiting = {f"{n:032x}": n for n in range(1, 400)}
    for _ in range(4):
        server = start(path)
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["traces"]
        left = rng.randrange(10, 40)
        try:
            with httpx.Client(timeout=5) as client:
                for trace in list(waiting):
                    # the child goes first, in a request of its own; after a kill both are sent again
                    for part in (span(2, TOOL, 1, trace=trace), span(1, agent(), trace=trace)):
                        left -= 1
                        if left == 0:
                            threading.Timer(rng.uniform(0.0, 0.02), server.kill).start()
                        answer = client.post(url, content=body_json([part]), headers={"Content-Type": JSON})
                        assert answer.content == b"{}"
                    acknowledged.add(trace)
                    del waiting[trace]
        except httpx.HTTPError:
            pass
        server.kill()
        server.wait()
        server.stdout.close()
    events = [e.body for e in Ledger.open(path).entries("event")]
    ids = [e["id"] for e in events]
    assert len(ids) == len(set(ids))
    kept = {(e["id"].partition("-")[0], e["kind"], e["agent"]) for e in events}
    assert {(t, "tool_call", "Trader") for t in acknowledged} <= kept
    assert {(t, "decision", "Trader") for t in acknowledged} <= kept
    assert len(acknowledged) > 20
    assert Ledger.open(path).verify().ok


def agent() -> dict[str, Any]:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Trader", "cryptosentinel.decision.size": 5}


def start(path: Path) -> subprocess.Popen[str]:
    src = Path(otlp_spans.__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "cryptosentinel", "serve", "--ledger", str(path), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(src), os.environ.get("PYTHONPATH", "")])},
    )


def test_who_is_told_the_address_can_connect_at_once(tmp_path: Path) -> None:
    class ConnectedError(Exception):
        pass

    def ready(address: str) -> None:
        with socket.create_connection((urlsplit(address).hostname or "", urlsplit(address).port or 0), timeout=10):
            raise ConnectedError

    with pytest.raises(ConnectedError):
        serve(tmp_path / "l.db", "127.0.0.1", 0, ready=ready)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_what_was_sent_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    server = start(tmp_path / "l.db")
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["traces"]
    assert httpx.post(url, content=body_json(TEAM["gen_ai"]), headers={"Content-Type": JSON}).status_code == 200
    assert "cryptosentinel_otlp_events_total 5" in httpx.get(url.replace("/v1/traces", "/metrics")).text
    server.send_signal(number)
    server.communicate(timeout=60)
    assert server.returncode == 0
    assert len(list(Ledger.open(tmp_path / "l.db").entries("event"))) == 5
