"""Fit the guard's cuts on the evaluation traces and write them into the package, with where they come from.

Only `taint` and `off_task` are fitted, within bounds that follow from how their scores are made; the other checks have
too few labelled traces and keep what the file has. The cut is the lowest that holds at most 1% of the benign and 10%
of the resisted traces of each part. `benchmarks/guard.py` reports what is left when a suite or a source is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import runs
from bench.guard_cuts import BUDGET, FITTED, document, fit, with_cuts
from bench.guard_traces import SOURCES, judge, load

from cryptosentinel.files import atomic_write
from cryptosentinel.guard.scorer import Weights

WEIGHTS = runs.ROOT / "src" / "cryptosentinel" / "guard" / "weights.json"


def main() -> int:
    """Judge the traces, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="evaluation data folder")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    traces = [t for part in SOURCES for t in judge(part, load(data, part))]
    cuts = fit(traces)
    source = {
        "fitted": sorted(FITTED),
        "by": "benchmarks/guard_fit.py",
        "on": {part: sum(t.part == part for t in traces) for part in SOURCES},
        "budget": BUDGET,
        "bounds": {k: list(v) for k, v in FITTED.items()},
        "others": "set by what their scores mean, on no data",
    }
    atomic_write(options.out, json.dumps(document(with_cuts(Weights.load(), cuts), source), indent=1) + "\n")
    print(f"cuts: {cuts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
