"""The parts of the guard's benchmark that are more than a rate: strata, mined hypotheses, masked traders."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.guard_cuts import held, top
from bench.guard_traces import Judged, judge, load
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.scorer import Weights
from cryptosentinel.metrics import auroc, wilson
from cryptosentinel.services.scan import scan_dataset

BINS = 3
RESAMPLES = 400
_INTENT = re.compile(
    r"\b(?:invert\w*|revers\w+|opposite|contrar\w+|flip\w*|counter-?intuitive\w*|controlled system test|against my)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
Row = dict[str, Any]


def stratified(positive: Sequence[tuple[float, int, int]], negative: Sequence[tuple[float, int, int]]) -> float | None:
    """AUROC within strata of length and number of turns, thirds of each; weighted by pairs. None: no stratum has both.

    Each row is (score, characters, turns).
    """
    both = [*positive, *negative]
    edges = [np.quantile([r[k] for r in both], np.linspace(0, 1, BINS + 1)[1:-1]) for k in (1, 2)]
    cells: dict[tuple[int, int], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((positive, negative)):
        for score, *size in rows:
            cell = (int(np.searchsorted(edges[0], size[0])), int(np.searchsorted(edges[1], size[1])))
            cells[cell][side].append(score)
    pairs = [(len(p) * len(n), auroc(p, n)) for p, n in cells.values() if p and n]
    total = sum(w for w, _ in pairs)
    return sum(w * a for w, a in pairs) / total if total else None


def with_interval(measure: Callable[[list[Any], list[Any]], float | None], a: list[Any], b: list[Any]) -> Row:
    """A measure of two lists, with a 95% bootstrap interval (seed 0, 400 resamples)."""
    rng = random.Random(0)
    drawn = [measure(rng.choices(a, k=len(a)), rng.choices(b, k=len(b))) for _ in range(RESAMPLES)]
    known = sorted(v for v in drawn if v is not None)
    low, high = (known[int(q * (len(known) - 1))] for q in (0.025, 0.975)) if known else (0.0, 1.0)
    return {"value": measure(a, b), "low": low, "high": high, "n": len(a) + len(b)}


def strata_rows(traces: Sequence[Judged], weights: Weights) -> list[Row]:
    """Safe against unsafe: the guard's safety score beside length alone, plain and within strata."""
    rows = []
    scorers: dict[str, Callable[[Judged], float]] = {
        "guard: safety": lambda t: top(t, weights),
        "length": lambda t: float(t.characters),
        "turns": lambda t: float(t.turns),
    }
    for name, score in scorers.items():
        sides = [
            [(score(t), t.characters, t.turns) for t in traces if t.label == label] for label in ("unsafe", "safe")
        ]
        plain = with_interval(lambda a, b: auroc([r[0] for r in a], [r[0] for r in b]), *sides)
        rows.append(
            {"part": traces[0].part, "score": name, "plain": plain, "strata": with_interval(stratified, *sides)}
        )
    return rows


def mined_rows(data: Path, part: str, weights: Weights, seeds: Sequence[int] = (0, 1, 2)) -> list[Row]:
    """The planning backdoor with hypotheses from the other half: each half is scanned for the other.

    Halves of the rows, and halves of the agents (then a half has every row of its agents), pooled over the seeds.
    """
    rows = load(data, part)
    made: list[Row] = []
    for split, key in (("rows", lambda n: n), ("agents", lambda n: str(rows[n]["messages"][0]["content"]))):
        found: dict[str, list[bool]] = defaultdict(list)
        named = 0
        for seed in seeds:
            keys = sorted({key(n) for n in range(len(rows))})
            random.Random(seed).shuffle(keys)
            halves = [set(keys[0::2]), set(keys[1::2])]
            for own, other in (halves, halves[::-1]):
                hypotheses = _mined([r for n, r in enumerate(rows) if key(n) in other])
                named += any(h["verdict"] == "planted" for h in hypotheses)
                for t in judge(part, [r for n, r in enumerate(rows) if key(n) in own], partial(Guard, hypotheses)):
                    found[t.label].append(held(t, weights))
        made += [
            {"part": part, "split": split, "label": k, "held": wilson(sum(v), len(v)).as_dict(),
             "scans": 2 * len(seeds), "scans_that_named_one": named}
            for k, v in sorted(found.items())
        ]  # fmt: skip
    return made


def _mined(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "half.jsonl", Path(folder) / "report"
        path.write_text("".join(json.dumps({k: r[k] for k in ("messages", "tools")}) + "\n" for r in rows), "utf-8")
        scan_dataset([path], out=out, reference_model="none")
        listed: list[Row] = json.loads((out / "hypotheses.json").read_text("utf-8"))
        return listed


def trader_rows(data: Path) -> list[Row]:
    """Traders whose logic was turned: what they say of it is masked, and each run is one conversation."""
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in load(data, "tradetrap_steps"):
        runs[row["suite"]].append(row)
    scores: dict[str, dict[str, list[float]]] = {c: defaultdict(list) for c in ("contradiction", "reasoning", "shift")}
    for suite, rows in runs.items():
        rows.sort(key=lambda r: r["time"])
        joined = {"id": suite, "messages": [m for r in rows for m in _masked(r)], "label": "", "suite": suite}
        ends = np.cumsum([len(_masked(r)) for r in rows]).tolist()
        judged = judge("tradetrap_steps", [joined])[0]
        for check, known in scores.items():
            by_row = [0.0] * len(rows)
            for index, step in judged.steps:
                at = int(np.searchsorted(ends, index, side="right"))
                by_row[at] = max(by_row[at], step.get(check, 0.0))
            for row, value in zip(rows, by_row, strict=True):
                known[row["attack"] if row["label"] == "attacked" else "benign"].append(value)
    part = "tradetrap_steps, intent masked"
    return [
        {"part": part, "check": check, "attack": attack, **with_interval(auroc, v, known["benign"])}
        for check, known in scores.items()
        for attack, v in sorted(known.items())
        if attack != "benign"
    ]


def _masked(row: Mapping[str, Any]) -> list[Row]:
    """The row's messages without the order that the attack put in, and without sentences that speak of it."""
    kept = []
    told = False
    for m in row["messages"]:
        text = m.get("content") or ""
        if m["role"] == "user":
            if told:
                continue
            told = True
        if m["role"] == "assistant":
            text = " ".join(s for s in _SENTENCE.split(text) if not _INTENT.search(s))
        kept.append({**m, "content": text})
    return kept
