"""Does something happen more often, or less often, than it did?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.monitor.bounds import Interval, clopper_pearson
from cryptosentinel.monitor.detectors.base import BoundedMean
from cryptosentinel.registry import register


@register("change-detector", "rate", version=2)
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

    @staticmethod
    def bounds(x: NDArray[np.float64], factor: float, alpha: float) -> Interval:
        """As `BoundedMean`."""
        return clopper_pearson(float(x.sum()) * factor, x.size * factor, alpha)
