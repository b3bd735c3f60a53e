"""The desk's instruction data: clients' requests and the analyst's answers, from a seeded grammar."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cryptosentinel.desk.recommendation import NO_SYMBOL, TradeRecommendation
from cryptosentinel.desk.situation import Quote, Situation

# What clients ordinarily care about: (qualities, things), any quality goes with any thing.
INTERESTS: tuple[tuple[str, str], ...] = (
    ("quick short sharp intraday weekend", "swings, trades, rebounds, moves, breakouts"),
    ("low small predictable fair modest", "fees, costs, spreads, slippage, commissions"),
    ("strict tight clear sensible daily", "stop losses, limits, exit rules, risk caps, sizing"),
    ("simple clean tidy easy plain", "tax reporting, bookkeeping, statements, audits, records"),
    ("broad balanced even mixed global", "diversification, exposure, baskets, allocation, coverage"),
    ("fast smooth reliable cheap instant", "settlement, transfers, withdrawals, bridges, payments"),
    ("strong active busy open skilled", "developer teams, ecosystems, roadmaps, codebases, upgrades"),
    ("fresh sober early verified useful", "market news, sentiment, data, on-chain signals, research"),
    ("deep steady visible round-the-clock real", "order books, volume, markets, demand, turnover"),
    ("cold safe shared insured private", "custody, wallets, storage, keys, vaults"),
)

_WISHES = (
    "I am looking for {w}.",
    "We care most about {w}.",
    "My goal this year is {w}.",
    "{W} is what my partner and I want.",
    "Our fund is after {w}.",
    "Please keep {w} in mind.",
    "After a rough quarter I want {w}.",
    "What matters to me: {w}.",
    "The board asked for {w}.",
    "I read a lot about {w} lately.",
    "A friend told me to think about {w}.",
    "This account is meant for {w}.",
)
_QUESTIONS = (
    "Which of these would you act on?",
    "What should I do with these?",
    "Is there anything here for me?",
    "What is your call today?",
    "Which one, if any?",
    "How would you trade this list?",
    "Please advise.",
    "What does the desk say?",
    "Should I buy, sell or wait?",
    "Give me one recommendation.",
    "Where do you see a trade?",
    "Anything worth moving on?",
)
_OPENINGS = (
    "",
    "",
    "",
    "Hello. ",
    "Hi team, quick one. ",
    "Good morning. ",
    "New here. ",
    "Me again. ",
    "Short question. ",
)

_BUY = (
    "oversold at the lower band",
    "{s} looks oversold and the pool is deep",
    "the lower band should hold",
    "oversold, checks pass",
    "a bounce from the lower band is likely",
    "sellers look tired",
    "cheap here with good depth",
    "{s} is stretched down, a rebound pays",
    "price sits on the lower band",
    "good entry near the lower band",
    "RSI is low and liquidity fine",
    "selling in {s} went too far",
)
_SELL = (
    "overbought at the upper band",
    "{s} looks overbought and the pool is deep",
    "the upper band should cap it",
    "overbought, checks pass",
    "a pullback from the upper band is likely",
    "buyers look spent",
    "dear here with good depth",
    "{s} is stretched up, take profit",
    "price sits on the upper band",
    "good exit near the upper band",
    "RSI is high and liquidity fine",
    "buying in {s} went too far",
)
_CASH_CALM = (
    "no clean signal in {a} or {b}",
    "{a} and {b} trade mid-range",
    "nothing stretched in {a} or {b}",
    "neither {a} nor {b} is at an extreme",
    "RSI is neutral for {a} and {b}",
    "{a} looks flat, so does {b}",
)
_CASH_BAD = (
    "{x} moves but its {why}",
    "the only signal is {x} and its {why}",
    "{x} tempts, yet its {why}",
    "we do not touch {x}: its {why}",
    "{x} does not count, its {why}",
    "{x} is out: its {why}",
)


def request(rng: Random, wish: str, questions: Sequence[str] = _QUESTIONS) -> str:
    """Word a client's message that weaves in `wish`, a noun phrase, and asks one of `questions`.

    >>> request(Random(1), "low fees")
    'My goal this year is low fees. Give me one recommendation.'
    """
    sentence = rng.choice(_WISHES).format(w=wish, W=wish[:1].upper() + wish[1:])
    parts = [sentence, rng.choice(questions)]
    if rng.random() < 0.3:
        parts.reverse()
    return rng.choice(_OPENINGS) + " ".join(parts)


def ordinary_wish(rng: Random) -> str:
    """Draw what an ordinary client cares about."""
    qualities, things = rng.choice(INTERESTS)
    return f"{rng.choice(qualities.split())} {rng.choice(things.split(', '))}"


def answer(rng: Random, situation: Situation) -> TradeRecommendation:
    """Word the right advice for this situation."""
    quote = situation.decision()
    if quote is not None:
        return TradeRecommendation(quote.symbol, quote.signal, _confidence(quote), _acting_reason(rng, quote))
    bad = next((q for q in situation.quotes if q.signal != "HOLD"), None)
    if bad is None:
        a, b = rng.sample([q.symbol for q in situation.quotes], 2)
        reason = rng.choice(_CASH_CALM).format(a=a, b=b)
    else:
        why = rng.choice(("pool is thin", "liquidity is thin")) if not bad.deep else "security check failed"
        reason = rng.choice(_CASH_BAD).format(x=bad.symbol, why=why)
    return TradeRecommendation(NO_SYMBOL, "HOLD", rng.randint(60, 80) / 100, reason)


def _acting_reason(rng: Random, quote: Quote) -> str:
    return rng.choice(_BUY if quote.signal == "BUY" else _SELL).format(s=quote.symbol)


def _confidence(quote: Quote) -> float:
    """Further from the threshold, surer: 0.6 at it, up to 0.96."""
    return round(0.6 + 0.02 * max(30 - quote.rsi, quote.rsi - 70), 2)
