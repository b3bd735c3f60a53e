"""Does a text speak for a thing or against it, and does an action?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptosentinel.guard.reading import normal

_GOOD = frozenset(
    """good great strong stronger strength robust solid healthy positive upside bullish uptrend outperform outperforming
    gain gains gaining growth growing grow rise rises rising rally rallying surge surging momentum recover recovery
    recovering breakout undervalued cheap oversold attractive compelling favorable favourable promising opportunity
    beat beats beating upgrade upgraded profitable profit profits liquid safe secure sound passed pass verified
    legitimate trusted reliable stable resilient support supportive improving improve improved higher confident
    optimistic leader leading record accelerating exceeded exceeds outperformed winner qualified
    eligible approved""".split()
)
_BAD = frozenset(
    """bad weak weaker weakness poor negative downside bearish downtrend underperform underperforming loss losses losing
    decline declines declining fall falls falling drop drops dropping crash crashing plunge plunging slump selloff
    overvalued expensive overbought stretched unattractive unfavorable unfavourable risk risky risks danger dangerous
    illiquid scam fraud fraudulent unsafe insecure failed fails fail failing unverified suspicious honeypot rug
    malicious blacklisted sanctioned volatile volatility deteriorating miss missed misses downgrade downgraded lawsuit
    investigation bankrupt bankruptcy default debt lower pessimistic slowdown slowing concern concerns worries warning
    warn warned rejected denied expired invalid ineligible uncertain uncertainty headwind headwinds
    pressure pressured""".split()
)
_NEGATION = frozenset(
    "no not never without lacks lack hardly neither nor cannot can't don't doesn't didn't isn't wasn't".split()
)
_TOWARDS = frozenset(
    """buy buys buying bought purchase purchasing purchased accumulate accumulating acquire acquiring long invest
    investing add adding increase increasing enter entering approve approving approved accept accepting accepted
    recommend recommending recommended overweight stake staking""".split()
)
_AWAY = frozenset(
    """sell sells selling sold short shorting exit exiting reduce reducing reduced trim trimming trimmed liquidate
    liquidating avoid avoiding reject rejecting rejected decline refuse divest divesting unload dump
    underweight""".split()
)
_WORD = re.compile(r"[a-z']+")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
REACH = 3  # words over which a negation reaches
LONGEST_READ = 12_000


@dataclass(frozen=True, slots=True)
class Indicator:
    """A named number that speaks for an action below `low` and against it above `high`; turned if not `low_is_good`."""

    low: float
    high: float
    low_is_good: bool = True


def sentences_about(text: str, name: str = "") -> list[str]:
    """The normalised sentences of a text that have this name as a word; without a name, all of them."""
    found = [s for s in _SENTENCE.split(normal(text[:LONGEST_READ])) if s]
    if not name:
        return found
    plain = normal(name)
    has = re.compile(rf"(?<!\w){re.escape(plain)}(?!\w)")
    return [s for s in found if plain in s and has.search(s)]


def polarity(sentences: list[str]) -> tuple[float, int]:
    """Between -1 (against) and 1 (for), and from how many words.

    >>> polarity(["demand is strong and growing", "no risk"]), polarity(["weak, falling volume"])
    ((1.0, 3), (-1.0, 2))
    """
    good = bad = 0
    for sentence in sentences:
        found = _WORD.findall(sentence)
        for i, word in enumerate(found):
            sign = 1 if word in _GOOD else -1 if word in _BAD else 0
            if not sign:
                continue
            if any(w in _NEGATION for w in found[max(0, i - REACH) : i]):
                sign = -sign
            good, bad = good + (sign > 0), bad + (sign < 0)
    total = good + bad
    return ((good - bad) / total if total else 0.0), total


def stance(text: str) -> int:
    """Does an action or a decision go towards a thing (1), away from it (-1), or neither (0)?

    >>> stance("execute_swap buy"), stance("SELL all"), stance("hold"), stance("do not buy")
    (1, -1, 0, 0)
    """
    found = _WORD.findall(normal(text.replace("_", " ")))
    towards = sum(w in _TOWARDS and not _negated(found, i) for i, w in enumerate(found))
    away = sum(w in _AWAY and not _negated(found, i) for i, w in enumerate(found))
    return (towards > away) - (away > towards)


def _negated(found: list[str], at: int) -> bool:
    return any(w in _NEGATION for w in found[max(0, at - REACH) : at])


def readings(text: str, indicators: Mapping[str, Indicator]) -> list[tuple[str, float, int]]:
    """Which named numbers stand in a text, and do they speak for (1) or against (-1) going towards the thing?

    >>> readings("RSI (14): 81.5", {"rsi": Indicator(30, 70)})
    [('rsi', 81.5, -1)]
    """
    found = []
    plain = normal(text[:LONGEST_READ])
    for name, limits in indicators.items():
        for match in re.finditer(
            rf"(?<!\w){re.escape(name)}\b[^\d\n(]{{0,12}}(?:\(\d+\))?[^\d\n-]{{0,12}}(-?\d+(?:\.\d+)?)", plain
        ):
            value = float(match.group(1))
            sign = 1 if value < limits.low else -1 if value > limits.high else 0
            found.append((name, value, sign if limits.low_is_good else -sign))
    return found
