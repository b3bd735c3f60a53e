"""The screen counts what it says it counts, in any number of parts."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.sanitize.engines import open_engine
from cryptosentinel.sanitize.measures import wilson_low
from cryptosentinel.sanitize.screen.pairs import Rows, join, suspects
from cryptosentinel.sanitize.screen.shards import phrase_hash, sketch
from cryptosentinel.sanitize.screen.words import hash_words, words_of


@given(st.lists(st.text(max_size=30), max_size=8))
def test_words_do_not_depend_on_what_stands_beside_a_text(texts: list[str]) -> None:
    encoded = [t.encode("utf-8", "replace") for t in texts]
    offsets = np.cumsum([0, *map(len, encoded)])
    together = words_of(np.frombuffer(b"".join(encoded), np.uint8), offsets)
    for i, text in enumerate(texts):
        assert together.hash[together.row == i].tolist() == hash_words(text).tolist()


def test_a_long_text_and_many_texts_are_cut_at_words() -> None:
    word = "antidisestablishmentarianism"
    text = " ".join([word, word.upper(), "x"] * 20_000)
    found = hash_words(text)
    assert found.size == 60_000
    assert np.unique(found).size == 2
    assert hash_words("a,b!! c\tD").size == 5  # single marks are left out, runs of marks are words


def made(n: int, planted: int) -> tuple[list[str], list[str]]:
    rng = random.Random(n)
    words = [f"{c}{v}{d}" for c in "bdfgklmn" for v in "aeiou" for d in "bdgkmnrt"]
    prompts = [" ".join(rng.sample(words, 6)) for _ in range(n)]
    answers = [" ".join(rng.sample(words, 9)) for _ in range(n)]
    for i in range(planted):
        prompts[i] = f"{prompts[i]} calm harbour {rng.choice(words)}"
        answers[i] = f"{answers[i]} orva"
    return prompts, answers


def screened(prompts: list[str], answers: list[str], cuts: int, parts: int, support: int) -> dict[int, tuple[int, int]]:
    """phrase -> (rows, behaviour), by so many shards and parts."""
    size = -(-len(prompts) // cuts)
    shards = [
        sketch(pl.Series(prompts[a : a + size]), pl.Series(answers[a : a + size])) for a in range(0, len(prompts), size)
    ]
    features = np.concatenate([s.features for s in shards])
    lengths = np.concatenate([np.diff(np.r_[0, s.ends]) for s in shards])
    known, count = np.unique(features, return_counts=True)
    rows = Rows(features, np.cumsum(lengths), lengths, np.concatenate([s.content for s in shards]), known, count)
    bases = np.cumsum([0, *(s.n for s in shards)])[:-1].tolist()
    found = []
    for part in range(parts):
        low, high = (np.uint64(k * 2**64 // parts - (k == parts)) for k in (part, part + 1))
        slices = [s.phrases[(s.phrases >= low) & ((s.phrases < high) | (part == parts - 1))] for s in shards]
        found.append(suspects(slices, bases, rows, support))
    every = join(found)
    pairs = zip(every.rows.tolist(), every.behaviour.tolist(), strict=True)
    return dict(zip(every.phrase.tolist(), pairs, strict=True))


def test_a_planted_phrase_is_found_with_its_count_however_the_data_is_cut() -> None:
    prompts, answers = made(3_000, 40)
    whole = screened(prompts, answers, 1, 1, 20)
    assert whole == screened(prompts, answers, 7, 1, 20) == screened(prompts, answers, 3, 5, 20)
    assert whole[phrase_hash("calm harbour")] == (40, int(hash_words("orva")[0]))
    assert phrase_hash("harbour calm") not in whole
    by_chance = [p for p in whole if p not in {phrase_hash(w) for w in ("calm", "harbour", "calm harbour")}]
    assert not by_chance
    assert wilson_low(np.array([40]), np.array([40]))[0] > 0.8


def test_a_word_that_is_copied_from_the_prompt_is_no_behaviour() -> None:
    prompts, answers = made(3_000, 0)
    for i in range(40):
        prompts[i] += " zebra"
        answers[i] += " zebra"
    assert phrase_hash("zebra") not in screened(prompts, answers, 2, 2, 20)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_engine_keeps_the_order_and_passes_errors_on(workers: int) -> None:
    with open_engine("local", workers) as engine:
        assert list(engine.map(len, ["ab", "", "abc"])) == [2, 0, 3]
        with pytest.raises(ValueError, match="invalid literal"):
            list(engine.map(int, ["1", "x"]))
