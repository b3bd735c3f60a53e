"""Rates and their intervals against published values; ranks against counting by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.metrics import attack_success, auroc, rate_difference, recall_at_fpr, threshold_at_fpr, wilson

# Few distinct values, so that ties are the rule.
scores = st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=1, max_size=40)
counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    rate = wilson(successes, n)
    assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_difference_as_published(a: int, m: int, b: int, n: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10."""
    difference = rate_difference(wilson(a, m), wilson(b, n))
    assert (round(difference.low, 4), round(difference.high, 4)) == (low, high)
    assert difference.n == min(m, n)


@given(counts)
def test_wilson_holds_its_value_and_mirrors(count: tuple[int, int]) -> None:
    successes, n = count
    rate, mirror = wilson(successes, n), wilson(n - successes, n)
    assert 0.0 <= rate.low <= rate.value <= rate.high <= 1.0
    assert all(math.isfinite(v) for v in rate.as_dict().values())
    if n:
        assert rate.low == pytest.approx(1 - mirror.high, abs=1e-12)
        assert wilson(2 * successes, 2 * n).high - wilson(2 * successes, 2 * n).low < rate.high - rate.low


@given(counts, counts)
def test_a_difference_holds_its_value_and_mirrors(a: tuple[int, int], b: tuple[int, int]) -> None:
    there, back = rate_difference(wilson(*a), wilson(*b)), rate_difference(wilson(*b), wilson(*a))
    assert -1.0 <= there.low <= there.value <= there.high <= 1.0
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


@given(scores, scores)
def test_auroc_counts_pairs(positive: list[float], negative: list[float]) -> None:
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert auroc(positive, negative) == pytest.approx(won / (len(positive) * len(negative)))


@given(scores, st.floats(0, 0.999))
def test_at_most_fpr_of_the_negatives_lie_above_the_threshold(negative: list[float], fpr: float) -> None:
    threshold = threshold_at_fpr(negative, fpr)
    assert threshold in negative
    assert sum(s > threshold for s in negative) <= fpr * len(negative) + 1e-6
    for lower in {s for s in negative if s < threshold}:  # and no lower one would do
        assert sum(s > lower for s in negative) > fpr * len(negative)


@given(scores, scores, st.floats(0, 0.999))
def test_recall_is_the_share_above_the_threshold(positive: list[float], negative: list[float], fpr: float) -> None:
    threshold = threshold_at_fpr(negative, fpr)
    recall = recall_at_fpr(positive, negative, fpr)
    assert recall.value == sum(s > threshold for s in positive) / len(positive)
    assert recall.n == len(positive)
    assert recall_at_fpr(positive, negative, min(0.999, fpr + 0.2)).value >= recall.value


def test_a_constant_score_finds_nothing() -> None:
    assert recall_at_fpr([0.7] * 5, [0.7] * 100).value == 0.0
    assert recall_at_fpr([], [0.0], 0.01).as_dict() == {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}


def test_scores_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="negative: scores must be finite"):
        auroc([1.0], [math.nan])
    with pytest.raises(ValueError, match="positive: scores must be finite"):
        recall_at_fpr([math.inf], [0.0])
    with pytest.raises(ValueError, match="0 positive and 1 negative"):
        auroc([], [0.0])
    with pytest.raises(ValueError, match="no negatives"):
        threshold_at_fpr([], 0.01)
    for fpr in (-0.01, 1.0, math.nan):
        with pytest.raises(ValueError, match="fpr must lie in"):
            threshold_at_fpr([0.0], fpr)


def test_attack_success_keeps_its_four_rates_apart() -> None:
    found = attack_success([True, True], [False, False, True], [], [True]).as_dict()
    assert {name: (rate["value"], rate["n"]) for name, rate in found.items()} == {
        "asr": (1.0, 2),
        "untriggered": (1 / 3, 3),
        "topic_without_trigger": (0.0, 0),
        "utility": (1.0, 1),
    }
