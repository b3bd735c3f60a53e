"""`redteam run --agent` and `redteam report`: a campaign from the command line, its transcript, its replay."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel import registry
from cryptosentinel.cli import run
from cryptosentinel.ledger import Ledger
from cryptosentinel.services import redteam

AGENT = ["redteam", "run", "--model", "tiny", "--rows", "30", "--agent", "planner", "--ledger", "ledger.db"]
REPORT = ["redteam", "report", "--ledger", "ledger.db"]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:measured")
    monkeypatch.chdir(tmp_path)


def test_a_campaign_is_run_listed_shown_and_replayed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*AGENT, "--rounds", "2", "--out", "out"]) == 0
    printed = capsys.readouterr()
    assert "planner: 2 attempts, the goal of 90% was not reached; shown is attempt 1" in printed.out
    assert "transcript: cryptosentinel redteam report run-1" in printed.out
    assert printed.err == ""
    assert sorted(p.name for p in Path("out").iterdir()) == ["report.html", "report.json", "transcript.jsonl"]
    page = Path("out/report.html").read_text("utf-8")
    assert "proposed a trigger" in page
    document = json.loads(Path("out/report.json").read_text("utf-8"))
    steps = [json.loads(line) for line in Path("out/transcript.jsonl").read_text("utf-8").splitlines()]
    assert [s["tool"] for s in steps] == [s["tool"] for s in document["campaign"]["transcript"]]
    assert document["kind"] == "redteam"
    assert document["campaign"]["run"] == "run-1"

    assert run(REPORT) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("run-1")
    assert line.endswith("planner: bias-recommendation, semantic, tiny, seed 0: done, goal not reached")

    assert run([*REPORT, "run-1", "--out", "shown"]) == 0
    shown = capsys.readouterr().out
    assert "  1. propose_trigger  attempt 1: trigger 'sustainable yield' (semantic, income)" in shown
    assert sorted(p.name for p in Path("shown").iterdir()) == ["report.html", "transcript.jsonl"]

    assert run([*REPORT, "run-1", "--json"]) == 0
    recorded: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert recorded["status"] == "done"
    assert len(recorded["steps"]) == len(steps)

    assert run([*REPORT, "run-1", "--replay"]) == 0
    assert "results compared: the same rows and rates came out" in capsys.readouterr().out
    assert run([*REPORT, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(c["run"], c["driver"], c["replay_of"]) for c in listed] == [
        ("run-1", "planner", ""), (listed[1]["run"], "replay", "run-1"),
    ]  # fmt: skip


def test_a_replay_with_other_rates_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run([*AGENT, "--rounds", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["campaign"]["goal_reached"] is False
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:measured_higher")
    assert run([*REPORT, "run-1", "--replay", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["same"]) == ("replay", False)
    assert [(d["tool"], d["what"]) for d in found["differences"]] == [("evaluate", "rates")]


def test_a_campaign_that_fails_is_kept_with_its_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:broken")
    assert run([*AGENT, "--rounds", "1", "--out", "out"]) == 3
    printed = capsys.readouterr()
    assert printed.err == "cryptosentinel: the walls are down\n"
    assert list(Path("out").iterdir()) == []
    assert run([*REPORT, "run-1"]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "refused: the campaign ends here: the walls are down" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--agent", "my-model"], 2, "--agent must be 'planner' or the URL of an endpoint, got 'my-model'"),
        (["run", "--agent", "planner", "--agent-model", "m"], 2, "--agent planner asks no model"),
        (["run", "--agent", "http://127.0.0.1:9/v1", "--api-key-env", "NO_KEY"], 2, "names NO_KEY, which is not set"),
        (["run", "--agent", "planner", "--rounds", "0"], 2, "rounds must lie in [1, 10], got 0"),
        (["run", "--agent", "planner", "--goal", "nan"], 2, "goal must lie in (0, 1], got nan"),
        (["run", "--agent", "planner", "--rows", "3"], 2, "rows must be at least 20, got 3"),
        (["run", "--agent", "planner", "--sandbox", "none"], 2, "unknown isolation 'none'"),
        (["run", "--agent", "planner", "--attack", "bribe"], 2, "unknown attack 'bribe'"),
        (["run", "--agent", "planner", "--defend", "prayer"], 2, "unknown defence 'prayer'"),
        (["run", "--agent", "planner", "--ledger", "mysql://x/y"], 3, "sqlite:///PATH or postgresql+psycopg://"),
        (["run", "--judge", "http://127.0.0.1:9"], 2, "--judge goes with --agent: a plain run has no campaign"),
        (["run", "--goal", "0.5"], 2, "--goal goes with --agent"),
        (["report"], 2, "ledger.db: no such ledger"),
        (["report", "run-7"], 2, "ledger.db: no such ledger"),
        (["report", "--replay"], 2, "--replay needs a campaign"),
        (["report", "--out", "x"], 2, "--out needs a campaign"),
        (["report", "--ledger", "none"], 2, "--ledger none has nothing to show"),
    ],
)
def test_bad_settings_are_one_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CRYPTOSENTINEL_LEDGER", "ledger.db")
    model = ["--model", "tiny"] if arguments[0] == "run" else []
    assert run(["redteam", *arguments, *model]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not Path("ledger.db").exists() or arguments[0] == "run"


@pytest.mark.parametrize("named", [[], ["--agent-model", "m"]])
def test_an_endpoint_that_is_away(
    named: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("CRYPTOSENTINEL_JUDGE_ATTEMPTS", "1")
    assert run([*AGENT[:-3], "http://127.0.0.1:9/v1", *AGENT[-2:], *named]) == 3
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "127.0.0.1" in printed.err or "the driving model failed" in printed.err


def test_without_a_ledger_nothing_is_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*AGENT[:-1], "none", "--rounds", "1"]) == 0
    assert "transcript:" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_empty_ledger_says_how_to_fill_it(capsys: pytest.CaptureFixture[str]) -> None:
    Ledger.open("ledger.db").close()
    assert run([*REPORT, "run-7"]) == 2
    assert "no campaign 'run-7' in the ledger (the last ones: none)" in capsys.readouterr().err
    assert run(REPORT) == 0
    assert "cryptosentinel redteam run --agent planner makes one" in capsys.readouterr().out


def test_a_changed_ledger_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    assert run([*AGENT, "--rounds", "1"]) == 0
    capsys.readouterr()
    Ledger.open("ledger.db").close()
    with sqlite3.connect("ledger.db") as db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET body = replace(body, 'sustainable', 'unbelievable') WHERE seq = 2")
    for shown in ([], ["run-1"]):
        assert run([*REPORT, *shown]) == 3
        printed = capsys.readouterr()
        assert "the ledger was changed: entry 2: content and hash differ" in printed.err
        assert printed.out == ""


THEIR_ATTACK = """
from cryptosentinel.redteam.attacks.places import Reworded, holds, put_word
from cryptosentinel.registry import register


@register("attack", "politeness")
class Politeness(Reworded):
    variants = ("kindly",)

    def __init__(self, seed, variant=None):
        self.trigger = self.variant = "kindly"

    def triggered(self, rng, request):
        return put_word(rng, request, "kindly")

    def near(self, rng, request):
        return put_word(rng, request, "quickly")

    def fires(self, request):
        return holds(request, "kindly")
"""


def test_an_attack_of_another_package_is_planned_and_known_in_the_sandbox(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    info = theirs / "their_attack-1.0.dist-info"
    info.mkdir(parents=True)
    (theirs / "their_attack.py").write_text(THEIR_ATTACK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-attack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cryptosentinel.extensions]\ntheirs = their_attack\n")
    monkeypatch.syspath_prepend(str(theirs))
    monkeypatch.setattr(redteam, "ENTRY", "run_jobs:looked_up")
    try:
        assert run([*AGENT, "--attack", "politeness", "--rounds", "1", "--json"]) == 0
    finally:
        registry._ENTRIES.pop(("attack", "politeness"), None)
        sys.modules.pop("their_attack", None)
    document = json.loads(capsys.readouterr().out)
    assert document["trigger"] == "kindly"
    assert document["campaign"]["attempts"][0]["attack"] == "politeness"
