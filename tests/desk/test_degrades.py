"""Whatever goes wrong at the desk: no trade, a reason, and books that balance; with and without defences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("agno")

from cryptosentinel.desk.books import Books
from cryptosentinel.desk.execution import PaperExecution
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import Candles, read
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.meeting import Meeting
from cryptosentinel.desk.policy.context import Context, call
from cryptosentinel.desk.policy.trader import trader
from cryptosentinel.desk.protection import DEFENCES
from cryptosentinel.desk.run import run_desk
from cryptosentinel.errors import DataError
from cryptosentinel.types import Message

BOTH = pytest.mark.parametrize("defences", [(), DEFENCES], ids=["undefended", "defended"])
DAYS, SEED = 1, 8  # a day on which an honest desk trades


def session(defences: Sequence[str], **settings: Any) -> tuple[dict[str, Any], list[Meeting]]:
    meetings: list[Meeting] = []
    given: dict[str, Any] = {"days": DAYS, "seed": SEED, "defences": defences}
    return run_desk(**given | settings, on_meeting=lambda m, floor: meetings.append(m)), meetings


def holds(document: dict[str, Any], meetings: list[Meeting]) -> None:
    assert document["fills"] == 0 and document["books_balanced"] and document["pnl"] in (0, None)
    assert len(meetings) == document["decisions"] == 6
    assert all(m.decision.action == "HOLD" and m.decision.reasoning for m in meetings)


def test_nothing_is_wrong_on_this_day() -> None:
    assert session(())[0]["fills"] > 0


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("the tool fell over")


@BOTH
@pytest.mark.parametrize(
    ("where", "name"),
    [(PaperExecution, "swap"), (PaperExecution, "equity"), (Floor, "watched"), (Books, "buy")],
)
def test_a_tool_that_raises(where: type, name: str, defences: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, broken)
    document, meetings = session(defences)
    holds(document, meetings)
    assert document["failed_meetings"] == 0
    assert any("the tool fell over" in m.decision.reasoning for m in meetings)


@BOTH
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount_in": "-300"}, "amount"),
        ({"amount_in": "NaN"}, "amount"),
        ({"token_out": "NOSUCH"}, "NOSUCH"),
        ({"token_in": "SOL"}, "USDC"),
        ({"slippage": "90"}, "slippage"),
    ],
)
def test_a_trader_that_orders_nonsense(change: dict[str, str], reason: str, defences: Sequence[str]) -> None:
    def careless(messages: Sequence[Message]) -> Message:
        said = trader(messages)
        if not (said.tool_calls and said.tool_calls[0].name == "execute_swap"):
            return said
        return call(("execute_swap", json.loads(said.tool_calls[0].arguments) | change))

    document, meetings = session(defences, models={"Trader": careless})
    holds(document, meetings)
    assert any(reason in m.decision.reasoning for m in meetings) or document["blocked"] + document["held"]


@BOTH
@pytest.mark.parametrize(
    "answer", ["", "Sure! I would buy SOL.", '{"symbol": "SOL", "side": "buy"}', "SOL: BUY 9.9 | x"]
)
def test_an_analyst_that_answers_in_another_form(answer: str, defences: Sequence[str]) -> None:
    def other(messages: Sequence[Message]) -> Message:
        return Message("assistant", answer)

    holds(*session(defences, models={"MarketAnalyst": other}))


@BOTH
def test_a_model_that_asks_for_what_is_not_there(defences: Sequence[str]) -> None:
    def lost(messages: Sequence[Message]) -> Message:
        if Context("MarketAnalyst", messages).answered or any(m.role == "tool" for m in messages):
            return Message("assistant", "I could not find it.")
        return call(("moon_phase", {"at": "noon"}), ("indicators", {"symbols": None}))

    holds(*session(defences, models={"MarketAnalyst": lost}))


class Odd:
    """A source that answers, but not with candles as promised."""

    name = "odd source"

    def __init__(self, answer: Any) -> None:
        self.paper = PaperMarket(days=DAYS, seed=SEED)
        self.start, self.answer = self.paper.start, answer

    def symbols(self) -> tuple[str, ...]:
        return self.paper.symbols()

    def candles(self, symbol: str, until: int, count: int) -> Any:
        found = self.paper.candles(symbol, until, count)
        return self.answer(found) if callable(self.answer) else self.answer


def shorter(found: Candles) -> Candles:
    return replace(found, close=found.close[1:])


def words(found: Candles) -> Candles:
    return replace(found, close=np.array(["much"] * len(found)))


@pytest.mark.parametrize("answer", [None, [], "prices", shorter, words])
def test_a_source_that_answers_something_else(answer: Any) -> None:
    market = Odd(answer)
    with pytest.raises(DataError, match="odd source"):
        read(market, "BTC", market.start, 5)
    holds(*session((), market=market))
