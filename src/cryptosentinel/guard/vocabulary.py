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
# Tools that by their name only look.
_LOOKING = frozenset(
    """browse calculate check compare compute count describe fetch filter find get inspect list look lookup open preview
    query read retrieve search show summarize think view visit""".split()
)
LEAST_STEM = 4
MOST_WORDS = 20_000
LEAST_MARK = 8  # characters of an address or id from which on it is told from others
_FIGURE = re.compile(r"[\d\W_]+")
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


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


def only_looks(tool: str) -> bool:
    """Does a tool change nothing, by its name?

    >>> only_looks("read_mail"), only_looks("getBalance"), only_looks("send_mail")
    (True, True, False)
    """
    return not _LOOKING.isdisjoint(part.lower() for part in _LETTERS.findall(tool))


def is_figure(word: str) -> bool:
    """Is this a date, an amount or a telephone number: digits and what stands between them?"""
    return _FIGURE.fullmatch(word) is not None


def is_address(word: str) -> bool:
    """Does this say where something goes: a mail address, a link, an IP address, an account, a wallet?

    >>> [w for w in ("ann@x.org", "x.org/a", "10.0.0.7", "gb29nwbk6016", "notes.txt", "last_month") if is_address(w)]
    ['ann@x.org', 'x.org/a', '10.0.0.7', 'gb29nwbk6016']
    """
    if "@" in word or _IP.fullmatch(word) or "." in word.partition("/")[0] * ("/" in word):
        return True
    return word.isalnum() and any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
