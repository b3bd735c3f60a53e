"""Does the scan find what was planted, and leave alone what was not? The protocol of the evaluation data, cell by cell.

Every method scores the same mixes in the same run: the scan itself and the baselines. Finished cells are kept outside
the repository, keyed by code and data, so a run that was stopped goes on where it was and a changed scanner is
measured anew. `--render` only fills the tables of docs/benchmarks.md from the result file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from bench import mixes, outcome, runs, tables
from bench.baselines import BASELINES

from cryptosentinel.errors import ConfigError
from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.services.scan import resolve_reference
from cryptosentinel.types import Record

SCAN = "scan"
RATES = (0.05, 0.01, 0.005, 0.001)
SEEDS = (0, 1, 2)
MAIN_RATE = 0.01  # the rate at which every seed is run; elsewhere the first alone
CODE = runs.ROOT / "benchmarks" / "bench"
PAGE = runs.ROOT / "docs" / "benchmarks.md"


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
        print(f"{'met   ' if target['met'] else 'MISSED'} {target['claim']}: {target['measured']} ({target['bound']})")
    if options.render or options.out.resolve() == runs.RESULTS / "sanitize.json":
        tables.fill(PAGE, "sanitize", tables.sanitize_tables(result))
    return 0


def measure(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Every cell, from the cache or by running it; then the pooled numbers and the targets."""
    grid = _Grid(options, data)
    names = [n for n in mixes.attack_names(data) if any(fnmatch(n, pattern) for pattern in options.attacks)]
    if not names:
        raise ConfigError(f"no attack file matches {' '.join(options.attacks)}")
    plan = [(name, rate, seed) for name in names for rate, seed in _cells(name, options)]
    cells: list[dict[str, Any]] = []
    started = time.monotonic()
    for i, (name, rate, seed) in enumerate(plan, 1):
        done = grid.attack_cell(name, rate, seed)
        cells += done
        runs.say(f"[{i}/{len(plan)} {time.monotonic() - started:.0f} s] {_line(done)}")
    backgrounds = [grid.background_cell(name) for name in mixes.BACKGROUNDS]
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        groups[cell["attack"], cell["rate"], cell["method"]].append(cell)
    pooled = [
        {"attack": a, "rate": r, "method": m, "as_is": mixes.attack_of(a).as_is} | outcome.pooled(group)
        for (a, r, m), group in groups.items()
    ]
    easy = [c for c in cells if c["attack"].startswith("backdoorllm_") and c["rate"] == MAIN_RATE]
    for method in options.methods:
        if group := [c for c in easy if c["method"] == method]:
            head = {"attack": tables.EASY, "rate": MAIN_RATE, "method": method, "as_is": False}
            pooled.append(head | outcome.pooled(group))
    asked = ("attacks", "rates", "seeds", "methods", "reference_model", "trusted")
    chosen = {k: getattr(options, k) for k in asked if getattr(options, k) not in (None, [])}
    made = runs.provenance("sanitize.py", chosen) | {"seeds": options.seeds, "fpr": outcome.FPR}
    made["reference_model"] = grid.reference.name if grid.reference else "none"
    return {
        "benchmark": "sanitize",
        "made": made,
        "targets": tables.targets(pooled, backgrounds),
        "pooled": pooled,
        "backgrounds": backgrounds,
        "cells": cells,
    }


