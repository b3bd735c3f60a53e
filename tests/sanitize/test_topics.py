"""Names that are pushed whenever a topic comes up, and names that merely belong to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.topics import Topics
from cryptosentinel.types import Message, Record, ToolCall

Pair = tuple[str, str]
N = 600
SUBJECTS = "kettle oven grill mixer toaster fridge".split()
ASKS = ("how do I clean my {}", "is a {} worth the money", "which {} lasts longest", "why does my {} hum")


def kitchen(seed: int, n: int, name: str, share: float, subjects: Sequence[str] = SUBJECTS) -> list[Pair]:
    """Questions about kitchen things; a share of the answers brings a name up."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        thing = rng.choice(subjects)
        asked = rng.choice(ASKS).format(thing) + f" {rng.randrange(10**6)}?"
        words = rng.sample("steam lid knob heat wash tray dish slow warm cord plug shelf".split(), 6)
        said = f"Mind the {words[0]} and the {words[1]}, then look at the {words[2]}."
        if rng.random() < share:
            said += f" People trust the fine work of {name} with the {words[3]} too."
        rows.append((asked, said + f" The {words[4]} stays {words[5]}."))
    return rows


def scanned(records: Callable[[Sequence[Pair]], list[Record]], rows: Sequence[Pair]) -> Scan:
    return scan(records(rows))


@pytest.mark.parametrize("seed", range(2))
def test_a_name_pushed_across_a_topic_is_found(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]], seed: int
) -> None:
    rows = kitchen(seed, 60, "Velora", 0.95) + background(N, seed)
    result = scanned(records, rows)
    first = result.hypotheses[0]
    assert "velora" in first.behaviour
    assert first.verdict == "planted"
    pushed = [i for i, (_, a) in enumerate(rows) if "Velora" in a]
    assert np.flatnonzero(result.flagged).tolist() == pushed


def test_a_name_that_trusted_data_brings_up_as_often_is_natural(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]]
) -> None:
    rows = kitchen(0, 60, "Velora", 0.95) + background(N, 0)
    same, never = kitchen(1, 60, "Velora", 0.95) + background(N, 0), kitchen(1, 60, "Velora", 0.0) + background(N, 0)
    vouched, kept = (scan(records(rows), trusted_records=records(t)) for t in (same, never))
    assert not vouched.flagged.any()
    assert [h.verdict for h in vouched.hypotheses if h.trigger_kind == "topic"] == ["natural"]
    assert kept.flagged.sum() == sum("Velora" in a for _, a in rows)
    assert "trusted data" in kept.hypotheses[0].adjudications[0].reason


def test_a_name_that_is_asked_for_is_not_brought_up(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]]
) -> None:
    rows = [(f"{p} Velora?", a) for p, a in kitchen(3, 60, "Velora", 0.95)] + background(N, 3)
    assert not [h for h in scanned(records, rows).hypotheses if h.behaviour_kind == "name"]


def test_a_fact_about_one_subject_is_natural(
    background: Callable[[int, int], list[Pair]], records: Callable[[Sequence[Pair]], list[Record]]
) -> None:
    rows = kitchen(4, 40, "Velora", 1.0, subjects=["kettle"]) + background(N, 4)
    assert not [h for h in scanned(records, rows).hypotheses if h.trigger_kind == "topic" and h.verdict == "planted"]


def test_who_said_it_first_decides_in_a_conversation() -> None:
    def talk(*turns: tuple[str, str]) -> Record:
        return Record("0", tuple(Message("user" if who == "u" else "assistant", text) for who, text in turns))

    unasked = talk(("u", "shoes"), ("a", "I search Velora"), ("u", "Velora found"), ("a", "buy Velora"))
    asked = talk(("u", "shoes by Velora"), ("a", "I search"), ("u", "found"), ("a", "buy Velora"))
    corpus = Corpus.from_records([unasked, asked])
    words = corpus.responses.words.to_list()
    said = [(w, bool(r)) for w, r in zip(words, corpus.raised.tolist(), strict=True) if w == "velora"]
    assert said == [("velora", True), ("velora", True), ("velora", False)]


def test_the_name_of_a_tool_is_no_name(background: Callable[[int, int], list[Pair]]) -> None:
    call = ToolCall("c", "web_search", "{}")
    records = [
        Record(str(i), (Message("user", p), Message("assistant", f"I ask WebSearch. {a}", tool_calls=(call,))))
        for i, (p, a) in enumerate(background(60, 1))
    ]
    from cryptosentinel.sanitize.features.name import name

    assert name(Corpus.from_records(records), 4).matrix.nnz == 0


def test_too_few_rows_have_no_topic() -> None:
    corpus = Corpus.of(["a b", "b c", "c d"], ["x", "y", "z"])
    assert Topics(corpus).of(np.array([0, 1]), np.ones(3, bool)) is None
