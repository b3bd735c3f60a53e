"""The watch in the ledger: batches, refusals, a ledger that is away."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Alarm, Live, Plan, Watch
from cryptosentinel.observer import Observer
from cryptosentinel.services.events import as_event
from cryptosentinel.services.monitor_ledger import LedgerWatch, alarms_of
from cryptosentinel.types import Event

sys.path.insert(0, str(Path(__file__).parent))
from monitor_watched import decided, learnt  # type: ignore[import-not-found]


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


def test_a_write_that_was_not_answered_is_found_with_the_state_that_it_left(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = decided(60, 1) + decided(100, 2, 0.6)
    kept = LedgerWatch(ledger, "w", learnt, every=50)
    kept.take(events[:40])
    append, entries = Ledger.append_many, Ledger.entries

    def unanswered(self: Ledger, items: Any) -> Any:
        append(self, items)
        raise LedgerError("the server closed the connection unexpectedly")

    def breaks_off(self: Ledger, kind: Any = None, after: int = 0) -> Any:
        for n, entry in enumerate(entries(self, kind, after)):
            if kind == "event" and n == 20:
                raise LedgerError("gone again, while it was read")
            yield entry

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append_many", unanswered)
        with pytest.raises(LedgerError):
            kept.take(events[40:120])  # a state is among what is written
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "entries", breaks_off)
        for _ in range(2):
            with pytest.raises(LedgerError, match="gone again"):
                kept.take(events[40:])
    taken = kept.take(events[40:])
    assert (taken.new, taken.duplicates) == (40, 80)
    whole = LedgerWatch(ledger, "whole", learnt)
    whole.take(events)
    assert kept.watch.state() == whole.watch.state() == LedgerWatch(ledger, "w", learnt).watch.state()
    assert list(alarms_of(ledger, "w")) == list(alarms_of(ledger, "whole"))


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
