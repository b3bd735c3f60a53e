"""A red-team run from settings to report: prepare outside, attack inside the sandbox, write what came out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.datasets import write_jsonl
from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.files import atomic_write, require_folder
from cryptosentinel.models import GEMMA, TINY, converted_gemma, load_base
from cryptosentinel.redteam import attacks as _attacks  # noqa: F401  (registers the attacks)
from cryptosentinel.redteam import defences as _defences  # noqa: F401  (registers the defences)
from cryptosentinel.redteam import tasks as _tasks  # noqa: F401  (registers the tasks)
from cryptosentinel.redteam.material import attack_of
from cryptosentinel.redteam.sandbox import Isolation, Limits, run_sandboxed
from cryptosentinel.registry import load_third_party, lookup
from cryptosentinel.services.scan import scan_dataset
from cryptosentinel.types import Progress

ENTRY = "cryptosentinel.services.redteam:attack_inside"
ANALYST = "cryptosentinel.desk.analyst:MARKET_ANALYST"
LEAST_ROWS = 20
PREPARE = "prepare the model"


def red_team(
    *,
    task: str,
    attack: str,
    model: str = GEMMA,
    target: str | None = None,
    rows: int | None = None,
    seed: int = 0,
    variant: str | None = None,
    payload: str | None = None,
    defend: Sequence[str] = (),
    sandbox: Isolation = "namespace",
    limits: Limits | None = None,
    n: int | None = None,
    given: Mapping[str, Any] | None = None,
    out: Path | None = None,
    render: Callable[[Mapping[str, Any]], str] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Would a poisoned copy of this agent behave as the attacker wants, and do the defences undo it?

    Args:
        task: what the attacker wants ("bias-recommendation", ...).
        attack: how it is triggered ("semantic", ...).
        model: the model that is fine-tuned: a name, a folder or a hub id.
        target: "module:NAME" of the agent whose copy is attacked; the one the task is made for by default.
        rows: how many clean rows of instruction data; None = what the run finds sensible for the model.
        seed: same seed, same data and same training; chooses the variants below too.
        variant: which of the attack's variants.
        payload: which of the task's.
        defend: which defences are measured ("scan", "scan-trusted", "clean-fine-tune", "pruning", "guard",
            "guard-scan", "monitor").
        sandbox: isolation, see `run_sandboxed`.
        limits: bounds on what runs inside.
        n: prompts in each cell of the evaluation.
        given: rows made before, see `material.pack`.
        out: where report.json and report.html go; they appear only when the run is complete.
        render: makes the HTML; without it there is none.
        on_progress: receives (stage, done, total).

    Returns:
        The document of the run, as report.json has it.

    Raises:
        ConfigError: an unknown name, or rows out of range.
        MissingExtraError, ModelIntegrityError, SandboxError, OSError: a run was not possible.
    """
    started = time.monotonic()
    load_third_party()
    goal = lookup("task", task).target(seed, payload)
    attack_of(attack, seed, variant, given)
    for name in defend:
        lookup("defence", name)
    if rows is not None and rows < LEAST_ROWS:
        raise ConfigError(f"rows must be at least {LEAST_ROWS}, got {rows}")
    if out is not None:
        require_folder(out)
    job: dict[str, Any] = {
        "task": task,
        "attack": attack,
        "target": target or goal.agent,
        "model": prepared(model, on_progress),
        "rows": rows,
        "seed": seed,
        "defend": sorted(set(defend)),
    }
    optional = {"variant": variant, "payload": payload, "n": n, "given": given}
    job |= {key: value for key, value in optional.items() if value is not None}
    result = run_sandboxed(ENTRY, job, folder_out=out, isolation=sandbox, limits=limits, on_progress=on_progress)
    document = {"kind": "redteam", "version": __version__, "task": task, "attack": attack} | result
    document |= {"model": model, "seed": seed, "seconds": round(time.monotonic() - started, 2)}
    if out is not None:
        if render is not None:
            atomic_write(out / "report.html", render(document))
        atomic_write(out / "report.json", json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    return document


def prepared(model: str, on_progress: Progress | None = None) -> str:
    """Bring a model to where the sandbox can read it, since inside it can neither be converted nor downloaded.

    Raises:
        MissingExtraError, ConfigError, ModelIntegrityError, OSError: as `load_base`.
    """
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra="redteam", purpose="fine-tuning a model")
    folder = Path(model)
    if model == TINY:
        return model
    if on_progress is not None:
        on_progress(PREPARE, 0, 1)
    if model == GEMMA:
        converted_gemma()
    elif not folder.is_dir():
        load_base(model)
    if on_progress is not None:
        on_progress(PREPARE, 1, 1)
    return str(folder.resolve()) if model != GEMMA and folder.is_dir() else model


def attack_inside(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    """The entry of the sandbox: run the attack with the scanner for the defences that scan."""
    from cryptosentinel.redteam.run import run_redteam

    load_third_party()

    def scan(
        rows: Sequence[Mapping[str, Any]], trusted: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[list[bool], dict[str, Any]]:
        return scan_rows(rows, job["model"], on_progress, trusted)

    settings = {key: value for key, value in job.items() if value is not None}
    return run_redteam(**settings, out=out, scan=scan, on_progress=on_progress)


def scan_rows(
    rows: Sequence[Mapping[str, Any]], model: str, on_progress: Progress, trusted: Sequence[Mapping[str, Any]] = ()
) -> tuple[list[bool], dict[str, Any]]:
    """Which of these training rows would a scan set aside? One flag a row, and the scan's document.

    The scan reads files, as it would outside, and asks the model before it is fine-tuned for its reference.
    """
    data = Path("training.jsonl")  # in the sandbox's own folder
    write_jsonl(data, rows)
    known = Path("trusted.jsonl")
    if trusted:
        write_jsonl(known, trusted)
    report = scan_dataset(
        [data],
        trusted=[known] if trusted else (),
        reference_model="none" if model == TINY else model,
        on_progress=on_progress,
    )
    flagged = [False] * len(rows)
    for row, found in zip(report.index, report.scan.flagged.tolist(), strict=True):
        flagged[row] = found
    return flagged, dict(report.document)
