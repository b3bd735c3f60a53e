"""What is pruned is accounted for, what is stolen is not; and a watch goes on after it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cryptosentinel import cli
from cryptosentinel.errors import ConfigError, LedgerError
from cryptosentinel.ledger import Ledger, prune
from cryptosentinel.ledger.chain import link
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.services.alerts import Alerts
from cryptosentinel.services.ledger import export_ledger, prune_ledger, verify_ledger
from cryptosentinel.services.monitor_keep import status_of
from cryptosentinel.services.monitor_ledger import LedgerWatch
from cryptosentinel.types import Event, Finding, Ref, Verdict

sys.path.insert(0, str(Path(__file__).parent))
from ledger_places import Place  # type: ignore[import-not-found]


class Clock:
    """The time of the ledger's writer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "time_ns", lambda: int(self.now * 1e9))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def written(place: Place, clock: Clock, n: int = 6) -> Ledger:
    """A ledger with an entry each 100 s."""
    ledger = Ledger.open(place.url)
    for k in range(n):
        clock.now = 100.0 * (k + 1)
        ledger.append("event", {"n": k})
    return ledger


def test_what_is_left_verifies_and_goes_on(place: Place, clock: Clock) -> None:
    ledger = written(place, clock)
    done = prune(ledger, 400.0)
    assert (done.removed, done.first, done.last) == (3, 1, 3)
    assert done.tombstone is not None
    assert done.tombstone.seq == 7
    assert [e.seq for e in ledger.entries()] == [4, 5, 6, 7]
    result = ledger.verify()
    assert (result.ok, result.n, result.pruned) == (True, 4, 3)
    clock.now = 900.0
    ledger.append("event", {"n": 7})
    again = prune(Ledger.open(place.url), 600.0)
    assert (again.removed, again.first, again.last) == (2, 4, 5)
    result = Ledger.open(place.url).verify()
    assert (result.ok, result.n, result.pruned) == (True, 4, 5)
    with pytest.raises(Exception, match="append-only"):
        place.execute("DELETE FROM entries WHERE seq = 6")
    assert prune(ledger, 600.0).tombstone is None


def test_everything_may_go_but_the_tombstone(place: Place, clock: Clock) -> None:
    ledger = written(place, clock, 3)
    assert prune(ledger, 1_000.0).removed == 3
    assert [e.seq for e in ledger.entries()] == [4]
    assert ledger.verify().ok
    assert ledger.append("run", {}).seq == 5


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["DELETE FROM entries WHERE seq <= 4"], "entry 1 is missing"),
        (["DELETE FROM entries WHERE seq = 7"], "entry 1 is missing"),
        (["UPDATE entries SET prev_hash = hash WHERE seq = 4"], "content and hash differ"),
    ],
    ids=["more than was pruned", "no tombstone", "other content"],
)
def test_what_the_tombstone_does_not_account_for_shows(
    place: Place, clock: Clock, statements: list[str], reason: str
) -> None:
    ledger = written(place, clock)
    prune(ledger, 400.0)
    place.tamper(*statements)
    result = Ledger.open(place.url).verify()
    assert (result.ok, result.reason) == (False, reason)


def test_a_broken_chain_stays_as_it_is(place: Place, clock: Clock) -> None:
    ledger = written(place, clock)
    place.tamper("UPDATE entries SET body = '{}' WHERE seq = 2")
    with pytest.raises(LedgerError, match="nothing is pruned: the chain is broken at entry 2"):
        prune(ledger, 400.0)
    assert len(list(ledger.entries())) == 6


def test_a_clock_that_was_wrong_keeps_more_and_never_less(place: Place, clock: Clock) -> None:
    ledger = Ledger.open(place.url)
    for clock.now in (100.0, 9_000.0, 200.0, 300.0):
        ledger.append("event", {"n": clock.now})
    assert prune(ledger, 1_000.0).last == 1


def test_a_watch_goes_on_after_its_ledger_was_pruned(place: Place, clock: Clock) -> None:
    ledger = written(place, clock, 5)

    def event(n: int) -> Event:
        return Event(f"e{n}", float(n), "", "Trader", "decision", "Trader", "", {"attributes": {"risky": n % 7 == 0}})

    clock.now = 1_000.0
    watch = LedgerWatch(ledger, "desk", lambda: Watch.learn(Plan(), [event(n) for n in range(300)]), every=50)
    for n in range(400, 520):
        clock.now += 100.0
        watch.take([event(n)])
    done = prune_ledger(place.url, "1970-01-02")
    assert done["removed"] > 50
    assert done["held_by"].startswith("monitor 'desk' (state, entry ")
    resumed = LedgerWatch(Ledger.open(place.url), "desk", lambda: pytest.fail("it began again"))
    assert resumed.watch.state() == watch.watch.state()
    assert verify_ledger(place.url)["ok"]


