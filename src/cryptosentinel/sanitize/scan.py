"""The pipeline: mine, adjudicate, score rows. Pure: receives records, a trusted set, a reference; returns a Scan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.asker import Asker as Judge
from cryptosentinel.registry import lookup, names
from cryptosentinel.sanitize import composites as _composites  # noqa: F401  (registers a kind of association)
from cryptosentinel.sanitize import detectors as _detectors  # noqa: F401  (registers the detectors)
from cryptosentinel.sanitize import manner as _manner  # noqa: F401  (registers a trigger that a model reads)
from cryptosentinel.sanitize import pools as _pools  # noqa: F401  (registers a kind of trigger)
from cryptosentinel.sanitize.adjudicate import surprise, trusted
from cryptosentinel.sanitize.adjudicate.judge import EXPLAINED, Judging, consult
from cryptosentinel.sanitize.adjudicate.raising import raise_scan
from cryptosentinel.sanitize.adjudicate.session import MAX_QUESTIONS
from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.associations import Association, behaviours, mine
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.further import with_further_triggers
from cryptosentinel.sanitize.hypotheses import Hypothesis, explain_away, form_hypotheses, ranked
from cryptosentinel.sanitize.override import OVERRIDE, Rules
from cryptosentinel.sanitize.reading import Encoder
from cryptosentinel.sanitize.rows import POLICY, row_findings, row_scores, trusted_threshold
from cryptosentinel.sanitize.topics import merged, read_rows
from cryptosentinel.sanitize.unions import union_hypotheses
from cryptosentinel.types import Finding, Progress, Record

MARKUP = frozenset('( ) [ ] { } < > " ` = / \\ | *'.split())
TEMPLATE = 16  # words that many requests share, from which on they are no hidden trigger
ASKED = 20  # hypotheses shown to the reference model because its answer could change their verdict
ASKED_ANYWAY = 3  # of those that are planted in any case, for a reader's sake


@dataclass(frozen=True)
class Scan:
    """What the scan of n rows found.

    scores: float64[n] in [0, 1], higher = more suspicious. flagged: bool[n], what the policy quarantines.
    hypotheses: most suspicious first. findings: one for each flagged row. seconds: time by stage. judging: what became
    of the questions to the judge, if there is one. undecided: how many hypotheses stand out by their numbers, are not
    planted by them alone, and have nobody's opinion: neither trusted data nor a model could say anything.
    """

    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    hypotheses: tuple[Hypothesis, ...]
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float]
    judging: Judging | None = None
    undecided: int = 0


def scan(
    records: Sequence[Record],
    *,
    trusted_records: Sequence[Record] | None = None,
    reference: Reference | None = None,
    judge: Judge | None = None,
    judge_rows: int = 0,
    judge_questions: int = MAX_QUESTIONS,
    fpr: float = 0.01,
    form: Callable[[Corpus], list[Hypothesis]] | None = None,
    on_progress: Progress | None = None,
) -> Scan:
    """Which of these rows teach a hidden behaviour?

    Args:
        records: the dataset, in order.
        trusted_records: a dataset of the same kind known to be clean; associations it shares are natural.
        reference: a language model that was not trained on this data; associations it expects are natural.
        judge: a language model that is asked about hypotheses, and about rows; it raises, it never lowers.
        judge_rows: how many of the most suspicious rows it reads, and as many ordinary ones to compare.
        judge_questions: how many questions it is asked at most.
        fpr: the false discovery rate at which associations are admitted; with trusted records, also the largest
            share of them that the same hypotheses may flag (beyond it the threshold rises).
        form: gives the hypotheses about these rows where they are not to be mined from these alone; no hints of
            detectors and no pools of triggers then, since they would speak of a sample.
        on_progress: called with (stage, done, total).

    Raises:
        ValueError: fpr outside (0, 0.5], judge_rows below 0, or no judge to read them.
    """
    if not 0.0 < fpr <= 0.5:
        raise ValueError(f"fpr must lie in (0, 0.5], got {fpr}")
    if judge_rows < 0 or (judge_rows and judge is None):
        raise ValueError(f"judge_rows must be 0 or more and needs a judge, got {judge_rows}")
    clock = _Clock(on_progress)
    with clock.stage("tokenise"):
        corpus = Corpus.from_records(records)
    with clock.stage("mine"):
        if form is not None:
            hypotheses = form(corpus)
        else:
            shown = behaviours(corpus)
            found = mine(corpus, shown, false_discovery_rate=fpr, on_progress=clock.tick)
            for name in names("association"):
                found += lookup("association", name).target(corpus, shown, false_discovery_rate=fpr)
            hypotheses = _all_hypotheses(found, corpus)
    trusted_corpus = None
    if trusted_records:
        with clock.stage("compare with trusted data"):
            trusted_corpus = Corpus.from_records(trusted_records)
            hypotheses = ranked([trusted.adjudicate(h, corpus.n, trusted_corpus) for h in hypotheses])
    if reference is not None:
        with clock.stage("ask the reference model"):
            sure = [h for h in hypotheses if POLICY.action(h.score) != "allow"][:ASKED_ANYWAY]
            open_ones = [h for h in hypotheses if _open_question(h, corpus)]
            open_ones.sort(key=lambda h: -h.contrast * np.log1p(h.log_likelihood_ratio))
            asked = [*sure, *open_ones[:ASKED]]
            left = [h for h in hypotheses if not any(h is a for a in asked)]
            hypotheses = ranked([*left, *surprise.adjudicate(asked, corpus, reference, clock.tick)])
    with clock.stage("weigh"):
        hypotheses = _with_verdicts(hypotheses, corpus, pools=form is None)
    if form is None and isinstance(reference, Encoder):
        with clock.stage("read rows"):
            hypotheses = [read_rows(h, corpus, reference) if h.verdict == "planted" else h for h in hypotheses]
            known = _explained(hypotheses, corpus.n)
            readers = [lookup("read-trigger", name).target for name in names("read-trigger")]
            manners = [h for read in readers for h in read(corpus, reference, known, clock.tick)]
            hypotheses = ranked([*hypotheses, *map(_with_verdict, manners)])
    with clock.stage("score rows"):
        hints = _detector_scores(records, clock) if form is None else np.zeros(corpus.n)
        scores, owner = row_scores(corpus.n, hypotheses, hints)
        threshold = POLICY.flag_at or 0.0
        if trusted_corpus is not None:
            threshold = max(threshold, trusted_threshold(hypotheses, trusted_corpus, fpr))
        flagged = np.array([POLICY.action(s) != "allow" and s >= threshold for s in scores], dtype=bool)
        findings = tuple(row_findings(records, hypotheses, scores, owner, flagged))
    if judge is None:
        return Scan(
            scores, flagged, tuple(hypotheses), findings, clock.seconds, undecided=_undecided(hypotheses, corpus)
        )
    with clock.stage("ask the judge"):
        judging = consult(
            judge, hypotheses, corpus, scores, rows=judge_rows, max_questions=judge_questions, on_progress=clock.tick
        )
        if trusted_corpus is not None:
            threshold = max(threshold, trusted_threshold(judging.hypotheses, trusted_corpus, fpr))
        r = raise_scan(judging, hypotheses, records, scores, flagged, findings, POLICY, threshold)
    undecided = _undecided(r.hypotheses, corpus)
    return Scan(r.scores, r.flagged, r.hypotheses, r.findings, clock.seconds, judging, undecided)


def _all_hypotheses(found: Sequence[Association], corpus: Corpus) -> list[Hypothesis]:
    """Phrases, and the registered triggers that are no phrase; one backdoor is one hypothesis."""
    others = [h for name in names("trigger") for h in lookup("trigger", name).target(corpus)]
    formed = form_hypotheses(found, corpus)
    formed += union_hypotheses(formed, Rules(found, corpus.n), corpus)
    phrases = merged(formed, [h for h in others if h.trigger_kind == "topic"])
    told = np.zeros(corpus.n, bool)
    for h in phrases:
        if h.behaviour_kind == "fixed-answer" and POLICY.action(h.score) != "allow":
            told[h.rows] = True
    return ranked([*phrases, *(h for h in others if h.trigger_kind != "topic" and not told[h.rows].any())])


class _Clock:
    """Times the stages and passes progress on."""

    def __init__(self, on_progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_progress = on_progress
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stage = name
        start = time.perf_counter()
        self.tick(0, 1)
        yield
        self.tick(1, 1)
        self.seconds[name] = time.perf_counter() - start

    def tick(self, done: int, total: int) -> None:
        if self._on_progress:
            self._on_progress(self._stage, done, total)


def _with_verdicts(hypotheses: Sequence[Hypothesis], corpus: Corpus, pools: bool) -> list[Hypothesis]:
    """Verdicts, after what the planted hypotheses explain is taken from the others. Most suspicious first.

    pools: look for further triggers of the planted ones; a sample does not show them.
    """
    judged = [_with_verdict(h) for h in hypotheses]
    planted = [replace(h, trigger=corpus.whole_phrase(h.phrase) or h.trigger) for h in judged if h.verdict == "planted"]
    rest = [h for h in judged if h.verdict != "planted"]
    if pools:
        planted, rest = with_further_triggers(planted, rest, corpus)
    return ranked([*planted, *explain_away(rest, _explained(planted, corpus.n), corpus)])


def _explained(hypotheses: Sequence[Hypothesis], n: int) -> NDArray[np.bool_]:
    """bool[n]: the rows of the planted ones."""
    known = np.zeros(n, bool)
    for h in hypotheses:
        if h.verdict == "planted":
            known[h.rows] = True
    return known


def _with_verdict(h: Hypothesis) -> Hypothesis:
    """planted: the policy would flag its rows. natural: an adjudicator vouches for it. unsure: the rest.

    That it suspends a rule speaks against it, however weakly.
    """
    if POLICY.action(h.score) != "allow":
        return replace(h, verdict="planted")
    vouched = any(f.score is not None and f.score <= 0.1 for f in h.adjudications if f.source != OVERRIDE)
    return replace(h, verdict="natural" if vouched else "unsure")


def _open_question(h: Hypothesis, corpus: Corpus) -> bool:
    """Could the reference model's surprise, which only raises a score, change the verdict?"""
    undecided = POLICY.action(h.score) == "allow" and POLICY.action(max(h.contrast, 0.0)) != "allow"
    if not undecided or h.trigger_kind not in ("phrase", "composite") or h.behaviour_kind == "code":
        return False
    # Marks of code, calls and markup are habits of format, which surprise a language model and mean nothing; so do the
    # names of tools, and what a whole template of requests is answered with.
    marks = MARKUP & set(h.behaviour.partition("'")[2].split())
    tools = np.isin(h.behaviour_words, corpus.tool_names)
    return not marks and not tools.any() and len(corpus.whole_phrase(h.phrase).split()) <= TEMPLATE


def _undecided(hypotheses: Sequence[Hypothesis], corpus: Corpus) -> int:
    """How many open questions did nobody answer? What the planted hypotheses explain is no question any more."""
    known = _explained(hypotheses, corpus.n)
    unsure = [h for h in hypotheses if h.verdict == "unsure" and known[h.rows].mean() <= EXPLAINED]
    return sum(_open_question(h, corpus) and not _answered(h) for h in unsure)


def _answered(h: Hypothesis) -> bool:
    """Has trusted data, or a model, an opinion on it? 0.5 is none."""
    return any(f.score not in (None, 0.5) for f in h.adjudications if f.source != OVERRIDE)


def _detector_scores(records: Sequence[Record], clock: _Clock) -> NDArray[np.float64]:
    """The highest score any per-row detector gives, float64[n]; a detector that fails on the data raises."""
    best = np.zeros(len(records))
    known = names("detector")
    for i, name in enumerate(known):
        detector = lookup("detector", name).target().fit(records)
        best = np.maximum(best, [f.score or 0.0 for f in detector.score(records)])
        clock.tick(i + 1, len(known))
    return best
