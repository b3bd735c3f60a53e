"""How do findings become three scores? Each check is calibrated by itself, and the worst one counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.types import Finding

SCORES = ("suspicion", "consistency", "safety")
UNKNOWN = 0.5  # the cut of a check without a calibration: a third party's, taken at its word


@dataclass(frozen=True, slots=True)
class Scores:
    """Three numbers in [0, 1], higher is worse.

    suspicion: is somebody steering the agent? consistency: how little does the step follow from the task and from what
    the agent said and saw? safety: should this step not go through? The policy acts on `safety`; 0.5 is the cut.
    """

    suspicion: float = 0.0
    consistency: float = 0.0
    safety: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The three, for JSON."""
        return {"suspicion": self.suspicion, "consistency": self.consistency, "safety": self.safety}


@dataclass(frozen=True, slots=True)
class Calibration:
    """How much does a check's score say? Logistic: 0.5 at `cut`; `shares` is what it may add to each of the scores."""

    cut: float
    slope: float
    shares: Mapping[str, float]

    def chance(self, score: float) -> float:
        """The score, calibrated.

        >>> Calibration(0.25, 12.0, {}).chance(0.25)
        0.5
        """
        return 1.0 / (1.0 + math.exp(-self.slope * (score - self.cut)))


@dataclass(frozen=True, slots=True)
class Weights:
    """The calibration of every check; `source` says how it was come by."""

    checks: Mapping[str, Calibration]
    source: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> Weights:
        """Read weights from a JSON file; without one, those that come with the package.

        Raises:
            ConfigError: the file is missing or is no such document.
        """
        if path is None:
            return _shipped()
        try:
            return parse(path.read_text("utf-8"), str(path))
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the weights: {error.strerror or error}") from None

    def scores(self, findings: Sequence[Finding]) -> Scores:
        """The scores of one step; a check that could not run counts as the worst it can say."""
        worst = dict.fromkeys(SCORES, 0.0)
        for f in findings:
            if f.status == "not_evaluated":
                continue
            known = self.checks.get(f.source) or _UNKNOWN
            chance = known.chance(1.0 if f.score is None else f.score)
            for name in SCORES:
                worst[name] = max(worst[name], known.shares.get(name, 0.0) * chance)
        return Scores(**{name: round(value, 6) for name, value in worst.items()})


_UNKNOWN = Calibration(UNKNOWN, 10.0, dict.fromkeys(SCORES, 1.0))


@cache
def _shipped() -> Weights:
    return parse((files("cryptosentinel.guard") / "weights.json").read_text("utf-8"), "weights.json")


def parse(text: str, name: str) -> Weights:
    """Weights from JSON text; `name` is said in errors.

    Raises:
        ConfigError: it is no such document, or a number is out of range.
    """
    try:
        document = json.loads(text)
        checks = {
            str(check): Calibration(
                float(one["cut"]), float(one["slope"]), {s: float(one["shares"].get(s, 0.0)) for s in SCORES}
            )
            for check, one in document["checks"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{name}: no weights of a guard: {type(error).__name__}: {error}") from None
    for check, one in checks.items():
        shares = list(one.shares.values())
        if not (0.0 <= one.cut <= 1.0 and 0.0 < one.slope <= 1000.0 and all(0.0 <= s <= 1.0 for s in shares)):
            raise ConfigError(f"{name}: {check}: cut and shares must lie in [0, 1], slope in (0, 1000]")
    return Weights(checks, document.get("source", {}))
