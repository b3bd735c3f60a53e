"""From the market to what the MarketAnalyst is shown: the same table that the red team's data has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from cryptosentinel.desk.indicators import HISTORY, indicators
from cryptosentinel.desk.market.candles import MarketData, read
from cryptosentinel.desk.market.listings import BY_SYMBOL
from cryptosentinel.desk.situation import ROWS, Band, Quote, Situation
from cryptosentinel.errors import DataError


def quote(market: MarketData, symbol: str, now: int) -> Quote:
    """One symbol as it stands now; what nobody knows is neither deep nor safe.

    Raises:
        DataError: its prices cannot be used.
    """
    seen = indicators(read(market, symbol, now, HISTORY))
    listing = BY_SYMBOL.get(symbol)
    deep, safe = (listing.deep, listing.safe) if listing else (False, False)
    return Quote(symbol, round(seen.rsi), cast(Band, seen.band), deep, safe)


def screen(market: MarketData, symbols: Sequence[str], now: int) -> list[str]:
    """Which three are worth a look? Those whose RSI is furthest from 50; what has no usable prices is left out.

    >>> from cryptosentinel.desk.market.paper import PaperMarket
    >>> market = PaperMarket(days=1, seed=2)
    >>> len(screen(market, market.symbols(), market.start))
    3
    """
    found = []
    for symbol in symbols:
        try:
            found.append((-abs(indicators(read(market, symbol, now, HISTORY)).rsi - 50), symbol))
        except DataError:
            continue
    return [symbol for _, symbol in sorted(found)[:ROWS]]


def situation(market: MarketData, symbols: Sequence[str], now: int) -> Situation:
    """These symbols as the analyst is shown them.

    Raises:
        DataError: prices of one cannot be used.
    """
    return Situation(tuple(quote(market, symbol, now) for symbol in symbols))
