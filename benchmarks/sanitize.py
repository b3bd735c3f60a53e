"""Does the scan find what was planted, and leave alone what was not? The protocol of the evaluation data, cell by cell.

Every method scores the same mixes in the same run: the scan itself, the baselines and, for style, the ceiling that a
classifier with the labels reaches. Finished cells are kept outside the repository, keyed by code and data, so a run
that was stopped goes on where it was and a changed scanner is measured anew. `--render` only fills the tables of
docs/benchmarks.md and draws the plot from the result file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bench import cells, grid, mixes, outcome, plot, runs, tables, targets, traces
from bench.baselines import BASELINES
from bench.cells import CEILING, SCAN, Setup, Spec

from cryptosentinel.errors import ConfigError
from cryptosentinel.files import atomic_write
from cryptosentinel.services.scan import resolve_reference

RATES = (0.05, 0.01, 0.005, 0.001)
SEEDS = (0, 1, 2)
MAIN_RATE, LOW_RATE = 0.01, 0.001
METHODS = (SCAN, *BASELINES, CEILING)
SLOW = "onion_perplexity"  # run at up to 1% and with the first seed
BENCH = runs.ROOT / "benchmarks" / "bench"
PAGE = runs.ROOT / "docs" / "benchmarks.md"
PLOT = runs.RESULTS / "sanitize_recall.svg"
CODE = {
    "spectral_signatures": ("model_baselines", "embeddings"),
    "activation_clusters": ("model_baselines", "embeddings"),
    "onion_perplexity": ("model_baselines", "surprisal"),
    CEILING: ("ceiling",),
}
Cell = dict[str, Any]


def main() -> int:
    """Run the grid, write the result, fill the page."""
    options = _options()
    if not options.render:
        data = runs.data_folder(options.data)
        if data is None:
            return 0
        runs.write_result(options.out, measure(options, data))
    result = json.loads(options.out.read_text("utf-8"))
    for target in result["targets"]:
        verdict = "pass " if target["met"] else "SHORT"
        print(f"{verdict} {target['claim']}: {target['measured']} ({target['bound']})")
    if options.render or options.out.resolve() == runs.RESULTS / "sanitize.json":
        tables.fill(PAGE, "sanitize", tables.sanitize_tables(result))
        atomic_write(PLOT, plot.recall_plot(result["pooled"]))
    return 0


def measure(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Every cell, from the cache or by running it; then the pooled numbers and the targets."""
    names = [n for n in mixes.attack_names(data) if any(fnmatch(n, pattern) for pattern in options.attacks)]
    with_traces = any(fnmatch(traces.NAME, pattern) for pattern in options.attacks)
    if not names and not with_traces:
        raise ConfigError(f"no attack file matches {' '.join(options.attacks)}")
    attacks = [Spec(name, rate, seed) for name in names for rate, seed in _cells(name, options)]
    stored = [Spec(traces.NAME)] if with_traces else []
    alone = [Spec(name) for name in mixes.BACKGROUNDS] if SCAN in options.methods else []
    known = _run([*alone, *stored, *attacks], options, data)
    done = [_cell(spec, method, known) for spec in attacks for method in _methods(spec, options)]
    pooled = _pooled(done)
    backgrounds = [{"background": spec.name, **known[spec, SCAN]} for spec in alone]
    seen = [_cell(spec, method, known) for spec in stored for method in _methods(spec, options)]
    asked = ("attacks", "rates", "seeds", "methods", "reference_model", "trusted")
    chosen = {k: getattr(options, k) for k in asked if getattr(options, k) not in (None, [])}
    made = runs.provenance("sanitize.py", chosen, runs.MODEL_PACKAGES)
    made |= {"seeds": options.seeds, "fpr": outcome.FPR, "reference_model": _reference_name(options)}
    return {
        "benchmark": "sanitize",
        "made": made,
        "targets": targets.targets(pooled, done, backgrounds, seen),
        "pooled": pooled,
        "backgrounds": backgrounds,
        "traces": seen,
        "cells": done,
    }


def _run(specs: Sequence[Spec], options: argparse.Namespace, data: Path) -> dict[tuple[Spec, str], Cell]:
    """The outcome of every method on every mix; only what the cache does not have is run."""
    setup = Setup(data, options.reference_model, options.trusted or "")
    code, judge = _code(), _reference_name(options)
    wanted = {}
    for spec in specs:
        digest = cells.data_digest(data, spec)
        for method in _methods(spec, options):
            how = [judge, options.trusted or ""] if method == SCAN else []
            parts = [method, code[method], *how, spec.name, digest, spec.rate, spec.seed]
            wanted[spec, method] = grid.Wanted("|".join(map(str, parts)), method, setup)
    return grid.outcomes(wanted, runs.CellCache(options.cache), options.jobs, _line)


