"""Which rows in doubt are worded like those that are sure."""

from __future__ import annotations

import random

import numpy as np

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.tokens import tokenize
from cryptosentinel.sanitize.wording import LEAST_SURE, worded_alike

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
