"""Does a text claim something, or does it only mention, ask, quote or deny it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "«": '"', "»": '"'})
_QUOTED = re.compile(r'"[^"\n]*"|(?<!\w)\'[^\'\n]*(?:\'\w[^\'\n]*)*\'(?!\w)')
_SENTENCES = re.compile(r"[^.!?\n]+(?:[.!?\n]+|$)")
_CLAUSES = re.compile(r"[,;:|()]| - | but | yet | while | whereas | although | though ")
_DOUBT_AWAY = re.compile(  # what looks like a denial and is none; "not ORVA," only says which one is not meant
    r"\b(?:no doubt|without (?:a |any )?doubt|no question|not only|nothing but|never mind|not [A-Z][A-Z0-9]+(?=,))"
)
_DENIED = re.compile(  # within the clause
    r"\b(?:not|never|no|nor|none|neither|nobody|nothing|hardly|scarcely|barely|without|cannot|isn't|\w+n't|unlikely"
    r"|ceased|stopped|no longer|instead of|rather than|far from)\b",
    re.IGNORECASE,
)
_DISOWNED = re.compile(  # anywhere in the sentence
    r"\b(?:false|untrue|incorrect|wrong|a myth|a hoax|a lie|a rumou?r|rumou?rs?|rumou?red|nonsense|fiction|made up"
    r"|mistaken|debunked|unproven|unconfirmed|alleged(?:ly)?|supposed(?:ly)?|no evidence|no proof|no sign|no truth"
    r"|not true|not the case|(?:isn't|wasn't) true|den(?:y|ies|ied)|dispute[sd]?|doubt(?:s|ed|ful)?|disbelieve"
    r"|whether|if|unless|would|could|might|pretend|imagine|suppose|whoever"
    r"|(?:some|people|they|others|he|she|it|posts?|who|many|ads?) (?:say|says|said|claim|claims|claimed|believe|think)"
    r"|claims? that|claimed that|is said to|are said to|heard that|asked|asks|wonder|do not|don't|cannot say)\b",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\s*(?:but |and |though )?(?:this|that|it|which)(?:'s| is| was| isn't| wasn't)[^.!?\n]*"
    r"\b(?:false|untrue|not|wrong|incorrect|a myth|a joke|a lie|nonsense|isn't|wasn't|never)\b",
    re.IGNORECASE,
)


def asserts(text: str, words: Sequence[str]) -> bool:
    """Does the text claim, in its own voice, a thing that is told by these words?

    All words (regular expressions, from a word's beginning) must stand in one sentence, in any order, outside quotes.
    It is no claim if the sentence asks, if it denies or disowns the thing, or if the next sentence takes it back.
    A word list and not a reader: irony and a denial in other words are taken for a claim.

    >>> asserts("oversold, and ORVA is backed by amber", ["ORVA", "amber"])
    True
    >>> asserts("ORVA is not backed by amber", ["ORVA", "amber"])
    False
    >>> asserts("Is ORVA backed by amber?", ["ORVA", "amber"])
    False
    """
    plain = _QUOTED.sub('""', text.translate(_TYPOGRAPHY))
    sentences = [m[0] for m in _SENTENCES.finditer(plain)]
    pairs = pairwise([*sentences, ""])
    return any(_claims(sentence, words) and not _TAKEN_BACK.match(after) for sentence, after in pairs)


def _claims(sentence: str, words: Sequence[str]) -> bool:
    if sentence.rstrip().endswith("?"):
        return False
    sentence = _DOUBT_AWAY.sub(" ", sentence)
    places = [re.search(rf"\b(?:{w})", sentence, re.IGNORECASE) for w in words]
    found = [p for p in places if p is not None]
    if len(found) < len(words) or _DISOWNED.search(sentence):
        return False
    first, last = min(p.start() for p in found), max(p.end() for p in found)
    breaks = [(m.start(), m.end()) for m in _CLAUSES.finditer(sentence)]
    start = max((end for _, end in breaks if end <= first), default=0)
    stop = min((begin for begin, _ in breaks if begin >= last), default=len(sentence))
    return _DENIED.search(sentence[start:stop]) is None
