"""The arena's service: resumed, it measures what is missing and nothing else; what fails is said and tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel import __version__
from cryptosentinel.errors import ConfigError, DataError, SandboxError
from cryptosentinel.ledger import Ledger
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.arena import Grid
from cryptosentinel.redteam.finetune import Recipe
from cryptosentinel.services import arena
from cryptosentinel.services.arena import model_identity, run_arena
from cryptosentinel.services.arena_cells import load_run
from cryptosentinel.services.redteam import attack_inside

GRID = Grid(("bias-recommendation",), ("rare-token", "date"), ("none", "scan", "clean-fine-tune"), (0,), "tiny", 24, 6)
SETTINGS = GRID.settings()
Job = dict[str, Any]


def rates(asr: float) -> dict[str, Any]:
    some = wilson(3, 6).as_dict()
    return {"asr": wilson(round(6 * asr), 6).as_dict(), "untriggered": some, "topic_without_trigger": some} | {
        "utility": some
    }


class Jobs:
    """Stands in for the sandbox: notes each job and answers at once, or as told."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.fails: dict[str, BaseException] = {}
        self.broken: set[str] = set()
        self.asr = 0.0

    def __call__(self, entry: str, job: Job, **options: Any) -> dict[str, Any]:
        job = json.loads(json.dumps(job))
        self.jobs.append(job)
        if job["attack"] in self.fails:
            raise self.fails[job["attack"]]
        told: Job = dict.fromkeys(("variant", "payload_variant", "trigger", "payload", "model_sha256", "machine"), "x")
        told |= {"n": 6, "recipe": {}, "versions": {}, "rows": {}, "seconds": 1.0, "sandbox": "namespace"}
        told |= {"timings": {}, "base": {"utility": rates(0)["utility"]}, "clean": rates(0), "undefended": rates(1)}
        entry_of = {"version": 1, "rates": rates(self.asr), "notes": {}, "cost_s": 1.0}
        told["defences"] = {
            d: {"error": "it broke"} if d in self.broken else entry_of for d in job["defend"] if d != "none"
        }
        return {**told, **job["known"]}


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits the code while the tests run does not change the keys."""
    monkeypatch.setattr("cryptosentinel.services.arena.code_digest", str)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    stand_in = Jobs()
    monkeypatch.setattr(arena, "run_sandboxed", stand_in)
    return stand_in


def grid(**changes: Any) -> Grid:
    return Grid(**{**SETTINGS, **changes})


def test_a_second_start_takes_everything_over(jobs: Jobs, tmp_path: Path) -> None:
    first = run_arena(GRID, out=tmp_path)
    assert first["counts"] == {"cells": 6, "taken_over": 0, "measured": 6, "errors": 0}
    assert len(jobs.jobs) == 2 and jobs.jobs[0]["defend"] == ["scan", "clean-fine-tune"]
    second = run_arena(GRID, out=tmp_path)
    assert second["counts"]["taken_over"] == 6 and len(jobs.jobs) == 2
    assert second["cells"] == first["cells"]
    assert [(c["version"], c["code"]) for c in first["cells"][:2]] == [(__version__, "False"), (__version__, "True")]
    third = run_arena(GRID, out=tmp_path, fresh=True)
    assert third["counts"]["measured"] == 6 and len(jobs.jobs) == 4


def test_only_what_is_missing_is_measured_and_told_what_is_known(jobs: Jobs, tmp_path: Path) -> None:
    run_arena(grid(defences=("scan",)), out=tmp_path)
    assert jobs.jobs[0]["known"] == {"undefended": {}}  # nobody asked how the attack does without a defence
    jobs.jobs.clear()
    run_arena(grid(attacks=("rare-token", "date", "style")), out=tmp_path)
    asked = {job["attack"]: (job["defend"], sorted(job["known"])) for job in jobs.jobs}
    assert asked["date"] == (["clean-fine-tune"], ["base", "clean"])
    assert asked["style"] == (["scan", "clean-fine-tune"], [])
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 9
    jobs.jobs.clear()
    run_arena(grid(n=8), out=tmp_path)
    assert len(jobs.jobs) == 2
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 15  # cells of other settings are kept


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3)])
def test_stopped_midway_the_finished_group_is_kept(jobs: Jobs, tmp_path: Path, stop: BaseException) -> None:
    jobs.fails["date"] = stop
    ledger = Ledger.open(tmp_path / "ledger.db")
    with pytest.raises(type(stop)):
        run_arena(GRID, out=tmp_path / "a", ledger=ledger)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["cells.jsonl"]
    with pytest.raises(DataError, match="that run of the arena did not end"):
        load_run("run-1", lambda: ledger)
    jobs.fails, jobs.jobs = {}, []
    again = run_arena(GRID, out=tmp_path / "a", ledger=ledger)
    assert [job["attack"] for job in jobs.jobs] == ["date"]
    assert again["counts"] == {"cells": 6, "taken_over": 3, "measured": 3, "errors": 0}
    whole = run_arena(GRID, out=tmp_path / "b")
    assert whole["cells"] == again["cells"]


def test_the_ledger_alone_is_enough_to_go_on_and_to_compare_with(jobs: Jobs, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    first = run_arena(GRID, ledger=ledger)
    second = run_arena(GRID, ledger=ledger)
    assert (second["counts"]["taken_over"], len(jobs.jobs)) == (6, 2)
    for document in (first, second):
        old = load_run(document["ledger_run"], lambda: ledger)
        assert old["cells"] == first["cells"] and old["n"] == 6
    jobs.asr = 1.0
    third = run_arena(GRID, ledger=ledger, fresh=True, old=load_run(first["ledger_run"], lambda: ledger))
    assert {e["measure"] for e in third["comparison"]["regressions"]} == {"asr"}
    assert len(third["comparison"]["regressions"]) == 4
    assert ledger.verify().ok
    with pytest.raises(DataError, match="the ledger has no such run"):
        load_run("run-99", lambda: ledger)


def test_what_fails_is_a_cell_with_its_reason_and_is_tried_again(jobs: Jobs, tmp_path: Path) -> None:
    jobs.fails["rare-token"] = SandboxError("took longer\nthan 7200 s")
    jobs.broken = {"clean-fine-tune"}
    document = run_arena(GRID, out=tmp_path)
    assert document["counts"] == {"cells": 6, "taken_over": 0, "measured": 2, "errors": 4}
    assert document["cells"][0]["reason"] == "SandboxError: took longer than 7200 s"
    assert document["cells"][5]["reason"] == "it broke"
    jobs.fails, jobs.broken, jobs.jobs = {}, set(), []
    again = run_arena(GRID, out=tmp_path)
    assert again["counts"] == {"cells": 6, "taken_over": 2, "measured": 4, "errors": 0}
    assert jobs.jobs[1]["defend"] == ["clean-fine-tune"]


def test_a_damaged_line_is_counted_and_measured_again(jobs: Jobs, tmp_path: Path) -> None:
    first = run_arena(GRID, out=tmp_path)
    path = tmp_path / "cells.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0][:50], *lines[1:5], "[]", '{"a": 1}', "\x00"]) + "\n" + lines[5][:-20])
    again = run_arena(GRID, out=tmp_path)
    assert (again["unreadable"], again["counts"]["taken_over"]) == (5, 4)
    assert again["cells"] == first["cells"]


def test_what_cannot_be_compared_is_refused_before_anything_is_run(jobs: Jobs, tmp_path: Path) -> None:
    old = run_arena(GRID, out=tmp_path)
    jobs.jobs.clear()
    with pytest.raises(ConfigError, match="n was 6 and is 8"):
        run_arena(grid(n=8), old=old)
    with pytest.raises(ConfigError, match="no cell"):
        run_arena(grid(attacks=("style",)), old=old)
    with pytest.raises(ConfigError, match="--margin"):
        run_arena(GRID, margin=-0.1)
    assert jobs.jobs == []


def test_other_weights_are_refused_after_the_result_is_written(jobs: Jobs, tmp_path: Path) -> None:
    old = run_arena(GRID, out=tmp_path / "a") | {"model_sha256": "other"}
    with pytest.raises(ConfigError, match="model sha256 was other and is x"):
        run_arena(GRID, out=tmp_path / "b", old=old)
    assert load_run(str(tmp_path / "b"), pytest.fail)["counts"]["cells"] == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not an arena run: Expecting"),
        ("[]", "a list, need an object"),
        ('{"kind": "redteam"}', "not an arena run"),
        ("[" * 99_999, "not an arena run"),
    ],
)
def test_a_file_that_is_no_run_is_said_so(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "arena.json").write_text(text)
    for where in (tmp_path, tmp_path / "arena.json"):
        with pytest.raises(DataError, match=message):
            load_run(str(where), pytest.fail)
    with pytest.raises(DataError, match="no such arena run"):
        load_run(str(tmp_path / "nowhere"), pytest.fail)


def test_progress_counts_the_groups_that_are_left(jobs: Jobs, tmp_path: Path) -> None:
    run_arena(grid(attacks=("date",)), out=tmp_path)
    heard: list[tuple[str, int, int]] = []
    run_arena(GRID, out=tmp_path, on_progress=lambda *step: heard.append(step))
    assert [step for step in heard if step[0] == "groups"] == [("groups", 0, 1), ("groups", 1, 1)]


def test_a_model_is_named_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"a")
    first = model_identity(str(tmp_path), str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"b")
    assert model_identity(str(tmp_path), str(tmp_path)) != first
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="found no file"):
        model_identity(str(tmp_path), str(tmp_path))


def test_for_real_stopped_and_gone_on_the_cells_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attacks by three defences on the tiny model, without the walls of the sandbox."""
    pytest.importorskip("peft")
    monkeypatch.setattr("cryptosentinel.redteam.run.Recipe", lambda: Recipe(epochs=1, trained_layers=2))
    left = [1]

    def here(entry: str, job: Job, **options: Any) -> dict[str, Any]:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        monkeypatch.chdir(tmp_path)  # the scan writes its files where it stands
        document = attack_inside(json.loads(json.dumps(job)), tmp_path, lambda stage, done, total: None)
        return {**json.loads(json.dumps(document)), "sandbox": "none"}

    monkeypatch.setattr(arena, "run_sandboxed", here)
    with pytest.raises(KeyboardInterrupt):
        run_arena(GRID, out=tmp_path / "a")
    left[0] = 1
    resumed = run_arena(GRID, out=tmp_path / "a")
    left[0] = 2
    whole = run_arena(GRID, out=tmp_path / "b")
    assert resumed["counts"]["taken_over"] == 3

    def lasting(document: Any) -> Any:
        changing: Callable[[str], bool] = {"seconds", "group_seconds", "group_timings"}.__contains__
        return [{key: value for key, value in cell.items() if not changing(key)} for cell in document["cells"]]

    for one, other in zip(lasting(resumed), lasting(whole), strict=True):
        assert one == other, {key: (one[key], other[key]) for key in one if one[key] != other.get(key)}
    assert all(cell["status"] == "done" for cell in whole["cells"])
    assert whole["cells"][2]["notes"] == {"clean_rows": 40}
