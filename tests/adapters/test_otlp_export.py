"""Verdicts on their way to a collector: nobody waits, nothing is lost without being counted."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cryptosentinel.adapters.otlp_export import EvaluationExporter
from cryptosentinel.agentspec import RuleBook
from cryptosentinel.errors import ConfigError
from cryptosentinel.observer import Observer, Ruling
from cryptosentinel.types import Event


class Collector(ThreadingHTTPServer):
    """Keeps what it takes; answers with the next of `codes`, 200 after them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.codes: list[int] = []
        self.said = b"{}"
        self.got: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.open = threading.Event()
        self.open.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.open.wait(30)
        code = self.server.codes.pop(0) if self.server.codes else 200
        if code == 200:
            assert self.path == "/v1/logs"
            self.server.headers.append(self.headers)
            self.server.got += json.loads(text)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        self.send_response(code)
        if code == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(self.server.said)))
        self.end_headers()
        self.wfile.write(self.server.said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.open.set()
    server.shutdown()
    server.server_close()


def event(n: int, kind: Any = "tool_call") -> Event:
    body = {"tool": "swap", "arguments": {"amount": n}}
    return Event(f"{'ab' * 16}-{n + 1:016x}/call", float(n), "run", "Trader", kind, "Trader", "dex", body)


def told(record: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in record["attributes"]}


def test_what_an_observer_rules_arrives_with_its_reasons(collector: Collector) -> None:
    exporter = EvaluationExporter(collector.url + "/v1/logs", {"Authorization": "Bearer t"}, every_s=0.01)
    rules = RuleBook.parse("rule @big trigger swap check arg.amount >= 3 enforce skip end")
    observer = Observer(rules, on_ruling=exporter.tell)
    actions = [observer.observe(event(n)).action for n in range(5)]
    exporter.close()
    assert actions == ["allow", "allow", "allow", "block", "block"]
    assert [told(r)["gen_ai.evaluation.score.label"] for r in collector.got] == actions
    assert "@big" in told(collector.got[3])["gen_ai.evaluation.explanation"]
    assert (collector.got[3]["traceId"], collector.got[3]["spanId"]) == ("ab" * 16, f"{4:016x}")
    assert collector.headers[0]["Authorization"] == "Bearer t"
    assert exporter.counts == {"told": 5, "sent": 5, "dropped": 0, "refused": 0, "waiting": 0}


def test_a_collector_that_does_not_answer_holds_nobody_up_and_drops_are_counted(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.open.clear()
    exporter = EvaluationExporter(collector.url, most=100, every_s=0.01)
    observer = Observer(on_ruling=exporter.tell)
    exporter.tell(event(0), Ruling("allow"))
    until(lambda: not exporter._queue)  # that one is being sent
    began = time.monotonic()
    with caplog.at_level(logging.ERROR, "cryptosentinel.otlp"):
        for n in range(300):
            assert observer.observe(event(n, "message")).action == "allow"
    assert time.monotonic() - began < 25  # a collector that answers nothing would have taken 30
    assert exporter.counts == {"told": 301, "sent": 0, "dropped": 200, "refused": 0, "waiting": 101}
    assert "dropped" in caplog.text
    assert "\n" not in caplog.messages[0]
    collector.open.set()
    exporter.close()
    assert exporter.counts == {"told": 301, "sent": 101, "dropped": 200, "refused": 0, "waiting": 0}
    exporter.tell(event(0), Ruling("allow"))
    assert exporter.counts["dropped"] == 201
    assert "cryptosentinel_evaluations_dropped_total 201" in exporter.metrics()


def test_who_is_busy_is_asked_again_and_who_refuses_is_not(collector: Collector) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> bool:
        waited.append(seconds)
        return False

    collector.codes = [503, 429, 502]
    exporter = EvaluationExporter(collector.url, every_s=0.01, sleep=sleep)
    exporter.tell(event(1), Ruling("hold"))
    until(lambda: exporter.counts["sent"] == 1)
    assert len(waited) == 3
    assert waited[1] == 7.0  # what it asked for
    collector.codes = [400]
    exporter.tell(event(2), Ruling("hold"))
    until(lambda: exporter.counts["refused"] == 1)
    collector.said = b'{"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}}'
    exporter.tell(event(3), Ruling("hold"))
    until(lambda: exporter.counts["refused"] == 2)
    exporter.close()
    assert exporter.counts == {"told": 3, "sent": 1, "dropped": 0, "refused": 2, "waiting": 0}


@pytest.mark.parametrize("said", [b"", b"[]", b"<html>", b'{"partialSuccess": 5}', b'{"partialSuccess": {}}'])
def test_any_answer_to_what_was_taken_is_an_answer(collector: Collector, said: bytes) -> None:
    collector.said = said
    exporter = EvaluationExporter(collector.url, every_s=0.01)
    exporter.tell(event(1), Ruling("hold"))
    exporter.close()
    assert exporter.counts["sent"] == 1


def test_a_collector_that_is_not_there_and_a_record_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    exporter = EvaluationExporter("http://127.0.0.1:9", every_s=0.01, patience_s=0.0)
    with caplog.at_level(logging.ERROR, "cryptosentinel.otlp"):
        exporter.tell(event(1), Ruling("block"))
        exporter.tell(Event("e", float("nan"), "", "", "decision", "", "", {}), Ruling("block"))
        exporter.close()
    assert exporter.counts == {"told": 2, "sent": 0, "dropped": 0, "refused": 2, "waiting": 0}
    assert "127.0.0.1 not taken" in caplog.text
    for url in ("", "collector:4318", "ftp://x", "http://"):
        with pytest.raises(ConfigError, match="endpoint"):
            EvaluationExporter(url)


def test_a_listener_that_fails_changes_no_ruling(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_event: Event, _ruling: Ruling) -> None:
        raise RuntimeError("no room")

    book = RuleBook.parse("rule @no trigger any check true enforce skip end")
    with caplog.at_level(logging.ERROR, "cryptosentinel.observer"):
        assert Observer(book, on_ruling=fails).observe(event(1)).action == "block"
        assert Observer(on_ruling=fails).observe(event(1)).action == "allow"
    assert "no room" in caplog.text


def until(holds: Callable[[], bool]) -> None:
    """Wait, half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
