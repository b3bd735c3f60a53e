"""Does a number with known bounds lie higher, or lower, than it did?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from cryptosentinel.monitor.bets import Direction, Recursion
from cryptosentinel.monitor.bounds import betting_interval, worth
from cryptosentinel.monitor.detectors.base import CONFIDENCE, BoundedMean
from cryptosentinel.registry import register


@register("change-detector", "mean", version=1)
class Mean(BoundedMean):
    """Does a number in [0, 1] lie higher, or lower, on average than its baseline allows?

    Whoever measures in other units brings it to [0, 1] first (`features`), clipping what lies outside. The baseline's
    mean enters through the bounds of a betting interval, wider where decisions hang together. Bets as for a rate.

    False alarms: at threshold A after A decisions or more on average while E[x | past] stays within the bounds. Does
    not see: the same mean with another spread (`scores` does, at the tails).

    >>> rng = np.random.default_rng(0)
    >>> detector = Mean.learn(rng.beta(2, 8, 300))
    >>> max(detector.update(x) for x in rng.beta(2, 8, 500)) < 1000
    True
    >>> max(detector.update(x) for x in rng.beta(5, 5, 60)) > 1000
    True
    """

    kind: ClassVar[str] = "mean"

    @classmethod
    def learn(
        cls,
        values: Sequence[float] | np.ndarray,
        confidence: float = CONFIDENCE,
        recursion: Recursion = "e-sr",
        direction: Direction = "both",
    ) -> Self:
        """From the baseline's numbers in [0, 1], in their order."""
        x = np.asarray(values, dtype=np.float64)
        low, high = betting_interval(x, (1 - confidence) * (1 if direction == "both" else 2))
        if x.size and (factor := worth([x])) < 1:
            middle, wider = float(x.mean()), factor**-0.5
            low, high = max(0.0, middle - (middle - low) * wider), min(1.0, middle + (high - middle) * wider)
        return cls(low, high, recursion, direction)
