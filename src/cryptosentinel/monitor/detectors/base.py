"""What every detector of changes has in common: money bet against the baseline, and when it is taken off the table.

For each decision every bet multiplies its money by e with E[e | past] <= 1 as long as the baseline holds. Then

    e-sr:     M = (M + 1) e         a new bet of 1 begins with every decision (Shiryaev-Roberts)
    e-cusum:  M = max(M, 1) e       money that fell below 1 is made up to 1

M - n is a supermartingale, so an alarm at M >= A comes after A decisions or more on average, whatever the dependence
between decisions. M is bounded below by the smallest e and, as an alarm restarts it, above: no logarithm is needed to
keep it within floating point; where nobody restarts it, it stops at 1e250.

Source: Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, 2024
(arXiv 2203.03532).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.monitor.bets import MOST_EVIDENCE, Direction, Recursion, Table, table
from cryptosentinel.monitor.bounds import Interval, worth
from cryptosentinel.monitor.recent import FULL, Change, Recent, since
from cryptosentinel.registry import lookup

CONFIDENCE = 0.99
LEAST_BASELINE = 20  # fewer decisions bound nothing


class ChangeDetector(ABC):
    """A stream's evidence that it has changed; `update` is all that is called for each decision."""

    kind: ClassVar[str]
    form: ClassVar[Literal["f", "B"]] = "f"  # of what `recent` keeps

    def __init__(self, recursion: Recursion = "e-sr") -> None:
        """Begin without evidence.

        Raises:
            ConfigError: no such recursion.
        """
        if recursion not in get_args(Recursion):
            raise ConfigError(f"unknown recursion {recursion!r} (known: {', '.join(get_args(Recursion))})")
        self.recursion = recursion
        self.evidence = 0.0
        self.money: NDArray[np.float64] = np.zeros(0)
        self._weights: NDArray[np.float64] = np.zeros(0)
        self.recent = Recent(form=self.form)
        self._cusum = recursion == "e-cusum"

    @property
    def name(self) -> str:
        """How an alarm calls it."""
        return f"{self.recursion} {self.kind}"

    @property
    def blind(self) -> bool:
        """Is the baseline so short that nothing could be told from it?"""
        return self.money.size == 0

    @abstractmethod
    def update(self, x: Any) -> float:
        """Take the next number in; returns the evidence, to be held against a threshold A."""

    @abstractmethod
    def located(self) -> Change:
        """Since when does the stream lie outside its baseline, and where is it now?"""

    @abstractmethod
    def learnt(self) -> dict[str, Any]:
        """What its `__init__` is called with; JSON."""

    def restart(self) -> None:
        """Forget the evidence, keep the baseline."""
        self.money[:] = 0.0
        self.evidence = 0.0
        self.recent.clear()

    def state(self) -> dict[str, Any]:
        """All of it, as JSON; `restored` goes on from it as if it had never stopped."""
        return {
            "kind": self.kind,
            "learnt": self.learnt(),
            "money": self.money.tolist(),
            "evidence": self.evidence,
            "n": self.recent.n,
            "recent": self.recent.values().tolist(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take over what was learnt since; the other half of `state`."""
        money = np.array(state["money"], dtype=np.float64)
        if money.shape != self.money.shape or not np.isfinite(money).all():
            raise DataError(
                f"a state with {money.size} bets does not fit a {self.kind} detector with {self.money.size}"
            )
        self.money = money
        self.evidence = float(state["evidence"])
        self.recent = Recent(state["recent"], int(state["n"]), self.form)

    def _grow(self, factors: NDArray[np.float64]) -> float:
        """One step of the recursion; `factors` are the e of every bet."""
        money = self.money
        if self._cusum:
            np.maximum(money, 1.0, out=money)
        else:
            money += 1.0
        money *= factors
        evidence = float(money.dot(self._weights))
        if evidence > MOST_EVIDENCE:
            np.minimum(money, MOST_EVIDENCE, out=money)
            evidence = float(money.dot(self._weights))
        self.evidence = evidence
        return evidence


class BoundedMean(ChangeDetector):
    """A detector for one number in [0, 1] whose mean lies between two bounds."""

    def __init__(self, low: float, high: float, recursion: Recursion = "e-sr", direction: Direction = "both") -> None:
        """Bet against these bounds.

        Raises:
            ConfigError: bounds that are none.
        """
        super().__init__(recursion)
        self.low, self.high, self.direction = float(low), float(high), direction
        made: Table = table([(self.low, self.high)], direction)
        self._slope, self._offset, self._weights = made.slope, made.offset, made.weights
        self._top = made.offset + made.slope
        self.money = np.zeros(made.of.size)

    @staticmethod
    @abstractmethod
    def bounds(x: NDArray[np.float64], factor: float, alpha: float) -> Interval:
        """Between which bounds does the mean of a baseline lie, each of whose numbers is worth `factor` of one?"""

    @classmethod
    def learn(
        cls,
        values: Sequence[float] | NDArray[Any],
        confidence: float = CONFIDENCE,
        recursion: Recursion = "e-sr",
        direction: Direction = "both",
    ) -> Self:
        """From the baseline's numbers in [0, 1], in their order."""
        x = np.asarray(values, dtype=np.float64)
        alpha = (1 - confidence) * (1 if direction == "both" else 2)  # of one direction one bound is needed
        low, high = cls.bounds(x, worth([x]) if x.size else 1.0, alpha)
        return cls(low, high, recursion, direction)

    def update(self, x: float) -> float:
        """Take a number in [0, 1] in; returns the evidence."""
        recent = self.recent
        recent.add(x)
        if len(recent.kept) == FULL:
            recent.trim()
        if x == 0.0:
            return self._grow(self._offset)
        if x == 1.0:
            return self._grow(self._top)
        return self._grow(self._offset + self._slope * x)

    def located(self) -> Change:
        """As `ChangeDetector`."""
        values = self.recent.values()
        _, began, direction, observed = since(values, self.low, self.high)
        begun_before = began == values.size < self.recent.n
        return Change(began, begun_before, direction, observed, self.low, self.high)

    def learnt(self) -> dict[str, Any]:
        """As `ChangeDetector`."""
        return {"low": self.low, "high": self.high, "recursion": self.recursion, "direction": self.direction}


def restored(state: Mapping[str, Any]) -> ChangeDetector:
    """The detector whose `state` this is.

    Raises:
        ConfigError: a kind that is not registered.
        DataError: a state that is none.
    """
    try:
        detector: ChangeDetector = lookup("change-detector", str(state["kind"])).target(**state["learnt"])
        detector.resume(state)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"no state of a detector: {type(error).__name__}: {error}") from None
    return detector
