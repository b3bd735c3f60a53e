"""Does the scan find the red team's own poison? Every task with every attack, seeds 0, 1 and 2; no training needed.

The attacks were written and fixed before the scan was run on them; one of them is scanned with the reference model too,
which free text needs to be flagged. The background is the desk's own ordinary data; hard
negatives stand on the trigger's topic without it. Baselines score the same mixes in the same run.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from bench import mixes, outcome, runs, tables
from bench.baselines import BASELINES

from cryptosentinel.datasets.forms import read_record
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.registry import names
from cryptosentinel.sanitize import scan
from cryptosentinel.services.scan import resolve_reference

SEEDS = (0, 1, 2)
ORDINARY = 1500
RATES = (0.05, 0.01)
METHODS = ("answer_duplicates", "format_outlier")
SCAN, ASKING = "scan", "scan, asking the model"
FOUND, HARD = 0.95, 0.05
Cell = dict[str, Any]


def main() -> int:
    """Scan every mix, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "own_attacks.json")
    parser.add_argument("--tasks", nargs="+", choices=names("task"), default=list(names("task")))
    parser.add_argument("--attacks", nargs="+", choices=names("attack"), default=list(names("attack")))
    parser.add_argument("--ordinary", type=int, default=ORDINARY, help="clean rows of the agent's own kind")
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES), help="poisoned rows, share of these")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="each is another trigger and data")
    parser.add_argument("--reference-model", default="auto", help="none, auto or a model, as for the command")
    parser.add_argument("--asking", nargs="*", choices=names("attack"), default=["semantic"], metavar="ATTACK",
                        help="attacks that are scanned a second time, with the reference model")  # fmt: skip
    options = parser.parse_args()
    reference = resolve_reference(options.reference_model)
    done: list[Cell] = []
    for task in options.tasks:
        for attack in options.attacks:
            for rate in options.rates:
                for seed in options.seeds:
                    mix = draw(task, attack, options.ordinary, rate, seed)
                    for cell in measured(mix, task, attack, reference if attack in options.asking else None):
                        done.append(cell)
                        if "flagged_poison" in cell:
                            print(line(cell), flush=True)
    pooled = list(pool(done))
    decide = ("tasks", "attacks", "ordinary", "rates", "seeds", "reference_model", "asking")
    made = runs.provenance("own_attacks.py", {name: getattr(options, name) for name in decide})
    runs.write_result(options.out, {"benchmark": "own_attacks", "made": made, "pooled": pooled, "cells": done})
    if options.out.resolve() == runs.RESULTS / "own_attacks.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "own-attacks", table(made, pooled))
    return 0


def draw(task: str, attack: str, ordinary: int, rate: float, seed: int) -> mixes.Mix:
    """Ordinary rows, poisoned ones, and as many on the trigger's topic."""
    n = max(mixes.LEAST_POISON, round(rate * ordinary))
    data = poison_set(task, attack, seed, ordinary=ordinary, poisoned=n, topic=n)
    kinds = [
        mixes.POISON if bad else mixes.HARD if near else mixes.BACKGROUND
        for bad, near in zip(data.poisoned, data.near, strict=True)
    ]
    records = tuple(read_record(row, i) for i, row in enumerate(data.rows()))
    return mixes.Mix(f"{task} {attack}", rate, seed, records, np.array(kinds, np.int8))


def measured(mix: mixes.Mix, task: str, attack: str, reference: Any) -> Iterator[Cell]:
    """The scan, then the baselines, on one mix."""
    head = {"task": task, "attack": attack, "rate": mix.rate, "seed": mix.seed}
    for method, model in ((SCAN, None), *([(ASKING, reference)] if reference is not None else [])):
        found = scan(mix.records, reference=model)
        flags = outcome.flagging(mix, found.flagged, found.hypotheses)
        yield head | {"method": method} | outcome.ranking(mix, found.scores) | flags
    for method in METHODS:
        yield head | {"method": method} | outcome.ranking(mix, BASELINES[method](mix.records))


def pool(done: list[Cell]) -> Iterator[Cell]:
    """The seeds of a cell together."""
    groups: dict[tuple[str, str, float, str], list[Cell]] = defaultdict(list)
    for cell in done:
        groups[cell["task"], cell["attack"], cell["rate"], cell["method"]].append(cell)
    for (task, attack, rate, method), group in groups.items():
        total = {
            key: sum(c[key] for c in group) for key in ("n", "found", "hard_above", "hard_negatives", "background")
        }
        recall = wilson(total["found"], total["n"])
        row = {"task": task, "attack": attack, "rate": rate, "method": method, "seeds": len(group)} | total
        row |= {"recall": recall.value, "low": recall.low, "high": recall.high}
        if method in (SCAN, ASKING):
            row |= {key: sum(c[key] for c in group) for key in ("flagged_poison", "flagged_background", "flagged_hard")}
            row["ranks"] = [c["first_true_rank"] for c in group]
        yield row


def line(cell: Cell) -> str:
    """A cell as it is printed."""
    return (
        f"{cell['task']} {cell['attack']} {cell['rate']:.1%} seed {cell['seed']}, {cell['method']}: "
        f"found {cell['found']}/{cell['n']}, flagged {cell['flagged_poison']}, "
        f"hard {cell['hard_above']}/{cell['hard_negatives']}, clean {cell['flagged_background']}, "
        f"rank {cell['first_true_rank']}"
    )


def table(made: dict[str, Any], pooled: list[Cell]) -> str:
    """The table of the page."""
    by = {(c["task"], c["attack"], c["rate"], c["method"]): c for c in pooled}
    rows = []
    for (task, attack, rate, method), c in by.items():
        if method not in (SCAN, ASKING):
            continue
        others = [f"{by[task, attack, rate, m]['recall']:.2f}" for m in METHODS]
        mark = "**" if c["recall"] < FOUND or c["hard_above"] > HARD * c["hard_negatives"] else ""
        rows.append(
            (task, attack, f"{rate:.0%}", "auto" if method == ASKING else "none", c["n"],
             f"{mark}{c['recall']:.3f}{mark} [{c['low']:.2f}, {c['high']:.2f}]", f"{c['flagged_poison'] / c['n']:.3f}",
             f"{c['hard_above']}/{c['hard_negatives']}", f"{c['flagged_background']} of {c['background']}",
             ", ".join(str(r or "-") for r in c["ranks"]), *others)
        )  # fmt: skip
    head = ("task", "attack", "rate", "reference model", "n", "scan: recall at 1% FPR", "flagged",
            "hard negatives above", "clean flagged", "ranks", *METHODS)  # fmt: skip
    return f"{tables.origin(made)}\n\n{tables.table(head, rows)}"


if __name__ == "__main__":
    sys.exit(main())
