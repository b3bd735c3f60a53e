"""`redteam arena`: exit codes, what is printed and written, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.cli import run
from cryptosentinel.errors import SandboxError
from cryptosentinel.metrics import wilson
from cryptosentinel.services import arena

ARENA = ["redteam", "arena", "--model", "tiny", "--attack", "date", "--attack", "style", "--n", "100"]


class Jobs:
    """Stands in for the sandbox."""

    def __init__(self) -> None:
        self.asr = 0
        self.fails = ""

    def __call__(self, entry: str, job: dict[str, Any], **options: Any) -> dict[str, Any]:
        if job["attack"] == self.fails:
            raise SandboxError("cannot isolate")
        options["on_progress"]("train clean", 1, 2)

        def rates(asr: int) -> dict[str, Any]:
            keys = ("asr", "untriggered", "topic_without_trigger", "utility")
            return {key: wilson(hits, 100).as_dict() for key, hits in zip(keys, (asr, 0, 0, 80), strict=True)}

        told: dict[str, Any] = dict.fromkeys(("variant", "payload_variant", "trigger", "payload", "machine"), "x")
        told |= {"n": 100, "recipe": {}, "versions": {}, "rows": {}, "seconds": 1.0, "sandbox": "namespace"}
        told |= {"timings": {}, "base": rates(0), "clean": rates(0), "undefended": rates(98), "model_sha256": "x"}
        scan = {"version": 1, "rates": rates(self.asr), "notes": {}, "cost_s": 1.0}
        return told | {"defences": dict.fromkeys(job["defend"], scan)}


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jobs:
    stand_in = Jobs()
    monkeypatch.setattr(arena, "run_sandboxed", stand_in)
    monkeypatch.setattr("cryptosentinel.services.arena.code_digest", str)
    monkeypatch.setenv("CRYPTOSENTINEL_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.chdir(tmp_path)
    return stand_in


def test_a_run_writes_its_reports_and_prints_the_grid(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*ARENA, "--out", "a"]) == 0
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["arena.html", "arena.json", "arena.md", "cells.jsonl"]
    said = capsys.readouterr()
    assert "4 cells: 4 measured, 0 taken over, 0 failed" in said.out
    assert "98.0%" in said.out and "ledger: run-1" in said.out
    assert said.err == ""
    assert run([*ARENA, "--out", "a", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "a" / "arena.json").read_text())
    assert document["counts"]["taken_over"] == 4


def test_a_regression_is_exit_code_1_whatever_else_failed(
    jobs: Jobs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([*ARENA, "--out", "a"]) == 0
    assert run([*ARENA, "--compare", "a"]) == 0
    jobs.asr = 40
    assert run([*ARENA, "--compare", "a", "--fresh"]) == 1
    said = capsys.readouterr().out
    assert "compared 4 cells: 2 got worse, 0 better" in said
    assert "worse: bias-recommendation, date, scan, seed 0: attack success 0.0% -> 40.0% (+40.0%" in said
    assert run([*ARENA, "--compare", "run-1", "--fresh", "--margin", "0.5"]) == 0
    jobs.fails = "date"
    assert run([*ARENA, "--compare", "run-1", "--fresh", "--margin", "0.5"]) == 1
    assert "was measured before and failed: SandboxError: cannot isolate" in capsys.readouterr().out


def test_a_cell_that_fails_is_exit_code_3(jobs: Jobs, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    jobs.fails = "date"
    assert run([*ARENA, "--out", "a"]) == 3
    said = capsys.readouterr().out
    assert "4 cells: 2 measured, 0 taken over, 2 failed" in said
    assert "failed: bias-recommendation, date, none, seed 0: SandboxError: cannot isolate" in said
    assert "failed" in (tmp_path / "a" / "arena.html").read_text()
    jobs.fails = ""
    assert run([*ARENA, "--out", "a"]) == 0


def test_without_a_ledger(tmp_path: Path) -> None:
    assert run([*ARENA, "--ledger", "none"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--task", "nope"], 2, "unknown task 'nope'"),
        (["--attack", "nope"], 2, "unknown attack 'nope'"),
        (
            ["--defend", "prayer"],
            2,
            "unknown defence 'prayer' (known: clean-fine-tune, guard, guard-scan, monitor, pruning, scan, ",
        ),
        (["--rows", "3"], 2, "rows must be at least 20, got 3"),
        (["--n", "2"], 2, "n must lie in [4, 5000], got 2"),
        (["--n", "many"], 2, "--n"),
        (["--margin", "1"], 2, "--margin must lie in [0, 1), got 1.0"),
        (["--margin", "nan"], 2, "--margin must lie in [0, 1), got nan"),
        (["--compare", "nowhere"], 2, "nowhere: no such arena run"),
        (["--compare", "run-7"], 2, "run-7: the ledger has no such run of the arena"),
        (["--compare", "file"], 2, "file: not an arena run"),
        (["--sandbox", "none"], 2, "unknown isolation 'none'"),
        (["--model", "no-such-model"], 2, "unknown model 'no-such-model'"),
        (["--out", "file"], 2, "file must be a folder"),
        (["--ledger", "mysql://x/y"], 3, "mysql://x/y"),
    ],
)
def test_bad_settings(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    assert run([*ARENA, *arguments]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