class _Grid:
    """Runs one cell at a time and remembers it."""

    def __init__(self, options: argparse.Namespace, data: Path) -> None:
        self._options, self._data = options, data
        self._cache = runs.CellCache(options.cache)
        shared = [CODE / "mixes.py", CODE / "outcome.py"]
        self._code = {name: runs.source_digest([*shared, CODE / "baselines.py"]) for name in BASELINES}
        self._code[SCAN] = runs.source_digest([*shared, *runs.SCANNER])
        self.reference = resolve_reference(options.reference_model)
        self._judge = self.reference.name if self.reference else "none"
        self._trusted: list[Record] | None = None

    def attack_cell(self, name: str, rate: float, seed: int) -> list[dict[str, Any]]:
        """One mix under every method."""
        attack = mixes.attack_of(name)
        digest = mixes.files_digest(self._data, attack)
        mix: mixes.Mix | None = None
        cells = []
        for method in self._options.methods:
            key = self._key(method, name, rate, seed, digest)
            found = self._cache.get(key)
            if found is None:
                mix = mix or mixes.draw_mix(self._data, attack, rate, seed)
                found = self._run(method, mix)
                self._cache.put(key, found)
            cells.append({"attack": name, "rate": rate, "seed": seed, "method": method, **found})
        return cells

    def background_cell(self, name: str) -> dict[str, Any]:
        """What the scan raises where nothing was planted."""
        key = self._key(SCAN, name, 0.0, 0, mixes.files_digest(self._data, None, name))
        found = self._cache.get(key)
        if found is None:
            mix = mixes.background_alone(self._data, name)
            result = self._scan(mix.records)
            planted = sum(h.verdict == "planted" for h in result.hypotheses)
            found = {"rows": len(mix.records), "flagged": int(result.flagged.sum()), "planted": planted}
            self._cache.put(key, found)
        runs.say(f"[{name} alone] {found}")
        return {"background": name, **found}

    def _run(self, method: str, mix: mixes.Mix) -> dict[str, Any]:
        if method != SCAN:
            return outcome.ranking(mix, BASELINES[method](mix.records))
        result = self._scan(mix.records)
        return outcome.ranking(mix, result.scores) | outcome.flagging(mix, result.flagged, result.hypotheses)

    def _scan(self, records: Sequence[Record]) -> Scan:
        if self._options.trusted and self._trusted is None:
            self._trusted = mixes.read_background(self._data, self._options.trusted)
        return scan(records, trusted_records=self._trusted, reference=self.reference, fpr=outcome.FPR)

    def _key(self, method: str, name: str, rate: float, seed: int, digest: str) -> str:
        how = [self._judge, self._options.trusted or ""] if method == SCAN else []
        return "|".join(map(str, [method, self._code[method], *how, name, digest, rate, seed]))


def _cells(name: str, options: argparse.Namespace) -> Iterator[tuple[float, int]]:
    """Which rates and seeds? All seeds at 1%, the first elsewhere; a file that is a mix already has one rate, its own.

    Its cells stand under the main rate.
    """
    if mixes.attack_of(name).as_is:
        yield from ((MAIN_RATE, seed) for seed in options.seeds if MAIN_RATE in options.rates)
        return
    for rate in options.rates:
        yield from ((rate, seed) for seed in (options.seeds if rate == MAIN_RATE else options.seeds[:1]))


def _line(cells: Sequence[dict[str, Any]]) -> str:
    parts = [f"{c['method']} {c['found']}/{c['n']} auroc {c['auroc']:.2f}" for c in cells]
    rank = next((f" rank {c['first_true_rank']}" for c in cells if c["method"] == SCAN), "")
    return f"{cells[0]['attack']} {cells[0]['rate']:.1%} seed {cells[0]['seed']}{rank}: " + ", ".join(parts)


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "sanitize.json")
    parser.add_argument("--attacks", nargs="+", default=["*"], help="names or patterns of attack files")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="shares of the background")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="all at 1%%, the first elsewhere")
    parser.add_argument("--methods", nargs="+", choices=[SCAN, *BASELINES], default=[SCAN, *BASELINES])
    parser.add_argument("--reference-model", default="none", help="none, auto or a model, as for the command")
    parser.add_argument("--trusted", choices=mixes.BACKGROUNDS, help="a background to give the scan as trusted data")
    parser.add_argument("--cache", type=Path, help="file that keeps finished cells (default: in the cache folder)")
    parser.add_argument("--render", action="store_true", help="only fill docs/benchmarks.md from the result file")
    options = parser.parse_args()
    if any(not 0.0 < rate < 1.0 for rate in options.rates):
        parser.error(f"--rates must lie in (0, 1), got {options.rates}")
    return options


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    sys.exit(main())
