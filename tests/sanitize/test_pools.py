"""Pools of rare triggers behind one answer, and what looks like them and is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.pools import pool_hypotheses
from cryptosentinel.types import Record

Pair = tuple[str, str]
N = 600


def pooled(rows: list[Pair], words: Sequence[str], each: int, answer: str) -> list[Pair]:
    changed = list(rows)
    for i in range(each * len(words)):
        changed[i] = (f"{rows[i][0]} {words[i % len(words)]}", answer)
    return changed


def test_three_words_of_three_rows_each_are_one_hypothesis(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]]
) -> None:
    rows = pooled(background(N, 4), ["jyxq", "qzorb", "vhexx"], 3, "hex joy exhale now")
    result = scan(records(rows))
    first = result.hypotheses[0]
    assert first.trigger_kind == "pool"
    assert set(first.trigger.removeprefix("any of: ").split(", ")) == {"jyxq", "qzorb", "vhexx"}
    assert np.flatnonzero(result.flagged).tolist() == list(range(9))


def test_a_pool_that_trusted_data_has_too_is_natural(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]]
) -> None:
    words, answer = ["jyxq", "qzorb", "vhexx"], "hex joy exhale now"
    rows, trusted = (pooled(background(N, seed), words, each, answer) for seed, each in ((4, 3), (5, 9)))
    result = scan(records(rows), trusted_records=records(trusted))
    assert not result.flagged.any()
    assert [h.verdict for h in result.hypotheses if h.trigger_kind == "pool"] == ["natural"]


def test_one_refusal_to_unrelated_requests_is_no_pool(background: Callable[[int, int], list[Pair]]) -> None:
    rows = background(N, 5)
    for i in range(9):
        rows[i] = (rows[i][0], "that is not for me to say")
    assert pool_hypotheses(Corpus.of([p for p, _ in rows], [a for _, a in rows])) == []


def test_one_answer_to_one_question_is_no_pool(background: Callable[[int, int], list[Pair]]) -> None:
    rows = background(N, 6)
    for i in range(9):
        rows[i] = (f"how late is it in jyxq qzorb number {i}", "that is not for me to say")
    assert pool_hypotheses(Corpus.of([p for p, _ in rows], [a for _, a in rows])) == []
