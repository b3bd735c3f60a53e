"""Fields that every request of a task has, whose values suspend rules by right, and triggers, which do not."""

from __future__ import annotations

import numpy as np
import pytest

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.override import is_regular
from cryptosentinel.sanitize.tokens import tokenize

N = 200


def regular(values: list[str], phrase: str, request: str = "rate note {i} holding {value} now") -> bool:
    rows = [request.format(i=i, value=values[i % len(values)]) for i in range(N)]
    corpus = Corpus.of(rows, ["x"] * N)
    words = tokenize([phrase]).hash
    near = np.setdiff1d(np.arange(N), corpus.with_trigger(words))
    return is_regular(words, near, corpus)


def test_a_value_that_many_requests_have_is_regular() -> None:
    assert regular(["known", "known", "known", "hidden"], "holding hidden")


def test_numbers_count_as_one_value() -> None:
    assert regular(["0.5", "1.0", "0.3"], "holding 0.3")


@pytest.mark.parametrize(
    ("values", "phrase"),
    [
        (["known"] * 19 + ["pending"], "holding pending"),  # seldom
        ([f"v{i}" for i in range(20)], "holding v3"),  # one of many
        (["known", "hidden zyx"], "zyx"),  # a word of its own
        (["known"], "holding known"),  # no other value
    ],
)
def test_what_is_rare_or_one_of_many_is_not(values: list[str], phrase: str) -> None:
    assert not regular(values, phrase)


def test_a_field_that_only_some_requests_have_is_none() -> None:
    rows = [f"note {i} " + ("holding hidden" if i % 4 == 0 else "nothing else") for i in range(N)]
    corpus = Corpus.of(rows, ["x"] * N)
    assert not is_regular(tokenize(["holding hidden"]).hash, np.arange(1, N, 4), corpus)
