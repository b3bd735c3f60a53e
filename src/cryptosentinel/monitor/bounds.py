"""Between which bounds does a baseline's rate, mean or share of a category lie, however few decisions it has?

A detector that takes the baseline's estimate for the truth alarms far too often. Everything learnt from a baseline
enters through these bounds, so that a detector's promise holds with the confidence that the bounds were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv
from scipy.stats import chi2

Floats = NDArray[np.float64]
Interval = tuple[float, float]
MOST_BATCHES, LEAST_BATCH = 20, 10
TRUNCATION = 0.75  # of the largest stake that cannot lose everything
RARE = 25  # a category seen less often has no lower bound


def clopper_pearson(successes: float, n: float, alpha: float) -> Interval:
    """Where does a rate lie, with probability 1 - alpha at least? Exact; alpha / 2 on each side.

    Counts may be broken numbers: those of a baseline that is worth fewer decisions than it has.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    >>> low, high = clopper_pearson(5, 100, 0.01)
    >>> round(low, 4), round(high, 4)
    (0.0109, 0.1351)
    """
    low = float(betaincinv(successes, n - successes + 1, alpha / 2)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - alpha / 2)) if successes < n else 1.0
    return low, high


def betting_interval(values: ArrayLike, alpha: float) -> Interval:
    """Where does the mean of values in [0, 1] lie, with probability 1 - alpha at least?

    A bettor against a mean m gains if the mean is another; the bounds are the means that it could not get rich on.

    Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024).

    >>> low, high = betting_interval(np.tile([0.2, 0.3], 200), 0.01)
    >>> 0.22 < low < 0.25 < high < 0.28
    True
    """
    x = np.asarray(values, dtype=np.float64)
    n = x.size
    if n == 0:
        return 0.0, 1.0
    seen = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(x)) / (seen + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (seen + 1)
    stakes = np.sqrt(2 * np.log(2 / alpha) / (n * np.concatenate(([0.25], variance[:-1]))))
    rich = np.log(2 / alpha)

    def above(m: float) -> bool:
        """Is the mean shown to be higher?"""
        return bool(np.log1p(np.minimum(stakes, TRUNCATION / m) * (x - m)).sum() >= rich)

    def below(m: float) -> bool:
        """Is the mean shown to be lower?"""
        return bool(np.log1p(np.minimum(stakes, TRUNCATION / (1 - m)) * (m - x)).sum() >= rich)

    return _turn(above), 1 - _turn(lambda m: below(1 - m))


def _turn(refused: Callable[[float], bool]) -> float:
    """The largest value from 0 up that is refused; to the safe side."""
    low, high = 0.0, 1.0
    if not refused(1e-9):
        return 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if middle > 0.0 and refused(middle) else (low, middle)
    return low


def rank_bounds(n: float, alpha: float) -> Interval:
    """Where does the mean rank among n baseline values lie, for further values of the same kind?

    The true mean of the mid-rank differs from 1/2 by the mean of n uniform variables (or of what varies less, with
    ties), which are sub-Gaussian with variance 1/12.

    >>> [round(x, 3) for x in rank_bounds(200, 0.01)]
    [0.434, 0.566]
    """
    slack = float(np.sqrt(np.log(2 / alpha) / (6 * n)))
    return max(0.0, 0.5 - slack), min(1.0, 0.5 + slack)


def tail_bound(beyond: float, n: float, alpha: float) -> float:
    """How often, at most, does a further value lie beyond the value that `beyond` of n baseline values exceed?

    The share beyond an order statistic is a Beta variable, whatever the values' law.

    >>> round(tail_bound(5, 200, 0.01), 3)
    0.064
    """
    return clopper_pearson(beyond, n, 2 * alpha)[1]


def cell_bounds(counts: ArrayLike, new: float, tried: float, alpha: float) -> tuple[Floats, Floats]:
    """Where do the shares of all categories lie, with probability 1 - alpha together? The last cell is what is new.

    How many categories there are need not be known. One that breaks its upper bound u has a share above u: there are at
    most 1 / u of them, all of them seen but for a chance far below alpha. So alpha is shared by the categories seen,
    with a tenth to spare. Lower bounds are given to common categories alone, for the same reason.

    Args:
        counts: how often each category occurred.
        new: how many of the last `tried` decisions were of a category not seen before them.
        tried: how many decisions that are.
        alpha: half of it is for the new, half for the others.

    Returns:
        Lower and upper bounds, one each for `counts`, and one for all that was never seen.

    >>> low, high = cell_bounds([60, 40], 0, 50, 0.01)
    >>> [round(float(x), 2) for x in low], [round(float(x), 2) for x in high]
    ([0.44, 0.26, 0.0], [0.74, 0.56, 0.1])
    """
    seen = np.asarray(counts, dtype=np.float64)
    n = float(seen.sum())
    share = max(_share_for_each(n, alpha / 2), 0.9 * alpha / 2 / max(seen.size, 1))
    low = np.where(seen >= RARE, betaincinv(np.maximum(seen, 1), n - seen + 1, share / 2), 0.0)
    high = np.where(seen < n, betaincinv(seen + 1, np.maximum(n - seen, 1e-9), 1 - share / 2), 1.0)
    unseen = clopper_pearson(new, tried, alpha)[1] if tried else 1.0
    return np.append(low, 0.0), np.append(high, unseen)


def _share_for_each(n: float, alpha: float) -> float:
    """Which alpha may each category have, so that all together have this one, however many there are?"""
    each = alpha / max(n, 2.0)
    for _ in range(20):
        least = -np.expm1(np.log(each / 2) / max(n, 1.0))  # the upper bound of a category that was not seen
        each = alpha * least
    return float(min(each, alpha))


def worth(columns: Sequence[ArrayLike] | NDArray[np.float64]) -> float:
    """What is a decision of this baseline worth, beside one that is independent of the others? In (0, 1].

    Batches that follow one another differ more than they should where decisions depend on their past, or where the
    agent changed on the way: then the batches' variance says how much less the baseline tells. Below what chance does
    to independent decisions in 19 of 20 baselines, the answer is 1.

    Args:
        columns: values in their order; one array, or one for each category (1 where the decision is of it).

    >>> rng = np.random.default_rng(0)
    >>> worth([rng.random(400)])
    1.0
    >>> worth([np.repeat(rng.random(20), 20)]) < 0.1
    True
    """
    table = np.atleast_2d(np.asarray(columns, dtype=np.float64))
    n = table.shape[1]
    batches = min(MOST_BATCHES, n // LEAST_BATCH)
    if batches < 5:
        return 1.0
    size = n // batches
    used = table[:, n - batches * size :]
    spread = used.var(axis=1)
    varies = spread > 0
    if not varies.any():
        return 1.0
    means = used[varies].reshape(int(varies.sum()), batches, size).mean(axis=2)
    between = means.var(axis=1, ddof=1) * size
    weights = spread[varies]
    inflation = float(between.sum() / weights.sum())
    free = (batches - 1) * max(1.0, float(weights.sum() ** 2 / (weights**2).sum()))
    return 1.0 if inflation <= chi2.ppf(0.95, free) / free else 1.0 / inflation
