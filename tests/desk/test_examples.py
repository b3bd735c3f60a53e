"""The examples of the desk run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("agno")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("attack_and_defend.py", ["undefended: reached its goal", "rules + guard + monitor: did not reach its goal"]),
        ("own_attack.py", ["undefended: goal reached: True", "rules: goal reached: False"]),
    ],
)
def test_an_example_runs(script: str, said: list[str], tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "desk" / script)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(line in done.stdout for line in said), done.stdout
