"""Was this association there before? A trusted dataset of the same kind knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.metrics import wilson
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis, with_score
from cryptosentinel.types import Finding

LEAST_ROWS = 3  # trusted rows with the trigger below which its confidence there says nothing
LEAST_EXPECTED = 5.0  # trusted rows that should have the trigger before its absence says something


def found_in(h: Hypothesis, corpus: Corpus) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of another corpus with the trigger, and those that show the behaviour; ascending.

    A topic has no words of its own to be told by: there every row that shows the behaviour counts as on it. A manner
    cannot be told in other data: none.
    """
    shows = corpus.showing(h.behaviour_kind, h.behaviour_words)
    if h.trigger_kind == "topic":
        return shows, shows
    phrases = [h.phrase] if h.phrase.size else [h.trigger_words[i : i + 1] for i in range(h.trigger_words.size)]
    found = [np.zeros(0, np.int64), *(corpus.with_trigger(p) for p in phrases)]
    if h.trigger_kind == "composite":
        return np.intersect1d(found[1], found[-1], assume_unique=True), shows
    return np.unique(np.concatenate(found)), shows


def adjudicate(h: Hypothesis, scanned_rows: int, trusted: Corpus) -> Hypothesis:
    """Does the trusted data show the same association, its opposite, or no such trigger at all?

    Same (lower bound at least half the confidence seen here): natural, the score falls to a fifth. Opposite (upper
    bound below half): the score rises to the contrast. Trigger absent although its rate here promises five rows or
    more there: new in this data, the score rises to 0.8 of the contrast. Else no opinion. A name that comes up on a
    topic is natural if it comes up unasked in the trusted data at least half as often; its absence says nothing.
    """
    there, shows = found_in(h, trusted)
    subject = h.ref
    expected = h.trigger_rows.size * trusted.n / max(scanned_rows, 1)
    if h.trigger_kind == "topic":
        return _topic(h, int(shows.size), scanned_rows, trusted.n)
    if there.size >= LEAST_ROWS:
        both = int(np.intersect1d(there, shows).size)
        rate = wilson(both, int(there.size))
        evidence = {"rows_with_trigger": int(there.size), "rows_with_both": both, "rate": rate.value}
        if rate.low >= 0.5 * h.confidence:
            reason = f"the trusted data has it too: {both} of {there.size} rows with the trigger"
            return with_score(h, 0.2 * h.score, Finding("trusted", 1, subject, 0.0, reason=reason, evidence=evidence))
        if rate.high < 0.5 * h.confidence:
            reason = f"the trusted data has the trigger without the behaviour: {both} of {there.size} rows show it"
            found = Finding("trusted", 1, subject, 1.0, reason=reason, evidence=evidence)
            return with_score(h, max(h.score, h.contrast), found)
        reason = f"the trusted data is undecided: {both} of {there.size} rows with the trigger show it"
        return with_score(h, h.score, Finding("trusted", 1, subject, 0.5, reason=reason, evidence=evidence))
    evidence = {"rows_with_trigger": int(there.size), "rows_expected": round(expected, 1)}
    if expected >= LEAST_EXPECTED and not there.size:
        reason = f"the trigger is new: the trusted data has none, {expected:.0f} rows would be expected at this rate"
        found = Finding("trusted", 1, subject, 0.8, reason=reason, evidence=evidence)
        return with_score(h, max(h.score, 0.8 * h.contrast), found)
    reason = f"the trusted data has too few rows with the trigger to tell ({there.size})"
    found = Finding("trusted", 1, subject, None, status="not_evaluated", reason=reason, evidence=evidence)
    return with_score(h, h.score, found)


def _topic(h: Hypothesis, shows: int, scanned_rows: int, trusted_rows: int) -> Hypothesis:
    rate, here = wilson(shows, trusted_rows), h.support / max(scanned_rows, 1)
    evidence = {"rows_with_behaviour": shows, "rate": rate.value}
    natural = rate.low >= 0.5 * here
    often = "at least half as often" if natural else "less than half as often, or too seldom to tell"
    reason = f"in the trusted data it comes up unasked in {shows} of {trusted_rows} rows, {often}"
    found = Finding("trusted", 1, h.ref, 0.0 if natural else 0.5, reason=reason, evidence=evidence)
    return with_score(h, 0.2 * h.score if natural else h.score, found)
