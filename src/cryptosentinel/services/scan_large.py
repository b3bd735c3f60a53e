"""A scan of data that need not fit into memory: counted by shards, examined by sample, judged on all rows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.datasets import Reject, no_readable_row
from cryptosentinel.datasets.frames import plan
from cryptosentinel.sanitize.associations import wilson_low
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.sanitize.hypotheses import LEAST_MARGIN, Hypothesis, TrialVerdict, ranked, suspicion
from cryptosentinel.sanitize.scan import POLICY, TRIGGER_ALONE, UNSURE_AT_MOST, Scan, row_value
from cryptosentinel.sanitize.screen import local
from cryptosentinel.sanitize.screen.choose import background, contrast_rows, suspect_rows
from cryptosentinel.sanitize.screen.pairs import Suspects, join
from cryptosentinel.sanitize.screen.shards import phrases_of
from cryptosentinel.services.scan_divide import divide
from cryptosentinel.services.scan_document import ScanReport
from cryptosentinel.services.scan_merge import merge_rows
from cryptosentinel.services.scan_rows import Dataset
from cryptosentinel.services.scan_shards import (
    Counted,
    Finished,
    PairTask,
    Rule,
    count_shard,
    find_suspects,
    finish_shard,
    key_of,
)
from cryptosentinel.types import Finding, Progress, Record, Ref

WHOLE = 50_000  # up to so many rows are examined as a whole
SUPPORT = 25  # rows that a phrase needs in the largest data; a backdoor takes about 250 at any size
LEAST_SUPPORT = 4
PART = 3_000_000  # phrases compared at once
SCORED = 0.02  # share of all rows that hypotheses short of planted may bring to be scored
MOST_RULES = 24
ORDINARY = 240  # rows of any kind among which each suspect is examined
MOST_HYPOTHESES = 400
Ints = NDArray[np.int64]
Form = Callable[[Corpus], list[Hypothesis]]


class Examine(Protocol):
    """The scan of rows in memory, with hypotheses that are mined from them or given."""

    def __call__(self, records: Sequence[Record], form: Form | None = None) -> Scan:
        """See `sanitize.scan`."""


@dataclass(frozen=True)
class LargeScan:
    """See `scan.Found`; index is an array. Valid while its engine and its folder are there."""

    scan: Scan
    records: Dataset
    index: Sequence[int]
    ids: pl.Series
    rejects: tuple[Reject, ...]
    rows_of: Mapping[str, int]
    seconds: Mapping[str, float]
    engine: Engine
    work: Path

    def divide(self, folder: Path, report: ScanReport) -> None:
        """Write clean.jsonl and quarantine.jsonl."""
        divide(self.engine, self.records.shards, report.scan.flagged, self.work, folder)


class Laps:
    """Seconds by stage, one after the other."""

    def __init__(self) -> None:
        """Start."""
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap was this stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def scan_large(
    paths: Sequence[Path], folder: Path, engine: Engine, examine: Examine, fpr: float, report: Progress
) -> LargeScan:
    """Which rows of these inputs teach a hidden behaviour?

    Up to `WHOLE` rows the result is that of `examine` on all of them. Beyond, the phrases that go with a behaviour most
    clearly are each held against rows of the same kind; `examine` judges what is left, among all these rows and a
    background that stands for the rest; what it holds to be planted is counted on all rows, and every row is scored.

    Args:
        paths: see `read_rows`.
        folder: where shards keep their results; what an interrupted scan of the same data left there is used.
        engine: where the work is done.
        examine: the scan of rows in memory.
        fpr: the false discovery rate at which associations are admitted.
        report: receives (stage, rows done, rows in all).

    Raises:
        DataError: as `read_rows`; no readable row; or the data changed meanwhile.
    """
    clock = Laps()
    shards = list(plan(paths, folder / "copied"))
    counted: list[Counted] = []
    total = sum(max(s.stop - s.start, 1) for s in shards)
    done = seen = 0
    for one in engine.map(count_shard, [(s, folder) for s in shards]):
        counted.append(one)
        done, seen = done + one.count, seen + max(one.shard.stop - one.shard.start, 1)
        report("read", done, max(done, round(done / seen * total)))
    clock.lap("read")
    records = Dataset(counted)
    if not len(records):
        raise no_readable_row(paths, records.rejects())
    if len(records) <= WHOLE:
        found = examine(records.gather(np.arange(len(records))))
        clock.lap("examine")
        finished = _finish(engine, counted, (), report)
    else:
        chosen, rest, hypotheses = _choose(engine, records, folder, fpr, report, clock)
        found, finished = _judge(engine, records, chosen, rest, hypotheses, examine, report, clock)
    clock.lap("score all rows")
    return LargeScan(
        found, records, cast(Sequence[int], records.numbers()), _ids(records, finished), records.rejects(),
        records.rows_of(), clock.seconds, engine, folder,
    )  # fmt: skip


def _choose(
    engine: Engine, records: Dataset, folder: Path, fpr: float, report: Progress, clock: Laps
) -> tuple[Ints, Ints, list[Hypothesis]]:
    """The rows to examine, ascending; which of them stand for all; what the suspects bring about."""
    n = len(records)
    support = int(np.clip(LEAST_SUPPORT * n // WHOLE, LEAST_SUPPORT, SUPPORT))
    key = key_of([s.digest for s in records.shards], support)
    report("count", 0, 1)
    content = merge_rows(engine, records.shards, folder, key, support)
    report("count", 1, 1)
    clock.lap("count")
    parts = 1 + sum(s.array("phrases").size for s in records.shards) // PART
    bases = tuple(records.bases[:-1].tolist())
    tasks = [PairTask(i, parts, tuple(records.shards), bases, folder, key, support) for i in range(parts)]
    found: list[Suspects] = []
    for one in engine.map(find_suspects, tasks):
        found.append(one)
        report("compare", len(found), parts)
    clock.lap("compare")
    rest = background(content)
    phrases = [s.array("phrases") for s in records.shards]
    groups = suspect_rows(join(found), phrases, bases, content)
    suspected = np.concatenate([np.zeros(0, np.int64), *(g.sample for g in groups)])
    asked = pl.Series([r.prompt for r in records.gather(suspected)], dtype=pl.String)
    contrast = contrast_rows(groups, phrases_of(asked), phrases, bases, content)
    ordinary = background(content, ORDINARY)
    around = [np.unique(np.concatenate([g.sample, c, ordinary])) for g, c in zip(groups, contrast, strict=True)]
    around = [np.setdiff1d(a, np.setdiff1d(g.rows, g.sample)) for a, g in zip(around, groups, strict=True)]
    clock.lap("choose")
    hypotheses: list[Hypothesis] = []
    surroundings = [_surroundings(records.gather(a), np.searchsorted(a, g.sample), fpr)
                    for a, g in zip(around, groups, strict=True)]  # fmt: skip
    for n, formed in enumerate(engine.map(local.examine, surroundings)):
        hypotheses += formed
        report("examine", n + 1, len(groups))
    clock.lap("examine suspects")
    return np.unique(np.concatenate([suspected, *contrast, rest])), rest, _distinct(hypotheses)


def _surroundings(rows: Sequence[Record], own: Ints, fpr: float) -> local.Surroundings:
    return local.Surroundings([r.prompt for r in rows], [r.response for r in rows], own.astype(np.int64), fpr)


def _distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Each phrase with each behaviour once, the most suspicious one, and the strongest of those."""
    known: dict[tuple[bytes, str, bytes], Hypothesis] = {}
    for h in ranked(hypotheses):
        known.setdefault((h.phrase.tobytes(), h.behaviour_kind, h.behaviour_words.tobytes()), h)
    return list(known.values())[:MOST_HYPOTHESES]


