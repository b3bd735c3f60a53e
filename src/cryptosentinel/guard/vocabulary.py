"""Which words carry meaning, and which of them are forms of one?"""

from __future__ import annotations

import re
from functools import lru_cache

_STOP = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can cannot could did do does doing done down during each either else ensure ensuring etc few for from further get
    had has have having he her here hers him his how i if in into is it its itself just let me more most must my
    neither no nor not now of off on once only or other our out over own per please same shall she should so some such
    than that the their them then there these they this those through to too under until up upon us use used using
    very via was we were what when where which while who whom whose why will with within without would yes yet you
    your yours tool tools function api one two new may might""".split()
)
_ENDINGS = (
    "izations", "ization", "ations", "ation", "ements", "ement", "ments", "ment", "ingly", "ities", "ity", "ings",
    "ing", "ers", "er", "ors", "or", "ies", "ied", "ed", "es", "s", "ally", "al", "ly", "ance", "ence", "ive", "ent",
    "ant", "e", "y",
)  # fmt: skip
_LETTERS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_a-zA-Z]+|\d{2,}")
LEAST_STEM = 4
MOST_WORDS = 20_000


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its ending, roughly, so that forms of one word are one.

    >>> {stem(w) for w in ("summarize", "summarizing", "summarizer")}
    {'summariz'}
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_STEM:
            return word[: -len(ending)]
    return word


def stems(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning; names of tools fall into their parts.

    >>> sorted(stems("Use the getAccountBalance tool, send_email"))
    ['account', 'balanc', 'email', 'send']
    """
    found = _LETTERS.findall(text[: 40 * MOST_WORDS])
    return frozenset(stem(w) for w in (f.lower() for f in found) if len(w) > 2 and w not in _STOP)


def ordinary(word: str) -> bool:
    """Is this a word that says nothing about where a value came from?"""
    return len(word) < 3 or word in _STOP or (word.isdigit() and len(word) <= 4)


def distinct(word: str) -> bool:
    """Is this an address, a link, an amount or an id, which two texts do not share by chance?"""
    return len(word) >= LEAST_STEM and any(c in "@./_:" or c.isdigit() for c in word)
