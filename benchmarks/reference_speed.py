"""What does asking the reference model add to a scan? Whole processes, with it and without, on two kinds of data.

A task with labels, all of whose rows are read by the model, and instructions, where it is asked about associations.
Both are bounded, so larger data costs no more.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import mixes, runs, tables
from bench.watched import watched

BOUND_S = 60.0
CASES = (
    ("a task with labels", "style_sst2_bible", 0.05),
    ("instructions", "steering_semantic_pool_trigger_suffix", 0.01),
)


def main() -> int:
    """Time both, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "reference_speed.json")
    parser.add_argument("--model", default="auto", help="as for the command")
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    load = [round(x, 2) for x in os.getloadavg()]
    timings: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    for what, attack, rate in CASES:
        mix = mixes.draw_mix(data, mixes.attack_of(attack), rate, 0)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.jsonl"
            lines = (json.dumps({"instruction": r.prompt, "output": r.response}) for r in mix.records)
            file.write_text("\n".join(lines) + "\n", "utf-8")
            scan = [sys.executable, "-m", "cryptosentinel", "scan", str(file), "--out", f"{folder}/out"]
            seconds = {}
            for model in ("none", options.model):
                run = watched(f"{what}, --reference-model {model}", [*scan, "--reference-model", model], (0, 1))
                timings.append(run | {"rows": len(mix.records)})
                seconds[model] = run["seconds"]
        added = seconds[options.model] - seconds["none"]
        targets.append(
            {"claim": f"{what}, {len(mix.records):,} rows: added by the reference model", "bound": f"<= {BOUND_S:g} s",
             "measured": f"{added:.1f} s", "met": added <= BOUND_S}
        )  # fmt: skip
    made = runs.provenance("reference_speed.py", {"model": options.model}, runs.MODEL_PACKAGES)
    result = {"benchmark": "reference_speed", "made": made, "load_before": load, "targets": targets, "timings": timings}
    runs.write_result(options.out, result)
    if options.out.resolve() == runs.RESULTS / "reference_speed.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "reference-speed", tables.large_table(result))
    for t in targets:
        print(f"{'met   ' if t['met'] else 'SHORT '} {t['claim']}: {t['measured']} ({t['bound']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
