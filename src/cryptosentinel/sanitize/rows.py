"""What does every row score, by the hypotheses it supports, and why is it quarantined?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.policy import Policy
from cryptosentinel.sanitize.adjudicate import trusted
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis
from cryptosentinel.types import Finding, Record, Ref

POLICY = Policy("scan", flag_at=0.5)
UNSURE_AT_MOST = 0.49
HINT = 0.2  # what a per-row detector's score counts beside a hypothesis: it says "odd", not "backdoor"
VOUCHED = 0.3  # what is left of the score of a row when an adjudicator finds the association natural
TRIGGER_ALONE = 0.5  # what a planted hypothesis counts for a row that has the trigger without the behaviour


def row_value(h: Hypothesis) -> float:
    """What a row scores that supports the hypothesis: below the policy's threshold unless it is planted."""
    if h.verdict == "planted":
        return h.score
    return min(h.score, UNSURE_AT_MOST) * (VOUCHED if h.verdict == "natural" else 1.0)


def row_scores(
    n: int, hypotheses: Sequence[Hypothesis], hints: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The strongest hypothesis a row supports decides; unsure ones and hints stay below the policy's threshold.

    Returns (scores, index of the hypothesis that decided or -1).
    """
    scores, owner = np.zeros(n), np.full(n, -1, np.int64)
    for i, h in enumerate(hypotheses):
        value = row_value(h)
        least = (POLICY.flag_at or 0.0) if h.verdict == "planted" else 0.0
        own = least + (value - least) * h.certainty if h.certainty.size else np.full(h.rows.size, value)
        better = own > scores[h.rows]
        scores[h.rows[better]], owner[h.rows[better]] = own[better], i
        if h.verdict == "planted" and h.trigger_kind == "phrase":  # the trigger alone is a hint, no proof
            scores[h.trigger_rows] = np.maximum(scores[h.trigger_rows], TRIGGER_ALONE * value)
    planted = scores >= (POLICY.flag_at or 0.0)
    scores = np.where(planted, scores, np.minimum(np.maximum(scores, HINT * hints), UNSURE_AT_MOST))
    return scores, owner


def trusted_threshold(hypotheses: Sequence[Hypothesis], corpus: Corpus, fpr: float) -> float:
    """The lowest threshold at which the planted hypotheses flag at most `fpr` of the trusted rows."""
    scores = np.zeros(corpus.n)
    for h in hypotheses:
        if h.verdict == "planted":
            both = np.intersect1d(*trusted.found_in(h, corpus))
            scores[both] = np.maximum(scores[both], h.score)
    allowed = int(fpr * corpus.n)
    highest = np.sort(scores)[::-1]
    return float(np.nextafter(highest[allowed], 2.0)) if highest.size > allowed and highest[allowed] > 0 else 0.0


def row_findings(
    records: Sequence[Record],
    hypotheses: Sequence[Hypothesis],
    scores: NDArray[np.float64],
    owner: NDArray[np.int64],
    flagged: NDArray[np.bool_],
) -> Iterator[Finding]:
    """One finding for each flagged row: what its prompt has, and what its answer does."""
    for i in np.flatnonzero(flagged).tolist():
        h = hypotheses[owner[i]]
        yield Finding(
            "scan", 1, Ref("row", str(i)), float(scores[i]),
            reason=f"the prompt {h.condition} and the answer {h.behaviour}, as in {h.support} rows",
            evidence={"id": records[i].id, "hypothesis": int(owner[i])},
        )  # fmt: skip
