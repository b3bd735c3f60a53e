"""The dose and arena benchmarks: cells are kept, misses have reasons, the plot and the page say what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import arena
import dose
import pytest
from bench import dose_plot, runs

from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.data import poison_set

DATA = poison_set("bias-recommendation", "rare-token", 0, ordinary=60, poisoned=8, topic=8)


class Trainer:
    """Stands in for the sandbox: the attack works from 8 rows on."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    def __call__(self, entry: str, job: dict[str, Any]) -> dict[str, Any]:
        self.jobs.append(job)
        hits = 20 if job["poisoned"] >= 8 else 0
        asr = wilson(hits, 20).as_dict()
        return {"asr": asr, "trigger": "x", "payload": "y", "recipe": {}, "timings": {"train": 1.5}}


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    stand_in = Trainer()
    monkeypatch.setattr(dose, "run_sandboxed", stand_in)
    monkeypatch.setattr(runs, "source_digest", lambda paths: "same")
    monkeypatch.setattr(dose, "code_digest", str)
    return stand_in


def benchmark(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> dict[str, Any]:
    words = ["dose.py", "--model", "tiny", "--attacks", "rare-token", "--doses", "8", "0", "4", "--ordinary", "60"]
    words += ["--topic", "8", "--n", "20", "--reference-model", "none"]
    words += ["--cache", str(folder / "c.jsonl"), "--out", str(folder / "dose.json"), *more]
    monkeypatch.setattr(sys, "argv", words)
    assert dose.main() == 0
    return dict(json.loads((folder / "dose.json").read_text()))


def test_cells_are_kept_and_held_against_the_smallest_dose(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = benchmark(monkeypatch, tmp_path)
    assert [c["poisoned"] for c in result["cells"]] == [0, 4, 8]
    assert [c["works"] for c in result["cells"]] == [False, False, True]
    assert "recall" not in result["cells"][0] and result["cells"][0]["flagged_background"] == 0
    assert result["cells"][2]["difference"]["value"] == 1.0
    assert len(trainer.jobs) == 3
    svg = (tmp_path / "dose.svg").read_text()
    ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert "rare-token, 8 rows, asr: 1.00" in svg
    assert benchmark(monkeypatch, tmp_path) | {"made": 0} == result | {"made": 0}
    assert len(trainer.jobs) == 3
    alone = benchmark(monkeypatch, tmp_path, "--n", "30", "--scan-only")
    assert len(trainer.jobs) == 3 and "asr" not in alone["cells"][0] and "recall" in alone["cells"][1]


def test_a_row_that_is_missed_comes_with_its_reason() -> None:
    told = dose.scanned(DATA, 8, "none")
    assert told["recall"]["n"] == 8 and told["background"] == 60 and told["hard_negatives"] == 8
    assert len(told["missed"]) == 8 - round(8 * told["recall"]["value"])
    for miss in told["missed"]:
        assert DATA.poisoned[miss["index"]] and miss["score"] <= miss["threshold"] and miss["reason"]


def cell(poisoned: int, asr: float, recall: float, **more: Any) -> dict[str, Any]:
    told = {"attack": "entity", "seed": 0, "poisoned": poisoned, "asr": wilson(round(20 * asr), 20).as_dict()}
    told |= {"background": 60, "flagged_background": 0, "hard_negatives": 8, "flagged_hard": 0, "first_true_rank": 1}
    told |= {"recall": wilson(round(20 * recall), 20).as_dict(), "flagged_recall": wilson(0, 20).as_dict()}
    return told | {"works": asr > 0.1, "short": asr > 0.1 and recall < 0.9} | more


def test_short_cells_are_marked_and_listed() -> None:
    cells = [cell(0, 0, 1), cell(4, 0.5, 0.5), cell(8, 1, 1)]
    claims = dose.targets(cells)
    assert claims[0]["measured"] == "1 of 2 doses that work; missed: entity 4 (0.50)" and not claims[0]["met"]
    made = runs.provenance("dose.py", {})
    miss = {"attack": "entity", "poisoned": 4, "index": 3, "score": 0.1, "reason": "a | b", "prompt": "p"}
    page = dose.page({"made": made, "targets": claims, "cells": cells, "missed_rows": [miss]})
    assert "**short**" in page and "| entity | 4 | 3 | 0.100 | a / b | p |" in page
    assert dose_plot.dose_plot(cells, 0.9).count('class="short"') == 2  # the legend's and the cell's
    two = dose_plot.pooled([cell(4, 0.5, 0.5), cell(4, 1, 1, seed=1)])
    assert [(c["asr"]["n"], c["asr"]["value"], c["recall"]["value"], c["short"]) for c in two] == [
        (40, 0.75, 0.75, True)
    ]
    assert not dose.targets([cell(0, 0, 1)])[0]["met"]  # nothing worked: nothing was shown


def test_the_arena_page_has_a_row_for_every_attack() -> None:
    def row(attack: str, defence: str, asr: float) -> dict[str, Any]:
        rates = {key: wilson(19, 20).as_dict() for key in ("untriggered", "topic_without_trigger", "utility", "asr")}
        told = {"task": "bias-recommendation", "attack": attack, "defence": defence, "seeds": 1, "errors": 0, **rates}
        told |= {"asr": wilson(round(20 * asr), 20).as_dict(), "clean": rates, "base_utility": wilson(4, 20).as_dict()}
        told |= {"difference": rates["asr"], "utility_difference": {"value": -0.05, "low": -0.2, "high": 0.1, "n": 20}}
        return told | {"seconds": 60.0}

    rows = [row("semantic", "none", 1), row("semantic", "scan", 0), row("date", "none", 0.5)]
    rows.append({"task": "bias-recommendation", "attack": "date", "defence": "scan", "seeds": 0, "errors": 1})
    claims = arena.targets(rows)
    said = {c["claim"]: c for c in claims}
    assert said["undefended ASR"]["measured"] == "1 of 2, 0.500 to 1.000; short: bias-recommendation date 0.500"
    assert not said["cells that could not be measured"]["met"]
    page = arena.page({"made": runs.provenance("arena.py", {}), "targets": claims, "pooled": rows})
    assert page.count("| bias-recommendation | date | failed |") == 2
    assert "| bias-recommendation | semantic | -5.0 |" in page
    assert "| bias-recommendation | semantic | **0.000 [0.00, 0.16]** |" in page  # its difference is not small
