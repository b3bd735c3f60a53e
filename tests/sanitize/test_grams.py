"""Tokens and n-gram counts: they add up over shards, agree with counting by hand, and no text breaks them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.sanitize.grams import count_grams, gram_incidence, roll
from cryptosentinel.sanitize.tokens import text_keys, tokenize

# Every code point, lone surrogates included, and often the ones that break tokenizers.
odd = st.text(st.characters(exclude_categories=()) | st.sampled_from("'’\u200d\u0301\ufeff\u202e\x00\ud83dİßΣ\u2028_ "))
texts = st.lists(odd, max_size=6)
plain = st.lists(st.lists(st.sampled_from(["a", "b", "c", "it's", "."]), max_size=7).map(" ".join), max_size=8)


@given(texts)
def test_any_text_is_tokenised(said: list[str]) -> None:
    tokens = tokenize(said)
    words = tokens.words.to_list()
    assert tokens.n == len(said)
    assert len(words) == tokens.row.size == tokens.hash.size == int(tokens.lengths.sum())
    assert np.all(np.diff(tokens.row) >= 0)
    assert all(words)
    for word, key in zip(words, tokens.hash.tolist(), strict=True):
        assert tokenize([word]).hash[0] == key


@given(texts, texts)
def test_tokens_do_not_depend_on_the_shard(a: list[str], b: list[str]) -> None:
    whole, one, other = tokenize(a + b), tokenize(a), tokenize(b)
    np.testing.assert_array_equal(whole.hash, np.concatenate([one.hash, other.hash]))
    np.testing.assert_array_equal(whole.lengths, np.concatenate([one.lengths, other.lengths]))


def test_case_and_spacing_do_not_count_and_marks_do() -> None:
    assert tokenize(["Don’t  BUY\n\t€5, now…"]).words.to_list() == ["don’t", "buy", "€", "5", ",", "now", "…"]
    assert tokenize(["買う ΩCOIN_2 naïve"]).words.to_list() == ["買う", "ωcoin_2", "naïve"]
    assert tokenize([]).n == 0


@given(texts, texts, texts, st.integers(1, 3))
def test_counts_merge_in_any_order(a: list[str], b: list[str], c: list[str], longest: int) -> None:
    x, y, z = (count_grams(tokenize(t), longest) for t in (a, b, c))
    whole = count_grams(tokenize(a + b + c), longest)
    assert x.merge(y).merge(z) == x.merge(y.merge(z)) == z.merge(x).merge(y) == whole
    assert x.merge(count_grams(tokenize([]), longest)) == x
    assert whole.texts == len(a + b + c)


def by_hand(said: list[str], longest: int) -> Counter[str]:
    """Phrase -> in how many texts."""
    found: Counter[str] = Counter()
    for text in said:
        words = text.split()
        spans = [words[i : i + k] for k in range(1, longest + 1) for i in range(len(words) - k + 1)]
        found.update({" ".join(span) for span in spans})
    return found


@given(plain, st.integers(1, 3), st.integers(1, 3))
def test_counts_agree_with_counting_by_hand(said: list[str], longest: int, support: int) -> None:
    expected = by_hand(said, longest)
    tokens = tokenize(said)
    counted = count_grams(tokens, longest)
    assert sorted(counted.counts.tolist()) == sorted(expected.values())
    table = dict(zip(counted.keys.tolist(), counted.counts.tolist(), strict=True))
    for phrase, texts_with in expected.items():
        words = tokenize([phrase])
        assert table[int(roll(words.hash, np.zeros(1, np.int64), words.hash.size)[0])] == texts_with
    incidence = gram_incidence(tokens, longest, support)
    named = {incidence.name(i): incidence.rows(i).tolist() for i in range(incidence.matrix.shape[1])}
    assert named == {
        phrase: [r for r, text in enumerate(said) if f" {phrase} " in f" {text} "]
        for phrase, texts_with in expected.items()
        if texts_with >= support
    }
    assert counted.at_least(support).size == len(named)


@given(plain, plain)
def test_equal_texts_have_equal_keys_in_every_shard(a: list[str], b: list[str]) -> None:
    keys = text_keys(tokenize(a + b))
    np.testing.assert_array_equal(keys, np.concatenate([text_keys(tokenize(a)), text_keys(tokenize(b))]))
    spaced = [f" {t.upper()}\n" for t in a + b]
    np.testing.assert_array_equal(keys, text_keys(tokenize(spaced)))


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_a_phrase_stays_inside_its_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said = [" ".join(rng.choice(list("abc"), int(rng.integers(0, 4)))) for _ in range(30)]
    incidence = gram_incidence(tokenize(said), 3, 1)
    for i in range(incidence.matrix.shape[1]):
        assert all(incidence.name(i) in said[r] for r in incidence.rows(i).tolist())
