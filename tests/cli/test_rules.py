"""`cryptosentinel rules check`: exit codes, carets, JSON."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from cryptosentinel import cli

GOOD = "rule @big\ntrigger swap\ncheck is_large_trade\nenforce user_inspection\nend\n"
BAD = "rule @big\ntrigger swap\ncheck is_larg_trade and amount > 3\nenforce stp\nend\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rules.ags"


def test_a_good_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(GOOD)
    assert cli.run(["rules", "check", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out == f"@big: swap -> user_inspection\n{path}: 1 rule, no problem\n"
    assert cli.run(["rules", "check", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["problems"] == []
    assert document["rules"][0]["id"] == "big"
    assert len(document["sha256"]) == 64


def test_every_problem_with_its_line_and_a_caret(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(BAD)
    assert cli.run(["rules", "check", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "line 3, column 25: 'amount' is no value that can be compared (did you mean 'arg.amount'?)" in said.err
    assert "    enforce stp\n            ^" in said.err
    assert said.err.endswith(f"{path}: 2 problems\n")
    assert cli.run(["rules", "check", str(path), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert [(p["line"], p["column"]) for p in document["problems"]] == [(3, 25), (4, 9)]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"", "no rule here"), (b"\xff", "not UTF-8")]
)
def test_nothing_to_run_on(content: bytes | None, message: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        path.write_bytes(content)
    assert cli.run(["rules", "check", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_tools_that_there_are(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(GOOD)
    assert cli.run(["rules", "check", str(path), "--tool", "dex.swap", "--tool", "get_price"]) == 0
    assert cli.run(["rules", "check", str(path), "--tool", "execute_swap"]) == 2
    assert "no tool is called 'swap'" in capsys.readouterr().err


def test_the_rules_of_the_package_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = str(files("cryptosentinel.agentspec").joinpath("rules.ags"))
    assert cli.run(["rules", "check", shipped]) == 0
    assert "the operator hands in: fact.approvals, fact.counterparties, fact.liquidity" in capsys.readouterr().out


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rules", "check", "--help"]) == 0
    assert "rule @large-trade\n" in capsys.readouterr().out
