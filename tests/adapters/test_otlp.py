"""Whatever the dialect and form, the same events; nothing lost that was acknowledged, nothing counted twice."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel import cli
from cryptosentinel.adapters.otlp import check_open, receiver
from cryptosentinel.adapters.otlp_evaluation import evaluation, export_request
from cryptosentinel.adapters.otlp_intake import Intake
from cryptosentinel.adapters.otlp_queue import SpanQueue
from cryptosentinel.adapters.otlp_serve import serve
from cryptosentinel.adapters.otlp_spans import Span, spans_of_json
from cryptosentinel.adapters.otlp_wire import JSON, PROTOBUF, RefusedError, spans_of
from cryptosentinel.errors import ConfigError, DataError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.observer import Observer
from cryptosentinel.services.monitor_ledger import LedgerWatch
from cryptosentinel.types import Event, Finding, Ref, Verdict

sys.path.insert(0, str(Path(__file__).parent))
from otlp_senders import NOW, TEAM, TRACE, body_json, body_protobuf, packed, span  # type: ignore[import-not-found]

TOKEN = "a-token-of-the-tests"  # noqa: S105
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap"}
AS_JSON_TEXT = {"cryptosentinel.decision": ' {"size": 5}'}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Trader"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "l.db")


def read(spans: list[Any]) -> list[Span]:
    found, refused = spans_of(body_json(spans), JSON, False, NOW)
    assert refused == []
    return found


def kept(ledger: Ledger) -> list[dict[str, Any]]:
    return [dict(e.body) for e in ledger.entries("event")]


@pytest.mark.parametrize("dialect", TEAM)
def test_every_dialect_says_the_same(dialect: str, ledger: Ledger) -> None:
    spans, refused = spans_of(body_protobuf(TEAM[dialect]), PROTOBUF, False, NOW)
    again, _ = spans_of(body_json(TEAM[dialect]), JSON, False, NOW)
    assert (spans, refused) == (again, [])
    assert Intake(ledger).take(spans).refused == ()
    events = kept(ledger)
    assert {(e["agent"], e["run_id"], e["run"]) for e in events} == {("Trader", "s1", "otlp")}
    said = {(e["kind"], e["sender"], e["recipient"]): e["body"] for e in events}
    assert said == {
        ("message", "user", "Trader"): {"text": "Trade.", "role": "user"},
        ("message", "Trader", ""): said["message", "Trader", ""],
        ("tool_call", "Trader", "swap"): {"tool": "swap", "arguments": {"token": "ETH", "amount": 5}},
        ("tool_result", "swap", "Trader"): {"tool": "swap", "result": "done"},
        ("decision", "Trader", ""): {"attributes": {"asset": "ETH", "size": 5.0}},
    }
    model = said["message", "Trader", ""]
    assert model["text"] == "Buy."
    assert [c["name"] for c in model["tool_calls"]] == ["swap"]
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)


def test_a_decision_may_be_said_by_any_span(ledger: Ledger) -> None:
    spans = read([span(1, AGENT | {"cryptosentinel.decision.asset": "ETH", "cryptosentinel.decision": '{"size": 2}'})])
    Intake(ledger).take(spans)
    assert [e["body"] for e in kept(ledger)] == [{"attributes": {"size": 2, "asset": "ETH"}}]


def test_children_that_come_first_wait_for_their_parents_through_a_restart(ledger: Ledger) -> None:
    intake = Intake(ledger)
    assert intake.take(read([span(1, TOOL, 2)])).waiting == 1
    assert intake.take(read([span(1, TOOL, 2)])).duplicates == 1
    assert (kept(ledger), intake.waiting) == ([], 1)
    again = Intake(ledger)  # as after kill -9: nothing but the ledger is left
    assert again.waiting == 1
    again.take(read([span(2, {"http.method": "POST"}, 3)]))
    assert kept(ledger) == []
    again.take(read([span(3, AGENT)]))
    assert [(e["agent"], e["kind"]) for e in kept(ledger)] == [("Trader", "tool_call")]
    assert (again.waiting, Intake(ledger).waiting) == (0, 0)
    assert again.take(read([span(1, TOOL, 2)])).duplicates == 1
    assert Intake(ledger).take(read([span(1, TOOL, 2)])).duplicates == 1


def test_who_has_waited_long_enough_goes_by_the_service_s_name(ledger: Ledger) -> None:
    now = [100.0]
    intake = Intake(ledger, patience_s=30, now=lambda: now[0])
    intake.take(read([span(1, TOOL, 2)]))
    now[0] += 29
    intake.settle()
    assert kept(ledger) == []
    now[0] += 1
    intake.settle()
    assert [e["agent"] for e in kept(ledger)] == ["desk"]
    loop = [span(7, TOOL, 8), span(8, {}, 7)]  # parents of each other
    intake.take(read(loop))
    assert [e["agent"] for e in kept(ledger)] == ["desk", "desk"]


def decided(n: int) -> Any:
    return span(n, AGENT | {"cryptosentinel.decision.risky": n % 7 == 0, "output.value": "done"}, at=n / 1000)


def test_the_watch_takes_what_it_watches_once_whatever_fails(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def baseline(n: int) -> Event:
        return Event(f"b{n}", float(n), "", "Trader", "decision", "Trader", "", {"attributes": {"risky": n % 7 == 0}})

    watch = LedgerWatch(ledger, "desk", lambda: Watch.learn(Plan(), [baseline(n) for n in range(300)]))
    intake = Intake(ledger, watch=watch)
    intake.take(read([decided(1)]))
    append = Ledger.append_many
    failures = iter([False, True, True, False, True])

    def fails(self: Ledger, items: Any) -> Any:
        if next(failures, False):
            raise LedgerError("the disk is full")
        return append(self, items)

    monkeypatch.setattr(Ledger, "append_many", fails)
    for n in range(2, 6):
        for _ in range(5):
            try:
                intake.take(read([decided(n)]))
                break
            except LedgerError:
                pass
    monkeypatch.undo()
    ids = [e["id"] for e in kept(ledger)]
    assert len(ids) == len(set(ids)) == 10  # an answer and a decision of each
    assert watch.watch.counts["decisions"] == 5
    assert {e["run"] for e in kept(ledger)} == {"desk", "otlp"}
    assert Intake(ledger, watch=watch).take(read([decided(3)])).duplicates == 2
    assert ledger.verify().ok


def test_who_sends_again_after_others_were_served_is_counted_once(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = LedgerWatch(Ledger.open(tmp_path / "watch.db"), "desk", lambda: Watch(Plan()))  # so: two transactions
    seen: list[str] = []

    class Sees(Observer):
        def observe(self, event: Event) -> Any:
            seen.append(event.id)
            return super().observe(event)

    intake = Intake(ledger, watch=watch, observer=Sees())

    def fails(self: LedgerWatch, *given: Any) -> Any:
        raise LedgerError("gone, after the answers were kept and before the decisions were")

    with monkeypatch.context() as patch, pytest.raises(LedgerError):
        patch.setattr(LedgerWatch, "take", fails)
        intake.take(read([decided(1)]))
    intake.take(read([decided(2)]))
    assert intake.take(read([decided(1)])).duplicates == 0
    assert intake.take(read([decided(1)])).duplicates == 2
    ids = [e["id"] for e in [*kept(ledger), *kept(watch.ledger)]]
    assert len(ids) == len(set(ids)) == 4
    assert sorted(seen) == sorted(ids)


def test_what_was_written_and_not_answered_is_not_written_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(ledger)
    intake.take(read([span(1, TOOL, 2)]))  # waits for its parent
    append = Ledger.append_many

    def unanswered(self: Ledger, items: Any) -> Any:
        append(self, items)
        raise LedgerError("the server closed the connection unexpectedly")

    parent, other = read([span(2, AGENT)]), read([span(3, TOOL | {"gen_ai.agent.name": "Trader"})])
    for spans in (parent, other):
        with monkeypatch.context() as patch, pytest.raises(LedgerError):
            patch.setattr(Ledger, "append_many", unanswered)
            intake.take(spans)
    intake.take(read([span(4, AGENT)]))
    for spans in (parent, other):
        intake.take(spans)
    ids = [e["id"] for e in kept(ledger)]
    assert len(ids) == len(set(ids)) == 2
    assert intake.waiting == 0


def test_an_observer_sees_every_event(ledger: Ledger, tmp_path: Path) -> None:
    rules = tmp_path / "rules.ags"
    rules.write_text("rule @no trigger swap check true enforce stop end")
    observer = Observer(rules, ledger=ledger)
    Intake(ledger, observer=observer).take(read([span(1, TOOL, 2), span(2, AGENT | {"session.id": "s1"})]))
    assert [e["kind"] for e in kept(ledger)] == ["tool_call"]
    assert [e.body["action"] for e in ledger.entries("verdict")] == ["block"]
    (_, ruling), = observer.history("s1")  # fmt: skip
    event = Event(f"{TRACE}-{1:016x}/call", NOW, "s1", "Trader", "tool_call", "Trader", "swap", {})
    finding = Finding("agentspec", 1, Ref("event", event.id), 1.0, reason="rule @no")
    record = evaluation(event, ruling, {ruling.because[0]: finding})
    said = {a["key"]: next(iter(a["value"].values())) for a in record["attributes"]}
    assert (record["traceId"], record["spanId"]) == (TRACE, f"{1:016x}")
    assert said["gen_ai.evaluation.score.label"] == "block"
    assert (said["gen_ai.evaluation.score.value"], said["gen_ai.evaluation.explanation"]) == (1.0, "rule @no")
    assert export_request([record])["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == [record]
    assert "traceId" not in evaluation(Event("e", 0.0, "", "", "message", "", "", {}), Verdict("allow"))


def test_what_cannot_be_written_is_told_and_the_rest_is_kept(ledger: Ledger) -> None:
    spans = read([span(1, TOOL), span(2, TOOL)])
    object.__setattr__(spans[0], "attributes", TOOL | {"gen_ai.tool.call.arguments": {"x": float("nan")}})
    taken = Intake(ledger).take(spans)
    assert len(taken.refused) == 1
    assert "must be JSON" in taken.refused[0]
    assert len(kept(ledger)) == 1


@pytest.fixture
def client(ledger: Ledger) -> Iterator[Any]:
    from fastapi.testclient import TestClient

    with TestClient(receiver(Intake(ledger), TOKEN)) as made:
        made.headers["Authorization"] = f"Bearer {TOKEN}"
        yield made


def test_over_http_in_every_form(client: Any, ledger: Ledger) -> None:
    bodies = {JSON: body_json, PROTOBUF: body_protobuf}
    for n, (media, body) in enumerate(bodies.items()):
        for pack in (False, True):
            trace = f"{n + 1}{pack:d}" * 16
            sent = body([dict(s) | {"traceId": trace} for s in TEAM["gen_ai"]])
            headers = {"Content-Type": media} | ({"Content-Encoding": "gzip"} if pack else {})
            answer = client.post("/v1/traces", content=packed(sent) if pack else sent, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (200, media)
            assert answer.content == (b"{}" if media == JSON else b"")
    assert len(kept(ledger)) == 4 * 5
    metrics = client.get("/metrics").text
    assert "cryptosentinel_otlp_spans_total 12" in metrics
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_partial_success_says_how_many_and_why(client: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    wrong = dict(span(1, TOOL)) | {"traceId": "00" * 16}
    answer = client.post("/v1/traces", content=body_json([wrong, span(2, AGENT)]), headers={"Content-Type": JSON})
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert "a trace id is 16 bytes, not all 0" in answer.json()["partialSuccess"]["errorMessage"]
    answer = client.post(
        "/v1/traces", content=body_protobuf([wrong, span(2, AGENT)]), headers={"Content-Type": PROTOBUF}
    )
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert said.rejected_spans == 1
    assert said.error_message.startswith("a trace id")


@pytest.mark.parametrize("said", ["{not json", "[1, 2]", "buy", "", '{"size": NaN}', 5, "[" * 40 + "]" * 40])
def test_a_decision_that_cannot_be_read_is_refused(client: Any, ledger: Ledger, said: Any) -> None:
    for n, act in enumerate((AGENT | {"output.value": '{"size": 1}'}, TOOL)):
        spans = [span(1, act | {"cryptosentinel.decision": said}), span(2 + n, AGENT | AS_JSON_TEXT)]
        answer = client.post("/v1/traces", content=body_json(spans), headers={"Content-Type": JSON}).json()
        assert answer["partialSuccess"]["rejectedSpans"] == "1"
        assert "span 0000000000000001: cryptosentinel.decision is no" in answer["partialSuccess"]["errorMessage"]
    assert [e["body"] for e in kept(ledger)] == [{"attributes": {"size": 5}}] * 2
    assert "cryptosentinel_otlp_rejected_spans_total 2" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {"Authorization": ""}, b"{}"),
        (401, {"Authorization": "Bearer wrong"}, b"{}"),
        (401, {"Authorization": f"Basic {TOKEN}"}, b"{}"),
        (415, {"Content-Type": "text/plain"}, b"{}"),
        (415, {"Content-Type": ""}, b"{}"),
        (415, {"Content-Encoding": "br"}, b"{}"),
        (400, {}, b"{"),
        (400, {}, b'{"resourceSpans": 5}'),
        (400, {}, b'{"resourceSpans": [{"scopeSpans": [{"spans": [NaN]}]}]}'),
        (400, {}, b"[" * 100_000),
        (400, {"Content-Type": PROTOBUF}, b"\xff\xff\xff"),
        (400, {"Content-Encoding": "gzip"}, b"not gzip"),
        (400, {"Content-Encoding": "gzip"}, packed(b"{}" * 100)[:-9]),
        (413, {}, b" " * (8 * 2**20 + 1)),
        (413, {"Content-Encoding": "gzip"}, packed(b" " * (64 * 2**20 + 1))),
        (413, {}, body_json([{}] * 20_001)),
    ],
)
def test_what_is_refused(client: Any, ledger: Ledger, status: int, headers: dict[str, str], body: bytes) -> None:
    answer = client.post("/v1/traces", content=body, headers={"Content-Type": JSON} | headers)
    assert answer.status_code == status
    if headers.get("Content-Type") != PROTOBUF:
        assert "\n" not in answer.json()["message"]
    assert list(ledger.entries()) == []


def test_metrics_need_the_token_too(client: Any) -> None:
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert client.get("/v1/traces").status_code == 405


def test_a_ledger_that_is_down_is_a_503_and_what_is_sent_again_is_kept_once(
    client: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: Ledger, items: Any) -> Any:
        raise LedgerError("the server is gone")

    sent = body_json(TEAM["gen_ai"])
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append_many", down)
        answer = client.post("/v1/traces", content=sent, headers={"Content-Type": JSON})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.post("/v1/traces", content=sent, headers={"Content-Type": JSON}).status_code == 200
    assert len(kept(ledger)) == 5


def test_too_many_that_wait_are_told_to_come_later(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Intake(ledger)
    with SpanQueue(intake, most=2) as spans, intake._lock:  # the writer is held up
        first = spans.submit(read([span(1, TOOL), span(2, TOOL)]))
        with pytest.raises(RefusedError, match="2 spans wait to be written, at most 2") as caught:
            spans.submit(read([span(3, TOOL)]))
        assert caught.value.status == 429
        monkeypatch.undo()
        intake._lock.release()
        assert first.result(30).refused == ()
        intake._lock.acquire()
    with pytest.raises(RefusedError, match="shutting down"):
        spans.submit([])


def test_nobody_listens_to_the_world_without_a_token(ledger: Ledger) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        check_open(host, "")
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""):  # noqa: S104  that is refused
        with pytest.raises(ConfigError, match="needs a token"):
            check_open(host, "")
        check_open(host, TOKEN)
    with pytest.raises(ConfigError, match="at least 16 characters, got 5"):
        receiver(Intake(ledger), "short")
    assert cli.run(["serve", "--host", "0.0.0.0", "--ledger", "never.db"]) == 2  # noqa: S104
    assert not Path("never.db").exists()


def test_what_serve_refuses_begins_no_watch(tmp_path: Path) -> None:
    path = tmp_path / "never.db"
    assert cli.run(["serve", "--ledger", str(path), "--token", "short"]) == 2
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as stopped:
        cli.run(["serve", "--ledger", str(path), "--port", str(taken.getsockname()[1])])
    assert stopped.value.code == 3
    assert not path.exists()


def test_serve_goes_on_with_what_the_watch_was_begun_with(tmp_path: Path) -> None:
    path, base, config = tmp_path / "l.db", tmp_path / "base.jsonl", tmp_path / "c.toml"
    decided = ({"time": n, "agent": "Trader", "kind": "decision", "attributes": {"size": n % 7}} for n in range(99))
    base.write_text("".join(json.dumps(line) + "\n" for line in decided))
    config.write_text("decisions = 99")
    LedgerWatch(Ledger.open(path), "otlp", lambda: Watch(Plan()))
    with pytest.raises(ConfigError, match="watch 'otlp' of this ledger was begun without a baseline: go on without"):
        serve(path, "127.0.0.1", 0, baseline=[base], ready=pytest.fail)
    with pytest.raises(ConfigError, match="watch 'otlp' of this ledger was begun with another config: go on without"):
        serve(path, "127.0.0.1", 0, config=config, ready=pytest.fail)
    with pytest.raises(DataError, match="no such file"):
        serve(path, "127.0.0.1", 0, baseline=[tmp_path / "none.jsonl"], ready=pytest.fail)


def test_json_ids_of_any_case_are_the_same_span() -> None:
    upper = dict(span(1, TOOL)) | {"traceId": TRACE.upper()}
    assert list(spans_of_json(body_json([upper]), NOW)) == read([span(1, TOOL)])
