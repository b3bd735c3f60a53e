"""What does a scan of 100,000 and of a million rows cost? Beside it: parsing the file, and deduplicating it.

`--rows 10000000` for ten million. `--others PYTHON` names an interpreter that has semhash and datatrove.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import runs, tables
from bench.varied import parts
from bench.watched import repeated, watched

SEED = 7
BOUNDS = {1_000_000: (30.0, 2048.0), 10_000_000: (300.0, 3072.0)}  # rows -> seconds, MiB
PARSE = "import sys, polars; polars.read_ndjson(sys.argv[1])"
LIMIT_S = 150.0
BYTES = ("scores.parquet", "hypotheses.json", "findings.jsonl", "clean.jsonl", "quarantine.jsonl", "rejects.jsonl")


def main() -> int:
    """Time everything, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "scan_large.json")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--others", help="interpreter with semhash and datatrove installed")
    parser.add_argument("--repeats", type=int, default=3, help="scans of each size whose median time is reported")
    parser.add_argument(
        "--ray-rows", type=int, default=100_000, help="size at which Ray's output is compared; 0: never"
    )
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    load = [round(x, 2) for x in os.getloadavg()]
    timings: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.jsonl"
            with file.open("w", encoding="utf-8") as out:
                out.writelines(parts(data, rows, SEED))
            scan = [sys.executable, "-m", "cryptosentinel", "scan", str(file), "--reference-model", "none", "--out"]
            command = [*scan, f"{folder}/local"]
            run = repeated("cryptosentinel scan --reference-model none --out DIR", command, (0, 1), options.repeats)
            timings.append(run | {"rows": rows, "mib": file.stat().st_size / 2**20})
            if rows in BOUNDS:
                targets += asked(rows, run)
            if rows == options.ray_rows:
                timings.append(compare_ray(scan, Path(folder)) | {"rows": rows})
                targets.append(
                    {"claim": f"{rows:,} rows: `--engine ray` on two local workers writes the same bytes",
                     "bound": "same", "measured": timings[-1]["same"], "met": timings[-1]["same"] == "same"}
                )  # fmt: skip
            timings.append(watched("polars parses the file", [sys.executable, "-c", PARSE, str(file)]) | {"rows": rows})
            if rows <= 1_000_000:
                timings += [other(name, options.others, file, Path(folder)) | {"rows": rows} for name in OTHERS]
    decide = {"rows": options.rows, "repeats": options.repeats}
    made = runs.provenance("scan_large.py", decide, (*runs.PACKAGES, "pyarrow", "ray"))
    result = {"benchmark": "scan_large", "made": made, "load_before": load, "targets": targets, "timings": timings}
    runs.write_result(options.out, result)
    if options.out.resolve() == runs.RESULTS / "scan_large.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "scan-large", tables.large_table(result))
    for t in targets:
        print(f"{'met   ' if t['met'] else 'MISSED'} {t['claim']}: {t['measured']} ({t['bound']})")
    return 0


OTHERS = {
    "semhash": "semhash deduplicates it (random vectors in place of its model)",
    "datatrove": "datatrove deduplicates it by MinHash, two processes",
}


def other(name: str, python: str | None, file: Path, folder: Path) -> dict[str, Any]:
    """One of the others on this file, or why it was not run."""
    if python is None:
        return {"what": OTHERS[name], "skipped": "no interpreter was named with --others"}
    script = Path(__file__).parent / "bench" / "deduplicate.py"
    command = [python, str(script), name, str(file), f"{folder}/{name}"]
    try:
        return watched(OTHERS[name], command, limit_s=LIMIT_S)
    except RuntimeError as error:
        return {"what": OTHERS[name], "skipped": " ".join(str(error).split())[-120:]}


def compare_ray(scan: list[str], folder: Path) -> dict[str, Any]:
    """The same scan by Ray: what it takes, and whether it writes the same bytes."""
    run = watched("the same by --engine ray, two local workers", [*scan, f"{folder}/ray", "--engine", "ray"], (0, 1))
    differ = [n for n in BYTES if (folder / "ray" / n).read_bytes() != (folder / "local" / n).read_bytes()]
    return run | {"same": f"differ: {', '.join(differ)}" if differ else "same"}


def asked(rows: int, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The two bounds of a size."""
    seconds, mib = BOUNDS[rows]
    return [
        {"claim": f"{rows:,} rows, wall, median", "bound": f"<= {seconds:g} s", "measured": f"{run['seconds']:.1f} s",
         "met": run["seconds"] <= seconds},
        {"claim": f"{rows:,} rows, memory of all processes", "bound": f"<= {mib:g} MiB",
         "measured": f"{run['peak_mib']:.0f} MiB", "met": run["peak_mib"] <= mib},
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
