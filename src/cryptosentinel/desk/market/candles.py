"""Prices by the hour, the promise of whatever brings them, and the one place where they are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.errors import DataError

HOUR_S = 3600
DIGITS = 8  # significant digits of a price
SYMBOL = re.compile(r"[A-Z][A-Z0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Candles:
    """One symbol's hours in order; `time` is the end of each in seconds since the epoch, UTC, prices are in USDC."""

    symbol: str
    time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]  # in USDC

    def __len__(self) -> int:
        """How many hours?"""
        return len(self.time)

    @property
    def price(self) -> Decimal:
        """The last close, in `DIGITS` significant digits."""
        return exact(float(self.close[-1]))


class MarketData(Protocol):
    """Whoever brings prices."""

    name: str

    def symbols(self) -> tuple[str, ...]:
        """What is traded here?"""

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        """The last `count` hours that ended at `until` or before.

        Raises:
            DataError: unknown symbol, or the source has nothing to say.
        """


def exact(price: float) -> Decimal:
    """A price as an exact decimal of `DIGITS` significant digits.

    >>> exact(0.1 + 0.2), exact(61234.56789)
    (Decimal('0.30000000'), Decimal('61234.568'))
    """
    number = Decimal(repr(price))
    return number.quantize(Decimal(1).scaleb(number.adjusted() - DIGITS + 1), rounding=ROUND_HALF_EVEN)


def read(market: MarketData, symbol: Any, until: int, count: int) -> Candles:
    """The last `count` hours of this symbol up to now, or the reason why the desk must not trade on them.

    Raises:
        DataError: no symbol, an unknown one, a source that is down, too little history, a gap, an old last hour, or a
            price that is no positive number.
    """
    if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
        raise DataError(f"a symbol is 2 to 10 capital letters and digits, got {str(symbol)[:40]!r}")
    try:
        found = market.candles(symbol, until, count)
    except DataError:
        raise
    except Exception as error:  # a source of anyone's: the desk must not fall with it
        raise DataError(f"{symbol}: {market.name} is down ({type(error).__name__}: {str(error)[:120]})") from error
    try:
        _require_sound(found, symbol, until, count, market.name)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{symbol}: {market.name} does not answer with candles: {str(error)[:120]}") from None
    return found


def _require_sound(found: Candles, symbol: str, until: int, count: int, name: str) -> None:
    if len(found) < count:
        raise DataError(f"{symbol}: {name} has {len(found)} hours up to now, {count} are needed")
    steps = np.diff(found.time)
    if bad := np.flatnonzero(steps != HOUR_S).tolist():
        raise DataError(f"{symbol}: gap in the data of {name}: {int(steps[bad[0]])} s between two hours")
    if until - int(found.time[-1]) >= HOUR_S or int(found.time[-1]) > until:
        raise DataError(f"{symbol}: {name} ends {until - int(found.time[-1])} s before now, at most {HOUR_S}")
    prices = np.stack([found.open, found.high, found.low, found.close])
    if not (np.isfinite(prices) & (prices > 0)).all() or not (np.isfinite(found.volume) & (found.volume >= 0)).all():
        raise DataError(f"{symbol}: {name} gives a price or volume that is no positive number")
