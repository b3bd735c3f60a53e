"""A suspect held against its own topic: its rows, rows that ask the same without it, and a few of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.adjudicate.layout import is_layout
from cryptosentinel.sanitize.associations import mine
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import LEAST_MARGIN, SAME_TRIGGER, Hypothesis, form_hypotheses, suspicion
from cryptosentinel.sanitize.override import Rules
from cryptosentinel.types import Finding

ORDINARY_AT_MOST = 0.49  # below the policy's threshold
ALIKE = 0.3  # cosine from which on prompts have a topic in common
LEAST_LIKENESS = 0.6
MOST_PAIRS = 600
ASKED = 24  # rows of a hypothesis whose likeness is looked at


@dataclass(frozen=True)
class Surroundings:
    """Rows to examine together: n prompts and answers; `own` are the places of those with the suspect, ascending."""

    prompts: Sequence[str]
    answers: Sequence[str]
    own: NDArray[np.int64]
    false_discovery_rate: float


def examine(surroundings: Surroundings) -> list[Hypothesis]:
    """What does the suspect bring about, and could its topic bring it about? Most suspicious first; places as given.

    Rules that hold among these rows and that the suspect suspends count as in `form_hypotheses`. Nothing is suspicious
    that cannot be told from a layout or from the topic: where the suspect's prompts, its words left out, are nearer to
    one another than to any prompt without it.
    """
    corpus = Corpus.of(surroundings.prompts, surroundings.answers)
    found = mine(corpus, false_discovery_rate=surroundings.false_discovery_rate, most=MOST_PAIRS)
    own = surroundings.own
    named = [a for a in found if any(c.isalnum() or not c.isascii() for c in a.trigger)]  # marks alone are company
    about = [a for a in named if _overlap(a.trigger_rows, own) >= SAME_TRIGGER]
    rules = Rules(found, corpus.n)
    formed = []
    for h in form_hypotheses(about, corpus):
        if h.contrast >= LEAST_MARGIN:
            override = rules.overridden_by(h.trigger_rows)
            told = (override.finding(h.ref),) if override.weight > 0 else ()
            score = suspicion(h.contrast, h.share, override.weight)
            h = replace(h, override=override, score=score, adjudications=told)
        doubt = _doubt(h, corpus) if h.score > ORDINARY_AT_MOST else None
        if doubt is not None:
            h = replace(h, score=ORDINARY_AT_MOST, adjudications=(*h.adjudications, doubt))
        formed.append(h)
    return sorted(formed, key=lambda h: (-h.score, -h.log_likelihood_ratio, h.trigger, h.behaviour))


def _doubt(h: Hypothesis, corpus: Corpus) -> Finding | None:
    """Why these rows cannot show that it was planted; None if they can."""
    if is_layout(h):
        return Finding("layout", 1, h.ref, 0.0, reason="a layout is natural where it is asked for")
    rows = corpus.sample(h.rows, ASKED)
    others = np.setdiff1d(np.arange(corpus.n), h.trigger_rows)
    _, inside = corpus.neighbours.nearest_without(rows, others, h.trigger_words, 2)
    _, outside = corpus.neighbours.nearest_without(rows, h.trigger_rows, h.trigger_words, 1)
    within, without = float(np.median(inside[:, -1])), float(np.median(outside[:, 0]))
    if within < ALIKE or without >= LEAST_LIKENESS * within:
        return None
    reason = (
        f"prompts with the trigger are alike beyond it (cosine {within:.2f}), and none without it is as much like them "
        f"({without:.2f}): it cannot be told from its topic"
    )
    return Finding("topic", 1, h.ref, None, "not_evaluated", reason, {"within": within, "without": without})


def _overlap(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    both = np.intersect1d(a, b).size
    return both / max(a.size + b.size - both, 1)
