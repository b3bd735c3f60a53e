"""One cell of the grid: a mix, and what each method finds in it. Cells are independent and run in processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench import mixes, outcome, traces
from bench.baselines import BASELINES
from bench.ceiling import supervised_ngrams
from bench.model_baselines import BACKGROUND_SAMPLE
from bench.parts import Part, hidden
from bench.score_store import ScoreStore, Vector
from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.reading import Encoder
from cryptosentinel.services.scan import resolve_reference
from cryptosentinel.types import Record

SCAN = "scan"
CEILING = "supervised_ngrams"
Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spec:
    """Which mix? An attack file, or a background alone or the traces (then without a rate)."""

    name: str
    rate: float = 0.0
    seed: int = 0

    @property
    def is_background(self) -> bool:
        """Nothing is planted in it."""
        return self.name in mixes.BACKGROUNDS

    @property
    def fpr(self) -> float:
        """The false positive rate at which recall is reported."""
        return traces.FPR if self.name == traces.NAME else outcome.FPR


@dataclass(frozen=True, slots=True)
class Setup:
    """With what is the mix scanned? `off`: registered parts that the scan has to do without."""

    data: Path
    reference: str = "none"
    trusted: str = ""
    off: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One mix under several methods, or under one method in several setups: (label, method, setup)."""

    spec: Spec
    ways: tuple[tuple[str, str, Setup], ...]


def run_tasks(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, dict[str, Outcome]]]:
    """Each task with the outcome of each of its ways, as they are finished."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from ((task, run_task(task)) for task in tasks)
        return
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, threads)  # read by each child when it starts
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(run_task, task): task for task in tasks}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_task(task: Task) -> dict[str, Outcome]:
    """Draw the mix once, then score it in every way."""
    results: dict[str, Outcome] = {}
    for label, method, setup in task.ways:
        mix = draw(setup.data, task.spec)
        started = time.perf_counter()
        found = _scanned(mix, task.spec, setup) if method == SCAN else _scored(mix, task.spec, method)
        results[label] = found | {"seconds": time.perf_counter() - started}
    return results


@lru_cache(maxsize=1)
def draw(data: Path, spec: Spec) -> mixes.Mix:
    """The rows of a cell."""
    if spec.name == traces.NAME:
        return traces.trace_mix(data, spec.seed)
    if spec.is_background:
        return mixes.background_alone(data, spec.name)
    return mixes.draw_mix(data, mixes.attack_of(spec.name), spec.rate, spec.seed)


def data_digest(data: Path, spec: Spec) -> str:
    """The digest of the files that this cell's rows come from."""
    if spec.name == traces.NAME:
        return traces.traces_digest(data)
    if spec.is_background:
        return mixes.files_digest(data, None, spec.name)
    return mixes.files_digest(data, mixes.attack_of(spec.name))


def _scored(mix: mixes.Mix, spec: Spec, method: str) -> Outcome:
    """A baseline, or the ceiling: a score a row."""
    if method == CEILING:
        return outcome.ranking(mix, supervised_ngrams(mix.records, mix.kind == mixes.POISON), spec.fpr)
    most = BACKGROUND_SAMPLE.get(method)
    rows = outcome.sampled(mix, most) if most else np.arange(len(mix.records))
    scores = np.full(len(mix.records), np.nan)
    scores[rows] = BASELINES[method]([mix.records[i] for i in rows.tolist()])
    return outcome.ranking(mix, scores, spec.fpr)


def _scanned(mix: mixes.Mix, spec: Spec, setup: Setup) -> Outcome:
    """The scan: scores, flags and hypotheses; of a background alone only how much it raises."""
    with hidden(setup.off), np.errstate(all="raise", under="ignore"):
        result: Scan = scan(
            mix.records, trusted_records=_trusted(setup), reference=_reference(setup.reference), fpr=outcome.FPR
        )
    if spec.is_background:
        planted = sum(h.verdict == "planted" for h in result.hypotheses)
        return {"rows": len(mix.records), "flagged": int(result.flagged.sum()), "planted": planted}
    found = outcome.ranking(mix, result.scores, spec.fpr)
    found |= outcome.flagging(mix, result.flagged, result.hypotheses)
    if spec.name == traces.NAME:
        found["tool_rank"] = traces.first_tool_rank(mix, result.hypotheses)
    return found


def _trusted(setup: Setup) -> list[Record] | None:
    return _trusted_records(setup.data, setup.trusted) if setup.trusted else None


@cache
def _trusted_records(data: Path, name: str) -> list[Record]:
    return mixes.read_background(data, name)


class _Kept:
    """A reference model whose answers are kept: the mixes of one background ask mostly the same."""

    def __init__(self, reference: Reference) -> None:
        self.name = reference.name
        self._reference = reference
        self._store = ScoreStore()

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """As `Reference` says."""
        asked = [json.dumps(pair) for pair in pairs]
        found = self._store.vectors(f"log-probs-{self.name}", asked, self._ask)
        return [v.tolist() for v in found]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder` says."""
        kept = self._store.vectors(f"lower-states-{self.name}", list(texts), self._encode)
        return np.stack(kept).reshape(len(texts), 2, -1)

    def _encode(self, texts: Sequence[str]) -> list[Vector]:
        return [v.ravel() for v in cast(Encoder, self._reference).encode(texts)]

    def _ask(self, texts: Sequence[str]) -> list[Vector]:
        pairs = [(context, said) for context, said in map(json.loads, texts)]
        return [np.array(v, np.float32) for v in self._reference.log_probs(pairs)]


@cache
def _reference(name: str) -> Reference | None:
    reference = resolve_reference(name)
    return _Kept(reference) if reference else None
