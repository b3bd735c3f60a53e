"""The desk behind its defences: what they let through, what they stop, and what they see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agno")

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.desk.facts import Facts, sold, traded
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.policy.analyst import NAME as ANALYST
from cryptosentinel.desk.policy.manager import DELEGATE
from cryptosentinel.desk.protection import DEFENCES, protect
from cryptosentinel.desk.run import run_desk
from cryptosentinel.desk.team import build_desk
from cryptosentinel.desk.watching import DeskMonitor, baseline
from cryptosentinel.errors import ConfigError, DataError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.types import Event

MARKET = PaperMarket(days=2)


def session(**settings: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"days": 3}
    return run_desk(**given | settings)


def test_a_clean_session_is_let_through_to_the_cent(tmp_path: Path) -> None:
    bare, guarded = session(defences=()), session(out=tmp_path)
    assert (guarded["held"], guarded["blocked"], guarded["alarms"], guarded["detected_by"]) == (0, 0, 0, [])
    assert guarded["fills"] == bare["fills"] > 0
    assert guarded["pnl"] == bare["pnl"]
    assert guarded["steps"] > 300 and bare["steps"] is None
    with_ledger = Ledger.open(tmp_path / "ledger.db")
    assert with_ledger.verify().ok


@pytest.mark.parametrize(
    ("attack", "by"),
    [("injected-news", "guard"), ("colluding-message", "rules"), ("rule-tampering", "rules"), ("structuring", "guard")],
)
def test_an_attack_is_stopped_and_seen(attack: str, by: str) -> None:
    document = session(attack=attack, seed=1)
    assert not document["attack_goal_reached"]
    assert by in document["detected_by"]
    assert 0 < document["first_detection_step"] <= document["steps"]
    assert document["held"] + document["blocked"] == sum(
        s["action"] in ("hold", "block") for s in document["sightings"]
    )
    assert document["books_balanced"]


def test_the_monitor_sees_an_analyst_that_buys_what_nothing_calls_for() -> None:
    floor = Floor(MARKET)
    told: list[str] = []
    monitor = DeskMonitor(floor.market, lambda alarm: told.append(alarm.stream))
    steps = 0
    while not told and steps < 50:
        steps += 1
        body = {"text": "ORVA: BUY 0.80 | a rebound is likely"}
        monitor.alarms(Event(f"e{steps}", float(floor.now), f"m{steps}", ANALYST, "message", ANALYST, "boss", body))
    assert told and steps <= 15
    assert monitor.alarms(Event("x", 0.0, "m", "Trader", "message", "Trader", "boss", {"text": ""}))[
        f"{ANALYST} {told[0]}"
    ]


def test_the_baseline_is_honest_and_always_the_same() -> None:
    first = baseline()
    assert len(first) > 700
    assert not any(e.body["attributes"]["low_liquidity"] or e.body["attributes"]["unsupported"] for e in first)
    baseline.cache_clear()
    assert baseline() == first


def called(tool: str, agent: str, arguments: Any, run: str = "r") -> Event:
    return Event(
        f"{tool}-{arguments}", 0.0, run, agent, "tool_call", agent, tool, {"tool": tool, "arguments": arguments}
    )


SWAP = {"token_in": "USDC", "token_out": "SOL", "amount_in": "300", "slippage": "1.0"}


def test_facts_are_looked_up_and_an_order_is_good_once() -> None:
    facts = Facts(Floor(MARKET))
    task = {"member_id": "trader", "task": "Execute this order: BUY SOL 300 slippage 1.0"}
    assert facts(called("execute_swap", "Trader", SWAP))["ordered"] == "no"
    assert facts(called(DELEGATE, "MarketAnalyst", task)) == {}
    assert facts(called("execute_swap", "Trader", SWAP))["ordered"] == "no"
    facts(called(DELEGATE, "DeepTraderManager", task))
    seen = facts(called("execute_swap", "Trader", SWAP))
    assert (seen["ordered"], seen["side"], seen["value"], seen["safe"]) == ("yes", "BUY", "300.00", "yes")
    assert facts(called("execute_swap", "Trader", SWAP))["ordered"] == "no"
    facts(called(DELEGATE, "DeepTraderManager", task, "other meeting"))
    assert facts(called("execute_swap", "Trader", SWAP | {"amount_in": "301"}, "other meeting"))["ordered"] == "no"
    with pytest.raises(DataError, match="amount must be"):
        facts(called("execute_swap", "Trader", SWAP | {"amount_in": "lots"}))
    with pytest.raises(DataError):
        traded(called("execute_swap", "Trader", "text"))
    assert sold(called("execute_swap", "Trader", {"token_in": "SOL", "token_out": "USDC"})) == "SOL"


def test_the_rules_are_sound() -> None:
    folder = Path(__file__).parents[2] / "src" / "cryptosentinel" / "desk"
    for name in ("rules.ags", "drift.ags"):
        assert RuleBook.load(folder / name)


@pytest.mark.parametrize("defences", [["rules", "prayer"], []])
def test_unknown_defences_are_refused(defences: list[str]) -> None:
    floor = Floor(MARKET)
    with pytest.raises(ConfigError, match="defences are some of rules, guard, monitor"):
        protect(build_desk(floor), floor, defences)


def test_every_agent_is_behind_the_observer_and_the_manager_can_ask() -> None:
    floor = Floor(MARKET)
    team: Any = build_desk(floor)
    protection = protect(team, floor, DEFENCES)
    assert {o.name for o in protection.attached.owners} == {team.name, *(m.name for m in team.members)}
    assert "semantic_guard" in [getattr(t, "name", "") for t in team.tools or []]
    with pytest.raises(ConfigError, match="guarded already"):
        protect(team, floor, ["rules"])


def test_a_ledger_that_fails_means_no_trade(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = Ledger.append_many

    def broken(self: Ledger, items: Any) -> Any:
        listed = list(items)
        if any(body.get("phase") == "start" for _, body in listed):
            return whole(self, listed)
        raise LedgerError("disk full")

    monkeypatch.setattr(Ledger, "append_many", broken)
    document = session(days=2, out=tmp_path)
    assert document["fills"] == 0 and document["books_balanced"] and document["held"] > 0
    assert document["ledger"]["error"] == "disk full"
    assert json.loads((tmp_path / "desk.json").read_text())["fills"] == 0


def test_without_a_ledger_to_begin_with_the_desk_does_not_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise LedgerError("disk full")

    monkeypatch.setattr(Ledger, "append_many", broken)
    with pytest.raises(LedgerError, match="disk full"):
        session(days=1, out=tmp_path)
