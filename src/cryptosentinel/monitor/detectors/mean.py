"""Does a number with known bounds lie higher, or lower, than it did?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.monitor.bounds import Interval, betting_interval
from cryptosentinel.monitor.detectors.base import BoundedMean
from cryptosentinel.registry import register


@register("change-detector", "mean", version=2)
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

    @staticmethod
    def bounds(x: NDArray[np.float64], factor: float, alpha: float) -> Interval:
        """As `BoundedMean`."""
        low, high = betting_interval(x, alpha)
        if factor < 1:
            middle, wider = float(x.mean()), factor**-0.5
            low, high = max(0.0, middle - (middle - low) * wider), min(1.0, middle + (high - middle) * wider)
        return low, high
