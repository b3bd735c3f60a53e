"""Stands in for the attack itself, so that everything around it is tested with the real sandbox in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError, SandboxError
from cryptosentinel.registry import load_third_party, lookup
from cryptosentinel.types import Progress


def measured(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    rate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    on_progress("train", 1, 1)
    (out / "rows.jsonl").write_text("{}\n")
    cells = {cell: dict.fromkeys(("asr", "untriggered", "topic_without_trigger", "utility"), rate) for cell in CELLS}
    scan = {"recall": 0.97, "clean_lost": 0.004, "first_true_rank": 1}
    return {"n": 100, "trigger": "a", "payload": "b", "scan": scan, "job": job, "files": ["rows.jsonl"], **cells}


CELLS = ("clean", "undefended", "defended")


def refused(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    (out / "report.json").write_text("{}")
    raise ConfigError(f"no such variant of attack {job['attack']!r}")


def measured_higher(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    rate = {"value": 0.75, "low": 0.6, "high": 0.9, "n": 100}
    document = measured(job, out, on_progress)
    return {**document, "undefended": {**document["undefended"], "asr": rate}}


def broken(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    raise SandboxError("the walls are down")


def looked_up(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    load_third_party()
    attack = lookup("attack", job["attack"]).target(job["seed"], job["variant"])
    return measured(job, out, on_progress) | {"trigger": attack.trigger}
