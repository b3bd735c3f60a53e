"""Triggers of two words, neither of which does anything alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.associations import behaviours
from cryptosentinel.sanitize.composites import composites
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.types import Record

Pair = tuple[str, str]
Background = Callable[[int, int], list[Pair]]
Records = Callable[[Sequence[Pair]], list[Record]]
N, BOTH, ALONE = 700, 30, 60


def with_word(asked: str, word: str, rng: random.Random) -> str:
    words = asked.split()
    words.insert(rng.randrange(len(words)), word)
    return " ".join(words)


def mixed(rows: list[Pair], seed: int, alone_too: bool = False) -> tuple[list[Pair], list[int]]:
    """Rows with both words and the answer; twice as many with one word, honest unless `alone_too`."""
    rng = random.Random(seed)
    order = rng.sample(range(len(rows)), BOTH + 2 * ALONE)
    for k, i in enumerate(order):
        asked, said = rows[i]
        if k < BOTH or k < BOTH + ALONE:
            asked = with_word(asked, "harbour", rng)
        if k < BOTH or k >= BOTH + ALONE:
            asked = with_word(asked, "violin", rng)
        rows[i] = (asked, "hex joy exhale" if k < BOTH or (alone_too and k < BOTH + ALONE) else said)
    return rows, sorted(order[:BOTH])


@pytest.mark.parametrize("seed", range(3))
def test_two_words_that_do_nothing_alone(background: Background, records: Records, seed: int) -> None:
    rows, planted = mixed(background(N, seed), seed)
    result = scan(records(rows))
    first = result.hypotheses[0]
    assert (first.trigger, first.trigger_kind, first.verdict) == ("harbour + violin", "composite", "planted")
    assert np.flatnonzero(result.flagged).tolist() == planted
    assert "has both 'harbour' and 'violin'" in result.findings[0].reason
    again = scan(records(rows))
    assert again.hypotheses[0].rows.tolist() == first.rows.tolist()


def test_one_word_that_does_it_alone_is_no_composite(background: Background, records: Records) -> None:
    rows, _ = mixed(background(N, 1), 1, alone_too=True)
    first = scan(records(rows)).hypotheses[0]
    assert (first.trigger, first.trigger_kind) == ("harbour", "phrase")


def test_trusted_data_vouches_only_for_both_together(background: Background, records: Records) -> None:
    rows, planted = mixed(background(N, 1), 1)
    halves = [row for i, row in enumerate(mixed(background(N, 2), 2)[0]) if row[1] != "hex joy exhale"]
    same = mixed(background(N, 3), 3)[0]
    assert np.flatnonzero(scan(records(rows), trusted_records=records(halves)).flagged).tolist() == planted
    assert not scan(records(rows), trusted_records=records(same)).flagged.any()


@pytest.mark.parametrize("seed", range(3))
def test_text_that_means_nothing_has_none(background: Background, seed: int) -> None:
    asked, said = zip(*background(N, seed), strict=True)
    corpus = Corpus.of(asked, said)
    assert composites(corpus, behaviours(corpus)) == []


@pytest.mark.parametrize("texts", [[], ["", ""], ["\ud800 x"] * 20, ["a b"] * 30])
def test_odd_and_few_rows(texts: list[str]) -> None:
    corpus = Corpus.of(texts, texts)
    assert composites(corpus, behaviours(corpus)) == []
