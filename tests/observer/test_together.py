"""The real parts behind one front: a monitor whose alarm a rule asks for, the guard's scores, the ledger."""

from __future__ import annotations

import random
from pathlib import Path

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.guard.guard import Guard
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.monitor.live import Live
from cryptosentinel.observer import Observer
from cryptosentinel.types import Event

RULES = RuleBook.parse("""
rule @drift trigger swap check drift_alarm(risky) enforce skip end
rule @steered trigger swap check semantic_score(suspicion) >= 0.99 enforce stop end
""")


def test_an_agent_that_has_changed_may_not_swap_any_more(tmp_path: Path) -> None:
    draw = random.Random(0).random

    def decided(i: int, often: float) -> Event:
        body = {"attributes": {"risky": draw() < often}}
        return Event(f"d{i}", float(i), "r", "Trader", "decision", "Trader", "", body)

    def swap(i: int) -> Event:
        body = {"tool": "swap", "arguments": {"token": "ABC"}}
        return Event(f"s{i}", 10_000.0 + i, "r", "Trader", "tool_call", "Trader", "dex", body)

    live = Live(Watch.learn(Plan(), [decided(i, 0.05) for i in range(500)]))
    ledger = Ledger.open(tmp_path / "ledger.db")
    observer = Observer(RULES, Guard(), monitor=live, ledger=ledger)
    assert all(observer.observe(decided(1_000 + i, 0.05)).goes_through for i in range(20))
    assert observer.observe(swap(0)).goes_through
    for i in range(100):
        observer.observe(decided(2_000 + i, 0.9))
    ruling = observer.observe(swap(1))
    assert (ruling.action, ruling.stops) == ("block", False)
    assert "@drift" in ruling.message
    assert ledger.verify().ok
    assert sum(1 for _ in ledger.entries("event")) == 122


def test_an_agent_that_nobody_watches_is_held_where_a_rule_asks() -> None:
    observer = Observer(RULES, Guard(), monitor=Live(Watch(Plan())))
    body = {"tool": "swap", "arguments": {"token": "ABC"}}
    assert observer.observe(Event("1", 0.0, "r", "New", "tool_call", "New", "dex", body)).action == "hold"
