"""How is bet against "the mean lies between these bounds"? A fixed table of stakes, small to large, up and down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.errors import ConfigError

Direction = Literal["both", "up", "down"]
Recursion = Literal["e-sr", "e-cusum"]
# By how much the log odds are thought to have moved. Of four stakes these are the best at worst: when a rate from 0.02
# to 0.2 moves by 0.5 to 5 in log odds, evidence takes at most 1.32 times as long as if the change were known.
STEPS = (0.6, 1.17, 2.06, 3.4)
LEAST = 1e-9  # a rate that is smaller is none
MOST_EVIDENCE = 1e250  # more cannot be told from it


@dataclass(frozen=True, slots=True)
class Table:
    """Bet i multiplies its money by offset[i] + slope[i] * x[of[i]]; `weights` say how the money is spread."""

    of: NDArray[np.intp]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    weights: NDArray[np.float64]


def table(bounds: Sequence[tuple[float, float]], direction: Direction = "both") -> Table:
    """The bets against means that lie within these bounds, one pair of bounds for each of the numbers observed.

    For a mean of at most m a bet is e = 1 + s (x - m) with 0 <= s <= 1 / m, so E[e] <= 1; s = (q - m) / (m (1 - m)) is
    the likelihood ratio of rate q to rate m. Downwards the same with 1 - x.

    Raises:
        ConfigError: bounds outside [0, 1] or in the wrong order.

    >>> t = table([(0.0, 0.25)])
    >>> bool(np.all(t.offset + 0.25 * t.slope <= 1 + 1e-12)), t.of.size
    (True, 4)
    """
    rows: list[tuple[int, float, float, float]] = []
    for i, (low, high) in enumerate(bounds):
        if not 0.0 <= low <= high <= 1.0:
            raise ConfigError(f"bounds must satisfy 0 <= low <= high <= 1, got {low} and {high}")
        up = [(stake, high) for stake in _stakes(max(high, LEAST))] if direction != "down" and high < 1 - LEAST else []
        down = [(stake, low) for stake in _stakes(max(1 - low, LEAST))] if direction != "up" and low > LEAST else []
        # Half of the money is spread evenly over both ways, half by how much of [0, 1] lies that way.
        more, less = 0.25 + (1 - high) / 2 if up else 0.0, 0.25 + low / 2 if down else 0.0
        rows += [(i, 1 - stake * m, stake, more / (more + less)) for stake, m in up]
        rows += [(i, 1 + stake * m, -stake, less / (more + less)) for stake, m in down]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    of, offset, slope, weights = (np.array(c, dtype=np.float64) for c in columns)
    total = weights.sum()
    return Table(of.astype(np.intp), offset, slope, weights / total if total else weights)


def _stakes(m: float) -> list[float]:
    odds = m / (1 - m)
    rates = (odds * np.exp(step) / (1 + odds * np.exp(step)) for step in STEPS)
    return [float((q - m) / (m * (1 - m))) for q in rates]
