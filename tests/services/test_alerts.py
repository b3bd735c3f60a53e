"""Who is told of an alarm: at least once whatever happens, again while it lasts, and when it is over."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cryptosentinel.errors import ConfigError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.services.alerts import RESEND_S, Alerts, Teller, metrics_text
from cryptosentinel.services.monitor_ledger import LedgerWatch
from cryptosentinel.types import Event

sys.path.insert(0, str(Path(__file__).parent))
from monitor_watched import decided, learnt  # type: ignore[import-not-found]


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
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "l.db")


@pytest.fixture
def receiver() -> Iterator[str]:
    _Receiver.got, _Receiver.answer = [], 200
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v2/alerts"
    server.shutdown()
    server.server_close()


class Told:
    """Keeps what would be posted, and a clock."""

    def __init__(self) -> None:
        self.got: list[list[tuple[str, bool]]] = []
        self.raw: list[dict[str, Any]] = []
        self.now = 1000.0
        self.away = False

    def __call__(self, _url: str, alerts: list[dict[str, Any]]) -> None:
        if self.away:
            raise ConnectionError("away")
        self.raw += alerts
        self.got.append([(a["labels"]["stream"], "endsAt" not in a) for a in alerts])

    def alerts(self, kept: LedgerWatch) -> Alerts:
        return Alerts(kept, "http://alerts.example", send=self, now=lambda: self.now)


def test_an_alertmanager_is_told_of_on_and_of_off(ledger: Ledger, receiver: str) -> None:
    kept = LedgerWatch(ledger, "desk", learnt)
    alerts = Alerts(kept, receiver)
    kept.take(decided(50, 1))
    assert alerts.sync()
    assert _Receiver.got == []
    kept.take(decided(100, 2, 0.6))
    assert alerts.sync()
    assert alerts.sync()
    assert [a["labels"]["stream"] for batch in _Receiver.got for a in batch] == ["risky"]
    assert "endsAt" not in _Receiver.got[0][0]
    assert "risky is" in _Receiver.got[0][0]["annotations"]["description"]
    again = Alerts(LedgerWatch(ledger, "desk", learnt), receiver)  # after a stop: who was told may have stopped too
    assert again.sync()
    assert again.sync()
    assert _Receiver.got[1] == _Receiver.got[0]
    again.kept.take(decided(900, 3))
    assert again.sync()
    assert "endsAt" in _Receiver.got[2][0]
    assert len(_Receiver.got) == 3


def test_an_alert_that_was_not_delivered_is_tried_again(ledger: Ledger, receiver: str) -> None:
    kept = LedgerWatch(ledger, "desk", learnt)
    _Receiver.answer = 400
    alerts = Alerts(kept, receiver)
    kept.take(decided(100, 2, 0.6))
    assert not alerts.sync()
    _Receiver.answer = 200
    later = Alerts(LedgerWatch(ledger, "desk", learnt), receiver)  # the process died in between
    assert later.sync()
    assert [a["labels"]["alertname"] for a in _Receiver.got[0]] == ["AgentBehaviourChanged"]
    for url in ("ftp://example", "http://", "alerts:9093"):
        with pytest.raises(ConfigError, match="need http"):
            Alerts(kept, url)


def test_an_alarm_that_went_on_and_off_between_two_calls_is_told(ledger: Ledger) -> None:
    told = Told()
    kept = LedgerWatch(ledger, "desk", learnt)
    alerts = told.alerts(kept)
    kept.take([*decided(60, 2, 0.6), *decided(900, 3)])  # one batch
    assert not any(kept.watch.alarms(decided(1, 9)[0]).values())
    told.away = True
    assert not alerts.sync()
    told.away = False
    later = told.alerts(LedgerWatch(ledger, "desk", learnt))
    for _ in range(3):
        assert later.sync()
    assert told.got == [[("risky", True)], [("risky", False)]]


def test_an_alarm_whose_write_was_not_answered_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    kept = LedgerWatch(ledger, "desk", learnt)
    alerts = told.alerts(kept)
    append = Ledger.append_many

    def unanswered(self: Ledger, items: Any) -> Any:
        append(self, items)
        raise LedgerError("the server closed the connection unexpectedly")

    with monkeypatch.context() as patch, pytest.raises(LedgerError):
        patch.setattr(Ledger, "append_many", unanswered)
        kept.take(decided(100, 2, 0.6))
    taken = kept.take(decided(100, 2, 0.6))
    assert (taken.new, taken.duplicates, taken.alarms) == (0, 100, ())
    assert alerts.sync()
    assert told.got == [[("risky", True)]]


def test_what_stays_on_is_told_again_while_nothing_comes(ledger: Ledger) -> None:
    told = Told()
    kept = LedgerWatch(ledger, "desk", learnt)
    alerts = told.alerts(kept)
    kept.take(decided(100, 2, 0.6))
    assert alerts.sync()
    before = ledger.last_seq()
    for _ in range(4):
        told.now += RESEND_S / 2
        assert alerts.sync()
    assert told.got == [[("risky", True)]] * 3
    assert ledger.last_seq() == before  # nothing new to note
    told.away = True
    told.now += RESEND_S
    assert not alerts.sync()
    told.away = False
    assert alerts.sync()  # as soon as it is back


def test_an_idle_process_tells_by_itself_and_who_takes_does_not_wait(ledger: Ledger) -> None:
    kept = LedgerWatch(ledger, "desk", learnt)
    slow, told = threading.Event(), Told()

    def send(url: str, alerts: list[dict[str, Any]]) -> None:
        slow.wait(30)
        told(url, alerts)

    teller = Teller(Alerts(kept, "http://alerts.example", send=send, now=lambda: time.monotonic() * 1e4), 0.01)
    kept.take(decided(100, 2, 0.6))
    teller.wake()
    assert kept.take(decided(5, 4)).new == 5  # while the webhook does not answer
    slow.set()
    until(lambda: len(told.got) >= 3)
    kept.take(decided(900, 3))
    until(lambda: told.got[-1] == [("risky", False)])
    teller.close()


def test_a_receiver_that_is_idle_goes_on_telling(ledger: Ledger, receiver: str) -> None:
    from cryptosentinel.adapters.otlp_serve import AlertingWatch

    watch = AlertingWatch(LedgerWatch(ledger, "desk", learnt), receiver, every_s=0.01)
    assert len(watch.take(decided(100, 2, 0.6)).alarms) == 1
    until(lambda: bool(_Receiver.got))
    assert 'alarm{watch="desk",agent="Trader",stream="risky"} 1' in watch.metrics()
    watch.take(decided(900, 3))
    until(lambda: "endsAt" in _Receiver.got[-1][0])
    watch.close()


def test_a_ledger_that_is_away_does_not_stop_the_telling(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    kept = LedgerWatch(ledger, "desk", learnt)
    kept.take(decided(100, 2, 0.6))
    alerts = told.alerts(kept)
    entries, fails = Ledger.entries, iter(range(3))

    def away(self: Ledger, *given: Any) -> Any:
        if next(fails, None) is not None:
            raise LedgerError("gone")
        return entries(self, *given)

    monkeypatch.setattr(Ledger, "entries", away)
    teller = Teller(alerts, 0.01)
    until(lambda: bool(told.got))
    teller.close()
    assert told.got == [[("risky", True)]]


@pytest.mark.parametrize("clock", [1e12, -1e13, "10:00", "2026-11-23T04:00:00Z", None, "\ud800"], ids=ascii)
def test_odd_clocks_and_names_are_told_all_the_same(
    ledger: Ledger, receiver: str, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name = "\ud800 a\n"
    base = [replace(e, agent=name) for e in decided(300, 0)]
    kept = LedgerWatch(ledger, "desk", lambda: Watch.learn(Plan(), base))
    events = [replace(e, agent=name, body=e.body | {"time": clock}) for e in decided(100, 2, 0.6)]
    assert kept.take(events).refused == ()
    assert Alerts(kept, receiver).sync()
    ((alert,),) = _Receiver.got
    assert alert["labels"]["agent"] == name
    assert alert["startsAt"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert line.startswith("▯ a :")  # one line of what can be seen, whatever an agent is called


def test_metrics_escape_what_agents_are_called_and_keep_every_digit() -> None:
    name = 'a"\n\\b'
    base = [Event(str(i), 0.0, "", name, "decision", name, "", {"attributes": {"x": i % 2 == 0}}) for i in range(40)]
    watch = Watch.learn(Plan(), base)
    watch.counts["decisions"] = 12_345_678
    text = metrics_text({"desk": watch})
    assert r'agent="a\"\n\\b"' in text
    assert all(line.startswith(("#", "cryptosentinel_monitor_")) for line in text.splitlines())
    assert 'decisions_total{watch="desk"} 12345678' in text


def until(holds: Callable[[], bool]) -> None:
    """Wait, half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
