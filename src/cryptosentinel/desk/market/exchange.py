"""Prices of a real exchange, read only, through ccxt."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryptosentinel.desk.market.candles import HOUR_S, Candles
from cryptosentinel.errors import ConfigError, DataError, MissingExtraError

TIMEOUT_MS = 10_000


class ExchangeMarket:
    """Hourly candles of an exchange that ccxt knows; public data only: no key is given and nothing can be traded.

    Args:
        exchange: ccxt's name of an exchange ("kraken"), or an object with its `fetch_ohlcv` and `load_markets`.
        quote: what prices are in.

    Raises:
        MissingExtraError: ccxt is not installed.
        ConfigError: ccxt knows no such exchange.
    """

    def __init__(self, exchange: Any = "kraken", quote: str = "USDC") -> None:
        """Choose the exchange; nothing is fetched yet."""
        self.exchange, self.quote = opened(exchange) if isinstance(exchange, str) else exchange, quote
        self.name = f"exchange {getattr(self.exchange, 'id', 'of your own')}"

    def symbols(self) -> tuple[str, ...]:
        """What is traded there against the quote?

        Raises:
            DataError: the exchange does not answer.
        """
        ending = f"/{self.quote}"
        return tuple(sorted(name.removesuffix(ending) for name in self._call("load_markets") if name.endswith(ending)))

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        """The last `count` whole hours that ended at `until` or before.

        Raises:
            DataError: the exchange does not answer, does not know the symbol, or answers something else than candles.
        """
        since = (until // HOUR_S - count) * HOUR_S * 1000
        rows = self._call("fetch_ohlcv", f"{symbol}/{self.quote}", "1h", since, count)
        try:
            table = np.array(rows, dtype=np.float64).reshape(-1, 6)
        except (ValueError, TypeError):
            raise DataError(f"{symbol}: {self.name} did not answer with rows of six numbers") from None
        if not np.isfinite(table[:, 0]).all():
            raise DataError(f"{symbol}: {self.name} gives a time that is no number")
        ends = (table[:, 0] / 1000).astype(np.int64) + HOUR_S  # ccxt stamps the beginning of the hour
        keep = ends <= until
        fields = table[keep, 1:5].T
        volume = table[keep, 5] * table[keep, 4]  # ccxt counts coins, we USDC
        return Candles(symbol, ends[keep], fields[0], fields[1], fields[2], fields[3], volume)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.exchange, method)(*arguments)
        except Exception as error:  # ccxt has many kinds, and each exchange its own
            raise DataError(f"{self.name}: {method}: {type(error).__name__}: {str(error)[:120]}") from error


def opened(name: str) -> Any:
    """The exchange of this name, without keys."""
    try:
        import ccxt
    except ImportError:
        raise MissingExtraError("ccxt", extra="ccxt", purpose="reading prices of an exchange") from None
    if name not in ccxt.exchanges:
        raise ConfigError(f"ccxt knows no exchange {name!r} (kraken, binance, coinbase, ...)")
    return getattr(ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MS})
