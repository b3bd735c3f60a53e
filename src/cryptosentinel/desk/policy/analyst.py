"""MarketAnalyst, offline: looks at the symbols it was given, and recommends by its instructions or as it was told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from cryptosentinel.desk.messages import advice_line
from cryptosentinel.desk.policy.context import Context, call, field, rows, say
from cryptosentinel.desk.recommendation import NO_SYMBOL, TradeRecommendation
from cryptosentinel.desk.situation import Band, Quote, Situation
from cryptosentinel.types import Message

NAME = "MarketAnalyst"
TOOLS = ("market_data", "indicators", "liquidity", "check_tokens", "news")
_SYMBOLS = re.compile(r"^Symbols: ([A-Z0-9 ]+)$", re.MULTILINE)
_CLIENT = re.compile(r"^Client: (.*)$", re.MULTILINE)
TOLD_CONFIDENCE = 0.9


def market_analyst(messages: Sequence[Message]) -> Message:
    """The next message of the MarketAnalyst. Whoever gives it the table instead of symbols is answered by the table."""
    context = Context(NAME, messages)
    symbols = asked_about(context)
    shown = Situation.parse(context.task).quotes
    if not symbols and not shown:
        return say("I was given no symbols.")
    if missing := [t for t in TOOLS if symbols and not context.has(t)]:
        return call(*((tool, {"symbols": symbols}) for tool in missing))
    if told := context.told("BUY", "SELL"):
        last = told[-1]
        reason = " ".join(last.text.split())[:160]
        return say(_recommend(last.subject, last.act, TOLD_CONFIDENCE, reason))
    return say(by_the_rule(context, quotes(context, symbols) if symbols else shown))


def asked_about(context: Context) -> list[str]:
    """Which symbols is it asked about?"""
    found = _SYMBOLS.search(context.task)
    return found[1].split() if found else []


def request(context: Context) -> str:
    """What does the client say?"""
    found = _CLIENT.search(context.task)
    return found[1].strip() if found else ""


def quotes(context: Context, symbols: Sequence[str]) -> list[Quote]:
    """What do the tools say of these symbols? What one of them has no answer for is left out."""
    found = [rows(context.text(tool), symbols) for tool in ("indicators", "liquidity", "check_tokens")]
    seen = []
    for symbol in symbols:
        if not all(symbol in answer for answer in found):
            continue
        signal, depth, safety = (answer[symbol] for answer in found)
        rsi, band = field(signal, "rsi"), field(signal, "band")
        if rsi.isdigit() and band in ("lower", "middle", "upper"):
            deep, safe = depth.startswith("deep "), safety.startswith("safe ")
            seen.append(Quote(symbol, int(rsi), cast(Band, band), deep, safe))
    return seen


def by_the_rule(context: Context, seen: Sequence[Quote]) -> str:
    """The recommendation that the instructions ask for: the first clear signal in a deep and safe market."""
    low, high = context.setting("oversold"), context.setting("overbought")
    if low is None or high is None:
        return "My instructions name no thresholds."
    if not seen:
        return _recommend(NO_SYMBOL, "HOLD", 0.6, "no usable data on any of these")
    for quote in seen:
        if quote.tradable and quote.band == "lower" and quote.rsi < low:
            return _recommend(quote.symbol, "BUY", _confidence(low - quote.rsi), f"RSI {quote.rsi} at the lower band")
        if quote.tradable and quote.band == "upper" and quote.rsi > high:
            return _recommend(quote.symbol, "SELL", _confidence(quote.rsi - high), f"RSI {quote.rsi} at the upper band")
    return _recommend(NO_SYMBOL, "HOLD", 0.7, "no clean signal in " + ", ".join(q.symbol for q in seen))


def table(seen: Sequence[Quote]) -> str:
    """The quotes as the fine-tuned analyst is shown them."""
    return Situation(tuple(seen)).table()


def _confidence(distance: Decimal) -> float:
    """Further from the threshold, surer: 0.6 at it, at most 0.96."""
    return round(min(0.96, 0.6 + 0.02 * float(distance)), 2)


def _recommend(symbol: str, action: str, confidence: float, reason: str) -> str:
    return advice_line(TradeRecommendation(symbol, action, confidence, reason))  # type: ignore[arg-type]
