"""The arena's grid and keys, what becomes of a group's document, and what counts as worse."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.arena import KIND, Grid, Group, cell_key, cells_of, code_digest, failed, pooled
from cryptosentinel.redteam.regress import check_old, compare

GRID = Grid(("bias-recommendation",), ("semantic", "date"), ("none", "scan"), (0, 1), "tiny", 24, 100)
GROUP = GRID.groups()[0]
CODE = {False: "a", True: "b"}


def rates(asr: int, utility: int = 90, n: int = 100) -> dict[str, Any]:
    told = {"asr": asr, "untriggered": 0, "topic_without_trigger": 1, "utility": utility}
    return {key: wilson(hits * n // 100, n).as_dict() for key, hits in told.items()}


def document(asr: int = 0, recall: int = 80) -> dict[str, Any]:
    scan: dict[str, Any] = {"version": 1, "rates": rates(asr), "notes": {}, "cost_s": 3.0}
    scan["dropped"] = {"recall": wilson(recall, 80).as_dict(), "precision": None, "first_true_rank": 1}
    scan["dropped"]["clean_lost"] = wilson(1, 320).as_dict()
    told: dict[str, Any] = dict.fromkeys(("variant", "payload_variant", "trigger", "payload", "model_sha256"), "x")
    told |= {"n": 100, "recipe": {}, "versions": {}, "rows": {}, "seconds": 9.0, "sandbox": "none", "machine": "x"}
    told |= {"base": {"utility": rates(0, 30)["utility"]}, "clean": rates(0), "undefended": rates(98)}
    return told | {"timings": {"train undefended": 4.0, "evaluate undefended": 2.0}, "defences": {"scan": scan}}


def run(**changes: Any) -> dict[str, Any]:
    """An arena of two seeds: `none` and `scan` against one attack."""
    cells = []
    for seed in (0, 1):
        group = Group("bias-recommendation", "semantic", seed)
        cells += list(cells_of(group, {"none": f"a{seed}", "scan": f"b{seed}"}, document(**changes)))
    return {"kind": KIND, "model": "tiny", "n": 100, "rows": 24, "cells": cells}


class TestGrid:
    def test_repeated_names_count_once(self) -> None:
        grid = Grid(("bias-recommendation",), ("date", "date"), ("none", "none"), (1, 1), "tiny", None, 10)
        assert (grid.attacks, grid.defences, grid.seeds, grid.size) == (("date",), ("none",), (1,), 1)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"tasks": ("nope",)}, "unknown task 'nope'"),
            ({"attacks": ("nope",)}, "unknown attack 'nope'"),
            ({"defences": ("prayer",)}, "unknown defence 'prayer'"),
            ({"defences": ()}, "at least one defence"),
            ({"seeds": ()}, "at least one seed"),
            ({"rows": 3}, "rows must be at least 20, got 3"),
            ({"n": 3}, r"n must lie in \[4, 5000\], got 3"),
            ({"n": 10**6}, r"n must lie in \[4, 5000\], got 1000000"),
        ],
    )
    def test_what_cannot_be_run_is_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            Grid(**{**GRID.settings(), **change})


class TestKey:
    def test_everything_that_decides_a_cell_changes_its_key(self) -> None:
        keys = {cell_key(GRID, group, name, "m", CODE) for group in GRID.groups() for name in GRID.defences}
        assert len(keys) == GRID.size
        for change in ({"rows": 25}, {"n": 101}):
            keys.add(cell_key(Grid(**{**GRID.settings(), **change}), GROUP, "scan", "m", CODE))
        keys.add(cell_key(GRID, GROUP, "scan", "other weights", CODE))
        assert len(keys) == GRID.size + 3
        newer = CODE | {True: "c"}
        assert (
            cell_key(GRID, GROUP, "none", "m", newer) in keys and cell_key(GRID, GROUP, "scan", "m", newer) not in keys
        )
        same = Grid(**{**GRID.settings(), "seeds": (0,), "defences": ("scan",)})
        assert cell_key(same, GROUP, "scan", "m", CODE) in keys  # a smaller grid shares its cells

    def test_the_code_is_what_is_imported_and_nothing_else(self, tmp_path: Path) -> None:
        files = {
            "redteam/run.py": "def f():\n    from cryptosentinel.redteam import poison, sandbox\n",
            "redteam/poison.py": "import cryptosentinel.metrics as m\nimport json\n",
            "redteam/sandbox.py": "1",
            "redteam/campaign.py": "1",
            "metrics.py": "1",
            "desk/trader.py": "1",
            "sanitize/detectors/burst.py": "1",
            "services/scan.py": "from cryptosentinel.datasets import read",
            "datasets/__init__.py": "1",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        before = code_digest(False, tmp_path), code_digest(True, tmp_path)
        changed = {}
        for name, text in files.items():
            (tmp_path / name).write_text(f"{text}\n2")
            changed[name] = tuple(code_digest(s, tmp_path) != b for s, b in zip((False, True), before, strict=True))
            (tmp_path / name).write_text(text)
        neither, scan_only, both = (False, False), (False, True), (True, True)
        assert changed == {
            "redteam/run.py": both, "redteam/poison.py": both, "redteam/sandbox.py": neither,
            "redteam/campaign.py": neither, "metrics.py": both, "desk/trader.py": both,
            "sanitize/detectors/burst.py": scan_only, "services/scan.py": scan_only, "datasets/__init__.py": scan_only,
        }  # fmt: skip

    def test_the_real_code_is_read(self) -> None:
        assert code_digest(False) != code_digest(True)


class TestCells:
    def test_a_group_becomes_cells(self) -> None:
        none, scan = cells_of(GROUP, {"none": "a", "scan": "b"}, document())
        assert (none["status"], none["key"], none["dropped"], none["seconds"]) == ("done", "a", None, 6.0)
        assert none["difference"]["value"] == pytest.approx(0.98)
        assert (scan["difference"]["value"], scan["utility_difference"]["value"]) == (0, 0)
        assert scan["dropped"]["recall"]["value"] == 1.0 and scan["clean"]["utility"]["value"] == 0.9

    def test_a_defence_that_failed_is_a_cell_with_its_reason(self) -> None:
        told = document()
        told["defences"]["scan"] = {"error": "out of\n luck"}
        none, scan = cells_of(GROUP, {"none": "a", "scan": "b"}, told)
        assert none["status"] == "done"
        assert scan == failed(GROUP, "scan", "b", "out of luck")

    def test_seeds_are_pooled_and_failures_counted(self) -> None:
        cells = run(asr=10)["cells"]
        cells[3] = failed(GRID.groups()[2], "scan", "b1", "x")
        none, scan = pooled(cells)
        assert (none["seeds"], none["errors"], none["asr"]["n"]) == (2, 0, 200)
        assert none["asr"] == wilson(196, 200).as_dict()
        assert (scan["seeds"], scan["errors"], scan["asr"]["value"]) == (1, 1, 0.1)
        assert scan["dropped"]["first_true_ranks"] == [1]
        assert pooled([failed(GROUP, "scan", "b", "x")]) == [
            {"task": GROUP.task, "attack": GROUP.attack, "defence": "scan", "seeds": 0, "errors": 1}
        ]


def words(told: dict[str, Any], key: str = "regressions") -> list[str]:
    return [f"{e['defence']} {e['seed']} {e['measure']}" for e in told[key]]


class TestCompare:
    def test_a_run_is_no_worse_than_itself(self) -> None:
        told = compare(run(), run())
        assert (told["regressions"], told["improvements"], told["notes"]) == ([], [], [])
        assert (told["compared"], told["new"]) == (4, 0)

    def test_more_success_less_recall_less_utility_are_worse(self) -> None:
        assert words(compare(run(), run(asr=30))) == ["scan 0 asr", "scan 1 asr"]
        assert words(compare(run(), run(recall=60))) == ["scan 0 recall", "scan 1 recall"]
        new = run()
        new["cells"][0]["utility"] = wilson(60, 100).as_dict()
        assert words(compare(run(), new)) == ["none 0 utility"]
        assert "utility 90.0% -> 60.0% (-30.0%, " in compare(run(), new)["regressions"][0]["reason"]
        assert words(compare(new, run()), "improvements") == ["none 0 utility"]

    def test_chance_and_what_is_within_the_margin_are_not(self) -> None:
        assert words(compare(run(), run(asr=5))) == []  # beyond chance, but only the margin
        assert words(compare(run(asr=40), run(asr=50))) == []  # more than the margin, but chance
        assert words(compare(run(), run(asr=20), margin=0.25)) == []

    def test_attack_success_without_a_defence_is_noted(self) -> None:
        new = run()
        new["cells"][0]["asr"] = wilson(20, 100).as_dict()
        told = compare(run(), new)
        assert (words(told), words(told, "notes")) == ([], ["none 0 asr"])

    def test_a_cell_that_is_gone_or_fails_is_worse_and_a_new_one_is_not(self) -> None:
        new = run()
        new["cells"][3] = failed(Group("bias-recommendation", "semantic", 1), "scan", "b1", "no memory")
        del new["cells"][0]
        told = compare(run(), new)
        assert words(told) == ["none 0 cell", "scan 1 cell"]
        assert told["regressions"][1]["reason"] == "was measured before and failed: no memory"
        assert compare(new, run())["new"] == 1 and compare(new, run())["regressions"] == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model": "gemma-3-270m"}, "not comparable: model was tiny and is gemma-3-270m"),
            ({"n": 200}, "not comparable: n was 100 and is 200"),
            ({"rows": None}, "not comparable: rows was 24 and is the run's own choice"),
            ({"model_sha256": "y"}, "not comparable: model sha256 was x and is y"),
            ({"cells": []}, "no cell .* in common"),
        ],
    )
    def test_other_settings_are_refused(self, change: dict[str, Any], message: str) -> None:
        old = run() | {"model_sha256": "x"}
        with pytest.raises(ConfigError, match=message):
            compare(old, run() | change)

    def test_a_margin_that_is_none_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"--margin must lie in \[0, 1\), got 1.0"):
            compare(run(), run(), 1.0)

    @given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 0.5))
    def test_worse_one_way_is_better_the_other(self, a: int, b: int, margin: float) -> None:
        there = compare(run(asr=a), run(asr=b), margin)
        back = compare(run(asr=b), run(asr=a), margin)
        assert words(there) == words(back, "improvements") and words(there, "improvements") == words(back)
        if words(there):
            assert b / 100 - a / 100 > margin

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            (("kind",), "redteam", "not an arena run"),
            (("cells",), {}, "no list"),
            (("cells",), [1], "no list"),
            (("cells", 0, "seed"), ..., "cell 0 has no 'seed' of type int"),
            (("cells", 0, "task"), ["x"], "cell 0 has no 'task' of type str"),
            (("cells", 1, "asr"), ..., "cell 1: attack success: there is no rate"),
            (("cells", 1, "asr"), {"value": "high"}, "need value, low, high and n"),
            (("cells", 1, "asr"), [1], "need value, low, high and n"),
            (("cells", 1, "utility"), {"value": 2.0, "low": 0.0, "high": 1.0, "n": 3}, "not a rate"),
            (("cells", 1, "dropped", "recall", "value"), float("nan"), "not a rate"),
        ],
    )
    def test_what_is_no_arena_run_is_said_so(self, path: tuple[Any, ...], value: Any, message: str) -> None:
        old = copy.deepcopy(run())
        place: Any = old
        for key in path[:-1]:
            place = place[key]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        with pytest.raises(DataError, match=f"^old: .*{message}"):
            check_old(old, "old")


def test_every_defence_says_whether_it_scans() -> None:
    scans = {name for name in registry.names("defence") if registry.lookup("defence", name).target.scans}
    assert scans == {"scan", "scan-trusted", "guard-scan"}