def _judge(
    engine: Engine, records: Dataset, chosen: Ints, rest: Ints, suspected: Sequence[Hypothesis], examine: Examine,
    report: Progress, clock: Laps,
) -> tuple[Scan, list[Finished]]:  # fmt: skip
    """Examine the chosen rows; what is planted among them is counted, and applied, over all."""
    rows = records.gather(chosen)
    needles: dict[bytes, str] = {}
    sample = examine(rows, lambda corpus: _placed(suspected, corpus, needles))
    clock.lap("judge")
    prompts = pl.Series([rows[i].prompt for i in np.searchsorted(chosen, rest).tolist()], dtype=pl.String)
    stands = prompts.str.to_lowercase()
    hypotheses = list(sample.hypotheses)
    threshold = _threshold(sample)
    applied = _scored(hypotheses, needles, stands)
    rules = tuple(_rule(hypotheses[i], needles) for i in applied)
    finished = _finish(engine, records.shards, rules, report)
    for k, i in enumerate(applied):
        hypotheses[i] = _everywhere(hypotheses[i], k, finished, records)
    others = set(range(len(hypotheses))) - set(applied)
    for i in others:
        h = hypotheses[i]
        hypotheses[i] = replace(h, rows=chosen[h.rows], trigger_rows=chosen[h.trigger_rows])
    raised = _raised(sample, chosen)
    scores, flagged, findings = _row_scores(records, finished, applied, hypotheses, threshold, raised)
    result = replace(sample, scores=scores, flagged=flagged, hypotheses=tuple(hypotheses), findings=findings)
    return _renumbered(result, chosen), finished


