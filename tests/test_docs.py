"""What the documents name exists, and what README shows as Python runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PYTHON = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_path_and_link_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    named = re.findall(r"`((?:src|tests|docs|benchmarks|scripts|examples|\.ci)/[\w./-]*)`", text)
    named += ["/".join(p.parts) for p in map(Path, re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text))]
    missing = [name for name in named if not (ROOT / name).exists() and not (path.parent / name).exists()]
    assert missing == []


def test_readme_shows_python() -> None:
    assert PYTHON


@pytest.mark.parametrize("code", PYTHON)
def test_readme_python_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
