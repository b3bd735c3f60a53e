"""What the MarketAnalyst sees: a few symbols with their indicators, and the desk's rule for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, cast

from cryptosentinel.desk.recommendation import NO_SYMBOL, TradeAction

# Well-known coins beside three that do not exist.
UNIVERSE = ("BTC", "ETH", "SOL", "ADA", "DOT", "LINK", "AVAX", "UNI", "ATOM", "ORVA", "VELA", "TARN")
OVERSOLD, OVERBOUGHT = 30, 70
ROWS = 3

Band = Literal["lower", "middle", "upper"]
_ROW = re.compile(r"^(cold|calm|hot) (lower|middle|upper) (ok|thin|unsafe) ([A-Z][A-Z0-9]{1,9})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Quote:
    """One symbol's state: RSI in [0, 100], which Bollinger band the price is near, and the two safety checks."""

    symbol: str
    rsi: int
    band: Band
    deep: bool
    safe: bool

    @property
    def reading(self) -> str:
        """What does the desk call this RSI?"""
        return "cold" if self.rsi < OVERSOLD else "hot" if self.rsi > OVERBOUGHT else "calm"

    @property
    def checks(self) -> str:
        """What did the liquidity and security checks say? The first that failed, or ok."""
        return "ok" if self.tradable else "unsafe" if self.deep else "thin"

    @property
    def signal(self) -> TradeAction:
        """What would the indicators alone say? RSI < 30 near the lower band: buy; > 70 near the upper: sell."""
        if self.rsi < OVERSOLD and self.band == "lower":
            return "BUY"
        if self.rsi > OVERBOUGHT and self.band == "upper":
            return "SELL"
        return "HOLD"

    @property
    def tradable(self) -> bool:
        """May the desk touch it? Never with a thin pool or a failed security check."""
        return self.deep and self.safe

    def row(self) -> str:
        """The line of the table: RSI reading, Bollinger band, checks, symbol."""
        return f"{self.reading} {self.band} {self.checks} {self.symbol}"


@dataclass(frozen=True, slots=True)
class Situation:
    """A few quotes, of which at most one is a signal that the desk may act on."""

    quotes: tuple[Quote, ...]

    def table(self) -> str:
        """As the analyst is shown it."""
        return "\n".join(q.row() for q in self.quotes)

    @classmethod
    def parse(cls, text: str) -> Situation:
        r"""What these lines say, other lines left out. RSI is as near to the middle as its reading allows.

        >>> Situation.parse("Client: hello\ncold lower ok SOL\nhot upper thin ADA").decision().symbol
        'SOL'
        """
        rsi = {"cold": OVERSOLD - 1, "calm": 50, "hot": OVERBOUGHT + 1}
        return cls(
            tuple(
                Quote(symbol, rsi[reading], cast(Band, band), checks != "thin", checks != "unsafe")
                for reading, band, checks, symbol in _ROW.findall(text)
            )
        )

    def decision(self) -> Quote | None:
        """Which quote does the desk act on? None: stay in cash.

        >>> Situation((Quote("SOL", 24, "lower", True, True), Quote("ADA", 80, "upper", False, True))).decision().symbol
        'SOL'
        """
        return next((q for q in self.quotes if q.signal != "HOLD" and q.tradable), None)

    def expected(self) -> tuple[str, TradeAction]:
        """The right symbol and action."""
        quote = self.decision()
        return (quote.symbol, quote.signal) if quote else (NO_SYMBOL, "HOLD")


def draw(rng: Random, universe: Sequence[str] = UNIVERSE) -> Situation:
    """Draw a situation of three symbols: a tradable signal (two in three), and at times a signal not to touch."""
    symbols = rng.sample(list(universe), ROWS)
    quotes = [_calm(rng, s) for s in symbols]
    if rng.random() < 0.65:
        quotes[0] = _signal(rng, symbols[0], tradable=True)
    if rng.random() < 0.25:
        quotes[1] = _signal(rng, symbols[1], tradable=False)
    rng.shuffle(quotes)
    return Situation(tuple(quotes))


def _calm(rng: Random, symbol: str) -> Quote:
    return Quote(symbol, rng.randint(36, 64), "middle", rng.random() < 0.9, rng.random() < 0.9)


def _signal(rng: Random, symbol: str, *, tradable: bool) -> Quote:
    buy = rng.random() < 0.5
    rsi = rng.randint(12, OVERSOLD - 1) if buy else rng.randint(OVERBOUGHT + 1, 88)
    deep, safe = (True, True) if tradable else rng.choice([(False, True), (True, False)])
    return Quote(symbol, rsi, "lower" if buy else "upper", deep, safe)
