"""Many cells, each run once: what the cache does not have is run, in processes, and kept as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bench.cells import Setup, Spec, Task, run_tasks
from bench.runs import CellCache, say

Outcome = dict[str, Any]


class Wanted(NamedTuple):
    """One way to look at one mix: the key of its outcome, the method and its setup."""

    key: str
    method: str
    setup: Setup


def outcomes(
    wanted: Mapping[tuple[Spec, str], Wanted],
    cache: CellCache,
    jobs: int,
    told: Callable[[Spec, dict[str, Outcome]], str],
    chunk: int | None = None,
) -> dict[tuple[Spec, str], Outcome]:
    """The outcome of everything wanted, under the same (mix, label).

    Args:
        wanted: what to measure.
        cache: what is known; grows by what is run.
        jobs: processes.
        told: a line about a finished task, for who waits.
        chunk: at most so many ways of one mix are one task; None: all.
    """
    missing: dict[Spec, list[tuple[str, str, Setup]]] = {}
    for (spec, label), (key, method, setup) in wanted.items():
        if cache.get(key) is None:
            missing.setdefault(spec, []).append((label, method, setup))
    tasks = [
        Task(spec, tuple(ways[start : start + (chunk or len(ways))]))
        for spec, ways in missing.items()
        for start in range(0, len(ways), chunk or len(ways))
    ]
    started = time.monotonic()
    for i, (task, found) in enumerate(run_tasks(tasks, jobs), 1):
        for label, result in found.items():
            cache.put(wanted[task.spec, label].key, result)
        say(f"[{i}/{len(tasks)} {time.monotonic() - started:.0f} s] {told(task.spec, found)}")
    return {place: cache.get(each.key) or {} for place, each in wanted.items()}
