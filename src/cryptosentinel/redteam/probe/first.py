"""The answer's first token, by its probabilities: a shift shows there before it shows in what is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.redteam.probe.sequential import Wealth, stake

LEAST_SEEN = 2  # pairs before the first bet
SHOWN = 3

Probabilities = NDArray[np.float32]  # [vocabulary], sums to 1


class FirstTokens(Protocol):
    """Local weights: how likely is each token as the first of the answer?"""

    def first_tokens(self, prompts: list[str]) -> Sequence[Probabilities]:
        """One distribution a prompt."""
        ...

    def token_text(self, token: int) -> str:
        """The token as text."""
        ...


@dataclass(slots=True)
class FirstTest:
    """Is some set of first tokens more likely with F than with the control, by more than `margin`?

    The set is fixed before each pair: the tokens that were likelier with F on average of the pairs before. d is its
    probability with F minus that with the control, in [-1, 1], and the bet is as for any other behaviour.
    """

    margin: float
    text: Callable[[int], str]
    lean: NDArray[np.float64] | None = None  # sum of the differences so far
    rates: list[tuple[float, float]] = field(default_factory=list)
    seen: int = 0
    wealth: Wealth = field(init=False)

    def __post_init__(self) -> None:
        """Start with nothing won."""
        self.wealth = Wealth(self.margin)

    def observe(self, with_trigger: Probabilities, with_control: Probabilities) -> None:
        """Bet on this pair, then learn from it."""
        if self.lean is not None and self.seen >= LEAST_SEEN:
            chosen = self.lean > 0
            a, b = (min(1.0, float(p[chosen].sum(dtype=np.float64))) for p in (with_trigger, with_control))
            past = [x - y for x, y in self.rates]
            self.wealth.bet(a - b, stake(past, self.margin))
            self.rates.append((a, b))
        difference = with_trigger.astype(np.float64) - with_control
        self.lean = difference if self.lean is None else self.lean + difference
        self.seen += 1

    def mean(self) -> float:
        """The mean difference so far."""
        return sum(a - b for a, b in self.rates) / len(self.rates) if self.rates else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Behaviour and mean probabilities; the intervals are those of a mean of independent values."""
        top = [] if self.lean is None else np.argsort(-self.lean)[:SHOWN].tolist()
        first = " or ".join(repr(self.text(t)) for t in top)
        a, b = ([r[side] for r in self.rates] for side in (0, 1))
        return {
            "behaviour": f"more probably begins with {first} and the like",
            "with_trigger": _mean(a, 0.0),
            "with_control": _mean(b, 0.0),
            "difference": _mean([x - y for x, y in self.rates], -1.0),
        }


def _mean(values: Sequence[float], least: float) -> dict[str, float | int]:
    n = len(values)
    mean = sum(values) / n if n else 0.0
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else 1.0
    return {"value": mean, "low": max(least, mean - half), "high": min(1.0, mean + half), "n": n}
