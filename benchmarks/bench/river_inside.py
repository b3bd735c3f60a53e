"""River's detectors on the streams of `benchmarks/monitor.py`, run by a Python that has river; prints JSON."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from river import drift

GRIDS: dict[str, tuple[tuple[float, ...], Callable[[float, int], Any]]] = {
    # From lax to strict; the strictest that still alarms as often as ours, or the nearest, is taken.
    "ADWIN": ((0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3), lambda d, seed: drift.ADWIN(delta=d)),
    "PageHinkley": (
        (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0),
        lambda t, seed: drift.PageHinkley(threshold=t, mode="up"),
    ),
    "KSWIN": ((1e-1, 2e-2, 5e-3), lambda a, seed: drift.KSWIN(alpha=a, seed=seed)),
}


def stream(p: float, seed: int) -> Iterator[float]:
    """Zeros and ones."""
    draw = random.Random(seed).random
    while True:
        yield float(draw() < p)


def run_length(make: Callable[[], Any], p: float, decisions: int, seconds: float, seed: int) -> tuple[float, int, int]:
    """Decisions to an alarm on average, a new detector after each; at most so many seconds."""
    detector, alarms, done, started = make(), 0, 0, time.monotonic()
    for value in stream(p, seed):
        detector.update(value)
        done += 1
        if detector.drift_detected:
            alarms += 1
            detector = make()
        if done >= decisions or (done % 1000 == 0 and time.monotonic() - started > seconds):
            break
    return done / max(alarms, 1), alarms, done


def delay(make: Callable[[], Any], p: float, shift: float, burn: int, seed: int, most: int = 2000) -> int | None:
    """Decisions from the change to the alarm; None: none, or one before the change."""
    detector = make()
    before, after = stream(p, seed), stream(shift, seed + 1)
    for _ in range(burn):
        detector.update(next(before))
        if detector.drift_detected:
            return None
    for step in range(1, most + 1):
        detector.update(next(after))
        if detector.drift_detected:
            return step
    return most + 1


def main() -> None:
    """Match the run length, then measure."""
    given = json.loads(sys.argv[1])
    found = []
    for name, (grid, make) in GRIDS.items():
        tried = []
        for value in grid:
            length, alarms, done = run_length(
                partial(make, value, given["seed"]), given["p0"], int(1_500_000 * given["size"]), 25.0, given["seed"]
            )
            tried.append((value, length, alarms, done))
            print(name, value, round(length), alarms, done, file=sys.stderr, flush=True)
            if length > 2 * given["length"]:
                break
        value, length, alarms, done = min(tried, key=lambda t: abs(t[1] / given["length"] - 1))
        for shift in given["shifts"]:
            n = int((20 if name == "KSWIN" else 400) * max(given["size"], 0.05))
            got = [
                delay(partial(make, value, given["seed"]), given["p0"], shift, given["burn"], 10 * i) for i in range(n)
            ]
            seen = sorted(d for d in got if d is not None)
            found.append({
                "detector": name, "setting": value, "shift": shift, "run_length": length, "run_length_alarms": alarms,
                "run_length_decisions": done, "n": len(seen), "mean": sum(seen) / max(len(seen), 1),
                "median": float(seen[len(seen) // 2]) if seen else None,
                "missed": sum(d > 2000 for d in seen), "before": sum(d is None for d in got),
            })  # fmt: skip
            print(found[-1], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
