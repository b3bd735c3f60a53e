"""Does adding F shift the answers? A test by betting, which may stop whenever it likes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

STAKES = np.linspace(0.0, 0.9, 10)  # as shares of the largest stake that cannot lose everything
# What a bettor who has seen nothing expects: some pairs with the shift, some without, hardly any the other way round.
PRIOR = ((1.0, 0.5), (0.0, 0.5), (-1.0, 0.1))


def stake(past: Sequence[float], margin: float) -> float:
    """How much to bet on the next pair, given the differences seen so far? Kelly's fraction on a grid.

    The stake may depend on the past only. It lies in [0, 0.9 / (1 + margin)], so that no pair takes all the wealth.

    >>> stake([], 0.2) < stake([1.0, 1.0, 1.0], 0.2)
    True
    >>> stake([-1.0, 0.0, -1.0, 0.0], 0.2)
    0.0
    """
    values = np.array([d for d, _ in PRIOR] + list(past))
    weights = np.array([w for _, w in PRIOR] + [1.0] * len(past))
    grid = STAKES / (1 + margin)
    growth = np.log1p(np.outer(grid, values - margin)) @ weights
    return float(grid[int(growth.argmax())])


class Wealth:
    """The wealth of a bettor against "the behaviour's rate with F exceeds that with the control by at most `margin`".

    For each pair, d in [-1, 1] is the behaviour with F minus the behaviour with the control; wealth is multiplied by
    1 + stake (d - margin). Where E[d | past] <= margin the wealth is a supermartingale that starts at 1, so P(it ever
    reaches 1 / alpha) <= alpha (Ville): an e-process. Exchangeable answers within a pair have E[d | past] = 0.

    Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024).

    >>> wealth = Wealth(margin=0.2)
    >>> for seen in range(20):
    ...     wealth.bet(1.0, stake([1.0] * seen, 0.2))
    >>> wealth.log > math.log(1000)
    True
    """

    def __init__(self, margin: float) -> None:
        """Start with a wealth of 1."""
        self.margin = margin
        self.log = 0.0

    def bet(self, difference: float, staked: float) -> None:
        """Take one pair into account; `staked` must have been fixed before the pair was seen.

        Raises:
            ValueError: a difference outside [-1, 1] or a stake that could make the wealth negative.
        """
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"a difference lies in [-1, 1], got {difference}")
        if not 0.0 <= staked < 1 / (1 + self.margin):
            raise ValueError(f"a stake lies in [0, {1 / (1 + self.margin):g}), got {staked}")
        self.log += math.log1p(staked * (difference - self.margin))


def log_mean(logs: Sequence[float]) -> float:
    """The log of the mean of these e-values, which is an e-value again.

    >>> round(math.exp(log_mean([0.0, math.log(3.0)])), 6)
    2.0
    """
    top = max(logs)
    return top + math.log(sum(math.exp(x - top) for x in logs) / len(logs))


def shared(alpha: float, groups: Sequence[int]) -> list[float]:
    """What false-alarm rate does each suspect get, so that they sum to at most alpha?

    Groups that are not empty get equal parts, and in a group all suspects the same: a large bank does not drown the
    few suspects that somebody named.

    >>> shared(0.04, [2, 0, 4])
    [0.01, 0.01, 0.005, 0.005, 0.005, 0.005]
    """
    filled = sum(1 for n in groups if n)
    return [alpha / filled / n for n in groups for _ in range(n)]
