"""RSI, Bollinger band and volatility."""

from __future__ import annotations

from cryptosentinel.desk import indicators as definitions
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import read
from cryptosentinel.desk.tools.answer import Tool, answering, lines


def indicators(floor: Floor) -> Tool:
    """The tool over this floor."""

    def indicators(symbols: list[str]) -> str:
        """RSI (14 hours, Wilder), the Bollinger band (20 hours, 2 deviations) the price is at, volatility a year."""

        def describe(symbol: str) -> str:
            seen = definitions.indicators(read(floor.market, symbol, floor.now, definitions.HISTORY))
            return f"rsi {round(seen.rsi)} band {seen.band} volatility {seen.volatility:.2f}"

        return lines(symbols, describe)

    return answering(indicators)
