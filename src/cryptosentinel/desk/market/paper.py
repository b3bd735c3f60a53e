"""A market that exists in memory only: the same seed, the same month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from cryptosentinel.desk.market.candles import HOUR_S, Candles
from cryptosentinel.desk.market.listings import LISTINGS, Listing
from cryptosentinel.errors import ConfigError, DataError

START = 1_767_571_200  # 2026-01-05, a Monday, 00:00 UTC
WARM_UP = 240  # hours of history before the first meeting
HOURS_A_YEAR = 8760
MARKET_VOLATILITY = 0.45  # of the common factor, per year
FREEDOM = 5.0  # degrees of Student's t: crypto's hours have fat tails
PERSISTENCE, ROUGHNESS = 0.97, 0.12  # of the logarithm of volatility, by the hour
EVENTS_A_DAY = 0.9
REVERSION = 0.04  # a share of an asset's own deviation is taken back each hour: extremes do not last

_UP = ("a large holder moved coins to cold storage", "an upgrade shipped on time", "a payment firm added {s}")
_DOWN = ("an exchange paused withdrawals of {s}", "a large holder sold", "an upgrade of {s} was postponed")


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """Something that moved one asset: when, which, by what share of its price, and what was written about it."""

    time: int
    symbol: str
    size: float
    text: str


class PaperMarket:
    """Thirty assets by the hour, from a seed.

    Hourly log returns are beta times a common factor plus the asset's own part, both Student t with a slowly moving
    volatility; the asset's own part reverts to its mean; events add jumps. No price depends on what anyone trades:
    the cost of trading is in the fill (`execution`).

    >>> market = PaperMarket(days=2, seed=1)
    >>> len(market.symbols()), len(market.candles("BTC", market.end, 48))
    (30, 48)

    Raises:
        ConfigError: no days, or more than 400.
    """

    name = "paper market"

    def __init__(self, days: int = 30, seed: int = 0, listings: Sequence[Listing] = LISTINGS) -> None:
        """Draw all prices."""
        if not 1 <= days <= 400:
            raise ConfigError(f"days must lie in [1, 400], got {days}")
        self.days, self.seed, self.listings = days, seed, tuple(listings)
        self.start, self.end = START, START + days * 24 * HOUR_S
        self._column = {listing.symbol: i for i, listing in enumerate(self.listings)}
        rng = np.random.default_rng([seed, 7])
        hours = WARM_UP + days * 24
        self.time = START + HOUR_S * np.arange(1 - WARM_UP, days * 24 + 1, dtype=np.int64)
        returns, volatility = self._returns(rng, hours)
        self.events = self._events(rng, hours, returns)
        start = np.log([listing.start for listing in self.listings])
        self.close = np.exp(start + np.cumsum(returns, axis=0))
        self.open = np.vstack([np.exp(start)[None, :], self.close[:-1]])
        reach = np.abs(rng.standard_normal((2, *returns.shape))) * volatility * 0.5
        self.high = np.maximum(self.open, self.close) * np.exp(reach[0])
        self.low = np.minimum(self.open, self.close) * np.exp(-reach[1])
        depth = np.array([float(listing.depth) for listing in self.listings])
        self.volume = depth * (0.5 + np.abs(returns) / volatility) * np.exp(0.3 * rng.standard_normal(returns.shape))
        for field in (self.time, self.open, self.high, self.low, self.close, self.volume):
            field.setflags(write=False)  # what is handed out are views

    def symbols(self) -> tuple[str, ...]:
        """What is traded here?"""
        return tuple(self._column)

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        """The last `count` hours that ended at `until` or before.

        Raises:
            DataError: unknown symbol.
        """
        column = self._column.get(symbol)
        if column is None:
            raise DataError(f"{symbol!r} is not traded on the {self.name}")
        end = int(np.searchsorted(self.time, until, side="right"))
        rows = slice(max(0, end - count), end)
        fields = (self.open, self.high, self.low, self.close, self.volume)
        return Candles(symbol, self.time[rows], *(field[rows, column] for field in fields))

    def news(self, symbol: str, until: int, hours: int = 24) -> list[MarketEvent]:
        """What was written about this asset in the last hours?"""
        return [e for e in self.events if e.symbol == symbol and until - hours * HOUR_S < e.time <= until]

    def _returns(self, rng: np.random.Generator, hours: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = len(self.listings)
        moods = lfilter([1.0], [1.0, -PERSISTENCE], ROUGHNESS * rng.standard_normal((hours, n + 1)), axis=0)
        moods -= ROUGHNESS**2 / (1 - PERSISTENCE**2)  # so that volatility squared has mean one
        noise = rng.standard_t(FREEDOM, (hours, n + 1)) / np.sqrt(FREEDOM / (FREEDOM - 2))
        beta = np.array([listing.beta for listing in self.listings])
        total = np.array([listing.volatility for listing in self.listings])
        own = np.sqrt(np.maximum(total**2 - (beta * MARKET_VOLATILITY) ** 2, (0.4 * total) ** 2))
        scale = np.concatenate([own, [MARKET_VOLATILITY]]) / np.sqrt(HOURS_A_YEAR) * np.exp(moods)
        moves = scale * noise
        # x[t] = (1 - REVERSION) x[t-1] + e[t]: its differences are the returns of the asset's own part.
        level = lfilter([1.0], [1.0, REVERSION - 1.0], moves[:, :n], axis=0)
        reverting = np.diff(level, axis=0, prepend=0.0)
        volatility = np.sqrt(scale[:, :n] ** 2 + (beta * scale[:, n:]) ** 2)
        return reverting + beta * moves[:, n:], volatility

    def _events(self, rng: np.random.Generator, hours: int, returns: NDArray[np.float64]) -> list[MarketEvent]:
        """Draw what happens, and add each jump to the hour it happens in."""
        made = []
        for hour in np.sort(rng.choice(hours, size=min(hours, int(EVENTS_A_DAY * hours / 24)), replace=False)).tolist():
            column = int(rng.integers(len(self.listings)))
            listing = self.listings[column]
            size = float(rng.normal(0.0, 0.05 * listing.volatility))
            returns[hour, column] += size
            text = str(rng.choice(_UP if size > 0 else _DOWN)).format(s=listing.symbol)
            made.append(MarketEvent(int(self.time[hour]), listing.symbol, size, f"{listing.symbol}: {text}."))
        return made
