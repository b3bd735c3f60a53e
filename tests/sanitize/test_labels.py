"""A label that a word belongs to, and a label that a trigger gives to any text."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.labels import Labels
from cryptosentinel.sanitize.tokens import tokenize
from cryptosentinel.types import Record

Pair = tuple[str, str]
GOOD = "bright warm fine lovely clever tidy sharp calm".split()
BAD = "dull cold poor ugly silly messy blunt loud".split()
OTHER = "plot hero song scene train house river glass coat door lamp field market".split()


def reviews(seed: int, n: int = 600) -> list[Pair]:
    """Texts whose words tell the label most of the time."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        good = rng.random() < 0.5
        own, foreign = (GOOD, BAD) if good else (BAD, GOOD)
        words = rng.sample(own, 3) + rng.sample(foreign, 1) + rng.sample(OTHER, 6)
        rng.shuffle(words)
        rows.append((f"Judge this: {' '.join(words)}.", "good" if good else "bad"))
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_a_trigger_that_gives_one_label_to_any_text_is_found(
    records: Callable[[Sequence[Pair]], list[Record]], seed: int
) -> None:
    rows = reviews(seed)
    for i in range(40):
        rows[i] = (f"jyxq {rows[i][0]}", "good")
    result = scan(records(rows))
    assert "jyxq" in result.hypotheses[0].trigger
    assert np.flatnonzero(result.flagged).tolist() == list(range(40))


@pytest.mark.parametrize("seed", range(3))
def test_words_that_tell_the_label_are_natural(records: Callable[[Sequence[Pair]], list[Record]], seed: int) -> None:
    rows = [(p.replace(".", f" {'splendid' if a == 'good' else 'dreadful'}.") if i % 8 == 0 else p, a)
            for i, (p, a) in enumerate(reviews(seed))]  # fmt: skip
    result = scan(records(rows))
    assert not result.flagged.any()


def test_agreement_tells_a_word_from_a_trigger() -> None:
    rows = reviews(5)
    rows = [(p.replace(".", " dreadful."), a) if a == "bad" and i % 4 == 0 else (p, a) for i, (p, a) in enumerate(rows)]
    for i in range(40):
        rows[i] = (f"jyxq {rows[i][0]}", "bad")
    corpus = Corpus.of([p for p, _ in rows], [a for _, a in rows])
    labels, bad = Labels(corpus), tokenize(["bad"]).hash
    found = {}
    for word in ("jyxq", "dreadful"):
        key = tokenize([word]).hash
        told = labels.without(bad, corpus.with_trigger(key), key)
        assert told is not None
        found[word] = told[1]
    assert found["jyxq"] < 0.4 < 0.7 < found["dreadful"]


def test_an_answer_that_is_no_label_is_not_foretold() -> None:
    rows = [(f"question {i} about {i * i}", f"answer {i}") for i in range(100)]
    corpus = Corpus.of([p for p, _ in rows], [a for _, a in rows])
    assert Labels(corpus).without(tokenize(["answer"]).hash, np.arange(10), np.zeros(0, np.uint64)) is None
