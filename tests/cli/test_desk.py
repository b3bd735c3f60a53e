"""`cryptosentinel desk`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("agno")

from rich.console import Console

from cryptosentinel.cli import run
from cryptosentinel.cli.desk import MeetingTable, summary
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.meeting import Meeting
from cryptosentinel.desk.messages import MeetingDecision

KEYS = {
    "seconds", "model", "decisions", "held", "blocked", "alarms", "attack_goal_reached", "first_detection_step",
    "detected_by", "pnl", "books_balanced",
}  # fmt: skip


def test_json_has_the_promised_keys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["desk", "run", "--days", "2", "--attack", "rule-tampering", "--json", "--out", str(tmp_path / "o")]
    assert run(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() >= KEYS
    assert document["model"] == "policy:market-analyst"
    assert not document["attack_goal_reached"]
    page = (tmp_path / "o" / "report.html").read_text()
    assert "rule-tampering did not reach its goal" in page and "write_document" in page and "<script" not in page
    assert "with and without the defences" in page and "the goal is reached" in page and "block, guard+rules" in page
    assert {p.name for p in (tmp_path / "o").iterdir()} >= {
        "report.html",
        "desk.json",
        "events.jsonl",
        "decisions.jsonl",
        "ledger.db",
    }


def test_a_model_of_ones_own_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["desk", "run", "--days", "1", "--json", "--model", "MarketAnalyst=cryptosentinel.desk.policy.dev:dev"]
    assert run(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["fills"] == 0 and document["undefended"] is None


def test_a_person_reads_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["desk", "run", "--days", "1", "--no-defence"]) == 0
    said = capsys.readouterr().out
    assert "1 days, 6 meetings" in said and "books balanced" in said and "defences: none (--no-defence)" in said


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["desk", "scenarios", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 8
    assert run(["desk", "scenarios"]) == 0
    assert "poisoned-analyst: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--days", "0"], "days must lie in [1, 400], got 0"),
        (["--attack", "luck"], "unknown scenario 'luck'"),
        (["--defence", "hope"], "defences are some of rules, guard, monitor, got hope"),
        (["--out", __file__], "test_desk.py must be a folder"),
        (["--prices", "nowhere"], "no folder nowhere"),
        (["--seed", "-5"], "seed must be 0 or more, got -5"),
        (["--model", "Dev"], "a model is named AGENT=package.module:NAME"),
        (["--model", "Dev=cryptosentinel.desk.nowhere:x"], "No module named"),
        (["--model", "Dev=cryptosentinel.desk.team:MOST_CALLS"], "is no Agno model"),
        (["--no-defence", "--defence", "rules"], "--no-defence and --defence rules: one of them"),
        (["--backdoored", "--attack", "slow-drift"], "one attack at a time"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["desk", "run", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_the_live_table_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    floor = Floor(PaperMarket(days=1))
    meeting = Meeting(0, floor.now, "hello", MeetingDecision.none("[bold]nothing[/bold] to do"), None)
    with (tmp_path / "screen").open("w") as file:
        with MeetingTable(Console(file=file, force_terminal=True, width=100)) as table:
            table(meeting, floor)
        with MeetingTable(Console(file=file, force_terminal=False)) as quiet:
            quiet(meeting, floor)
            assert quiet.rows == []
    assert "(bold)nothing" in (tmp_path / "screen").read_text()


def test_a_missing_price_is_said() -> None:
    document = {
        "days": 1, "decisions": 6, "fills": 0, "market": "m", "fees": 0.0, "books_balanced": True, "model": "p",
        "attack": "clean", "pnl": None, "defences": ["rules"], "held": 1, "blocked": 0, "alarms": 0,
        "first_detection_step": 7, "detected_by": ["rules"], "failed_meetings": 2,
        "undefended": {"pnl": -3.5, "fills": 4, "attack_goal_reached": False},
    }  # fmt: skip
    said = summary(document)
    assert "unknown: a price is missing" in said[0]
    assert said[2] == "rules: 1 held, 0 blocked, 0 alarms, first at step 7 by rules"
    assert said[3] == "the same without defences: profit and loss -3.50 USDC, 4 trades"
    assert said[4].startswith("2 meetings ended without an answer")
