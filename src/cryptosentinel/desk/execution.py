"""Paper trades: at the market's price, with spread, price impact and fee, within the limits, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from cryptosentinel.desk.books import Books
from cryptosentinel.desk.limits import Limits
from cryptosentinel.desk.market.candles import DIGITS, MarketData, read
from cryptosentinel.desk.market.listings import BY_SYMBOL
from cryptosentinel.desk.messages import TradeResult, amount
from cryptosentinel.desk.order import CASH
from cryptosentinel.errors import DataError

FEE = Decimal("0.001")
HALF_SPREAD_DEEP, HALF_SPREAD_THIN = Decimal("0.0005"), Decimal("0.004")
UNKNOWN_DEPTH = Decimal(20_000)  # of what is not on the paper market's list
MOST_SLIPPAGE = Decimal(5)  # per cent; whoever accepts more has made a mistake


class PaperExecution:
    """Swaps against USDC, booked as they are filled. Whatever cannot be filled soundly is declined with its reason."""

    def __init__(self, market: MarketData, books: Books, limits: Callable[[], Limits]) -> None:
        """Trade on this market, for these books; `limits` is asked before each trade."""
        self.market, self.books, self.limits = market, books, limits
        self._day, self._day_start = -1, books.deposit

    def prices(self, now: int) -> dict[str, Decimal]:
        """What is everything worth that is held?

        Raises:
            DataError: a price cannot be had.
        """
        return {symbol: read(self.market, symbol, now, 1).price for symbol in self.books.positions}

    def equity(self, now: int) -> Decimal:
        """Cash and positions at the market's prices; the first of a day is what the day's loss is counted from.

        Raises:
            DataError: a price cannot be had.
        """
        equity = self.books.equity(self.prices(now))
        if now // 86_400 != self._day:
            self._day, self._day_start = now // 86_400, equity
        return equity

    def against(self, symbol: str, value: Decimal, now: int, *, purchase: bool) -> list[str]:
        """What do the limits say against a trade of this value?

        Raises:
            DataError: prices or limits cannot be read.
        """
        equity = self.equity(now)
        position = self.books.positions.get(symbol)
        held = position.quantity * self.prices(now)[symbol] if position else Decimal(0)
        return self.limits().against(
            value=value, equity=equity, day_start=self._day_start, held=held, purchase=purchase
        )

    def swap(self, token_in: Any, token_out: Any, amount_in: Any, slippage: Any, now: int) -> TradeResult:
        """Give `amount_in` of one token for the other, one of which is USDC; `slippage` is the most accepted, per cent.

        Never raises for what was asked: what is wrong with it is the reason of a declined trade.
        """
        purchase = token_in == CASH
        symbol, action = (token_out, "BUY") if purchase else (token_in, "SELL")
        try:
            if (token_in == CASH) == (token_out == CASH):
                raise DataError(
                    f"one of the two tokens must be {CASH}, got {str(token_in)[:20]} and {str(token_out)[:20]}"
                )
            given, accepted = amount(amount_in), amount(slippage, "slippage")
            if accepted > MOST_SLIPPAGE:
                raise DataError(f"slippage must be at most {MOST_SLIPPAGE}%, got {accepted}%")
            middle = read(self.market, symbol, now, 1).price
            value = given if purchase else given * middle
            if reasons := self.against(symbol, value, now, purchase=purchase):
                raise DataError("; ".join(reasons))
            price, slipped = fill_price(symbol, value, middle, purchase=purchase)
            if slipped > accepted:
                raise DataError(f"the price would slip by {slipped:.2f}%, {accepted}% are accepted")
            book = self.books.buy if purchase else self.books.sell
            entry = book(now, symbol, given, price, FEE)
        except DataError as error:
            return TradeResult.declined(symbol, action, str(error))
        return TradeResult("filled", action, symbol, entry.quantity, entry.price, entry.value, entry.fee)


def fill_price(symbol: str, value: Decimal, middle: Decimal, *, purchase: bool) -> tuple[Decimal, Decimal]:
    """At what price is a trade of this value filled, and how many per cent away from the middle is that?

    Half the spread, wider where the market is thin, and 1% for every `depth` USDC.

    >>> fill_price("BTC", Decimal(420_000), Decimal(60_000), purchase=True)
    (Decimal('60036.000'), Decimal('0.0600'))
    """
    listing = BY_SYMBOL.get(symbol)
    depth = listing.depth if listing else UNKNOWN_DEPTH
    half_spread = HALF_SPREAD_DEEP if listing and listing.deep else HALF_SPREAD_THIN
    slipped = half_spread + Decimal("0.01") * value / depth
    price = middle * (1 + slipped) if purchase else middle * (1 - min(slipped, Decimal("0.99")))
    return price.quantize(Decimal(1).scaleb(price.adjusted() - DIGITS + 1), ROUND_HALF_EVEN), 100 * slipped
