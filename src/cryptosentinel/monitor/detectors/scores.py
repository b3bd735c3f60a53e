"""Do scores of any scale lie higher, lower or further out than they did?"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from cryptosentinel.monitor.bets import Recursion, table
from cryptosentinel.monitor.bounds import rank_bounds, tail_bound, worth
from cryptosentinel.monitor.detectors.base import CONFIDENCE, ChangeDetector
from cryptosentinel.monitor.recent import FULL, Change, since
from cryptosentinel.registry import register

MOST_KNOTS = 100  # so many values stand for a longer baseline
TAIL = 0.02
LEAST_TAIL = 2  # values of the baseline that lie in a tail


@register("change-detector", "scores", version=2)
class Scores(ChangeDetector):
    """Do scores of any scale rank higher, lower or further out than the baseline's own? A conformal test martingale.

    A score's place among the baseline's (its conformal p-value, ties count half) is uniform while nothing has changed.
    Bet is on the mean place, up and down, and on places beyond the baseline's outermost 2%. That the places are taken
    in one and the same baseline, which is what breaks plain conformal martingales, is in the bounds: of the mean place
    by a sub-Gaussian bound, of a tail by the law of order statistics.

    No unit and no range is needed; outliers cannot hide in a wide range. False alarms: at threshold A after A decisions
    or more on average while further scores have the baseline's law, whatever it is. Does not see: a change that keeps
    the mean place and does not reach the tails.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2022), chapter 8.

    >>> rng = np.random.default_rng(0)
    >>> detector = Scores.learn(rng.standard_cauchy(400))
    >>> max(detector.update(x) for x in rng.standard_cauchy(1000)) < 1000
    True
    >>> max(detector.update(x) for x in rng.standard_cauchy(60) + 3) > 1000
    True
    """

    kind: ClassVar[str] = "scores"
    form: ClassVar[Literal["f", "B"]] = "B"  # twice the number of knots below a score, at most 200

    def __init__(
        self,
        knots: Sequence[float],
        bounds: Sequence[Sequence[float]],
        tails: Sequence[float],
        recursion: Recursion = "e-sr",
    ) -> None:
        """Take over what `learn` made: values that stand for the baseline, bounds of place and tails, the tails."""
        super().__init__(recursion)
        self.knots = array("d", knots)
        self.bounds = [(float(low), float(high)) for low, high in bounds]
        self.tails = (float(tails[0]), float(tails[1]))
        made = table(self.bounds)
        self._slope, self._weights = np.where(made.of == 0, made.slope, 0.0), made.weights
        self._within, self._below, self._above = (
            made.offset + np.where(made.of == tail, made.slope, 0.0) for tail in (-1, 1, 2)
        )
        self.money = np.zeros(made.of.size)

    @classmethod
    def learn(
        cls, values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE, recursion: Recursion = "e-sr"
    ) -> Self:
        """From the baseline's scores, in their order; any finite numbers."""
        given = np.asarray(values, dtype=np.float64)
        x = np.sort(given)
        n = x.size
        alpha = (1 - confidence) / 2
        if n == 0:
            return cls([], [(0.0, 1.0)] * 3, (0.0, 0.0), recursion)
        factor = worth([np.searchsorted(x, given) / n])
        step = (n - 1) / max(min(n, MOST_KNOTS) - 1, 1)
        knots = x[np.unique(np.rint(np.arange(min(n, MOST_KNOTS)) * step).astype(int))]
        place = (np.searchsorted(knots, x, "left") + np.searchsorted(knots, x, "right")) / (2 * knots.size)
        low, high = rank_bounds(n * factor, alpha)
        coarse = 0.0 if knots.size == n else 0.5 / knots.size  # the knots are of the same values as the mean
        middle = float(place.mean())
        places = (max(0.0, middle - (0.5 - low) - coarse), min(1.0, middle + (high - 0.5) + coarse))
        beyond = min(max(LEAST_TAIL, round(TAIL * n)), max((n - 1) // 2, 0))
        tails = (float(x[beyond]), float(x[n - 1 - beyond]))
        most = [tail_bound(count * factor, n * factor, alpha / 2)
                for count in (beyond, beyond)]  # fmt: skip
        return cls(knots.tolist(), [places, (0.0, most[0]), (0.0, most[1])], tails, recursion)

    def place(self, x: float) -> float:
        """Where among the baseline's scores does this one lie? From 0 to 1."""
        return self._code(x) / (2 * max(len(self.knots), 1))

    def _code(self, x: float) -> int:
        return bisect_left(self.knots, x) + bisect_right(self.knots, x)

    def update(self, x: float) -> float:
        """Take a score in; returns the evidence."""
        code = self._code(x)
        recent = self.recent
        recent.add(code)
        if len(recent.kept) == FULL:
            recent.trim()
        low, high = self.tails
        factors = self._slope * (code / (2 * (len(self.knots) or 1)))
        factors += self._below if x < low else self._above if x > high else self._within
        return self._grow(factors)

    def located(self) -> Change:
        """As `ChangeDetector`; `observed` is the mean place since, or the share in the tail that carries it."""
        codes = self.recent.values()
        values = codes / (2 * max(len(self.knots), 1))
        tails = (codes < self._code(self.tails[0]), codes > self._code(self.tails[1]))
        found = [
            (*since(numbers.astype(np.float64), *bounds), bounds, direction)
            for numbers, bounds, direction in zip((values, *tails), self.bounds, ("", "down", "up"), strict=True)
        ]
        _, began, way, observed, (low, high), tail = max(found, key=lambda f: f[0])
        category = "" if not tail else "outermost low values" if tail == "down" else "outermost high values"
        return Change(began, began == values.size < self.recent.n, tail or way, observed, low, high, category)

    def learnt(self) -> dict[str, Any]:
        """As `ChangeDetector`."""
        return {
            "knots": self.knots.tolist(), "bounds": [list(b) for b in self.bounds], "tails": list(self.tails),
            "recursion": self.recursion,
        }  # fmt: skip
