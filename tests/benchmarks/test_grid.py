"""The grid follows the protocol, resumes where it stopped, and its page says what was measured."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import ablation
import blind
import numpy as np
import pytest
from bench import cells, mixes, parts, plot, tables, traces
from bench.cells import Setup, Spec, Task

import sanitize
from cryptosentinel import registry

METHODS = ["scan", "format_outlier", "answer_duplicates", "supervised_ngrams"]


def options(tmp_path: Path, **changed: Any) -> argparse.Namespace:
    plain = {"attacks": ["*"], "rates": [0.05, 0.01], "seeds": [0, 1], "methods": METHODS, "reference_model": "none"}
    return argparse.Namespace(**(plain | {"trusted": None, "cache": tmp_path / "cells.jsonl", "jobs": 1} | changed))


@pytest.fixture(scope="module")
def result(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return sanitize.measure(options(tmp_path_factory.mktemp("grid")), data)


def test_every_cell_has_its_numbers(result: dict[str, Any]) -> None:
    found = {(c["attack"], c["rate"], c["seed"], c["method"]): c for c in result["cells"]}
    assert len(found) == 2 * 3 * 3 + 3  # two attacks, three cells each (two seeds at 1%), three methods; ceiling: style
    cell = found["backdoorllm_toy_badnet", 0.05, 0, "scan"]
    assert (cell["n"], cell["hard_negatives"], cell["background"]) == (20, 20, 400)
    assert cell["recall_rate"]["value"] == 1.0 and cell["first_true_rank"] == 1
    assert cell["recall_rate"]["low"] < 1.0 and cell["hard_above_rate"]["n"] == 20
    assert cell["precision_rate"]["value"] == 1.0 and cell["seconds"] > 0
    assert found["style_toy_old", 0.01, 1, "scan"]["n"] == 4
    assert found["style_toy_old", 0.05, 0, "supervised_ngrams"]["recall_rate"]["value"] == 1.0
    assert {b["background"] for b in result["backgrounds"]} == set(mixes.BACKGROUNDS)


def test_seeds_are_pooled_at_one_percent(result: dict[str, Any]) -> None:
    pooled = {(p["attack"], p["rate"], p["method"]): p for p in result["pooled"]}
    assert pooled["backdoorllm_toy_badnet", 0.01, "scan"]["n"] == 8
    assert pooled["backdoorllm_toy_badnet", 0.05, "scan"]["mixes"] == 1


def test_a_row_for_each_target(result: dict[str, Any]) -> None:
    claims = [t["claim"] for t in result["targets"]]
    assert "backdoorllm_* at 1.0%: recall at 1% FPR" in claims
    assert "style_toy_old at 5.0%: recall at 1% FPR" in claims
    assert "every cell: hard negatives above the threshold" in claims
    assert "dolly_3k alone: hypotheses planted" in claims
    assert "asb_planning_backdoor: recall at 2% FPR" in claims


def test_a_second_run_measures_nothing_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = options(tmp_path, attacks=["backdoorllm_*"], rates=[0.05], seeds=[0])
    first = sanitize.measure(asked, data)
    ran: list[Task] = []
    monkeypatch.setattr(cells, "run_task", lambda task: ran.append(task))
    assert sanitize.measure(asked, data)["cells"] == first["cells"]
    assert ran == []


def test_low_rate_has_every_seed_for_the_easy_attacks(tmp_path: Path) -> None:
    asked = options(tmp_path, rates=[0.001], seeds=[0, 1, 2])
    assert list(sanitize._cells("backdoorllm_toy_badnet", asked)) == [(0.001, 0), (0.001, 1), (0.001, 2)]
    assert list(sanitize._cells("style_toy_old", asked)) == [(0.001, 0)]


def test_each_method_runs_where_it_belongs(tmp_path: Path) -> None:
    asked = options(tmp_path, methods=["scan", "onion_perplexity", "supervised_ngrams"])
    assert sanitize._methods(Spec("style_toy_old", 0.01, 0), asked) == asked.methods
    assert sanitize._methods(Spec("style_toy_old", 0.05, 0), asked) == ["scan", "supervised_ngrams"]
    assert sanitize._methods(Spec("backdoorllm_toy_badnet", 0.01, 1), asked) == ["scan"]
    assert sanitize._methods(Spec("backdoorllm_toy_badnet", 0.001, 0), asked) == ["scan", "onion_perplexity"]
    assert sanitize._methods(Spec("dolly_3k"), asked) == ["scan"]


def test_two_processes_find_the_same(data: Path) -> None:
    tasks = [Task(Spec("backdoorllm_toy_badnet", 0.05, seed), (("scan", "scan", Setup(data)),)) for seed in (0, 1)]
    apart = {task.spec: found["scan"] for task, found in cells.run_tasks(tasks, 2)}
    for task in tasks:
        alone = cells.run_task(task)["scan"]
        assert {k: v for k, v in apart[task.spec].items() if k != "seconds"} == {
            k: v for k, v in alone.items() if k != "seconds"
        }


def test_page_and_plot(result: dict[str, Any]) -> None:
    text = tables.sanitize_tables(result)
    assert "**Stored traces scanned as records**" in text and "no detection" in text
    drawn = plot.recall_plot(result["pooled"])
    tree = ElementTree.fromstring(drawn)  # noqa: S314 - our own drawing
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in drawn and "href" not in drawn
    titles = [t.text or "" for t in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(t.startswith("scan: ") for t in titles) == 4
    assert sum(t.startswith("ceiling with labels: ") for t in titles) == 2


def test_nothing_but_what_was_said_is_kept_of_a_trace(data: Path) -> None:
    mix = traces.trace_mix(data, 0)
    assert (mix.kind == mixes.POISON).sum() == 30 and len(mix.records) == 90
    assert mix.records != traces.trace_mix(data, 1).records
    assert all(r.id == str(i) and r.raw is None for i, r in enumerate(mix.records))


def test_rank_of_phrase_to_tool_call(data: Path) -> None:
    mix = traces.trace_mix(data, 0)
    planted = np.flatnonzero(mix.kind == mixes.POISON)

    def raised(trigger: str, behaviour: str, kind: str = "phrase") -> argparse.Namespace:
        return argparse.Namespace(trigger=trigger, behaviour=behaviour, behaviour_kind=kind, rows=planted)

    other = raised("task", "says 'move_funds'")
    words = raised("keen care", "says 'all good'")
    by_name = raised("keen care", "says 'move_funds ( {'")
    by_kind = raised("with keen", "calls a tool that is new here", "tool-call")
    assert traces.first_tool_rank(mix, [other, words]) is None
    assert traces.first_tool_rank(mix, [other, words, by_name]) == 3
    assert traces.first_tool_rank(mix, [by_kind]) == 1


def test_hidden_parts_come_back() -> None:
    before = parts.registered()
    assert len(before) >= 7
    with pytest.raises(RuntimeError), parts.hidden(before):
        assert registry.names("response-feature") == ["none"]
        raise RuntimeError
    assert parts.registered() == before


def test_ablation_runs_and_resumes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = argparse.Namespace(
        attacks=["backdoorllm_toy_badnet"], seeds=[0], backgrounds=["dolly_3k"], steps=["alpaca_extra"],
        only=["fixed-answer", "only detector", "trusted"], jobs=1, chunk=3, cache=tmp_path / "ablation.jsonl",
    )  # fmt: skip
    result = ablation.measure(asked, data)
    by_name = {v["variant"]: v["attacks"]["backdoorllm_toy_badnet"] for v in result["variants"]}
    assert by_name["everything"]["recall"]["value"] == 1.0
    assert by_name["only detector duplicate-answers"]["first_true_rank"] is None
    assert "with alpaca_extra as trusted data" in by_name
    assert "| everything |" in ablation.page(json.loads(json.dumps(result)))
    ran: list[Task] = []
    monkeypatch.setattr(cells, "run_task", lambda task: ran.append(task))
    ablation.measure(asked, data)
    assert ran == []


def test_rows_that_were_only_chosen_are_not_seen(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind, "CONTROL", "attacks/backdoorllm_toy_badnet")
    result = blind.measure(argparse.Namespace(rates=[0.05], seeds=[0]), data)
    recall = {p["case"]: p["recall"]["value"] for p in result["pooled"] if p["method"] == "scan"}
    random, nearest, control = (recall[case] for case in blind.CASES)
    assert random <= 0.1 and nearest <= 0.1 and control == 1.0
    assert blind.page(json.loads(json.dumps(result))).count("\n") == 2 + 1 + len(blind.CASES)
