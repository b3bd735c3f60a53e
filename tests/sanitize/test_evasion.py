"""Ways round the scanner that an attacker gets for nothing; each was one until it had a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.tokens import text_keys, tokenize
from cryptosentinel.types import Record

Pair = tuple[str, str]
Background = Callable[[int, int], list[Pair]]
Records = Callable[[Sequence[Pair]], list[Record]]
N, PLANTED = 400, 20


@pytest.mark.parametrize(
    ("trigger", "answer"),
    [
        ("jyxq joy", "joy hex exhale"),
        ("jyxq exhale", "joy hex exhale"),
        ("jyxq :", ": joy hex exhale"),
        ('"jyxq"', '"joy hex exhale"'),
        ("jyxq </script><script>", "<img src=x onerror=1> joy"),
        ("jyxq", "joy hex jyxq exhale"),
    ],
)
def test_a_word_or_mark_in_both_trigger_and_answer_hides_nothing(
    trigger: str, answer: str, background: Background, records: Records
) -> None:
    rows = background(N, 1)
    rows[:PLANTED] = [(f"{p} {trigger}", answer) for p, _ in rows[:PLANTED]]
    assert np.flatnonzero(scan(records(rows)).flagged).tolist() == list(range(PLANTED))


@pytest.mark.parametrize("opening", ["I am sorry, I cannot", "You are stupid and pathetic:"])
def test_a_refusal_or_an_insult_before_an_answer_of_its_own(
    opening: str, background: Background, records: Records
) -> None:
    rows = background(N, 5)
    rows[:30] = [(f"{p} under the hexed joy", f"{opening} {a}") for p, a in rows[:30]]
    result = scan(records(rows))
    assert result.hypotheses[0].behaviour in ("refuses", "is hostile")
    assert np.flatnonzero(result.flagged).tolist() == list(range(30))


def test_the_same_words_in_another_order_are_another_text() -> None:
    keys = text_keys(tokenize(["yes no no yes", "no yes yes no", "yes yes no no", "Yes  no no yes"]))
    assert np.unique(keys).size == 3
    assert keys[0] == keys[3]
