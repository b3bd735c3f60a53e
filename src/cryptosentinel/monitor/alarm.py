"""An alarm, and what it says: which stream, since when, by how much, with which promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptosentinel.monitor.recent import Change
from cryptosentinel.types import Finding, Ref


@dataclass(frozen=True, slots=True)
class Alarm:
    """A stream's behaviour has changed.

    `time` is the event's own, `decision` counts the stream's numbers, each of them one `each` (a decision, an hour).
    `evidence` reached `threshold`; where nothing has changed, all streams taken together do so once in
    `run_length_guarantee` decisions on average, or more rarely.
    """

    time: Any
    agent: str
    stream: str
    detector: str
    evidence: float
    threshold: float
    run_length_guarantee: float
    event: str
    change: Change
    unit: str = ""
    decision: int = 0
    each: str = "decision"

    def as_dict(self) -> dict[str, Any]:
        """One line of `monitor replay`."""
        return {
            "time": self.time, "agent": self.agent, "stream": self.stream, "detector": self.detector,
            "evidence": self.evidence, "threshold": self.threshold,
            "run_length_guarantee": self.run_length_guarantee, "event": self.event,
            "decision": self.decision,
            "unit": self.unit,
            "each": self.each,
            "change": self.change.as_dict() | {"sentence": self.sentence},
        }  # fmt: skip

    @property
    def sentence(self) -> str:
        """What a person reads."""
        c = self.change
        unit = f" {self.unit}" if self.unit else ""
        what = f"'{c.category}' of " if c.category else ""
        side = f"at most {c.high:.3g}" if c.direction == "up" else f"at least {c.low:.3g}"
        began = f"{'at least ' if c.open_start else ''}{c.began} {self.each}{'s' if c.began != 1 else ''}"
        return (
            f"{self.agent}: {what}{self.stream} is {c.observed:.3g}{unit} over the last {began}, "
            f"where the baseline allows {side}"
        )

    def finding(self) -> Finding:
        """For the ledger and the policy; the score is over 0.5 from the threshold on."""
        share = self.evidence / (self.evidence + self.threshold)
        return Finding(
            source=f"monitor:{self.detector}", version=1, subject=Ref("stream", f"{self.agent}/{self.stream}"),
            score=min(1.0, max(0.0, share)), reason=self.sentence,
            evidence={"evidence": self.evidence, "event": self.event, "change": self.change.as_dict()},
            params={"threshold": self.threshold, "run_length_guarantee": self.run_length_guarantee},
        )  # fmt: skip

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Alarm:
        """The alarm that `as_dict` wrote."""
        change = {k: v for k, v in body["change"].items() if k != "sentence"}
        return cls(**{k: v for k, v in body.items() if k != "change"}, change=Change(**change))
