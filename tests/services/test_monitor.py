"""The watch in the ledger: batches, refusals, a ledger that is away; and who is told of an alarm."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.errors import ConfigError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Alarm, Live, Plan, Watch
from cryptosentinel.observer import Observer
from cryptosentinel.services.alerts import Alerts, metrics_text
from cryptosentinel.services.events import as_event
from cryptosentinel.services.monitor_ledger import LedgerWatch, alarms_of
from cryptosentinel.types import Event


def decided(n: int, seed: int, often: float = 0.1, start: int = 0) -> list[Event]:
    draw = random.Random(seed)
    return [
        Event(f"{seed}-{i}", float(i), "", "Trader", "decision", "Trader", "",
              {"attributes": {"risky": draw.random() < often, "size": draw.random()}})
        for i in range(start, start + n)
    ]  # fmt: skip


def learnt() -> Watch:
    return Watch.learn(Plan(), decided(300, 0))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "l.db")


def test_batches_of_any_size_come_to_the_same(ledger: Ledger) -> None:
    events = decided(100, 1) + decided(150, 2, 0.6)
    whole = LedgerWatch(ledger, "whole", learnt, every=70)
    alarms = list(whole.take(events).alarms)
    draw, at = random.Random(3), 0
    some: list[Alarm] = []
    while at < len(events):
        step = draw.randint(1, 60)
        parts = LedgerWatch(ledger, "parts", learnt, every=70)  # a new process each time
        taken = parts.take(events[max(0, at - 10) : at + step])  # the sender repeats itself
        some += taken.alarms
        at += step
    assert some == alarms == list(alarms_of(ledger, "parts"))
    assert len(alarms) == 1
    assert LedgerWatch(ledger, "parts", learnt).watch.state() == LedgerWatch(ledger, "whole", learnt).watch.state()


def test_what_the_ledger_cannot_keep_is_refused_and_the_rest_taken(ledger: Ledger) -> None:
    bad = Event("nan", 0.0, "", "Trader", "decision", "Trader", "", {"attributes": {"size": float("nan")}})
    other = Event("msg", 0.0, "", "Trader", "message", "Trader", "", {"text": "hi"})
    taken = LedgerWatch(ledger, "w", learnt).take([bad, other, *decided(3, 1)])
    assert (taken.new, len(taken.refused)) == (3, 2)
    assert "not JSON" in taken.refused[0]


def test_a_ledger_that_is_away_for_a_while_loses_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    events = decided(60, 1) + decided(100, 2, 0.6)
    kept = LedgerWatch(ledger, "w", learnt)
    kept.take(events[:40])
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "append_many", lambda _: (_ for _ in ()).throw(LedgerError("disk full")))
        for _ in range(3):
            with pytest.raises(LedgerError, match="disk full"):
                kept.take(events[40:150])
    taken = kept.take(events[40:])
    assert (taken.new, taken.duplicates, len(taken.alarms)) == (120, 0, 1)
    whole = LedgerWatch(ledger, "whole", learnt)
    whole.take(events)
    assert kept.watch.state() == LedgerWatch(ledger, "w", learnt).watch.state()
    assert list(alarms_of(ledger, "w")) == list(alarms_of(ledger, "whole"))


class _Receiver(BaseHTTPRequestHandler):
    got: ClassVar[list[Any]] = []
    answer = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).answer == 200:
            type(self).got.append(json.loads(body))
        self.send_response(type(self).answer)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    _Receiver.got, _Receiver.answer = [], 200
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v2/alerts"
    server.shutdown()
    server.server_close()


def test_an_alertmanager_is_told_once_of_on_and_of_off(ledger: Ledger, receiver: str) -> None:
    kept = LedgerWatch(ledger, "desk", learnt)
    alerts = Alerts(kept, receiver)
    assert alerts.sync(kept.take(decided(50, 1)).alarms)
    assert _Receiver.got == []
    assert alerts.sync(kept.take(decided(100, 2, 0.6)).alarms)
    assert alerts.sync()
    assert [a["labels"]["stream"] for batch in _Receiver.got for a in batch] == ["risky"]
    assert "endsAt" not in _Receiver.got[0][0]
    assert "risky is" in _Receiver.got[0][0]["annotations"]["description"]
    again = Alerts(LedgerWatch(ledger, "desk", learnt), receiver)  # after a stop
    assert again.sync()
    assert len(_Receiver.got) == 1
    assert again.sync(again.kept.take(decided(900, 3)).alarms)
    assert "endsAt" in _Receiver.got[1][0]


def test_an_alert_that_was_not_delivered_is_tried_again(ledger: Ledger, receiver: str) -> None:
    kept = LedgerWatch(ledger, "desk", learnt)
    _Receiver.answer = 500
    alerts = Alerts(kept, receiver)
    assert not alerts.sync(kept.take(decided(100, 2, 0.6)).alarms)
    _Receiver.answer = 200
    later = Alerts(LedgerWatch(ledger, "desk", learnt), receiver)  # the process died in between
    assert later.sync()
    assert [a["labels"]["alertname"] for a in _Receiver.got[0]] == ["AgentBehaviourChanged"]
    with pytest.raises(ConfigError, match="http or https"):
        Alerts(kept, "ftp://example")


def test_metrics_escape_what_agents_are_called() -> None:
    name = 'a"\n\\b'
    base = [Event(str(i), 0.0, "", name, "decision", name, "", {"attributes": {"x": i % 2 == 0}}) for i in range(40)]
    text = metrics_text({"desk": Watch.learn(Plan(), base)})
    assert r'agent="a\"\n\\b"' in text
    assert all(line.startswith(("#", "cryptosentinel_monitor_")) for line in text.splitlines())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["id", "time", "agent", "kind", "attributes", "run_id"])


@settings(max_examples=150)
@given(st.dictionaries(fields, anything), st.booleans())
def test_an_event_is_read_or_refused_and_nothing_else(value: dict[str, Any], nearly: bool) -> None:
    given = ({"time": 1, "agent": "a", "kind": "decision", "attributes": {}} | value) if nearly else value
    try:
        event, _ = as_event(given, "here")
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert event.kind in ("message", "tool_call", "tool_result", "decision")
        Watch(Plan()).observe(event)


def test_the_observer_asks_and_holds_what_a_rule_says(ledger: Ledger) -> None:
    rules = "rule @drift trigger swap check drift_alarm(risky) enforce user_inspection end"
    for watch in (Live(learnt()), LedgerWatch(ledger, "w", learnt)):
        observer = Observer(RuleBook.parse(rules), monitor=watch)
        swap = Event("s", 0.0, "r", "Trader", "tool_call", "Trader", "dex", {"tool": "swap", "arguments": {}})
        assert observer.observe(swap).action == "allow"
        for event in decided(100, 2, 0.6):
            watch.alarms(event)
            watch.alarms(event)
        assert watch.watch.counts["decisions"] == 100
        assert observer.observe(replace(swap, id="t")).action != "allow"
        stranger = replace(swap, id="u", agent="Nobody", sender="Nobody")
        assert observer.observe(stranger).action != "allow"
