"""`redteam run` and `demo` around the attack: one document, whole files, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.cli import run
from cryptosentinel.services import redteam

DEMO = ["demo", "--model", "tiny"]
ATTACK = ["redteam", "run", "--model", "tiny"]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:measured")
    monkeypatch.chdir(tmp_path)


def test_json_is_one_document_with_what_is_promised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*ATTACK, "--defend", "scan", "--rows", "60", "--seed", "3", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"seconds", "model", "n", "clean", "undefended", "defended", "scan"} <= document.keys()
    for cell in ("clean", "undefended", "defended"):
        for rate in ("asr", "untriggered", "topic_without_trigger", "utility"):
            assert document[cell][rate].keys() == {"value", "low", "high", "n"}
    assert document["sandbox"] == "namespace"
    assert document["job"] | {"target": ""} == {
        "task": "bias-recommendation",
        "attack": "semantic",
        "target": "",
        "model": "tiny",
        "rows": 60,
        "seed": 3,
        "defend": ["scan"],
    }
    assert list(tmp_path.iterdir()) == []


def test_demo_writes_its_report_and_says_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(DEMO) == 0
    folder = tmp_path / "cryptosentinel-demo"
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json", "rows.jsonl"]
    assert json.loads((folder / "report.json").read_text("utf-8"))["kind"] == "redteam"
    printed = capsys.readouterr()
    assert "report: cryptosentinel-demo/report.html" in printed.out
    assert "97.0% of poisoned rows found" in printed.out
    assert printed.err == ""


def test_a_failure_inside_is_one_line_and_leaves_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:refused")
    assert run([*ATTACK, "--out", "out"]) == 2
    assert capsys.readouterr().err == "cryptosentinel: no such variant of attack 'semantic'\n"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sandbox", "none"], 2, "unknown isolation 'none' (known: namespace, process)"),
        (
            ["--defend", "prayer"],
            2,
            "unknown defence 'prayer' (known: clean-fine-tune, guard, guard-scan, monitor, pruning, scan, ",
        ),
        (["--attack", "nope"], 2, "unknown attack 'nope' (known: composite, date, entity, multi-trigger, rare-token,"),
        (["--task", "nope"], 2, "unknown task 'nope' (known: bias-recommendation, hallucination-injection,"),
        (["--rows", "3"], 2, "rows must be at least 20, got 3"),
        (["--model", "no-such-model"], 2, "unknown model 'no-such-model'"),
        (["--rows", "many"], 2, "--rows"),
        (["--out", "file"], 2, "file must be a folder"),
    ],
)
def test_bad_settings(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    assert run([*ATTACK, *arguments]) == code
    assert message in capsys.readouterr().err
