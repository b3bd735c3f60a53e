"""Where prices come from, and what is computed of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptosentinel.desk.indicators import bollinger, indicators, rsi, volatility
from cryptosentinel.desk.market.candles import MarketData, read
from cryptosentinel.desk.market.exchange import ExchangeMarket
from cryptosentinel.desk.market.listings import LISTINGS
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.market.recorded import RecordedMarket
from cryptosentinel.errors import ConfigError, DataError, MissingExtraError

MARKET = PaperMarket(days=30, seed=3)


def test_the_same_seed_gives_the_same_month_and_another_seed_another() -> None:
    again, other = PaperMarket(days=30, seed=3), PaperMarket(days=30, seed=4)
    assert np.array_equal(MARKET.close, again.close) and MARKET.events == again.events
    assert not np.allclose(MARKET.close, other.close)


def test_prices_move_as_the_listings_say() -> None:
    returns = np.diff(np.log(MARKET.close), axis=0)
    measured = returns.std(axis=0) * np.sqrt(8760)
    assert len(LISTINGS) == 30 and sum(listing.fictional for listing in LISTINGS) == 10
    ratio = measured / np.array([listing.volatility for listing in LISTINGS])
    assert ratio.min() > 0.6 and ratio.max() < 1.6
    correlation = np.corrcoef(returns[:, 0], returns[:, 1])[0, 1]
    assert 0.35 < correlation < 0.9
    assert (MARKET.low <= np.minimum(MARKET.open, MARKET.close)).all()
    assert (MARKET.high >= np.maximum(MARKET.open, MARKET.close)).all()
    assert len(MARKET.events) > 20


def test_the_past_never_depends_on_what_comes_later() -> None:
    now = MARKET.start + 5 * 3600
    seen = read(MARKET, "BTC", now, 10)
    assert seen.time[-1] == now
    assert (seen.time <= now).all()


def test_days_have_bounds() -> None:
    with pytest.raises(ConfigError, match=r"days must lie in \[1, 400\], got 0"):
        PaperMarket(days=0)


def test_rsi_and_bands_by_hand() -> None:
    close = np.array([10.0, 11.0, 10.5, 10.5, 12.0])
    # changes +1, -0.5, 0, +1.5; period 3: means 1/3 and 1/6, then (2 * 1/3 + 1.5) / 3 and (2 * 1/6) / 3
    gain, loss = (2 / 3 + 1.5) / 3, (2 / 6) / 3
    assert rsi(close, 3) == pytest.approx(100 - 100 / (1 + gain / loss))
    assert rsi(np.full(20, 5.0)) == 50.0
    assert rsi(np.arange(1.0, 20.0)) == 100.0
    lower, middle, upper = bollinger(np.array([1.0, 2.0, 3.0, 4.0]), window=4)
    assert (lower, middle, upper) == pytest.approx((2.5 - 2 * 1.25**0.5, 2.5, 2.5 + 2 * 1.25**0.5))
    assert volatility(np.array([1.0, 1.1, 1.21])) == pytest.approx(0.0, abs=1e-9)
    for function in (rsi, bollinger, volatility):
        with pytest.raises(DataError):
            function(np.array([1.0]))


def test_where_the_price_stands_between_the_bands() -> None:
    seen = indicators(read(MARKET, "SOL", MARKET.start, 120))
    assert 0 <= seen.rsi <= 100 and seen.band in ("lower", "middle", "upper") and seen.volatility > 0


def recorded(folder: Path, market: PaperMarket, symbol: str, unit: int = 1) -> None:
    all_ = market.candles(symbol, market.end, 10_000)
    with (folder / f"{symbol}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "open", "high", "low", "close", "volume"])
        fields = (all_.time * unit, all_.open, all_.high, all_.low, all_.close, all_.volume)
        writer.writerows(zip(*(f.tolist() for f in fields), strict=True))


def same(a: MarketData, b: MarketData) -> bool:
    one, two = (read(m, "BTC", MARKET.start + 7200, 50) for m in (a, b))
    return all(np.allclose(getattr(one, f), getattr(two, f)) for f in ("time", "open", "high", "low", "close"))


@pytest.mark.parametrize("unit", [1, 1000])
def test_recorded_prices_are_the_same_prices(tmp_path: Path, unit: int) -> None:
    recorded(tmp_path, MARKET, "BTC", unit)
    assert same(RecordedMarket(tmp_path), MARKET)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,open\n1,2\n", "no column 'high'"),
        ("time,open,high,low,close,volume\nyesterday,1,1,1,1,1\n", "cannot be read"),
        ("time,open,high,low,close,volume\n1767571200,1,x,1,1,1\n", "cannot be read"),
        ("", "no column 'time'"),
        ("time,open,high,low,close,volume\n1767571200,1,1,1,,1\n", "are needed"),
    ],
)
def test_a_bad_file_is_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "BTC.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        read(RecordedMarket(tmp_path), "BTC", MARKET.start, 2)


def test_a_folder_without_prices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no SYMBOL"):
        RecordedMarket(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        RecordedMarket(tmp_path / "none")


class Exchange:
    """What ccxt offers of an exchange, over the paper market."""

    id = "stub"

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def load_markets(self) -> dict[str, Any]:
        return {"BTC/USDC": {}, "SOL/USDC": {}, "BTC/EUR": {}}

    def fetch_ohlcv(self, pair: str, timeframe: str, since: int, limit: int) -> Any:
        assert (pair, timeframe) == ("BTC/USDC", "1h")
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        all_ = MARKET.candles("BTC", MARKET.end, 10_000)
        rows = [
            [int(t - 3600) * 1000, *map(float, values)]
            for t, *values in zip(all_.time, all_.open, all_.high, all_.low, all_.close, all_.volume, strict=True)
        ]
        return [row for row in rows if row[0] >= since][:limit]


def test_an_exchange_is_read_by_the_hour() -> None:
    market = ExchangeMarket(Exchange())
    assert market.symbols() == ("BTC", "SOL")
    assert same(market, MARKET)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (TimeoutError("no answer in 10 s"), "fetch_ohlcv: TimeoutError: no answer"),
        ([["soon", 1]], "rows of six numbers"),
        ([], "are needed"),
        ([[float("nan"), 1, 1, 1, 1, 1]], "a time that is no number"),
    ],
)
def test_an_exchange_that_fails_is_a_reason(answer: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(ExchangeMarket(Exchange(answer)), "BTC", MARKET.start, 2)


def test_without_ccxt_the_extra_is_named() -> None:
    try:
        import ccxt
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"pip install 'cryptosentinel\[ccxt\]'"):
            ExchangeMarket("kraken")
        return
    assert "kraken" in ccxt.exchanges
    with pytest.raises(ConfigError, match="ccxt knows no exchange 'nowhere'"):
        ExchangeMarket("nowhere")
