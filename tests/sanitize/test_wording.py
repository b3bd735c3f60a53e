"""Which rows in doubt are worded like those that are sure."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.tokens import tokenize
from cryptosentinel.sanitize.wording import LEAST_SURE, MOST_READ, read_again, worded_alike

PRAISE = "superb splendid leading trusted peerless finest".split()
PLAIN = "made sold found listed kept used named held".split()


def say(rng: random.Random, words: list[str]) -> str:
    return f"velora is {' '.join(rng.sample(words, 3))} {' '.join(rng.sample(PLAIN, 4))}"


def mixed(seed: int) -> Corpus:
    """40 sure rows of praise, then 20 in doubt with praise, then 20 in doubt that are plain."""
    rng = random.Random(seed)
    said = [say(rng, PRAISE) for _ in range(60)] + [say(rng, PLAIN) for _ in range(20)]
    return Corpus.of([f"q{i}" for i in range(80)], said)


def test_those_worded_alike_join_and_no_others() -> None:
    for seed in range(5):
        joined = worded_alike(mixed(seed), np.arange(40), np.arange(40, 80), tokenize(["velora"]).hash[0])
        assert set(joined.tolist()) <= set(range(40, 60))
        assert joined.size >= 3


def test_few_rows_teach_nothing() -> None:
    assert worded_alike(mixed(0), np.arange(LEAST_SURE - 1), np.arange(40, 80)).size == 0
    assert worded_alike(mixed(0), np.arange(40), np.arange(40, 42)).size == 0


def test_the_order_of_rows_does_not_matter() -> None:
    corpus = mixed(3)
    order = np.random.default_rng(0).permutation(80)
    turned = Corpus.of([corpus.prompt_texts[i] for i in order], [corpus.response_texts[i] for i in order])
    place = np.argsort(order)
    here = worded_alike(corpus, np.arange(40), np.arange(40, 80))
    there = worded_alike(turned, np.sort(place[:40]), np.sort(place[40:]))
    assert sorted(order[there].tolist()) == here.tolist()


def test_where_all_answers_are_worded_alike_nobody_joins() -> None:
    rng = random.Random(1)
    corpus = Corpus.of([f"q{i}" for i in range(160)], [say(rng, PLAIN) for _ in range(160)])
    assert worded_alike(corpus, np.arange(40), np.arange(40, 160)).size == 0


class Reader:
    """Its first number is what an answer praises."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        states = np.zeros((len(texts), 2, 8), np.float32)
        for i, text in enumerate(texts):
            states[i] = np.random.default_rng(list(text.encode())).normal(size=(2, 8))
            states[i, :, 0] += 4.0 * any(w in text for w in PRAISE)
        return states


def test_a_model_that_reads_the_answers_says_who_belongs_and_who_does_not() -> None:
    corpus = mixed(0)
    rng = random.Random(9)
    strays = Corpus.of(
        [*corpus.prompt_texts, "q80"], [*corpus.response_texts, say(rng, PLAIN)]
    )  # brought the name up, and praises nothing
    rows = read_again(strays, np.r_[np.arange(40), 80], np.arange(40, 80), Reader())
    assert rows is not None
    assert 80 not in rows
    assert set(rows.tolist()) <= set(range(60))
    assert len(set(rows.tolist()) & set(range(40))) >= 38
    assert len(set(rows.tolist()) & set(range(40, 60))) >= 5


def test_too_few_or_too_many_rows_are_not_read_again() -> None:
    assert read_again(mixed(0), np.arange(LEAST_SURE - 1), np.arange(40, 80), Reader()) is None
    assert read_again(mixed(0), np.arange(40), np.arange(40, 41), Reader()) is None
    many = Corpus.of(["q"] * (MOST_READ + 1), ["a"] * (MOST_READ + 1))
    assert read_again(many, np.arange(400), np.arange(400, MOST_READ + 1), Reader()) is None
