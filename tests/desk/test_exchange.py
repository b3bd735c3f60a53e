"""Prices through the real ccxt, from a server on this machine that speaks one exchange's public API.

Skipped where the extra is not installed, as by `make test`: ccxt brings 75 MB and pins what others need otherwise.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

pytest.importorskip("ccxt")
pytest.importorskip("agno")

from cryptosentinel.desk.market.candles import HOUR_S, read
from cryptosentinel.desk.market.exchange import ExchangeMarket
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.run import run_desk
from cryptosentinel.errors import DataError

PAPER = PaperMarket(days=3, seed=4)
PAIRS = {"XBTUSDC": ("XBT", "BTC"), "SOLUSDC": ("SOL", "SOL"), "ADAUSDC": ("ADA", "ADA")}  # Kraken's own names


class Kraken(BaseHTTPRequestHandler):
    """The three public calls that ccxt makes for candles, over the paper market; `fault` breaks the candles."""

    fault: ClassVar[str] = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:  # the name is the library's
        url = urlsplit(self.path)
        name = url.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        fault = self.fault if name == "OHLC" else ""
        result = {"Assets": assets, "AssetPairs": pairs, "OHLC": candles}[name](parse_qs(url.query))
        body = json.dumps({"error": ["EService:Unavailable"] if fault == "unavailable" else [], "result": result})
        if fault == "nonsense":
            body = "<html>bad gateway</html>"
        self.send_response(502 if fault == "nonsense" else 200)
        self.send_header("Content-Type", "text/html" if fault == "nonsense" else "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        pass


def assets(query: Any) -> dict[str, Any]:
    names = {"USDC", *(base for base, _ in PAIRS.values())}
    return {n: {"aclass": "currency", "altname": n, "decimals": 8, "status": "enabled"} for n in names}


def pairs(query: Any) -> dict[str, Any]:
    about = {"aclass_base": "currency", "aclass_quote": "currency", "quote": "USDC", "pair_decimals": 6}
    about |= {"cost_decimals": 6, "lot_decimals": 8, "ordermin": "0.0001", "costmin": "0.5", "status": "online"}
    about |= {"tick_size": "0.000001", "fees": [[0, 0.25]], "fees_maker": [[0, 0.16]], "leverage_buy": []}
    names = {p: {"altname": p, "wsname": f"{base}/USDC", "base": base} for p, (base, _) in PAIRS.items()}
    return {p: {**about, **own} for p, own in names.items()}


def candles(query: dict[str, list[str]]) -> dict[str, Any]:
    pair, since = query["pair"][0], int(query.get("since", ["0"])[0])
    found = PAPER.candles(PAIRS[pair][1], PAPER.end, 10_000)
    rows = []
    for end, opened, high, low, close, volume in zip(
        found.time, found.open, found.high, found.low, found.close, found.volume, strict=True
    ):
        begin = int(end) - HOUR_S
        if begin > since:
            prices = [repr(float(v)) for v in (opened, high, low, close, close)]
            rows.append([begin, *prices, repr(float(volume / close)), 1])
    return {pair: rows, "last": rows[-1][0] if rows else since}


@pytest.fixture
def exchange() -> Iterator[Any]:
    Kraken.fault, Kraken.asked = "", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kraken)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    here = f"http://127.0.0.1:{server.server_port}"
    kraken = import_module("ccxt").kraken
    yield kraken({"urls": {"api": {"public": here, "private": here}}, "enableRateLimit": False, "timeout": 5000})
    server.shutdown()
    server.server_close()


def test_the_prices_are_those_of_the_exchange(exchange: Any) -> None:
    market = ExchangeMarket(exchange)
    assert market.symbols() == ("ADA", "BTC", "SOL")
    mine, theirs = read(market, "BTC", PAPER.start, 120), read(PAPER, "BTC", PAPER.start, 120)
    assert np.array_equal(mine.time, theirs.time)
    for name in ("open", "high", "low", "close", "volume"):
        assert np.allclose(getattr(mine, name), getattr(theirs, name))
    assert set(Kraken.asked) == {"Assets", "AssetPairs", "OHLC"}


@pytest.mark.parametrize(
    ("fault", "reason"), [("unavailable", "Unavailable"), ("nonsense", "502|bad gateway|not parse")]
)
def test_an_exchange_that_fails_is_a_reason(exchange: Any, fault: str, reason: str) -> None:
    market = ExchangeMarket(exchange)
    market.symbols()
    Kraken.fault = fault
    with pytest.raises(DataError, match=reason):
        read(market, "BTC", PAPER.start, 2)
    with pytest.raises(DataError, match="BadSymbol"):
        read(market, "NOSUCH", PAPER.start, 2)


def test_the_desk_trades_on_it_and_holds_when_it_is_gone(exchange: Any) -> None:
    market = ExchangeMarket(exchange)
    decided: list[str] = []

    def fails_on_the_second_day(meeting: Any, floor: Any) -> None:
        decided.append(meeting.decision.reasoning)
        Kraken.fault = "unavailable" if meeting.number >= 5 else ""

    document = run_desk(days=2, seed=4, market=market, defences=(), on_meeting=fails_on_the_second_day)
    assert document["market"] == "exchange kraken" and document["failed_meetings"] == 0
    assert document["books_balanced"] and len(decided) == 12
    assert all("no usable prices" in reason for reason in decided[6:])
    assert not any("no usable prices" in reason for reason in decided[:6])
