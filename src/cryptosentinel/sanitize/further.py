"""Which phrases that alone would not convict belong to a planted hypothesis? One backdoor may have several triggers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import EXACT, LEAST_MARGIN, Hypothesis
from cryptosentinel.sanitize.measures import log_likelihood_ratio
from cryptosentinel.sanitize.unions import any_of, on_their_own, rarest
from cryptosentinel.sanitize.wording import worded_alike

MOST_OTHERS = 0.5
CHANCE = 0.05  # of the rule that another trigger of a backdoor which suspends rules seems to suspend as well
ALIKE = 0.9  # share of its rows that show the planted behaviour


def with_further_triggers(
    planted: Sequence[Hypothesis], others: Sequence[Hypothesis], corpus: Corpus
) -> tuple[list[Hypothesis], list[Hypothesis]]:
    """The planted hypotheses with what else belongs to each of them, and the others that are left.

    Args:
        planted: the hypotheses that convict, most suspicious first.
        others: those that do not.
        corpus: what they are about.
    """
    known = np.zeros(corpus.n, bool)
    for h in planted:
        known[h.rows] = True
    left = list(others)
    found = []
    for h in planted:
        if h.trigger_kind == "phrase" and h.behaviour_kind not in EXACT:  # the labels of a task come with many phrases
            shows = corpus.showing(h.behaviour_kind, h.behaviour_words)
            open_ones = [o for o in left if o.contrast >= LEAST_MARGIN]
            suspending = [o for o in open_ones if _suspends_too(o, h, shows)]
            same = [o for o in open_ones if _behaves_alike(o, h) or any(o is s for s in suspending)]
            h = _with_rows(h, same, known, corpus)
            covered = {int(row) for p in planted if _behaves_alike(p, h) for row in p.trigger_rows}
            named = on_their_own(suspending, shows, covered)
            if named:
                h = _named(h, named, corpus)
                left = [o for o in left if not any(o is n for n in named)]
        found.append(h)
    return found, left


def _behaves_alike(a: Hypothesis, b: Hypothesis) -> bool:
    return a.behaviour_kind == b.behaviour_kind and np.array_equal(a.behaviour_words, b.behaviour_words)


def _suspends_too(o: Hypothesis, h: Hypothesis, shows: NDArray[np.int64]) -> bool:
    """Does it suspend a rule for the same answers, as the planted one does? A rule of the task has them, too."""
    if o.trigger_kind != "phrase" or o.verdict == "natural" or h.override.weight <= 0 or o.override.p > CHANCE:
        return False
    return float(np.isin(o.trigger_rows, shows).mean()) >= ALIKE


def _with_rows(h: Hypothesis, same: Sequence[Hypothesis], known: NDArray[np.bool_], corpus: Corpus) -> Hypothesis:
    """The hypothesis with the rows that another trigger of the same backdoor sets off.

    They show the very behaviour after a phrase that alone would not convict, or are worded alike; the latter only
    while they are fewer than its own rows: else the wording is not its own.
    """
    rows = np.unique(np.concatenate([h.rows, *(o.rows for o in same)]))
    in_doubt = ~known
    if h.behaviour_kind == "name":  # who asks for it is answered with it
        in_doubt[corpus.responses.row[corpus.responses.stems == h.behaviour_words[0]]] = False
    others = worded_alike(corpus, h.rows, np.flatnonzero(in_doubt))
    alike = 0 < others.size <= MOST_OTHERS * h.rows.size
    evidence = {"further_triggers": float(len(same)), "worded_alike": float(others.size if alike else 0)}
    if not (same or alike):
        return h
    return replace(h, rows=np.union1d(rows, others) if alike else rows, evidence={**h.evidence, **evidence})


def _named(h: Hypothesis, further: Sequence[Hypothesis], corpus: Corpus) -> Hypothesis:
    """One trigger of several phrases, the surest first."""
    all_of_them = [h, *further]
    with_trigger = np.unique(np.concatenate([o.trigger_rows for o in all_of_them]))
    shows = corpus.showing(h.behaviour_kind, h.behaviour_words)
    support = np.intersect1d(with_trigger, shows).size
    elsewhere = (shows.size - support) / max(corpus.n - with_trigger.size, 1)
    both, on_it, shown = np.array([[support], [with_trigger.size], [shows.size]])
    return replace(
        h,
        trigger=any_of(all_of_them),
        trigger_kind="pool",
        support=int(support),
        confidence=support / with_trigger.size,
        base_rate=elsewhere,
        neighbour_rate=elsewhere,  # the nearest prompts without one trigger have the others
        log_likelihood_ratio=float(log_likelihood_ratio(both, on_it, shown, corpus.n)[0]),
        q_value=max(o.q_value for o in all_of_them),
        trigger_rows=with_trigger,
        trigger_words=np.array([rarest(o.phrase, corpus) for o in all_of_them], np.uint64),
        phrase=np.zeros(0, np.uint64),
    )
