"""A scan of data that need not fit into memory: counted by shards, examined by sample, judged on all rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.datasets import Reject, no_readable_row
from cryptosentinel.datasets.frames import plan
from cryptosentinel.sanitize.associations import wilson_low
from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.sanitize.hypotheses import Hypothesis, suspicion
from cryptosentinel.sanitize.scan import POLICY, UNSURE_AT_MOST, Scan
from cryptosentinel.sanitize.screen.choose import background, suspect_rows
from cryptosentinel.sanitize.screen.pairs import Suspects, join
from cryptosentinel.sanitize.tokens import tokenize
from cryptosentinel.services.scan_document import ScanReport
from cryptosentinel.services.scan_files import join_parts
from cryptosentinel.services.scan_merge import merge_rows
from cryptosentinel.services.scan_rows import Dataset
from cryptosentinel.services.scan_shards import (
    Applied,
    Counted,
    Finished,
    FinishTask,
    PairTask,
    Rule,
    apply_rules,
    count_shard,
    find_suspects,
    finish_shard,
    key_of,
)
from cryptosentinel.types import Finding, Progress, Record, Ref

WHOLE = 50_000  # up to so many rows are examined as a whole
SUPPORT = 20  # rows that a phrase needs in the largest data; a backdoor takes about 250 at any size
LEAST_SUPPORT = 4
PART = 3_000_000  # phrases compared at once
SCORED = 0.05  # share of all rows that hypotheses short of planted may bring to be scored
MOST_RULES = 200
ROUNDS = 3
Ints = NDArray[np.int64]
Examine = Callable[[Sequence[Record]], Scan]


@dataclass(frozen=True)
class LargeScan:
    """See `scan.Found`; index is an array. parts: where the divided rows of each shard are, in order."""

    scan: Scan
    records: Dataset
    index: Sequence[int]
    ids: pl.Series
    rejects: tuple[Reject, ...]
    rows_of: Mapping[str, int]
    seconds: Mapping[str, float]
    parts: tuple[Path, ...]

    def divide(self, folder: Path, report: ScanReport) -> None:
        """Write clean.jsonl and quarantine.jsonl."""
        join_parts(folder, self.parts)


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
    paths: Sequence[Path], folder: Path, engine: Engine, examine: Examine, report: Progress, write: bool
) -> LargeScan:
    """Which rows of these inputs teach a hidden behaviour?

    Up to `WHOLE` rows the result is that of `examine` on all of them. Beyond, `examine` sees the rows of the phrases
    that go with a behaviour most clearly and a background that stands for the rest; what it holds to be planted is then
    counted on all rows, and every row is scored by it.

    Args:
        paths: see `read_rows`.
        folder: where shards keep their results; what an interrupted scan of the same data left there is used.
        engine: where the work is done.
        examine: the scan of rows in memory.
        report: receives (stage, rows done, rows in all).
        write: also write the clean and the quarantined part of every shard.

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
        finished = _finish(engine, counted, [], 1.0, np.flatnonzero(found.flagged), folder if write else None, report)
    else:
        chosen, rest = _choose(engine, records, folder, report, clock)
        found, finished = _judge(engine, records, chosen, rest, examine, folder if write else None, report, clock)
    clock.lap("score all rows")
    return LargeScan(
        found, records, cast(Sequence[int], records.numbers()), _ids(records, finished), records.rejects(),
        records.rows_of(), clock.seconds, tuple(_stem(folder, i) for i in range(len(counted))),
    )  # fmt: skip


def _choose(engine: Engine, records: Dataset, folder: Path, report: Progress, clock: Laps) -> tuple[Ints, Ints]:
    """The rows to examine, ascending, and which of them stand for all."""
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
    suspected = suspect_rows(join(found), [s.array("phrases") for s in records.shards], bases, content)
    clock.lap("choose")
    return np.union1d(suspected, rest), rest


def _judge(
    engine: Engine, records: Dataset, chosen: Ints, rest: Ints, examine: Examine, folder: Path | None,
    report: Progress, clock: Laps,
) -> tuple[Scan, list[Finished]]:  # fmt: skip
    """Examine the chosen rows; what is planted among them is counted, and applied, over all."""
    rows = records.gather(chosen)
    sample = examine(rows)
    clock.lap("examine")
    prompts = pl.Series([r.prompt for r in rows], dtype=pl.String)
    answers = pl.Series([r.response for r in rows], dtype=pl.String)
    stands = prompts.gather(np.searchsorted(chosen, rest)).str.to_lowercase()
    hypotheses = list(sample.hypotheses)
    threshold = max(POLICY.flag_at or 0.0, float(sample.scores[sample.flagged].min()) if sample.flagged.any() else 0.0)
    applied = _scored(hypotheses, stands)
    in_sample = apply_rules(prompts, answers, [_rule(hypotheses[i]) for i in applied])
    raised = _raised(sample, chosen)
    for _ in range(ROUNDS):
        rules = [_rule(hypotheses[i]) for i in applied]
        finished = _finish(engine, records.shards, rules, threshold, np.array(sorted(raised), np.int64), folder, report)
        counted = [_everywhere(hypotheses[i], k, in_sample, finished, records) for k, i in enumerate(applied)]
        stands_as_judged = all(h.verdict == hypotheses[i].verdict for h, i in zip(counted, applied, strict=True))
        for h, i in zip(counted, applied, strict=True):
            hypotheses[i] = h
        if stands_as_judged:
            break
    others = set(range(len(hypotheses))) - set(applied)
    for i in others:
        h = hypotheses[i]
        hypotheses[i] = replace(h, rows=chosen[h.rows], trigger_rows=chosen[h.trigger_rows])
    scores, flagged, findings = _row_scores(records, finished, applied, hypotheses, raised)
    result = replace(sample, scores=scores, flagged=flagged, hypotheses=tuple(hypotheses), findings=findings)
    return _renumbered(result, chosen), finished


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


