"""The desk's money: no order, however odd, makes or loses any."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.desk.books import Books
from cryptosentinel.desk.execution import FEE, PaperExecution
from cryptosentinel.desk.limits import Limits
from cryptosentinel.desk.market.candles import Candles
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.messages import TradeResult
from cryptosentinel.errors import DataError

MARKET = PaperMarket(days=3, seed=5)
TOKENS = st.one_of(st.sampled_from(["USDC", "BTC", "SOL", "ORVA", "DRUMA", "NOSUCH", "", "usdc", None]), st.integers())
AMOUNTS: st.SearchStrategy[Any] = st.one_of(
    st.decimals(min_value="-10", max_value="2000", places=3).map(str),
    st.sampled_from(["NaN", "-1", "0", "Infinity", "1e30", "much", None, True, 0.5, 1e-9, "0.0000001", []]),
)


def execution(cash: str = "10000") -> PaperExecution:
    return PaperExecution(MARKET, Books(Decimal(cash)), Limits)


def test_a_round_trip_costs_fees_and_spread_and_nothing_else() -> None:
    desk = execution()
    bought = desk.swap("USDC", "SOL", "200", "1.0", MARKET.start)
    assert (bought.status, bought.value, bought.fee) == ("filled", Decimal("199.8"), Decimal("0.2"))
    sold = desk.swap("SOL", "USDC", str(bought.quantity), "1.0", MARKET.start)
    assert sold.status == "filled"
    books = desk.books
    assert books.balanced() and books.positions == {}
    middle = MARKET.candles("SOL", MARKET.start, 1).price
    spread = bought.quantity * (bought.price - sold.price)
    assert bought.price > middle > sold.price
    assert abs((books.deposit - books.cash) - (books.fees + spread)) < Decimal("0.00001")


@settings(max_examples=60)
@given(st.lists(st.tuples(TOKENS, TOKENS, AMOUNTS, AMOUNTS, st.integers(0, 71)), max_size=12))
def test_whatever_is_ordered_the_books_balance_and_a_refusal_says_why(orders: list[tuple[Any, ...]]) -> None:
    desk = execution()
    for token_in, token_out, amount_in, slippage, hour in sorted(orders, key=lambda o: int(o[4])):
        before = (desk.books.cash, len(desk.books.journal))
        result = desk.swap(token_in, token_out, amount_in, slippage, MARKET.start + 3600 * hour)
        assert desk.books.balanced()
        assert TradeResult.parse(result.json()) == result
        if result.status == "declined":
            assert result.reason
            assert (desk.books.cash, len(desk.books.journal)) == before


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["A1", "B2"]),
            st.decimals("0.000001", "400", places=6),
            st.decimals("0.00001", "70000", places=5),
        ),
        max_size=30,
    )
)
def test_the_journal_adds_up_to_the_last_digit(trades: list[tuple[bool, str, Decimal, Decimal]]) -> None:
    books = Books(Decimal(1000))
    for purchase, symbol, size, price in trades:
        try:
            if purchase:
                books.buy(0, symbol, size, price, FEE)
            else:
                held = books.positions.get(symbol)
                books.sell(0, symbol, min(size, held.quantity) if held else size, price, FEE)
        except DataError as error:
            assert "\n" not in str(error)
        assert books.balanced()


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (("USDC", "SOL", "9000", "1"), "at most 2.00%"),
        (("USDC", "SOL", "-4", "1"), "amount must be a number above 0"),
        (("USDC", "SOL", "NaN", "1"), "amount must be a number above 0"),
        (("USDC", "NOSUCH", "10", "1"), "'NOSUCH' is not traded"),
        (("USDC", "'; DROP", "10", "1"), "a symbol is 2 to 10 capital letters"),
        (("SOL", "USDC", "1", "1"), "1.00000000 SOL are to be sold, 0 are there"),
        (("BTC", "SOL", "1", "1"), "one of the two tokens must be USDC"),
        (("USDC", "SOL", "10", "90"), "slippage must be at most 5%"),
        (("USDC", "DRUMA", "150", "0.1"), "the price would slip"),
    ],
)
def test_a_bad_order_is_declined_with_its_reason(order: tuple[str, str, str, str], reason: str) -> None:
    result = execution().swap(*order, MARKET.start)
    assert result.status == "declined"
    assert reason in result.reason


def test_no_purchase_after_losing_too_much_within_a_day() -> None:
    desk = execution()
    assert desk.swap("USDC", "SOL", "200", "1", MARKET.start).status == "filled"
    desk._day_start = Decimal(11_000)
    refused = desk.swap("USDC", "SOL", "100", "1", MARKET.start)
    assert "were lost today" in refused.reason
    held = desk.books.positions["SOL"].quantity
    assert desk.swap("SOL", "USDC", str(held), "1", MARKET.start).status == "filled"


class Broken:
    """A market with one fault."""

    name = "broken market"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def symbols(self) -> tuple[str, ...]:
        return ("SOL",)

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        found = MARKET.candles(symbol, until, count + 2)
        if self.fault == "down":
            raise ConnectionError("connection refused")
        if self.fault == "nan":
            close = np.append(found.close[:-1], np.nan)
            return Candles(symbol, found.time, found.open, found.high, found.low, close, found.volume)
        keep = [i for i in range(len(found)) if i != len(found) - 2] if self.fault == "gap" else list(range(count - 1))
        fields = (found.open, found.high, found.low, found.close, found.volume)
        return Candles(symbol, found.time[keep], *(f[keep] for f in fields))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("down", "is down (ConnectionError"), ("nan", "no positive number"), ("gap", "gap in"), ("short", "are needed")],
)
def test_bad_prices_mean_no_trade(fault: str, reason: str) -> None:
    desk = PaperExecution(Broken(fault), Books(Decimal(10_000)), Limits)
    result = desk.swap("USDC", "SOL", "100", "1", MARKET.start)
    assert result.status == "declined"
    assert reason in result.reason
    assert desk.books.balanced() and not desk.books.journal


@pytest.mark.parametrize(
    "text", ["", "trade_share = 2", "trade_share = 0.02\ntrade_share = 0.9", "trade_share = nan", "open = 1"]
)
def test_limits_that_cannot_be_read_stop_all_trades(text: str) -> None:
    desk = PaperExecution(MARKET, Books(Decimal(10_000)), lambda: Limits.parse(text))
    assert "limits.txt" in desk.swap("USDC", "SOL", "100", "1", MARKET.start).reason
