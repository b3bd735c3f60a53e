"""What does a baseline of the agent's own conversations add, and what does it hold wrongly when the task is new?"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.guard_cuts import held
from bench.guard_traces import judge, load
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.profile import Profile
from cryptosentinel.guard.scorer import Weights
from cryptosentinel.guard.traces import steps
from cryptosentinel.metrics import wilson
from cryptosentinel.types import Event

FOLDS = 5
BASELINES = (  # part, what is left out together, share of the baseline that is attacked and not known to be
    ("asb", "conversation", 0.0),
    ("asb", "conversation", 0.01),
    ("asb", "conversation", 0.05),
    ("asb_planning_backdoor", "conversation", 0.0),
    ("agentdojo", "conversation", 0.0),
    ("agentdojo", "task", 0.0),
    ("taubench_airline", "task", 0.0),
)
Row = dict[str, Any]


def baseline_rows(data: Path, weights: Weights) -> list[Row]:
    """Share held, with all checks and with `unusual` alone; the baseline is the benign traces of the other folds.

    A baseline takes no label but that: with a share above 0 so much of it are attacked traces.
    """
    made: list[Row] = []
    for part, left_out, attacked in BASELINES:
        rows = load(data, part)
        keys = [_request(row) if left_out == "task" else str(n) for n, row in enumerate(rows)]
        drawn = sorted(set(keys))
        random.Random(0).shuffle(drawn)
        found: dict[str, dict[str, list[bool]]] = {"all checks": defaultdict(list), "unusual alone": defaultdict(list)}
        for fold in range(FOLDS):
            own = set(drawn[fold::FOLDS])
            others = [row for key, row in zip(keys, rows, strict=True) if key not in own]
            profile = Profile.learn(events_of(row) for row in _baseline(others, attacked))
            judged = judge(
                part, [r for k, r in zip(keys, rows, strict=True) if k in own], partial(Guard, profile=profile)
            )
            for t in judged:
                found["all checks"][t.label].append(held(t, weights))
                found["unusual alone"][t.label].append(held(t, Weights(_only(weights, "unusual"), {})))
        for checks, labels in found.items():
            where = {"part": part, "left_out": left_out, "attacked": attacked, "checks": checks}
            made += [where | {"label": k, "held": wilson(sum(v), len(v)).as_dict()} for k, v in sorted(labels.items())]
    return made


def events_of(row: Mapping[str, Any]) -> list[Event]:
    """The events of a trace."""
    return [event for _, events in steps({**row, "id": ""}) for event in events]


def _baseline(rows: Sequence[Row], attacked: float) -> list[Row]:
    honest = [row for row in rows if row["label"] == "benign"]
    others = [row for row in rows if row["label"] == "attack_succeeded"]
    return honest + random.Random(0).sample(others, round(len(honest) * attacked / (1 - attacked)))


def _only(weights: Weights, name: str) -> dict[str, Any]:
    silent: Callable[[Any], Any] = lambda one: type(one)(one.cut, one.slope, {})  # noqa: E731
    return {k: one if k == name else silent(one) for k, one in weights.checks.items()}


def _request(row: Mapping[str, Any]) -> str:
    return next((str(m["content"]) for m in row["messages"] if m["role"] == "user"), "")
