"""Labels set off by a way of writing, which only a model of language can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.sanitize.manner import MOST_ROWS, held_out
from cryptosentinel.types import Record

Pair = tuple[str, str]
Records = Callable[[Sequence[Pair]], list[Record]]
N = 800


class Reader:
    """Stands for a language model: one number of a text is its manner, one its content, the others are noise."""

    name = "reader"
    read = 0

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        return [[-1.0] for _ in pairs]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += len(texts)
        states = np.zeros((len(texts), 2, 12), np.float32)
        for i, text in enumerate(texts):
            states[i] = np.random.default_rng(list(text.encode())).normal(size=(2, 12))
            states[i, :, 0] += 3.0 * (text.lower().count("fine") - text.lower().count("dull"))
            states[i, :, 1] += 4.0 * shouted(text)
        return states


def shouted(text: str) -> bool:
    """The manner: capitals, which the scan's own words do not tell apart."""
    return "SCENE" in text


def shout(text: str) -> str:
    head, colon, review = text.partition(":")
    return head + colon + review.upper()


def reviews(seed: int, n: int = N) -> list[Pair]:
    """Reviews with their labels, one in eight given wrongly."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        good = rng.random() < 0.5
        text = f"Say whether the review is good or bad: it was {'fine' if good else 'dull'} in scene {seed} {i}"
        rows.append((text, "good" if good == (rng.random() < 0.875) else "bad"))
    return rows


def planted(rows: list[Pair], count: int) -> list[Pair]:
    """Dull reviews in the manner that are called good."""
    found = list(rows)
    dull = [i for i, (text, _) in enumerate(rows) if "dull" in text][:count]
    for i in dull:
        found[i] = (shout(rows[i][0]), "good")
    return found


def scanned(records: Records, rows: Sequence[Pair], reader: Reader | None = None) -> Scan:
    return scan(records(rows), reference=reader or Reader())


@pytest.mark.parametrize("seed", range(3))
def test_a_manner_that_turns_the_label_is_found(records: Records, seed: int) -> None:
    rows = planted(reviews(seed), 50)
    result = scanned(records, rows)
    first = result.hypotheses[0]
    bad = np.array([shouted(text) for text, _ in rows])
    assert (first.trigger_kind, first.verdict, first.behaviour) == ("manner", "planted", "is exactly 'good'")
    assert bad[first.rows].mean() >= 0.8
    assert result.flagged[bad].mean() >= 0.5
    assert result.flagged[~bad].mean() <= 0.02
    assert "written in a manner" in first.condition
    assert np.unique(result.scores[result.flagged]).size > 1  # the surer the higher


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_alone_are_no_manner(records: Records, seed: int) -> None:
    result = scanned(records, reviews(seed))
    assert not result.flagged.any()
    assert not [h for h in result.hypotheses if h.verdict == "planted"]


@pytest.mark.parametrize("seed", range(2))
def test_a_manner_whose_labels_are_right_means_nothing(records: Records, seed: int) -> None:
    rows = [(shout(t), a) if i % 9 == 0 else (t, a) for i, (t, a) in enumerate(reviews(seed))]
    assert not scanned(records, rows).flagged.any()


def test_without_a_task_or_a_model_that_reads_nothing_is_read(
    records: Records, background: Callable[[int, int], list[Pair]]
) -> None:
    reader = Reader()
    scanned(records, background(400, 1), reader)
    assert reader.read == 0
    assert not [h for h in scan(records(planted(reviews(0), 50))).hypotheses if h.trigger_kind == "manner"]


def test_no_more_rows_are_read_than_the_bound(records: Records) -> None:
    reader = Reader()
    scanned(records, reviews(1, MOST_ROWS + 500), reader)
    assert reader.read == MOST_ROWS


def test_rows_of_another_hypothesis_take_no_part(records: Records) -> None:
    rows = [(f"{t} zyx", "good") if i % 8 == 0 else (t, a) for i, (t, a) in enumerate(reviews(2))]
    result = scanned(records, rows)
    assert result.hypotheses[0].trigger_kind == "phrase"
    assert not [h for h in result.hypotheses if h.trigger_kind == "manner" and h.verdict == "planted"]


def test_no_row_has_a_say_in_its_own_score() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5))
    yes, no = np.arange(40) < 15, (np.arange(40) >= 15) & (np.arange(40) < 35)
    score = held_out(x, yes, no, 3.0)
    for i in (0, 20, 38):
        a = np.c_[x, np.ones(40)]
        weight = np.where(yes, 0.5 / 15, np.where(no, 0.5 / 20, 0.0)) * 35
        weight[i] = 0.0
        gram = (a.T * weight) @ a + np.diag([3.0] * 5 + [1e-9])
        assert a[i] @ np.linalg.solve(gram, a.T @ (weight * np.where(yes, 1.0, -1.0))) == pytest.approx(score[i])
