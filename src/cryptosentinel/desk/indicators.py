"""What the desk computes of prices: RSI, Bollinger bands, volatility; each as its inventor defined it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.desk.market.candles import Candles
from cryptosentinel.errors import DataError

PERIOD = 14
WINDOW, WIDTH = 20, 2.0
NEAR = 0.15  # as near to a band as this share of the bands' distance counts as "at" it
HISTORY = 120  # hours that `indicators` looks at
HOURS_A_YEAR = 8760


@dataclass(frozen=True, slots=True)
class Indicators:
    """One symbol now: RSI in [0, 100], place between the Bollinger bands (0 = lower, 1 = upper), volatility a year."""

    symbol: str
    rsi: float
    place: float
    volatility: float

    @property
    def band(self) -> str:
        """Which band is the price at?"""
        return "lower" if self.place <= NEAR else "upper" if self.place >= 1 - NEAR else "middle"


def indicators(candles: Candles) -> Indicators:
    """The three of these prices; the more history, the nearer RSI is to its limit."""
    close = candles.close
    lower, _, upper = bollinger(close)
    place = (close[-1] - lower) / (upper - lower) if upper > lower else 0.5
    return Indicators(candles.symbol, rsi(close), float(place), volatility(close))


def rsi(close: NDArray[np.float64], period: int = PERIOD) -> float:
    """Relative strength index (Wilder, 1978): 100 - 100 / (1 + mean gain / mean loss), the means smoothed by 1/period.

    The first means are those of the first `period` changes. 50 where nothing moved, 100 where nothing fell.

    >>> rsi(np.array([1.0, 2.0, 1.0, 2.0, 3.0]), period=2)
    87.5

    Raises:
        DataError: fewer than period + 1 prices.
    """
    if len(close) <= period:
        raise DataError(f"RSI over {period} hours needs {period + 1} prices, got {len(close)}")
    change = np.diff(close)
    gains, losses = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    gain, loss = float(gains[:period].mean()), float(losses[:period].mean())
    for up, down in zip(gains[period:].tolist(), losses[period:].tolist(), strict=True):
        gain += (up - gain) / period
        loss += (down - loss) / period
    if gain == loss == 0.0:
        return 50.0
    return 100.0 - 100.0 / (1.0 + gain / loss) if loss > 0 else 100.0


def bollinger(close: NDArray[np.float64], window: int = WINDOW, width: float = WIDTH) -> tuple[float, float, float]:
    """Bollinger bands: the mean of the last `window` prices, and `width` standard deviations (of all, not n - 1) away.

    >>> bollinger(np.array([9.0, 1.0, 3.0]), window=2)
    (0.0, 2.0, 4.0)

    Raises:
        DataError: fewer than `window` prices.
    """
    if len(close) < window:
        raise DataError(f"Bollinger bands over {window} hours need {window} prices, got {len(close)}")
    last = close[-window:]
    mean, deviation = float(last.mean()), float(last.std())
    return mean - width * deviation, mean, mean + width * deviation


def volatility(close: NDArray[np.float64]) -> float:
    """Standard deviation (n - 1) of the hourly log returns, times the square root of the hours of a year.

    >>> round(volatility(np.array([1.0, np.e, 1.0])), 6) == round(sqrt(2 * HOURS_A_YEAR), 6)
    True

    Raises:
        DataError: fewer than three prices.
    """
    if len(close) < 3:
        raise DataError(f"volatility needs at least 3 prices, got {len(close)}")
    return float(np.log(close[1:] / close[:-1]).std(ddof=1)) * sqrt(HOURS_A_YEAR)
