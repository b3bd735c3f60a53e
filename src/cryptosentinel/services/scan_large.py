"""A scan of data that need not fit into memory: counted by shards, examined by sample, judged on all rows."""

from __future__ import annotations

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
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.sanitize.hypotheses import Hypothesis, ranked
from cryptosentinel.sanitize.rows import POLICY
from cryptosentinel.sanitize.scan import Scan
from cryptosentinel.sanitize.screen import local
from cryptosentinel.sanitize.screen.choose import background, contrast_rows, suspect_rows
from cryptosentinel.sanitize.screen.pairs import Suspects, join
from cryptosentinel.sanitize.screen.shards import phrases_of
from cryptosentinel.services.scan_apply import everywhere, finish, ids_of, placed, row_scores, rule_of, to_apply
from cryptosentinel.services.scan_divide import divide
from cryptosentinel.services.scan_document import ScanReport
from cryptosentinel.services.scan_merge import merge_rows
from cryptosentinel.services.scan_rows import Dataset
from cryptosentinel.services.scan_shards import (
    Counted,
    Finished,
    PairTask,
    Phrases,
    count_shard,
    find_suspects,
    key_of,
)
from cryptosentinel.services.trusted import TrustedData
from cryptosentinel.types import Progress, Record

WHOLE = 50_000  # up to so many rows are examined as a whole
SUPPORT = 25  # rows that a phrase needs in the largest data; a backdoor takes about 250 at any size
LEAST_SUPPORT = 4
PART = 3_000_000  # phrases compared at once
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
    """See `scan.Found`; index is an array. Valid while its folder is there."""

    scan: Scan
    records: Dataset
    index: Sequence[int]
    ids: pl.Series
    rejects: tuple[Reject, ...]
    rows_of: Mapping[str, int]
    seconds: Mapping[str, float]

    def divide(self, folder: Path, report: ScanReport) -> None:
        """Write clean.jsonl and quarantine.jsonl."""
        divide(self.records.shards, report.scan.flagged, folder)


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
    paths: Sequence[Path], folder: Path, engine: Engine, examine: Examine, fpr: float, report: Progress,
    trusted: TrustedData | None = None,
) -> LargeScan:  # fmt: skip
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
        trusted: loses the rows that the inputs have too.

    Raises:
        DataError: as `read_rows`; no readable row; or the data changed meanwhile.
        ConfigError: nothing is left of the trusted data.
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
        finished = finish(engine, counted, (), report)
    else:
        if trusted:
            trusted.leave_out(row for s in counted for row in s.table("texts").select("prompt", "answer").iter_rows())
        chosen, rest, hypotheses = _choose(engine, records, folder, fpr, report, clock)
        found, finished = _judge(engine, records, chosen, rest, hypotheses, examine, report, clock)
    clock.lap("score all rows")
    return LargeScan(
        found, records, cast(Sequence[int], records.numbers()), ids_of(records, finished), records.rejects(),
        records.rows_of(), clock.seconds,
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
    phrases = Phrases(records.shards)
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
    sample = examine(rows, lambda corpus: placed(suspected, corpus, needles))
    clock.lap("judge")
    prompts = pl.Series([rows[i].prompt for i in np.searchsorted(chosen, rest).tolist()], dtype=pl.String)
    stands = prompts.str.to_lowercase()
    hypotheses = list(sample.hypotheses)
    threshold = _threshold(sample)
    applied = to_apply(hypotheses, needles, stands)
    rules = tuple(rule_of(hypotheses[i], needles) for i in applied)
    finished = finish(engine, records.shards, rules, report)
    for k, i in enumerate(applied):
        hypotheses[i] = everywhere(hypotheses[i], k, finished, records)
    others = set(range(len(hypotheses))) - set(applied)
    for i in others:
        h = hypotheses[i]
        hypotheses[i] = replace(h, rows=chosen[h.rows], trigger_rows=chosen[h.trigger_rows])
    raised = _raised(sample, chosen)
    scores, flagged, findings = row_scores(records, finished, applied, hypotheses, threshold, raised)
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
