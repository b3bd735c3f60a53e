"""Many rates or bounded means at once: the same evidence as of one detector each, a thousand times as fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.monitor.bets import MOST_EVIDENCE, Direction, Recursion, table


class Bank:
    """Streams side by side, each with bounds of its own, all updated by one call.

    Args:
        low, high: bounds of each stream's mean, as a detector has learnt them.
        recursion: "e-sr" or "e-cusum".
        direction: which changes are looked for.

    Raises:
        ConfigError: bounds that are none.

    >>> bank = Bank([0.01, 0.01], [0.1, 0.1])
    >>> for _ in range(12):
    ...     evidence = bank.update([0.0, 1.0])
    >>> (evidence >= 10_000).tolist()
    [False, True]
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        recursion: Recursion = "e-sr",
        direction: Direction = "both",
    ) -> None:
        """Begin without evidence."""
        if len(low) != len(high):
            raise ConfigError(f"{len(low)} lower and {len(high)} upper bounds: must be as many")
        self.low, self.high = [float(x) for x in low], [float(x) for x in high]
        self.recursion, self.direction = recursion, direction
        tables = {bounds: table([bounds], direction) for bounds in set(zip(self.low, self.high, strict=True))}
        rows = [tables[bounds] for bounds in zip(self.low, self.high, strict=True)]
        bets = max((r.of.size for r in rows), default=0)
        # Bets are the first axis: whole streams lie side by side in memory.
        self._slope, self._offset, self._weights = (np.zeros((bets, len(rows))) for _ in range(3))
        for i, row in enumerate(rows):
            for target, source in ((self._slope, row.slope), (self._offset, row.offset), (self._weights, row.weights)):
                target[: row.of.size, i] = source
        self.money = np.zeros((bets, len(rows)))
        self._factors = np.zeros_like(self.money)

    def update(self, x: ArrayLike) -> NDArray[np.float64]:
        """Take one number in [0, 1] of every stream in; returns the evidence of each. NaN: nothing came of this one.

        Raises:
            DataError: another number of streams, or a number outside [0, 1].
        """
        values = np.asarray(x, dtype=np.float64)
        if values.shape != (len(self.low),):
            raise DataError(f"{values.shape} numbers for {len(self.low)} streams")
        absent = np.isnan(values)
        if absent.any():
            kept = self.money[:, absent]
            self._step(np.where(absent, 0.0, values))
            self.money[:, absent] = kept
        else:
            self._step(values)
        evidence: NDArray[np.float64] = np.einsum("ij,ij->j", self.money, self._weights)
        return evidence

    def _step(self, values: NDArray[np.float64]) -> None:
        if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
            raise DataError(f"numbers must lie in [0, 1], got {values.min()} to {values.max()}")
        np.multiply(self._slope, values, out=self._factors)
        self._factors += self._offset
        if self.recursion == "e-cusum":
            np.maximum(self.money, 1.0, out=self.money)
        else:
            self.money += 1.0
        self.money *= self._factors
        np.minimum(self.money, MOST_EVIDENCE, out=self.money)

    def restart(self, which: ArrayLike) -> None:
        """Forget the evidence of these streams: a mask, or their numbers."""
        self.money[:, np.asarray(which)] = 0.0

    def state(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "low": self.low, "high": self.high, "recursion": self.recursion, "direction": self.direction,
            "money": self.money.tolist(),
        }  # fmt: skip

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Bank:
        """The bank whose `state` this is."""
        made = cls(state["low"], state["high"], state["recursion"], state["direction"])
        made.money = np.array(state["money"], dtype=np.float64).reshape(made.money.shape)
        return made
