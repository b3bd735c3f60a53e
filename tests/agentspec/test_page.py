"""Every example of the language's page runs, and the page names every predicate, event and enforcement."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cryptosentinel import registry
from cryptosentinel.agentspec import RuleBook
from cryptosentinel.agentspec.syntax import ENFORCEMENTS, EVENTS, FIELDS, SCORES

PAGE = (Path(__file__).parents[2] / "docs" / "agentspec.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", blocks("ags"))
def test_every_rule_loads(text: str) -> None:
    assert RuleBook.parse(text).rules


def test_the_python_prints_what_the_page_says(tmp_path: Path) -> None:
    (code,), (printed,) = blocks("python"), blocks("text")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_nothing_of_the_language_is_missing() -> None:
    shipped = [n for n in registry.names("predicate") if not n.startswith("t_")]
    assert [name for name in (*shipped, *EVENTS, *FIELDS, *SCORES, *ENFORCEMENTS) if name not in PAGE] == []
