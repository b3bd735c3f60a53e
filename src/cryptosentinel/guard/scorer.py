"""How do findings become three scores? A logistic over the checks' scores, with weights fitted elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.types import Finding

SCORES = ("suspicion", "consistency", "safety")


@dataclass(frozen=True, slots=True)
class Scores:
    """Three numbers in [0, 1], higher is worse.

    suspicion: is somebody steering the agent? consistency: how little does the step follow from the task and from what
    the agent said and saw? safety: how likely does it do harm if it goes through? The policy acts on `safety`.
    """

    suspicion: float = 0.0
    consistency: float = 0.0
    safety: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The three, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Weights:
    """For each score an intercept and one weight a check; `source` says how they were come by."""

    intercept: Mapping[str, float]
    weights: Mapping[str, Mapping[str, float]]
    source: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> Weights:
        """Read weights from a JSON file; without one, those that come with the package.

        Raises:
            ConfigError: the file is missing or is no such document.
        """
        return _shipped() if path is None else _parsed(path.read_text("utf-8"), str(path))

    def scores(self, findings: Sequence[Finding]) -> Scores:
        """The scores of one step; a finding that could not be evaluated counts as the worst of its check."""
        features: dict[str, float] = {}
        for f in findings:
            if f.status != "not_evaluated":
                features[f.source] = max(features.get(f.source, 0.0), 1.0 if f.score is None else f.score)
        return Scores(*(self._one(name, features) for name in SCORES))

    def _one(self, name: str, features: Mapping[str, float]) -> float:
        weights = self.weights[name]
        if not any(weights.get(f) for f in features):
            return 0.0
        total = self.intercept[name] + sum(weights.get(f, 0.0) * value for f, value in features.items())
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, total))))


@cache
def _shipped() -> Weights:
    return _parsed((files("cryptosentinel.guard") / "weights.json").read_text("utf-8"), "weights.json")


def _parsed(text: str, name: str) -> Weights:
    try:
        document = json.loads(text)
        scores = document["scores"]
        intercept = {s: float(scores[s]["intercept"]) for s in SCORES}
        weights = {s: {str(k): float(v) for k, v in scores[s]["weights"].items()} for s in SCORES}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{name}: no weights of a guard: {type(error).__name__}: {error}") from None
    if not all(math.isfinite(v) for group in (intercept, *weights.values()) for v in group.values()):
        raise ConfigError(f"{name}: weights must be finite numbers")
    return Weights(intercept, weights, document.get("source", {}))