def _scored(hypotheses: Sequence[Hypothesis], prompts: pl.Series) -> list[int]:
    """Which hypotheses are applied to all rows? Those planted, then the most suspicious while that is cheap.

    prompts: lower-cased, a fair sample.
    """
    chosen, left = [], SCORED
    for i, h in enumerate(hypotheses):
        if h.verdict == "planted":
            chosen.append(i)
            continue
        if len(chosen) >= MOST_RULES:
            break
        needle = _needle(h)
        share = float(prompts.str.contains(needle, literal=True).mean() or 0.0) if needle else 1.0  # type: ignore[arg-type]
        if share <= left:
            chosen.append(i)
            left -= share
    return chosen


def _rule(h: Hypothesis) -> Rule:
    value = h.score if h.verdict == "planted" else min(h.score, UNSURE_AT_MOST)
    return Rule(h.phrase, _needle(h), h.behaviour_kind, h.behaviour_words, value)


def _needle(h: Hypothesis) -> str:
    """The longest word of the trigger's phrase that can be read in its name."""
    words = tokenize([h.trigger])
    known = [w for w, key in zip(words.words.to_list(), words.hash.tolist(), strict=True) if key in h.phrase]
    return max(known, key=len, default="")


def _everywhere(
    h: Hypothesis, rule: int, in_sample: Applied, finished: Sequence[Finished], records: Dataset
) -> Hypothesis:
    """The hypothesis with its counts over all rows. Its score can only fall: as its confidence does."""
    bases = records.bases
    trigger = np.concatenate([f.applied.with_trigger[rule] + b for f, b in zip(finished, bases, strict=False)])
    both = np.concatenate([f.applied.showing[rule] + b for f, b in zip(finished, bases, strict=False)])
    if not both.size:
        return h
    before = _low(in_sample.showing[rule].size, in_sample.with_trigger[rule].size)
    contrast = h.contrast + min(0.0, _low(both.size, trigger.size) - before)
    score = min(h.score, suspicion(contrast, h.share, h.override.weight)) if contrast < h.contrast else h.score
    planted = h.verdict == "planted" and POLICY.action(score) != "allow"
    verdict = "planted" if planted else "unsure" if h.verdict == "planted" else h.verdict
    return replace(
        h, rows=both, trigger_rows=trigger, support=int(both.size), confidence=both.size / trigger.size,
        score=score, contrast=contrast, verdict=verdict,
    )  # fmt: skip


def _low(shown: int, n: int) -> float:
    return float(wilson_low(np.array([shown]), np.array([max(n, 1)]))[0])


def _finish(
    engine: Engine, shards: Sequence[Counted], rules: Sequence[Rule], threshold: float, flagged: Ints,
    folder: Path | None, report: Progress,
) -> list[Finished]:  # fmt: skip
    tasks, base = [], 0
    for i, shard in enumerate(shards):
        own = flagged[(flagged >= base) & (flagged < base + shard.n)] - base
        tasks.append(FinishTask(shard, tuple(rules), threshold, own, _stem(folder, i) if folder else None))
        base += shard.n
    finished: list[Finished] = []
    done = 0
    for task, one in zip(tasks, engine.map(finish_shard, tasks), strict=True):
        finished.append(one)
        done += task.counted.n
        report("score", done, base)
    return finished


def _stem(folder: Path, shard: int) -> Path:
    return folder / f"part-{shard}"


def _row_scores(
    records: Dataset, finished: Sequence[Finished], applied: Sequence[int], hypotheses: Sequence[Hypothesis],
    raised: Mapping[int, float],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[Finding, ...]]:  # fmt: skip
    scores, flagged = np.zeros(len(records)), np.zeros(len(records), bool)
    findings: list[Finding] = []
    for base, one in zip(records.bases.tolist(), finished, strict=False):
        scores[base + one.applied.row] = one.applied.score
        flagged[base + one.flagged] = True
        owner = dict(zip(one.applied.row.tolist(), one.applied.owner.tolist(), strict=True))
        for row in one.flagged.tolist():
            by_rule = float(scores[base + row])
            scores[base + row] = score = max(by_rule, raised.get(base + row, 0.0))
            number, reason = -1, "the judge finds this row malicious"
            if score == by_rule:
                number = applied[owner[row]]
                h = hypotheses[number]
                reason = f"the prompt has '{h.trigger}' and the answer {h.behaviour}, as in {h.support} rows"
            row_id = (one.ids[row] if one.ids else None) or str(records.place(base + row))
            evidence = {"id": row_id, "hypothesis": number}
            findings.append(Finding("scan", 1, Ref("row", str(base + row)), score, reason=reason, evidence=evidence))
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
