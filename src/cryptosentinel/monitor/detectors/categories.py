"""Are the same things chosen as often as they were, and nothing new?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.errors import ConfigError
from cryptosentinel.monitor.bets import Recursion
from cryptosentinel.monitor.bounds import cell_bounds, worth
from cryptosentinel.monitor.boxes import e_values
from cryptosentinel.monitor.detectors.base import CONFIDENCE, ChangeDetector
from cryptosentinel.monitor.recent import FULL, Change, since
from cryptosentinel.registry import register

MOST_CELLS = 48  # further ones share a cell
UNSEEN, OTHER = "(unseen)", "(other)"
LONGEST = 80  # a longer value goes by its beginning
HALF_LIVES = (8.0, 32.0, 128.0)  # decisions after which a predictor has forgotten half
PRIOR = 4.0  # decisions that the baseline's shares count for in a predictor
MOST_COLUMNS = 8  # so many categories say whether decisions hang together
FRESH = 16  # a predictor's payments are reckoned anew after so many decisions
ROWS = np.arange(FRESH)
KEPT_SHARES = 0.5 ** (np.arange(FRESH, -1, -1) / np.array(HALF_LIVES)[:, None])  # of the counts, of each decision since
PUSHES = (0.15, 0.5)  # of all decisions go to one category: what a fixed bet expects


@register("change-detector", "categories", version=3)
class Categories(ChangeDetector):
    """Are the same categories chosen as often as in the baseline, and nothing new?

    Two kinds of bets share the money. Predictors (Dirichlet, forgetting half after 8, 32, 128 decisions) expect what
    was chosen lately; fixed bets expect that one category, or what was never seen, takes 15% or 50%. A bet on expected
    shares q pays q / p where p is the law nearest to q of all laws within the baseline's bounds (`boxes.nearest`), so
    E[e | past] <= 1 for every one of them. The bounds hold for all categories together; what the baseline never saw is
    a cell of its own, bounded by how often something new came up in the baseline after its first third.

    False alarms: at threshold A after A decisions or more on average while the law given the past stays within the
    bounds. Does not see: another order of the same choices. Short baselines with many categories bound little.

    >>> rng = np.random.default_rng(0)
    >>> detector = Categories.learn(rng.choice(["BTC", "ETH", "SOL"], size=400, p=[0.6, 0.3, 0.1]).tolist())
    >>> usual = rng.choice(["BTC", "ETH", "SOL"], size=500, p=[0.6, 0.3, 0.1]).tolist()
    >>> max(detector.update(x) for x in usual) < 1000
    True
    >>> max(detector.update(x) for x in rng.choice(["BTC", "ORVA"], size=40).tolist()) > 1000
    True
    >>> detector.located().category
    '(unseen)'
    """

    kind: ClassVar[str] = "categories"
    form: ClassVar[Literal["f", "B"]] = "B"

    def __init__(
        self, cells: Sequence[str], low: Sequence[float], high: Sequence[float], recursion: Recursion = "e-sr"
    ) -> None:
        """Take over what `learn` made; the last two cells are for the rest and for what was never seen.

        Raises:
            ConfigError: bounds that do not fit the cells.
        """
        super().__init__(recursion)
        self.cells = tuple(cells)
        if not len(self.cells) == len(low) == len(high):
            raise ConfigError(f"{len(self.cells)} cells with {len(low)} and {len(high)} bounds: must be as many")
        self.low, self.high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
        self._code: Mapping[str, int] = {c: i for i, c in enumerate(self.cells) if c not in (UNSEEN, OTHER)}
        size = len(self.cells)
        middle: NDArray[np.float64] = np.clip((self.low + self.high) / 2, 1e-6, 1.0)
        self._usual = middle / middle.sum()
        pushed = [(1 - push) * self._usual + push * np.eye(size) for push in PUSHES]
        fixed = e_values(np.concatenate(pushed), self.low, self.high)
        bets = np.concatenate([fixed, np.ones((len(HALF_LIVES), size))])
        self._pays = _single(bets.T)  # a row for each category
        self._weights = np.full(bets.shape[0], 0.5 / fixed.shape[0])
        self._weights[-len(HALF_LIVES) :] = 0.5 / len(HALF_LIVES)
        self.counts: NDArray[np.float64] = np.zeros((len(HALF_LIVES), size))
        self.money = np.zeros(bets.shape[0])
        self._lately: list[int] = []  # taken into the counts at the next reckoning

    @classmethod
    def learn(cls, values: Sequence[Any], confidence: float = CONFIDENCE, recursion: Recursion = "e-sr") -> Self:
        """From the baseline's choices, in their order."""
        names = [category(value) for value in values]
        common = [name for name, _ in Counter(names).most_common()]
        cells = common if len(common) <= MOST_CELLS else common[: MOST_CELLS - 1]
        code = {cell: i for i, cell in enumerate(cells)}
        coded = np.array([code.get(name, len(cells)) for name in names], dtype=np.intp)
        size = len(cells) + (len(common) > len(cells))
        new, tried = _arrivals(names)
        factor = worth([coded == i for i in range(min(size, MOST_COLUMNS))]) if names else 1.0
        counts = np.bincount(coded, minlength=size) * factor
        low, high = cell_bounds(counts, new * factor, tried * factor, 1 - confidence)
        named = [*cells, *([OTHER] if size > len(cells) else []), UNSEEN]
        made = cls(named, low.tolist(), high.tolist(), recursion)
        made._code = {**code, **{name: len(cells) for name in common[len(cells) :]}}
        return made

    def update(self, x: Any) -> float:
        """Take a choice in; returns the evidence."""
        at = self._code.get(x) if type(x) is str else None
        if at is None:
            at = self._code.get(category(x), len(self.cells) - 1)
        self.recent.add(at)
        if len(self.recent.kept) == FULL:
            self.recent.trim()
        evidence = self._grow(self._pays[at])
        self._lately.append(at)
        if len(self._lately) == FRESH:
            self._reckon()
        return evidence

    def _reckon(self) -> None:
        """What do the predictors expect from now on? From decisions that are past, so that bets stay bets."""
        came = np.zeros((FRESH, len(self.cells)))
        came[ROWS, self._lately] = 1.0
        self._lately.clear()
        self.counts *= KEPT_SHARES[:, :1]
        self.counts += KEPT_SHARES[:, 1:] @ came
        expected = self.counts + PRIOR * self._usual
        expected /= expected.sum(axis=1, keepdims=True)
        self._pays[:, -len(HALF_LIVES) :] = _single(e_values(expected, self.low, self.high).T)

    def located(self) -> Change:
        """As `ChangeDetector`; `category` is the one that carries the change."""
        codes = self.recent.values()
        found = [
            (*since((codes == i).astype(np.float64), self.low[i], self.high[i]), i) for i in range(len(self.cells))
        ]
        _, began, direction, observed, i = max(found, key=lambda f: f[0])
        low, high = float(self.low[i]), float(self.high[i])
        return Change(began, began == codes.size < self.recent.n, direction, observed, low, high, self.cells[i])

    def learnt(self) -> dict[str, Any]:
        """As `ChangeDetector`."""
        return {
            "cells": list(self.cells), "low": self.low.tolist(), "high": self.high.tolist(),
            "recursion": self.recursion,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """As `ChangeDetector`."""
        rest = {name: at for name, at in self._code.items() if at >= len(self.cells) or self.cells[at] != name}
        return super().state() | {
            "counts": self.counts.tolist(), "lately": list(self._lately), "rest": rest,
            "pays": self._pays[:, -len(HALF_LIVES) :].tolist(),
        }  # fmt: skip

    def resume(self, state: Mapping[str, Any]) -> None:
        """As `ChangeDetector`."""
        super().resume(state)
        self.counts = np.array(state["counts"], dtype=np.float64)
        self._lately = [int(at) for at in state["lately"]]
        self._code = {**self._code, **state["rest"]}
        self._pays[:, -len(HALF_LIVES) :] = np.array(state["pays"], dtype=np.float32)


def category(value: Any) -> str:
    """The name of a choice: a text is itself, anything else how JSON would write it; long ones by their beginning.

    >>> category("ETH"), category(None), category(True), len(category("x" * 1000)) < 100
    ('ETH', 'null', 'true', True)
    """
    if isinstance(value, str):
        name = value
    elif value is None or isinstance(value, bool):
        name = {None: "null", True: "true", False: "false"}[value]
    else:
        name = repr(value)
    if name in (UNSEEN, OTHER):
        return f"'{name}'"
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}... ({len(name)})"


def _single(pays: NDArray[np.float64]) -> NDArray[np.float32]:
    """In single precision, which is half of the room, and never more than it was."""
    return np.minimum(pays * (1 - 2.0**-23), 1e38).astype(np.float32, order="C")


def _arrivals(names: Sequence[str]) -> tuple[int, int]:
    """How often did something new come up after the first third, and how many decisions is that?

    The share of what was not seen yet only falls: what these decisions say of it bounds what it is after them.
    """
    first = len(names) // 3
    seen = set(names[:first])
    new = 0
    for name in names[first:]:
        new += name not in seen
        seen.add(name)
    return new, len(names) - first
