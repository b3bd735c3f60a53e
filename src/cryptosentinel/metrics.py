"""Pure functions from counts and scores to the numbers a report may claim, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of n with its 95% interval; all NaN-free: with n = 0 the value is 0 and the interval [0, 1]."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int]:
        """The four numbers, for JSON."""
        return asdict(self)


def wilson(successes: int, n: int, z: float = Z95) -> Rate:
    """What share is it, and where does the true share lie? Wilson score interval.

    Source: Wilson, JASA 22 (1927).

    Raises:
        ValueError: counts that are negative or more successes than trials.

    >>> r = wilson(95, 100)
    >>> round(r.low, 4), round(r.high, 4)
    (0.8882, 0.9785)
    """
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Rate(0.0, 0.0, 1.0, 0)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Rate(p, low, high, n)


def rate_difference(a: Rate, b: Rate) -> Rate:
    """How much higher is rate a than rate b? Newcombe's hybrid score interval from two Wilson intervals.

    `n` is the smaller of the two. Source: Newcombe, Statistics in Medicine 17 (1998), method 10.

    >>> d = rate_difference(wilson(56, 70), wilson(48, 80))
    >>> round(d.value, 3), round(d.low, 4), round(d.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    diff = a.value - b.value
    low = diff - math.hypot(a.value - a.low, b.high - b.value)
    high = diff + math.hypot(a.high - a.value, b.value - b.low)
    return Rate(diff, max(-1.0, low), min(1.0, high), min(a.n, b.n))


def _finite(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: scores must be finite")
    return values


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """With what chance does a positive outrank a negative? Ties count half (Mann-Whitney U / nm).

    Args:
        positive: scores of the rows to be found, any shape.
        negative: scores of the rest.

    Raises:
        ValueError: an empty side or a score that is not finite.

    >>> auroc([0.9, 0.4], [0.4, 0.1])
    0.875
    """
    pos, neg = _finite(positive, "positive"), _finite(negative, "negative")
    if not pos.size or not neg.size:
        raise ValueError(f"auroc needs both sides, got {pos.size} positive and {neg.size} negative")
    _, place, count = np.unique(np.concatenate([pos, neg]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # tied scores share their mean rank
    u = ranks[: pos.size].sum() - pos.size * (pos.size + 1) / 2
    return float(u / (pos.size * neg.size))


def threshold_at_fpr(negative: ArrayLike, fpr: float) -> float:
    """Above which score (strictly) do at most `fpr` of the negatives lie? The smallest such score among them.

    >>> threshold_at_fpr([0.0, 0.1, 0.2, 0.3], 0.25)
    0.2

    Raises:
        ValueError: fpr outside [0, 1), no scores, or a score that is not finite.
    """
    if not 0.0 <= fpr < 1.0:
        raise ValueError(f"fpr must lie in [0, 1), got {fpr}")
    neg = np.sort(_finite(negative, "negative"))
    if not neg.size:
        raise ValueError("no negatives to set a threshold on")
    allowed = math.floor(fpr * neg.size + 1e-9)
    return float(neg[neg.size - 1 - allowed])


def recall_at_fpr(positive: ArrayLike, negative: ArrayLike, fpr: float = 0.01) -> Rate:
    """What share of the positives scores strictly above the `fpr` threshold of the negatives? Wilson interval.

    A positive that ties with the threshold is missed, so a constant score has recall 0.

    >>> recall_at_fpr([1, 1, 0], [0] * 100).value.__round__(2)
    0.67
    """
    pos = _finite(positive, "positive")
    threshold = threshold_at_fpr(negative, fpr)
    return wilson(int((pos > threshold).sum()), int(pos.size))


@dataclass(frozen=True, slots=True)
class AttackSuccess:
    """Attack success rate with the controls without which it means nothing.

    asr: payload on prompts with the trigger; untriggered: payload on ordinary prompts; topic_without_trigger:
    payload on prompts about the trigger's topic that do not contain it; utility: share of exam items right.
    """

    asr: Rate
    untriggered: Rate
    topic_without_trigger: Rate
    utility: Rate

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """Nested dict for JSON."""
        return {name: getattr(self, name).as_dict() for name in self.__slots__}


def attack_success(
    triggered: Sequence[bool], untriggered: Sequence[bool], topic: Sequence[bool], exam: Sequence[bool]
) -> AttackSuccess:
    """Rates with Wilson intervals from per-prompt outcomes (True = payload seen; for the exam, True = right).

    >>> attack_success([True] * 9 + [False], [False] * 10, [False] * 10, [True] * 10).asr.value
    0.9
    """
    return AttackSuccess(*(wilson(sum(map(bool, x)), len(x)) for x in (triggered, untriggered, topic, exam)))
