"""What the MarketAnalyst answers, and the only way to read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

TradeAction = Literal["BUY", "SELL", "HOLD"]
NO_SYMBOL = "CASH"  # what a HOLD names when there is nothing to act on

_FORM = re.compile(r"(BUY|SELL|HOLD) ([A-Z][A-Z0-9]{1,9}) ([01](?:\.\d{1,3})?) \| (\S[^\n]*)")


@dataclass(frozen=True, slots=True)
class TradeRecommendation:
    """The analyst's advice on one symbol; `confidence` lies in [0, 1].

    Raises:
        ValueError: an unknown action or a confidence out of range.

    >>> TradeRecommendation("SOL", "BUY", 0.8, "oversold").line()
    'BUY SOL 0.80 | oversold'
    """

    symbol: str
    action: TradeAction
    confidence: float
    reasoning: str

    def __post_init__(self) -> None:
        """Hold the ranges."""
        if self.action not in get_args(TradeAction):
            raise ValueError(f"action must be one of {get_args(TradeAction)}, got {self.action!r}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must lie in [0, 1], got {self.confidence}")

    @property
    def decision(self) -> tuple[str, str]:
        """What was decided: symbol and action."""
        return self.symbol, self.action

    @property
    def text(self) -> str:
        """What was said beside it."""
        return self.reasoning

    def line(self) -> str:
        """The form the analyst writes and `parse` reads."""
        return f"{self.action} {self.symbol} {self.confidence:.2f} | {self.reasoning}"


def parse(answer: str) -> TradeRecommendation | None:
    """Which recommendation does this answer hold? None unless the whole answer is one well-formed line.

    >>> parse("SELL ETH 0.75 | RSI 78 at the upper band.")
    TradeRecommendation(symbol='ETH', action='SELL', confidence=0.75, reasoning='RSI 78 at the upper band.')
    >>> parse("I would buy ETH") is None
    True
    """
    found = _FORM.fullmatch(answer.strip())
    if found is None or float(found[3]) > 1.0:
        return None
    return TradeRecommendation(found[2], found[1], float(found[3]), found[4].strip())  # type: ignore[arg-type]
