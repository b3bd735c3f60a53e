"""Does something happen more often, or less often, than it did?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from cryptosentinel.monitor.bets import Direction, Recursion
from cryptosentinel.monitor.bounds import clopper_pearson, worth
from cryptosentinel.monitor.detectors.base import CONFIDENCE, BoundedMean
from cryptosentinel.registry import register


@register("change-detector", "rate", version=1)
class Rate(BoundedMean):
    """Does something happen more often, or less often, than its baseline allows?

    Numbers: 1 where it happened, 0 where not. The baseline's rate enters through its Clopper-Pearson bounds, those of
    fewer decisions where decisions hang together (`bounds.worth`). e = 1 + s (x - high) upwards, 1 + s (low - x)
    downwards, for four stakes s each.

    False alarms: at threshold A after A decisions or more on average while P(1 | past) stays within the bounds; a
    season that the baseline did not see is a change. Does not see: another order of the same numbers.

    >>> rng = np.random.default_rng(0)
    >>> detector = Rate.learn(rng.random(500) < 0.05)
    >>> max(detector.update(float(rng.random() < 0.05)) for _ in range(1000)) < 1000
    True
    >>> max(detector.update(float(rng.random() < 0.5)) for _ in range(30)) > 1000
    True
    >>> change = detector.located()
    >>> change.direction, 25 <= change.began <= 35
    ('up', True)
    """

    kind: ClassVar[str] = "rate"

    @classmethod
    def learn(
        cls,
        values: Sequence[float] | np.ndarray,
        confidence: float = CONFIDENCE,
        recursion: Recursion = "e-sr",
        direction: Direction = "both",
    ) -> Self:
        """From the baseline's zeros and ones, in their order."""
        x = np.asarray(values, dtype=np.float64)
        factor = worth([x]) if x.size else 1.0
        alpha = (1 - confidence) * (1 if direction == "both" else 2)  # of one direction one bound is needed
        low, high = clopper_pearson(float(x.sum()) * factor, x.size * factor, alpha)
        return cls(low, high, recursion, direction)
