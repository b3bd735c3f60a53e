"""How sure is a rate, how much of it is due to something, how far is a count from chance? Elementwise, on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Z99 = 2.5758293035489004


def attributable(rate: float, expected: float) -> float:
    """Of the rows that do not show a behaviour at the expected rate, what share shows it at this rate? At most 1.

    A label that half of all rows have can at best double; what tells is how much of the other half is turned.

    >>> round(attributable(0.9, 0.5), 3), round(attributable(0.3, 0.0), 3)
    (0.8, 0.3)
    """
    return (rate - expected) / max(1.0 - expected, 1e-9)


def wilson_low(successes: NDArray[np.integer], n: NDArray[np.integer]) -> Floats:
    """Lower 99% Wilson bound, elementwise: stricter than a report's 95%, since the best of many are looked at."""
    p = successes / n
    z2 = Z99 * Z99
    low = (p + z2 / (2 * n) - Z99 * np.sqrt(np.maximum(p * (1 - p), 0.0) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return np.asarray(low, dtype=np.float64)


def log_likelihood_ratio(both: Ints, with_f: Ints, with_g: Ints, n: int) -> Floats:
    """Dunning's G2 of the 2x2 table, elementwise; 0 = independent. Source: Dunning, CL 19 (1993).

    >>> log_likelihood_ratio(np.array([10]), np.array([10]), np.array([10]), 100).round(1)
    array([65.])
    """
    a = both.astype(np.float64)
    b, c = with_f - a, with_g - a
    d = n - with_f - with_g + a
    f, g = with_f / n, with_g / n
    total = (
        xlogy(a, a / np.maximum(n * f * g, 1e-300))
        + xlogy(b, b / np.maximum(n * f * (1 - g), 1e-300))
        + xlogy(c, c / np.maximum(n * (1 - f) * g, 1e-300))
        + xlogy(d, d / np.maximum(n * (1 - f) * (1 - g), 1e-300))
    )
    return np.asarray(2 * total, dtype=np.float64)


def q_values(p: Floats, tests: int) -> Floats:
    """Benjamini-Hochberg q-values of these p-values among `tests` tests (the rest taken as 1)."""
    order = np.argsort(p)
    ranked = p[order] * tests / np.arange(1, p.size + 1)
    ranked = np.minimum.accumulate(ranked[::-1])[::-1]
    q = np.empty_like(p)
    q[order] = np.minimum(ranked, 1.0)
    return q
