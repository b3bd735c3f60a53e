"""The page's example of an adapter runs, and prints what the page says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "observer.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_adapter_prints_what_the_page_says(tmp_path: Path) -> None:
    *_, code = blocks("python")
    (printed,) = blocks("text")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_every_other_piece_of_code_is_python() -> None:
    for code in blocks("python"):
        ast.parse(code)
