"""One stream: a detector, and whether its alarm is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.monitor.detectors import Categories, ChangeDetector, Mean, Rate, Scores, restored
from cryptosentinel.monitor.detectors.base import LEAST_BASELINE
from cryptosentinel.monitor.plan import Feature, Plan
from cryptosentinel.monitor.recent import Change

LEAST_QUIET = 100  # decisions without new evidence before an alarm is off
QUIET_DELAYS = 10  # or so many times as long as the change took to be seen


@dataclass(slots=True)
class Stream:
    """A detector with its alarm: on from an alarm until the evidence has stayed away for a while (hysteresis)."""

    agent: str
    name: str
    unit: str
    feature: str
    detector: ChangeDetector
    decisions: int = 0
    alarming: bool = False
    quiet: int = 0
    needed: int = 0
    told: tuple[str, str] = ("", "")  # direction and category of the last alarm
    last: float = 0.0
    peak: float = 0.0

    def update(self, value: Any) -> float:
        """Take a number in; returns the evidence."""
        self.decisions += 1
        self.last = evidence = self.detector.update(value)
        if evidence > self.peak:
            self.peak = evidence
        if self.alarming:
            self.quiet += 1
            if self.quiet >= self.needed:
                self.alarming = False
        return evidence

    def alarm(self) -> Change | None:
        """The evidence is enough: what has changed? None where that was said already. The evidence begins anew."""
        change = self.detector.located()
        told = (change.direction, change.category)
        new = not self.alarming or told != self.told
        self.alarming, self.quiet, self.told = True, 0, told
        self.needed = max(LEAST_QUIET, QUIET_DELAYS * change.began)
        self.detector.restart()
        return change if new else None

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "agent": self.agent, "name": self.name, "unit": self.unit, "feature": self.feature,
            "decisions": self.decisions, "alarming": self.alarming, "quiet": self.quiet, "needed": self.needed,
            "told": list(self.told), "last": self.last, "peak": self.peak, "detector": self.detector.state(),
        }  # fmt: skip

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Stream:
        """The stream whose `state` this is.

        Raises:
            DataError: a state that is none.
        """
        try:
            rest = {k: v for k, v in state.items() if k not in ("detector", "told")}
            return cls(**rest, detector=restored(state["detector"]), told=(state["told"][0], state["told"][1]))
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"no state of a stream: {type(error).__name__}: {error}") from None


def detector_for(
    feature: Feature, values: Sequence[Any], plan: Plan, declared: bool
) -> tuple[ChangeDetector | None, str]:
    """The detector that these baseline values make, or why there is none."""
    if len(values) < LEAST_BASELINE:
        return None, f"only {len(values)} baseline decisions (at least {LEAST_BASELINE})"
    if feature.kind == "categories":
        made: ChangeDetector = Categories.learn(values, plan.confidence, plan.recursion)
    elif feature.kind == "rate":
        made = Rate.learn(values, plan.confidence, plan.recursion, feature.direction)
    elif feature.kind == "mean":
        made = Mean.learn(values, plan.confidence, plan.recursion, feature.direction)
    else:
        made = Scores.learn(values, plan.confidence, plan.recursion)
    if not declared and len(set(map(str, values))) < 2:
        return None, "never changes"
    return (None, "the baseline is too short to tell anything from it") if made.blind else (made, "")