def _threshold(sample: Scan) -> float:
    """From which score on rows are flagged: the policy's, or more where trusted rows would be."""
    spared = sample.scores[~sample.flagged]
    least = POLICY.flag_at or 0.0
    return max(least, float(np.nextafter(spared.max(initial=0.0), 2.0))) if (spared >= least).any() else least


def _raised(sample: Scan, chosen: Ints) -> dict[int, float]:
    """The rows that the judge flagged by themselves, with their scores."""
    if sample.judging is None:
        return {}
    to = sample.judging.rows.raised_to
    acts = [i for i in np.flatnonzero(to > 0).tolist() if POLICY.action(float(to[i])) != "allow"]
    return {int(chosen[i]): float(to[i]) for i in acts}


def _renumbered(result: Scan, chosen: Ints) -> Scan:
    """What the judge said of rows names them by their place among all rows."""
    if result.judging is None:
        return result
    rows = result.judging.rows
    findings = tuple(
        replace(f, subject=replace(f.subject, id=str(int(chosen[int(f.subject.id)])))) for f in rows.findings
    )
    return replace(result, judging=replace(result.judging, rows=replace(rows, findings=findings)))


def _scored(hypotheses: Sequence[Hypothesis], needles: Mapping[bytes, str], prompts: pl.Series) -> list[int]:
    """Which hypotheses are applied to all rows? Those planted, then the most suspicious while that is cheap.

    prompts: lower-cased, a fair sample.
    """
    planted = [i for i, h in enumerate(hypotheses) if h.verdict == "planted"]
    rest = [i for i, h in enumerate(hypotheses) if h.verdict != "planted" and h.behaviour_words.size]
    chosen, left = planted, SCORED
    for i in rest[:MOST_RULES]:
        needle = needles.get(hypotheses[i].phrase.tobytes(), "")
        share = float(prompts.str.contains(needle).mean() or 0.0) if needle else 1.0  # type: ignore[arg-type]
        if share <= left:
            chosen.append(i)
            left -= share
    return chosen


def _rule(h: Hypothesis, needles: Mapping[bytes, str]) -> Rule:
    return Rule(h.phrase, needles.get(h.phrase.tobytes(), ""), h.behaviour_kind, h.behaviour_words, _value(h))


def _value(h: Hypothesis) -> float:
    """What a row gets that shows it."""
    return row_value(h)


_BEFORE, _AFTER = r"(?:^|[^\p{L}\p{N}_]|['’]\p{L}+)", r"(?:$|[^\p{L}\p{N}_])"


def _needle(phrase: Sequence[str]) -> str:
    """A pattern that every lower-cased prompt with these words in a row matches."""
    before = _BEFORE if phrase[0][0].isalnum() else ""
    after = _AFTER if phrase[-1].isalnum() else ""
    return before + r"\s*".join(re.escape(w) for w in phrase) + after


def _placed(hypotheses: Sequence[Hypothesis], corpus: Corpus, needles: dict[bytes, str]) -> list[Hypothesis]:
    """The hypotheses with their rows among these; `needles` gets a pattern for each phrase."""
    placed = []
    for h in hypotheses:
        trigger = corpus.with_trigger(h.phrase)
        rows = np.intersect1d(trigger, corpus.showing(h.behaviour_kind, h.behaviour_words))
        if rows.size:
            place = corpus.find(h.phrase)[0]
            needles[h.phrase.tobytes()] = _needle(
                corpus.prompts.words[int(place) : int(place) + h.phrase.size].to_list()
            )
            placed.append(replace(h, rows=rows, trigger_rows=trigger))
    return placed


