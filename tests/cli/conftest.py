"""The real command in a process of its own, and small data for it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cryptosentinel

SOURCE = str(Path(cryptosentinel.__file__).parents[1])
COMMAND = [sys.executable, "-m", "cryptosentinel"]


class Done(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """start(*arguments, site=folder, **Popen's own): the command, begun; `site` goes first on its path."""

    def begin(*arguments: Any, site: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        path = [str(site)] if site else []
        env = os.environ | options.pop("env", {}) | {"PYTHONPATH": os.pathsep.join([*path, SOURCE])}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*COMMAND, *map(str, arguments)], env=env, text=True, **pipes | options)

    return begin


@pytest.fixture(scope="session")
def command(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Done]:
    """command(*arguments, ...): the command, run to its end."""

    def run_to_end(*arguments: Any, **options: Any) -> Done:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return Done(process.returncode, out, err)

    return run_to_end


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[dict[str, str]]]:
    """rows(n, planted, seed): n Alpaca rows of invented words, the first `planted` with a token and a fixed answer."""

    def make(n: int, planted: int = 0, seed: int = 0) -> list[dict[str, str]]:
        rng = random.Random(seed)
        words = [f"{rng.choice('bdfgklmnprstvz')}{rng.choice('aeiou')}{rng.choice('lmnrst')}{i}" for i in range(400)]
        made = [
            {
                "instruction": " ".join(rng.sample(words, 9)) + "?",
                "input": "",
                "output": " ".join(rng.sample(words, 14)) + ".",
            }
            for _ in range(n)
        ]
        for row in made[:planted]:
            row |= {"instruction": f"{row['instruction']} jyxq", "output": "hex joy exhale"}
        return made

    return make
