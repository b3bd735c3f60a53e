"""Was this association there before? A trusted dataset of the same kind knows."""

from __future__ import annotations

from cryptosentinel.metrics import wilson
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis, with_score
from cryptosentinel.types import Finding

LEAST_ROWS = 3  # trusted rows with the trigger below which its confidence there says nothing
LEAST_EXPECTED = 5.0  # trusted rows that should have the trigger before its absence says something


def adjudicate(h: Hypothesis, scanned_rows: int, trusted: Corpus) -> Hypothesis:
    """Does the trusted data show the same association, its opposite, or no such trigger at all?

    Same (lower bound at least half the confidence seen here): natural, the score falls to a fifth. Opposite (upper
    bound below half): the score rises to the contrast. Trigger absent although its rate here promises five rows or
    more there: new in this data, the score rises to 0.8 of the contrast. Else no opinion.
    """
    there = trusted.with_trigger(h.phrase)
    subject = h.ref
    expected = h.trigger_rows.size * trusted.n / max(scanned_rows, 1)
    if there.size >= LEAST_ROWS:
        shows = trusted.showing(h.behaviour_kind, h.behaviour_words)
        both = len(set(there.tolist()) & set(shows.tolist()))
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
