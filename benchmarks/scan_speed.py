"""How long does a scan of 9,000 rows take, as a whole process? Beside it: polars only reading the same file.

No reference model, results written to a temporary folder. One run after another, none at the same time; the load
average before the first is in the result: on a machine that does something else the seconds mean little.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from bench import runs, tables

FILE = "alpaca_9k"
BOUND_S = 5.0
CALM = 0.3
PARSE = "import gzip, sys, polars; polars.read_ndjson(gzip.open(sys.argv[1]).read())"


def main() -> int:
    """Time both, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "scan_speed.json")
    parser.add_argument("--runs", type=int, default=5, help="counted runs, after one that is not")
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    file = data / "poison" / "background" / f"{FILE}.jsonl.gz"
    load = [round(x, 2) for x in os.getloadavg()]
    if load[0] > CALM:
        runs.say(f"the machine is busy (load average {load[0]}): the seconds below are too high")
    with tempfile.TemporaryDirectory() as out:
        scan = [sys.executable, "-m", "cryptosentinel", "scan", str(file), "--reference-model", "none", "--out", out]
        timings = [
            timed(f"cryptosentinel scan {FILE} --reference-model none --out DIR", scan, options.runs, (0, 1)),
            timed(f"polars reads {FILE}", [sys.executable, "-c", PARSE, str(file)], options.runs, (0,)),
        ]
    median = timings[0]["median"]
    target = {"claim": f"scan of {FILE}, median", "bound": f"<= {BOUND_S:g} s", "measured": f"{median:.2f} s"}
    made = runs.provenance("scan_speed.py", {"runs": options.runs}, (*runs.PACKAGES, "pyarrow"))
    result = {
        "benchmark": "scan_speed",
        "made": made,
        "load_before": load,
        "targets": [target | {"met": median <= BOUND_S}],
        "timings": timings,
    }
    runs.write_result(options.out, result)
    if options.out.resolve() == runs.RESULTS / "scan_speed.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "scan-speed", tables.speed_table(result))
    print(f"{'met   ' if median <= BOUND_S else 'MISSED'} {target['claim']}: {target['measured']} ({target['bound']})")
    return 0


def timed(what: str, command: Sequence[str], count: int, expected: Sequence[int]) -> dict[str, Any]:
    """Wall seconds and peak memory of the whole process, `count` times after one warm-up.

    Raises:
        RuntimeError: the command ended with another exit code than expected; its seconds would mean nothing.
    """
    seconds, peak_mib = [], 0.0
    for run in range(count + 1):
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in expected:
            raise RuntimeError(f"{what}: exit code {process.returncode}")
        runs.say(f"{what}: {taken:.2f} s{' (warm-up)' if run == 0 else ''}")
        if run:
            seconds.append(taken)
            peak_mib = max(peak_mib, usage.ru_maxrss / 1024)
    middle = statistics.median(seconds)
    return {"what": what, "median": middle, "min": min(seconds), "max": max(seconds), "seconds": seconds,
            "peak_mib": peak_mib}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