def test_what_an_alert_needs_does_not_hold_up_the_pruning_for_ever(place: Place, clock: Clock) -> None:
    clock.now = 1_000.0

    def event(n: int, risky: bool) -> Event:
        return Event(f"{n}", float(n), "", "Trader", "decision", "Trader", "", {"attributes": {"risky": risky}})

    def kept(base: list[Event]) -> LedgerWatch:
        return LedgerWatch(Ledger.open(place.url), "desk", lambda: Watch.learn(Plan(), base), every=50)

    watch = kept([event(n, n % 7 == 0) for n in range(300)])
    alerts = Alerts(watch, "http://alerts.example", send=lambda *_: None)
    watch.take([event(n, True) for n in range(300, 330)])
    assert alerts.sync()
    for n in range(330, 630):
        clock.now += 100.0
        watch.take([event(n, n % 7 == 0)])
        assert alerts.sync()
    done = prune_ledger(place.url, "1970-01-02")
    assert done["removed"] > 250
    assert "(state, entry " in done["held_by"]
    told: list[object] = []
    again = Alerts(kept([]), "http://alerts.example", send=lambda *given: told.append(given))
    assert again.sync()
    assert told == []  # what is off was told to be off, and is not told again


@pytest.mark.parametrize("where", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_where_no_ledger_is_none_is_verified(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (tmp_path / "cut.db").write_text("")  # as a ledger that somebody emptied
    at = tmp_path / "cut.db" if where == "sqlite" else request.getfixturevalue("postgres").url()
    for ask in (verify_ledger, status_of, lambda place: prune_ledger(place, "1d")):
        with pytest.raises(ConfigError, match=r"no such ledger|no ledger in it"):
            ask(at)
    if where == "sqlite":
        assert (tmp_path / "cut.db").read_bytes() == b""


def test_the_export_has_everything(place: Place, tmp_path: Path) -> None:
    ledger = Ledger.open(place.url)
    ledger.append("run", {"command": "scan", "odd": "\ud800\x00"})
    ledger.record_many(
        [
            Finding("burst", 1, Ref("record", "3"), 0.5, reason="odd \ud800"),
            Verdict("hold", ("finding-1",), "desk"),
            Event("e1", 1.5, "r1", "analyst", "decision", "analyst", "trader", {"symbol": "ETH"}),
        ],
        "r1",
    )
    ledger.append("finding", {"score": 10**400, "source": ["no text"]})
    done = export_ledger(place.url, tmp_path / "out")
    assert done["entries"] == {"runs": 1, "findings": 2, "verdicts": 1, "events": 1}
    rows = [
        {"kind": k[:-1], **r}
        for k in done["entries"]
        for r in pq.read_table(tmp_path / "out" / f"{k}.parquet").to_pylist()
    ]
    for row in rows:
        at = round(row["at"].timestamp() * 1_000_000)
        assert link(row["prev_hash"], row["kind"], row["body"], at) == row["hash"]
    assert [r["body_agent"] for r in rows if r["kind"] == "event"] == ["analyst"]
    assert done["head"] == ledger.verify().head
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"{k}.parquet" for k in done["entries"])


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path).append_many([("event", {"n": n}) for n in range(3)])
    assert cli.run(["ledger", "verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 3
    assert cli.run(["ledger", "export", str(path), "--to", str(tmp_path / "out")]) == 0
    assert "3 events" in capsys.readouterr().out
    assert cli.run(["ledger", "export", str(path), "--to", str(path)]) == 2
    assert "l.db must be a folder" in capsys.readouterr().err
    assert cli.run(["ledger", "prune", str(path), "--before", "1d"]) == 0
    assert "nothing was written before" in capsys.readouterr().out
    assert cli.run(["ledger", "prune", str(path), "--before", "0h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 3
    assert cli.run(["ledger", "verify", str(path)]) == 0
    assert "1 entries hold, 3 before them pruned" in capsys.readouterr().out
    Place(f"sqlite:///{path}").tamper("UPDATE entries SET kind = 'event'")
    assert cli.run(["ledger", "verify", str(path)]) == 1
    assert cli.run(["ledger", "verify", str(tmp_path / "none.db")]) == 2
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("before", ["soon", "nan", "d", "infd", "-1d", "9999-01-01", "1e400h", ""])
def test_what_is_no_time(before: str, tmp_path: Path) -> None:
    Ledger.open(tmp_path / "l.db").append("run", {})
    with pytest.raises(ConfigError, match="--before must"):
        prune_ledger(tmp_path / "l.db", before)
