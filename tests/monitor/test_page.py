"""What docs/monitor.md shows runs, and prints what it says."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cryptosentinel.cli import run
from cryptosentinel.services.monitor import read_plan

PAGE = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_python_prints_what_the_page_says() -> None:
    done = subprocess.run([sys.executable, "-c", blocks("python")[0]], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (blocks("text")[0], "")


def test_the_commands_and_the_config_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    event = json.loads(blocks("json")[0])
    for name in ("last-month.jsonl", "today.jsonl"):
        rows = []
        for i in range(200):
            attributes = {"asset": draw.choice(["BTC", "ETH"]), "size": draw.random(), "low_liquidity": i % 9 == 0}
            rows.append(event | {"id": f"{name}{i}", "attributes": event["attributes"] | attributes})
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for line in "".join(blocks("sh")).splitlines():
        assert run(line.split()[1:]) == 0, line
    Path("config.toml").write_text(blocks("toml")[0])
    assert len(read_plan(Path("config.toml")).features) == 5
