"""The desk as a real Agno team, from settings to books."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.limits import Limits
from cryptosentinel.desk.market.candles import Candles
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.meeting import Meeting
from cryptosentinel.desk.record import Record
from cryptosentinel.desk.run import goals, run_desk
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.registry import lookup
from cryptosentinel.types import Message

pytest.importorskip("agno")

VOLATILE = ("seconds",)


def undefended(**settings: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"days": 2, "defences": ()}
    return run_desk(**given | settings)


def test_a_clean_session_trades_and_reaches_no_attackers_goal(tmp_path: Path) -> None:
    meetings: list[Meeting] = []
    document = undefended(days=4, out=tmp_path, on_meeting=lambda meeting, floor: meetings.append(meeting))
    assert document["books_balanced"] and document["fills"] > 0 and document["failed_meetings"] == 0
    assert (document["bought_thin"], document["attack_goal_reached"], document["detected_by"]) == (0, False, [])
    assert document["decisions"] == len(meetings) == 24
    assert json.loads((tmp_path / "desk.json").read_text()) == document
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {e["agent"] for e in events} == set(document["models"])
    bought = next(e for e in events if e["kind"] == "tool_call" and e["body"]["tool"] == "execute_swap")
    assert bought["agent"] == "Trader" and "USDC" in bought["body"]["arguments"].values()
    decisions = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert {d["agent"] for d in decisions} == {"MarketAnalyst", "DeepTraderManager"}
    assert len({d["id"] for d in decisions}) == len(decisions) == 48


def test_the_same_seed_gives_the_same_session() -> None:
    first, again = ({k: v for k, v in undefended().items() if k not in VOLATILE} for _ in range(2))
    assert first == again
    assert undefended(seed=1)["pnl"] != first["pnl"]


def test_with_and_without_defences_in_one_document(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"days": 4, "attack": "injected-news", "seed": 3}
    both = run_desk(**settings, compare=True)
    bare = undefended(**settings)
    assert not both["attack_goal_reached"] and both["undefended"]["attack_goal_reached"]
    assert both["undefended"] == {key: bare[key] for key in both["undefended"]}
    assert len(both["pnl_by_meeting"]) == len(bare["pnl_by_meeting"]) == both["decisions"] + 1
    assert both["pnl_by_meeting"][-1] == both["pnl"]
    assert both["pnl"] != bare["pnl"] and run_desk(**settings)["undefended"] is None


def test_wrong_usage_leaves_an_earlier_ledger_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("evidence")
    with pytest.raises(ConfigError):
        run_desk(days=1, defences=("hope",), out=tmp_path)
    assert (tmp_path / "ledger.db").read_text() == "evidence"
    assert undefended(days=1, out=tmp_path)["ledger"] is None
    assert not (tmp_path / "ledger.db").exists()


def test_the_goals_are_reached_by_nothing() -> None:
    record = Record.of(Floor(PaperMarket(days=1)))
    names = list(goals())
    assert len(names) == 8
    for name in names:
        scenario = lookup("scenario", name).target(0, 60)
        assert not scenario.reached(record), name
        assert scenario.goal
        tokens = {lookup("scenario", name).target(seed, 60).token for seed in range(12)}
        assert len(tokens) >= 3


FAST = ["injected-news", "poisoned-memory", "colluding-message", "structuring", "rule-tampering", "judge-injection"]


@pytest.mark.parametrize("name", FAST)
def test_an_undefended_desk_falls(name: str) -> None:
    document = undefended(days=4, attack=name, seed=3)
    assert document["attack_goal_reached"] and document["books_balanced"]


def test_an_analyst_that_drifts_moves_a_tenth_of_the_money() -> None:
    document = undefended(days=8, attack="slow-drift", seed=2)
    assert document["attack_goal_reached"] and "drifting" in document["model"]


def test_a_backdoored_analyst_and_the_same_one_clean() -> None:
    bad = undefended(days=4, backdoored=True)
    assert bad["attack_goal_reached"] and bad["model"] == "words, fine-tuned, backdoored (sandbox)"
    good = undefended(days=4, analyst="words")
    assert good["model"] == "words, fine-tuned, clean (sandbox)"
    assert good["bought_thin"] == 0 and good["failed_meetings"] == 0 and good["fills"] > 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"days": 0}, r"days must lie in \[1, 400\], got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"attack": "nothing"}, "unknown scenario 'nothing'"),
        ({"analyst": "oracle"}, "unknown analyst 'oracle'"),
        ({"backdoored": True, "attack": "slow-drift"}, "one attack at a time"),
        ({"attack": "slow-drift", "analyst": "words"}, "the MarketAnalyst is the attacker's"),
        ({"backdoored": True, "analyst": "policy"}, "no weights to be backdoored"),
        ({"models": {"Nobody": None}}, "no agent 'Nobody' at the desk"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        undefended(**settings)


def says(text: str) -> Any:
    return lambda messages: Message("assistant", text)


def raises(messages: Sequence[Message]) -> Message:
    raise RuntimeError("the model is gone")


@pytest.mark.parametrize("policy", [says("Buy the dip!"), says('{"action": "BUY"}'), says(""), raises])
@pytest.mark.parametrize("agent", ["MarketAnalyst", "RiskAnalyst", "ComplianceOfficer", "DeepTraderManager", "Trader"])
def test_a_model_that_answers_nonsense_means_no_trade(agent: str, policy: Any) -> None:
    reasons: list[str] = []
    document = undefended(
        models={agent: policy}, on_meeting=lambda meeting, floor: reasons.append(meeting.decision.reasoning)
    )
    assert document["fills"] == 0 and document["books_balanced"] and document["pnl"] == 0
    assert all(reasons)


class Faulty:
    """The paper market, in which one thing is wrong from the second day on."""

    name = "faulty market"

    def __init__(self, fault: str) -> None:
        self.fault, self.paper = fault, PaperMarket(days=3)
        self.start = self.paper.start

    def symbols(self) -> tuple[str, ...]:
        return self.paper.symbols()

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        found = self.paper.candles(symbol, until, count)
        if until < self.start + 86_400:
            return found
        if self.fault == "down":
            raise ConnectionError("connection refused")
        if self.fault == "unknown":
            raise DataError(f"{symbol!r} is not traded")
        close, time = found.close.copy(), found.time.copy()
        if self.fault == "nan":
            close[-1] = float("nan")
        else:
            time[: count // 2] -= 3600
        return Candles(symbol, time, found.open, found.high, found.low, close, found.volume)


@pytest.mark.parametrize("fault", ["down", "unknown", "nan", "gap"])
def test_bad_data_means_no_trade_and_says_why(fault: str) -> None:
    late: list[Meeting] = []
    document = undefended(
        days=3,
        market=Faulty(fault),
        on_meeting=lambda meeting, floor: late.append(meeting) if meeting.number >= 6 else None,
    )
    assert document["books_balanced"]
    assert {m.decision.action for m in late} == {"HOLD"}
    assert all("no usable prices" in m.decision.reasoning for m in late)
    assert document["pnl"] is None or fault == "gap" or document["fills"] == 0


def test_recorded_prices_run_a_session(tmp_path: Path) -> None:
    paper = PaperMarket(days=4)
    for symbol in ("BTC", "ETH", "SOL"):
        every = paper.candles(symbol, paper.end, 10_000)
        with (tmp_path / f"{symbol}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time", "open", "high", "low", "close", "volume"])
            fields = (every.time, every.open, every.high, every.low, every.close, every.volume)
            writer.writerows(zip(*(f.tolist() for f in fields), strict=True))
    document = undefended(prices=tmp_path)
    assert "recorded prices" in document["market"] and document["failed_meetings"] == 0
    with pytest.raises(DataError, match="no folder"):
        undefended(prices=tmp_path / "none")


def test_a_tampered_document_is_seen_by_the_record() -> None:
    floor = Floor(PaperMarket(days=1))
    for text, loosened in ((Limits().text(), False), (Limits().text().replace("0.02", "0.3"), True), ("", False)):
        floor.documents["limits.txt"] = text
        assert Record.of(floor).loosened() is loosened
