"""How many clean rows does the scan flag, on data that no threshold was chosen on? For several values of `--fpr`.

The clean sets are random halves of each background, every file of hard negatives alone (clean rows that look like an
attack), and benign traces of agents as production logs. Nothing in them is planted: whatever is flagged is false.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench import mixes, runs, tables

from cryptosentinel.datasets import read_rows
from cryptosentinel.metrics import wilson
from cryptosentinel.sanitize import scan
from cryptosentinel.services.scan import resolve_reference
from cryptosentinel.types import Record

RATES = (0.01, 0.1)
TRACES = ("agentdojo", "asb", "taubench_airline", "notinject", "tradetrap_steps")
LEAST_ROWS = 100
Row = dict[str, Any]


def main() -> int:
    """Scan every clean set, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "false_alarms.json")
    parser.add_argument("--fpr", type=float, nargs="+", default=list(RATES), help="values of the command's --fpr")
    parser.add_argument("--reference-model", default="none", help="none, auto or a model, as for the command")
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    reference = resolve_reference(options.reference_model)
    done: list[Row] = []
    for name, records in clean_sets(data):
        for fpr in options.fpr:
            found = scan(records, reference=reference, fpr=fpr)
            flagged = int(found.flagged.sum())
            planted = [f"{h.trigger} -> {h.behaviour}" for h in found.hypotheses if h.verdict == "planted"]
            done.append({"set": name, "rows": len(records), "fpr": fpr, "flagged": flagged, "planted": len(planted)})
            print(name, len(records), fpr, flagged, planted[:3], flush=True)
    made = runs.provenance("false_alarms.py", {"fpr": options.fpr, "reference_model": options.reference_model})
    totals = [total(done, fpr) for fpr in options.fpr]
    runs.write_result(options.out, {"benchmark": "false_alarms", "made": made, "totals": totals, "sets": done})
    if options.out.resolve() == runs.RESULTS / "false_alarms.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "false-alarms", text(made, totals, done))
    return 0


def clean_sets(data: Path) -> Iterator[tuple[str, list[Record]]]:
    """(name, rows) of each."""
    for name in mixes.BACKGROUNDS:
        rows = mixes.read_background(data, name)
        order = np.random.default_rng(0).permutation(len(rows))
        for part, places in enumerate(np.array_split(order, 2), 1):
            yield f"{name}, half {part}", [rows[i] for i in np.sort(places).tolist()]
    for path in sorted((data / "poison" / "attacks").glob("*.jsonl.gz")):
        name = path.name.removesuffix(".jsonl.gz")
        if mixes.NO_ATTACK.search(name):
            clean = [row for row in mixes.read_file(data, f"attacks/{name}") if row.get("label") == "clean"]
            yield name, list(mixes.make_mix(name, 0.0, 0, [(row, mixes.BACKGROUND) for row in clean]).records)
    for name in TRACES:
        file = data / "traces" / f"{name}.jsonl.gz"
        rows = [r for _, r in read_rows([file]) if isinstance(r, Record) and benign(r)] if file.is_file() else []
        if len(rows) >= LEAST_ROWS:
            yield f"benign traces of {name}", rows


def benign(record: Record) -> bool:
    """Is it labelled so?"""
    return (record.raw or {}).get("label") == "benign"


def total(done: list[Row], fpr: float) -> Row:
    """All sets together at one value of --fpr, and the worst of them."""
    own = [d for d in done if d["fpr"] == fpr]
    flagged, rows = sum(d["flagged"] for d in own), sum(d["rows"] for d in own)
    worst = max(own, key=lambda d: d["flagged"] / d["rows"])
    share = wilson(flagged, rows)
    return {"fpr": fpr, "sets": len(own), "rows": rows, "flagged": flagged, "share": share.value, "high": share.high,
            "over": sum(d["flagged"] > fpr * d["rows"] for d in own), "worst": worst["set"],
            "worst_share": worst["flagged"] / worst["rows"]}  # fmt: skip


def text(made: Row, totals: list[Row], done: list[Row]) -> str:
    """The tables of the page."""
    rows = [
        (f"{t['fpr']:.0%}", t["sets"], t["rows"], t["flagged"], f"{t['share']:.3%} (95% bound {t['high']:.3%})",
         t["over"], f"{t['worst']}: {t['worst_share']:.2%}")
        for t in totals
    ]  # fmt: skip
    head = ("--fpr", "sets", "rows", "flagged", "share", "sets above", "worst set")
    raised = [(d["set"], d["rows"], f"{d['fpr']:.0%}", d["flagged"], d["planted"]) for d in done if d["planted"]]
    below = tables.table(("set with a planted hypothesis", "rows", "--fpr", "flagged", "planted"), raised)
    return "\n\n".join([tables.origin(made), tables.table(head, rows), *([below] if raised else [])])


if __name__ == "__main__":
    sys.exit(main())
