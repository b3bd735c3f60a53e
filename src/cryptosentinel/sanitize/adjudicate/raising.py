"""What a judge's answers do to the result of a scan: they raise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.policy import Policy
from cryptosentinel.sanitize.adjudicate.judge import Judging
from cryptosentinel.sanitize.hypotheses import Hypothesis, ranked
from cryptosentinel.types import Finding, Record, Ref


@dataclass(frozen=True)
class Raised:
    """A scan's result after the judge: each score at least what it was, each flagged row still flagged."""

    hypotheses: tuple[Hypothesis, ...]
    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    findings: tuple[Finding, ...]


def raise_scan(
    judging: Judging,
    before: Sequence[Hypothesis],
    records: Sequence[Record],
    scores: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    findings: Sequence[Finding],
    policy: Policy,
    threshold: float,
) -> Raised:
    """Put what the judge raised into the local result.

    Rows of a raised hypothesis are flagged from `threshold` on, rows raised by themselves from the policy's threshold.
    """
    after = ranked(judging.hypotheses)
    place = {id(h): i for i, h in enumerate(after)}
    new, owner = scores.copy(), np.full(scores.size, -1, np.int64)
    for h, old in zip(judging.hypotheses, before, strict=True):
        if h.score > old.score:
            better = h.rows[h.score > new[h.rows]]
            new[better], owner[better] = h.score, place[id(h)]
    by_hypothesis = (owner >= 0) & (new >= threshold)
    by_itself = judging.rows.raised_to > new
    new = np.maximum(new, judging.rows.raised_to)
    acts = np.array([policy.action(s) != "allow" for s in new], dtype=bool)
    fresh = ~flagged & acts & (by_hypothesis | by_itself)
    moved = [place[id(h)] for h in judging.hypotheses]
    told = [_renumbered(f, moved) for f in findings]
    for i in np.flatnonzero(fresh).tolist():
        cause = None if by_itself[i] else after[owner[i]]
        reason = (
            f"the prompt has '{cause.trigger}' and the answer {cause.behaviour}, which the judge holds to be planted"
            if cause
            else "the judge finds this row malicious"
        )
        evidence = {"id": records[i].id, "hypothesis": int(owner[i]) if cause else -1}
        told.append(Finding("scan", 1, Ref("row", str(i)), float(new[i]), reason=reason, evidence=evidence))
    return Raised(tuple(after), new, flagged | fresh, tuple(told))


def _renumbered(f: Finding, moved: Sequence[int]) -> Finding:
    """The finding with the place its hypothesis has now."""
    old = f.evidence.get("hypothesis", -1)
    return replace(f, evidence={**f.evidence, "hypothesis": moved[old]}) if old >= 0 else f
