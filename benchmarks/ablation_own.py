"""What does each part of the scan earn on the red team's own attacks? Every registered part left out, one by one.

The mixes are those of `own_attacks.py` at 5%, each scanned as it is and without one part; nothing else differs.
"""

from __future__ import annotations

import sys
from typing import Any

from bench import mixes, outcome, parts, runs, tables
from own_attacks import draw

from cryptosentinel.metrics import wilson
from cryptosentinel.registry import names
from cryptosentinel.sanitize import scan

WHOLE = "everything"
TELLS = 0.05
Cell = dict[str, Any]


def main() -> int:
    """Scan every mix with and without every part, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "ablation_own.json")
    parser.add_argument("--tasks", nargs="+", choices=names("task"), default=list(names("task")))
    parser.add_argument("--attacks", nargs="+", choices=names("attack"), default=list(names("attack")))
    parser.add_argument("--ordinary", type=int, default=1500, help="clean rows of the agent's own kind")
    parser.add_argument("--rate", type=float, default=0.05, help="poisoned rows, share of these")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each is another trigger and data")
    options = parser.parse_args()
    cells: list[Cell] = []
    for attack in options.attacks:
        for task in options.tasks:
            for seed in options.seeds:
                cells += measured(task, attack, options.ordinary, options.rate, seed)
        runs.say(f"{attack}: done")
    decide = ("tasks", "attacks", "ordinary", "rate", "seeds")
    made = runs.provenance("ablation_own.py", {name: getattr(options, name) for name in decide})
    result = {"benchmark": "ablation_own", "made": made, "cells": cells}
    runs.write_result(options.out, result)
    if options.out.resolve() == runs.RESULTS / "ablation_own.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "ablation-own", page(result))
    return 0


def measured(task: str, attack: str, ordinary: int, rate: float, seed: int) -> list[Cell]:
    """One mix: with every part, and without each."""
    mix = draw(task, attack, ordinary, rate, seed)
    cells = []
    for left_out in [(), *((part,) for part in parts.registered())]:
        with parts.hidden(left_out):
            found = scan(mix.records)
        ranked = outcome.ranking(mix, found.scores)
        flags = outcome.flagging(mix, found.flagged, found.hypotheses)
        cells.append(
            {"task": task, "attack": attack, "seed": seed, "without": " ".join(left_out[0]) if left_out else "",
             "poison": int((mix.kind == mixes.POISON).sum()), "found": ranked["found"],
             "flagged": flags["flagged_poison"], "clean_flagged": flags["flagged_background"] + flags["flagged_hard"]}
        )  # fmt: skip
    return cells


def page(result: Cell) -> str:
    """One line for each part, one column for each attack, over all tasks."""
    cells = result["cells"]
    attacks = list(dict.fromkeys(c["attack"] for c in cells))
    whole = {a: summed(cells, "", a) for a in attacks}
    rows = []
    for part in dict.fromkeys(c["without"] for c in cells):
        line = [f"without {part}" if part else WHOLE]
        for attack in attacks:
            here = summed(cells, part, attack)
            said = "/".join(f"{here[k] / here['poison']:.2f}" for k in ("found", "flagged"))
            apart = any(abs(here[k] - whole[attack][k]) >= TELLS * here["poison"] for k in ("found", "flagged"))
            line.append(f"**{said}**" if apart else said)
        rows.append((*line, sum(c["clean_flagged"] for c in cells if c["without"] == part)))
    n = ", ".join(f"{a} {whole[a]['poison']}" for a in attacks)
    worst = max((wilson(whole[a]["found"], whole[a]["poison"]) for a in attacks), key=lambda r: r.high - r.low)
    said = f"Poisoned rows: {n}; 95% intervals at most {worst.high - worst.low:.2f} wide."
    head = ("variant", *attacks, "clean rows flagged, all")
    return "\n\n".join([tables.origin(result["made"]), said, tables.table(head, rows)])


def summed(cells: list[Cell], part: str, attack: str) -> dict[str, int]:
    """The counts of one part and attack over tasks and seeds."""
    own = [c for c in cells if c["without"] == part and c["attack"] == attack]
    return {k: sum(c[k] for c in own) for k in ("poison", "found", "flagged")}


if __name__ == "__main__":
    sys.exit(main())
