"""When did it begin, and what has it been since? Read off the last decisions, after an alarm."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

KEPT = 256
FULL = 2 * KEPT
EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class Change:
    """What a stream has been since it changed.

    `began` decisions ago, at least that many if `open_start`; `observed` since then, where the baseline allows `low` to
    `high`; `category` carries it where the stream has categories.
    """

    began: int
    open_start: bool
    direction: str
    observed: float
    low: float
    high: float
    category: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Recent:
    """The last numbers of a stream, up to twice `KEPT` of them; `add` is an array's own append, for speed.

    Whoever adds calls `trim` when there are `FULL`. `form` is the array's: "f" for numbers in [0, 1], "B" for codes.
    """

    __slots__ = ("_dropped", "add", "kept")

    def __init__(self, values: Sequence[float] = (), n: int | None = None, form: Literal["f", "B"] = "f") -> None:
        """Begin with these; `n` is how many there were in all since the start."""
        self.kept: array[Any] = array(form, values if form == "f" else map(round, values))
        self.add = self.kept.append
        self._dropped = 0 if n is None else n - len(values)

    @property
    def n(self) -> int:
        """How many there were since the start."""
        return self._dropped + len(self.kept)

    def trim(self) -> None:
        """Forget the older half."""
        del self.kept[:KEPT]
        self._dropped += KEPT

    def clear(self) -> None:
        """Forget all."""
        del self.kept[:]
        self._dropped = 0

    def values(self) -> NDArray[np.float64]:
        """Oldest first."""
        return np.array(self.kept, dtype=np.float64)


def divergence(p: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    """How many nats a decision tell rate p from rate q?

    >>> divergence(np.array([0.5]), 0.5)
    array([0.])
    """
    p = np.clip(p, 0.0, 1.0)
    q = min(max(q, EDGE), 1 - EDGE)
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(p > 0, p * np.log(p / q), 0.0)
        down = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0.0)
    return up + down


def since(values: NDArray[np.float64], low: float, high: float) -> tuple[float, int, str, float]:
    """Since when do these numbers lie outside the bounds most clearly?

    Returns:
        Nats of evidence, how many decisions ago, "up" or "down", and their mean since.

    >>> since(np.array([0.0] * 50 + [1.0] * 10), 0.0, 0.1)[1:]
    (10, 'up', 1.0)
    """
    if not values.size:
        return 0.0, 0, "up", 0.0
    n = np.arange(1, values.size + 1)
    mean = np.cumsum(values[::-1]) / n
    up = np.where(mean > high, n * divergence(mean, high), 0.0)
    down = np.where(mean < low, n * divergence(mean, low), 0.0)
    direction, nats = ("up", up) if up.max() >= down.max() else ("down", down)
    at = int(nats.argmax())
    return float(nats[at]), at + 1, direction, float(mean[at])
