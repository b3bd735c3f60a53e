"""How long does a command take, and how much memory do it and its processes hold at once?"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench import runs

EVERY_S = 0.25


def watched(
    what: str, command: Sequence[str], expected: Sequence[int] = (0,), limit_s: float | None = None,
    environment: Mapping[str, str] | None = None, memory: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Wall and processor seconds, and the peak of the proportional set sizes of all processes together, in MiB.

    Looking at the memory takes part of the processor that the command would have; without `memory` the peak is 0. Past
    the limit the command is stopped and `stopped_after_s` says so.

    Raises:
        RuntimeError: the command ended with another exit code than expected; its seconds would mean nothing.
    """
    import psutil

    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | dict(environment or {})
    )
    whole, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        peak = max(peak, _held(whole)) if memory else 0
        if limit_s is not None and time.perf_counter() - started > limit_s:
            for one in [*whole.children(recursive=True), whole]:
                one.kill()
            process.wait()
            runs.say(f"{what}: stopped after {limit_s:.0f} s")
            return {"what": what, "stopped_after_s": limit_s, "peak_mib": peak / 2**20}
        time.sleep(EVERY_S if memory else EVERY_S / 10)
    taken, after = time.perf_counter() - started, os.times()
    said = process.stderr.read().decode("utf-8", "replace") if process.stderr else ""
    if process.returncode not in expected:
        raise RuntimeError(f"{what}: exit code {process.returncode}: {said[-500:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    runs.say(f"{what}: {taken:.1f} s, {spent:.1f} processor s, {peak / 2**20:.0f} MiB")
    return {"what": what, "seconds": taken, "processor_s": spent, "peak_mib": peak / 2**20}


def _held(whole: Any) -> int:
    """The memory of a process and all below it, shared pages counted once."""
    import psutil

    total = 0
    try:
        for one in [whole, *whole.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def repeated(what: str, command: Sequence[str], expected: Sequence[int], times: int) -> dict[str, Any]:
    """`watched` once for the memory; the seconds are the median of so many runs more that nothing watches."""
    run = watched(what, command, expected)
    each = [watched(what, command, expected, memory=False) for _ in range(times)]
    if each:
        run |= {k: statistics.median(one[k] for one in each) for k in ("seconds", "processor_s")}
        run["each_s"] = [one["seconds"] for one in each]
    return run
