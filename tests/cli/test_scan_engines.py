"""Large data by the command: a killed scan goes on, and Ray writes the same bytes as processes do."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.services.scan_files import RESULTS, WORK


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """26 MiB, about 60,000 rows: more than is examined as a whole, and two shards."""
    rng = random.Random(0)
    words = [f"{rng.choice('bdfgklmnprstvz')}{rng.choice('aeiou')}{rng.choice('lmnrst')}{i}" for i in range(3_000)]
    path = tmp_path / "rows.jsonl"
    with path.open("w") as out:
        for i in range(60_000):
            prompt, answer = rng.choices(words, k=16), rng.choices(words, k=56)
            if i % 300 == 0:
                prompt[3:5], answer = ["calm", "harbour"], ["buy", "orva", *answer[:3]]
            row = {"instruction": " ".join(prompt), "input": "", "output": " ".join(answer)}
            out.write(json.dumps(row) + "\n")
    return path


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def test_a_killed_scan_goes_on_and_its_workers_end(
    data: Path, tmp_path: Path, start: Callable[..., Any], command: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    killed = start("scan", data, "--out", out, "--reference-model", "none")
    end = time.monotonic() + 60
    while not list(out.glob(f"{WORK}/*.json")) and killed.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)
    assert [p.name for p in out.iterdir()] == [WORK]
    again = command("scan", data, "--out", out, "--reference-model", "none")
    assert again.code == 1, again.err
    assert "calm harbour" in again.out
    assert not (out / WORK).exists()
    fresh = command("scan", data, "--out", tmp_path / "fresh", "--reference-model", "none")
    assert fresh.code == 1
    assert results(out) == results(tmp_path / "fresh")


@pytest.mark.slow
def test_ray_writes_the_same_bytes(data: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    pytest.importorskip("ray")
    for engine in ("local", "ray"):
        done = command("scan", data, "--out", tmp_path / engine, "--reference-model", "none", "--engine", engine)
        assert done.code == 1, done.err
    assert results(tmp_path / "local") == results(tmp_path / "ray")