def _everywhere(h: Hypothesis, rule: int, finished: Sequence[Finished], records: Dataset) -> Hypothesis:
    """The hypothesis with its counts over all rows. Its score can only fall: as its confidence does."""
    bases = records.bases
    trigger = np.concatenate([f.applied.with_trigger[rule] + b for f, b in zip(finished, bases, strict=False)])
    both = np.concatenate([f.applied.showing[rule] + b for f, b in zip(finished, bases, strict=False)])
    if not both.size:
        return h
    low = float(wilson_low(np.array([both.size]), np.array([trigger.size]))[0])
    contrast = min(h.contrast, low - max(h.base_rate, h.neighbour_rate))
    score = h.score
    if contrast < h.contrast:
        score = min(score, suspicion(contrast, h.share, h.override.weight if contrast >= LEAST_MARGIN else 0.0))
    planted = h.verdict == "planted" and POLICY.action(score) != "allow"
    verdict: TrialVerdict = "planted" if planted else "unsure" if h.verdict == "planted" else h.verdict
    return replace(
        h, rows=both, trigger_rows=trigger, support=int(both.size), confidence=both.size / trigger.size,
        score=score, contrast=contrast, verdict=verdict,
    )  # fmt: skip


def _finish(engine: Engine, shards: Sequence[Counted], rules: tuple[Rule, ...], report: Progress) -> list[Finished]:
    finished: list[Finished] = []
    done, total = 0, sum(s.n for s in shards)
    for shard, one in zip(shards, engine.map(finish_shard, [(s, rules) for s in shards]), strict=True):
        finished.append(one)
        done += shard.n
        report("score", done, total)
    return finished


def _row_scores(
    records: Dataset, finished: Sequence[Finished], applied: Sequence[int], hypotheses: Sequence[Hypothesis],
    threshold: float, raised: Mapping[int, float],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[Finding, ...]]:  # fmt: skip
    """Every row's score, what is quarantined, and why; raised: scores of rows that the judge flagged by themselves."""
    scores, owner = np.zeros(len(records)), np.full(len(records), -1, np.int64)
    for base, one in zip(records.bases.tolist(), finished, strict=False):
        rows, score, rule = one.applied.scored([_value(hypotheses[i]) for i in applied])
        scores[base + rows], owner[base + rows] = score, np.asarray(applied, np.int64)[rule]
        for k, i in enumerate(applied):
            if hypotheses[i].verdict == "planted":  # the trigger alone is a hint, no proof
                hinted = base + one.applied.with_trigger[k]
                hint = min(TRIGGER_ALONE * hypotheses[i].score, UNSURE_AT_MOST)
                scores[hinted] = np.maximum(scores[hinted], hint)
    flagged = scores >= threshold
    for row, to in raised.items():
        flagged[row] = True
        if to > scores[row]:
            scores[row], owner[row] = to, -1
    findings = []
    for row in np.flatnonzero(flagged).tolist():
        reason = "the judge finds this row malicious"
        if owner[row] >= 0:
            h = hypotheses[owner[row]]
            reason = f"the prompt has '{h.trigger}' and the answer {h.behaviour}, as in {h.support} rows"
        evidence = {"id": records[row].id, "hypothesis": int(owner[row])}
        findings.append(Finding("scan", 1, Ref("row", str(row)), float(scores[row]), reason=reason, evidence=evidence))
    return scores, flagged, tuple(findings)


def _ids(records: Dataset, finished: Sequence[Finished]) -> pl.Series:
    """The id of every row: its own or, as `read_record` has it, its number."""
    numbers = pl.Series(records.numbers()).cast(pl.String)
    if all(f.ids is None for f in finished):
        return numbers
    own: list[str | None] = []
    for shard, one in zip(records.shards, finished, strict=True):
        own += one.ids or [None] * shard.n
    return pl.DataFrame({"own": pl.Series(own, dtype=pl.String), "number": numbers}).select(
        pl.coalesce("own", "number")
    )["own"]