def _code() -> dict[str, str]:
    """Which code does each method's outcome depend on?"""
    shared = [BENCH / "mixes.py", BENCH / "outcome.py", BENCH / "traces.py"]
    digests = {
        name: runs.source_digest([*shared, *(BENCH / f"{m}.py" for m in CODE.get(name, ("baselines",)))])
        for name in METHODS
    }
    return digests | {SCAN: runs.source_digest([*shared, *runs.SCANNER])}


def _methods(spec: Spec, options: argparse.Namespace) -> list[str]:
    """Of the methods asked for: the scan alone on a background, the ceiling for style, the slow one not everywhere."""
    if spec.is_background:
        return [SCAN]
    left = set() if spec.name.startswith("style_") else {CEILING}
    if spec.seed != options.seeds[0] or spec.rate > MAIN_RATE:
        left.add(SLOW)
    return [m for m in options.methods if m not in left]


def _cells(name: str, options: argparse.Namespace) -> Iterator[tuple[float, int]]:
    """Which rates and seeds? All seeds at 1%, the first elsewhere; a file that is a mix already has one rate, its own.

    The easy attacks have all seeds at 0.1% too, since their target there speaks of 27 rows. The cells of a file that is
    a mix stand under the main rate.
    """
    if mixes.attack_of(name).as_is:
        yield from ((MAIN_RATE, seed) for seed in options.seeds if MAIN_RATE in options.rates)
        return
    for rate in options.rates:
        every = rate == MAIN_RATE or (rate == LOW_RATE and name.startswith("backdoorllm_"))
        yield from ((rate, seed) for seed in (options.seeds if every else options.seeds[:1]))


def _cell(spec: Spec, method: str, known: dict[tuple[Spec, str], Cell]) -> Cell:
    found = known[spec, method]
    head = {"attack": spec.name, "rate": spec.rate, "seed": spec.seed, "method": method}
    return head | found | outcome.shares(found)


def _pooled(done: Sequence[Cell]) -> list[Cell]:
    """An attack's seeds together, for each rate and method; and all easy attacks together."""
    groups: dict[tuple[str, float, str], list[Cell]] = defaultdict(list)
    for cell in done:
        groups[cell["attack"], cell["rate"], cell["method"]].append(cell)
    pooled = [
        {"attack": a, "rate": r, "method": m, "as_is": mixes.attack_of(a).as_is} | outcome.pooled(group)
        for (a, r, m), group in groups.items()
    ]
    easy: dict[tuple[float, str], list[Cell]] = defaultdict(list)
    for cell in done:
        if cell["attack"].startswith("backdoorllm_"):
            easy[cell["rate"], cell["method"]].append(cell)
    for (rate, method), group in easy.items():
        head = {"attack": targets.EASY, "rate": rate, "method": method, "as_is": False}
        pooled.append(head | outcome.pooled(group))
    return pooled


def _line(spec: Spec, found: dict[str, Cell]) -> str:
    parts = []
    for method, cell in found.items():
        if spec.is_background:
            told = f"{cell['flagged']} of {cell['rows']} flagged, {cell['planted']} planted"
        else:
            told = f"{cell['found']}/{cell['n']} auroc {cell['auroc']:.2f}"
            told += f" rank {cell['first_true_rank']}" if "first_true_rank" in cell else ""
        parts.append(f"{method} {told} {cell['seconds']:.1f} s")
    return f"{spec.name} {spec.rate:.1%} seed {spec.seed}: " + ", ".join(parts)


def _reference_name(options: argparse.Namespace) -> str:
    reference = resolve_reference(options.reference_model)
    return reference.name if reference else "none"


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "sanitize.json")
    parser.add_argument("--attacks", nargs="+", default=["*"], help="names or patterns of attack files")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="shares of the background")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="all at 1%%, the first elsewhere")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--reference-model", default="none", help="none, auto or a model, as for the command")
    parser.add_argument("--trusted", choices=mixes.BACKGROUNDS, help="a background to give the scan as trusted data")
    parser.add_argument("--cache", type=Path, help="file that keeps finished cells (default: in the cache folder)")
    parser.add_argument("--jobs", type=int, default=1, help="cells run at the same time")
    parser.add_argument("--render", action="store_true", help="only fill docs/benchmarks.md from the result file")
    options = parser.parse_args()
    if any(not 0.0 < rate < 1.0 for rate in options.rates):
        parser.error(f"--rates must lie in (0, 1), got {options.rates}")
    return options


if __name__ == "__main__":
    sys.exit(main())
