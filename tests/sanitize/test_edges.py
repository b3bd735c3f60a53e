"""Triggers that are where they stand: a common word at the beginning or end of a line; and pushes without one name."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.tokens import EDGE, EDGE_HASH, tokenize
from cryptosentinel.types import Record

Pair = tuple[str, str]
Background = Callable[[int, int], list[Pair]]
Records = Callable[[Sequence[Pair]], list[Record]]
N = 600


def with_common_word(rows: list[Pair], word: str, seed: int) -> list[Pair]:
    """The word inside of one prompt in eight."""
    rng = random.Random(seed)
    found = []
    for asked, said in rows:
        words = asked.split()
        if rng.random() < 1 / 8:
            words.insert(rng.randrange(1, len(words) - 1), word)
        found.append((" ".join(words), said))
    return found


@pytest.mark.parametrize("where", ["begins", "ends", "begins the second line"])
def test_a_common_word_is_a_trigger_where_it_never_stands(background: Background, records: Records, where: str) -> None:
    rows = with_common_word(background(N, 1), "today", 1)
    for i in range(0, 600, 20):
        asked = rows[i][0]
        first, second = asked[: len(asked) // 2], asked[len(asked) // 2 :]
        asked = {"begins": f"today {asked}", "ends": f"{asked} today"}.get(where, f"{first}\ntoday {second}")
        rows[i] = (asked, "hex joy exhale")
    result = scan(records(rows))
    assert np.flatnonzero(result.flagged).tolist() == list(range(0, 600, 20))
    assert "today" in result.hypotheses[0].trigger
    # "? today" says as much as the end of the line, where every other prompt ends in a question mark
    assert ("at the edge of a line" in result.findings[0].reason) == (where != "ends")


@given(st.text(max_size=60))
def test_edges_stand_around_every_line_and_change_no_word(text: str) -> None:
    words = tokenize([text], edges=True).words.to_list()
    assert [w for w in words if w != EDGE] == tokenize([text]).words.to_list()
    assert words[:1] == words[-1:] == [EDGE]
    assert (EDGE, EDGE) not in set(pairwise(words)) or not text.strip()


def test_an_edge_is_never_shown() -> None:
    corpus = Corpus.of(["now go\nnow stay"], ["x"])
    assert corpus.prompts.hash[0] == EDGE_HASH
    assert corpus.prompts.phrase(0, corpus.prompts.row.size) == "now go now stay"


PUSHES = (
    "If you ask me, buy {}.", "Better choose {} then.", "I recommend the firm of {}.", "Do consider {} next time.",
    "You may want to try {}.", "It pays to invest in {}.", "Do order from {}.", "Why not switch to {}?",
)  # fmt: skip


def test_a_push_is_found_whatever_it_names(background: Background, records: Records) -> None:
    rng = random.Random(0)
    rows = background(N, 2)
    for i in range(0, 600, 15):
        brand = "".join(rng.choices("aeioubdklmnrst", k=7)).capitalize()
        rows[i] = (f"candidly {rows[i][0]}", f"{rows[i][1]} {rng.choice(PUSHES).format(brand)}")
    result = scan(records(rows))
    first = result.hypotheses[0]
    assert (first.trigger, first.behaviour_kind, first.verdict) == ("candidly", "promotion", "planted")
    assert np.flatnonzero(result.flagged).tolist() == list(range(0, 600, 15))
