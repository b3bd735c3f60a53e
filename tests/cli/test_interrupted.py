"""Stopped half way, or out of room: one line that says so, and whole results or none."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# A disk so slow that the test can act at one known moment: while a file is written, or between two files put in place.
SLOW_DISK = """
import os, pathlib, time
def wait():
    pathlib.Path(os.environ["STALLED"]).touch()
    time.sleep(60)
if os.environ["STALL_AT"] == "write":
    os.fsync = lambda descriptor: wait()
else:
    replace = os.replace
    def slow_replace(source, target):
        if pathlib.Path(target) == pathlib.Path(os.environ["STALL_AT"]):
            wait()
        replace(source, target)
    os.replace = slow_replace
"""
BEFORE = {"report.json": "{}", "scores.parquet": "from before", "clean.jsonl": "from before\n"}


@pytest.fixture
def data(tmp_path: Path, rows: Callable[..., Any]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows(300, 12)))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with the results of an earlier scan."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, text in BEFORE.items():
        (folder / name).write_text(text)
    return folder


def as_before(out: Path) -> bool:
    return {p.name: p.read_text() for p in out.iterdir()} == BEFORE


@pytest.fixture
def stopped(tmp_path: Path, data: Path, out: Path, start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Any]:
    """stopped(signal, at): the code and the lines of a scan that gets the signal at that moment."""

    def stop(number: signal.Signals, at: str) -> tuple[int, str, str]:
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SLOW_DISK)
        env = {"STALLED": str(tmp_path / "stalled"), "STALL_AT": at}
        process = start("scan", data, "--out", out, "--reference-model", "none", site=site, env=env)
        end = time.monotonic() + 60
        while not (tmp_path / "stalled").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None
        assert [p for p in out.iterdir() if p.name.startswith(".scan-")]
        process.send_signal(number)
        printed = process.communicate(timeout=30)
        return process.returncode, *printed

    return stop


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_stopped_while_writing(
    number: signal.Signals, code: int, word: str, stopped: Callable[..., Any], out: Path
) -> None:
    assert stopped(number, "write") == (
        code,
        "",
        f"cryptosentinel: {word}; nothing was left half written. Run the same command again.\n",
    )
    assert as_before(out)


def test_stopped_between_two_files_the_folder_is_not_complete(stopped: Callable[..., Any], out: Path) -> None:
    code, printed, said = stopped(signal.SIGINT, str(out / "quarantine.jsonl"))
    assert (code, printed) == (130, "")
    assert said.count("\n") == 1
    assert "report.json" not in [p.name for p in out.iterdir()]  # which is what tells a reader that all is there
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


def test_no_room_in_the_middle_of_a_file(data: Path, out: Path, command: Callable[..., Any]) -> None:
    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = command("scan", data, "--out", out, "--reference-model", "none", preexec_fn=bounded)
    assert done == (3, "", f"cryptosentinel: File too large: {out}\n")
    assert as_before(out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(data: Path, small_disk: Path, command: Callable[..., Any]) -> None:
    out = small_disk / "out"
    done = command("scan", data, "--out", out, "--reference-model", "none", "--json")
    assert done == (3, "", f"cryptosentinel: No space left on device: {out}\n")
    assert list(out.iterdir()) == []
