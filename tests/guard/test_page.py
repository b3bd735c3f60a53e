"""The example of the guard's page runs, and the page names every check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cryptosentinel.guard.checks  # noqa: F401  registers them
from cryptosentinel import registry

PAGE = (Path(__file__).parents[2] / "docs" / "guard.md").read_text("utf-8")


def test_the_python_prints_what_the_page_says(tmp_path: Path) -> None:
    (code,), (printed,) = (
        re.findall(rf"^```{k}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for k in ("python", "text")
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_no_check_is_missing() -> None:
    assert [name for name in registry.names("check") if f"`{name}`" not in PAGE] == []
