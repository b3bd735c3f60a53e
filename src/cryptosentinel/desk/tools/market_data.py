"""Prices and the screen."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import read
from cryptosentinel.desk.situations import screen
from cryptosentinel.desk.tools.answer import Tool, answering, lines
from cryptosentinel.errors import DataError


def market_data(floor: Floor) -> Tool:
    """The tool over this floor."""

    def market_data(symbols: list[str]) -> str:
        """The last price in USDC of each symbol, its change over a day in per cent, and a day's volume in USDC."""

        def describe(symbol: str) -> str:
            seen = read(floor.market, symbol, floor.now, 25)
            change = 100 * (seen.close[-1] / seen.close[0] - 1)
            return f"price {seen.price:f} change {change:+.2f}% volume {seen.volume[-24:].sum():.0f}"

        return lines(symbols, describe)

    return answering(market_data)


def screen_market(floor: Floor) -> Tool:
    """The tool over this floor."""

    def screen_market() -> str:
        """The three symbols of the watch list that are stretched furthest, by RSI."""
        found = screen(floor.market, floor.watched(), floor.now)
        if not found:
            raise DataError(f"no usable prices of any of the {len(floor.watched())} symbols watched")
        return "symbols " + " ".join(found)

    return answering(screen_market)
