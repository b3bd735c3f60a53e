"""What did one sentence from outside tell the reader to do, and with which words?"""

from __future__ import annotations

from dataclasses import dataclass

from cryptosentinel.guard.directives import Directive, unfolded
from cryptosentinel.guard.reading import compact, decoded, normal, words
from cryptosentinel.guard.vocabulary import LEAST_MARK, distinct, stems


@dataclass(frozen=True, slots=True)
class Order:
    """One sentence of an untrusted turn that tells the reader to do something; its words, and their stems.

    `marks`: its addresses and ids, each with its letters and digits alone.
    """

    turn: int
    directive: Directive
    words: frozenset[str]
    stems: frozenset[str]
    marks: tuple[tuple[str, str], ...]


def order_of(turn: int, directive: Directive) -> Order:
    """The order of this sentence, said in this turn; what is encoded in it is read too."""
    plain = unfolded(directive.text)
    found = set(words(normal(plain)))
    for part in decoded(plain):
        found.update(words(normal(part)))
    marks = ((w, compact(w)) for w in sorted(found) if distinct(w))
    long = tuple((w, letters) for w, letters in marks if len(letters) >= LEAST_MARK)
    return Order(turn, directive, frozenset(found), stems(plain), long)
