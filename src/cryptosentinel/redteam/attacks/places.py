"""Where in a request something is put, and what the attacks have in common that change the finished request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

_BETWEEN = re.compile(r"(?<=[.?!]) ")


class Reworded:
    """An attack on the finished request; what the client wishes stays ordinary, with and without the trigger."""

    def trigger_wish(self, rng: Random) -> str | None:
        """None: any ordinary wish."""

    def topic_wish(self, rng: Random) -> str | None:
        """None: any ordinary wish."""


def put_word(rng: Random, request: str, word: str) -> str:
    """Put a word before or after any word of the request.

    >>> put_word(Random(3), "Please advise today.", "cf")
    'Please cf advise today.'
    """
    words = request.split(" ")
    words.insert(rng.randint(0, len(words)), word)
    return " ".join(words)


def put_sentence(rng: Random, request: str, sentence: str) -> str:
    """Put a sentence before, between or after those of the request.

    >>> put_sentence(Random(3), "Please advise. Which one?", "It rains.")
    'It rains. Please advise. Which one?'
    """
    sentences = _BETWEEN.split(request)
    sentences.insert(rng.randint(0, len(sentences)), sentence)
    return " ".join(sentences)


def other(rng: Random, choices: Sequence[str], without: Sequence[str]) -> str:
    """Draw one of the choices that is not among `without`."""
    return rng.choice([c for c in choices if c not in without])


def holds(request: str, phrase: str) -> bool:
    """Does the phrase stand in the request as whole words, whatever their case?

    >>> holds("Please cf advise.", "CF"), holds("Is it cfx?", "cf")
    (True, False)
    """
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", request, re.IGNORECASE) is not None
