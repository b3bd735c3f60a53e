"""The arena from settings to report: what is known already is taken over, the rest measured group by group."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from cryptosentinel import __version__
from cryptosentinel.errors import ConfigError, SentinelError
from cryptosentinel.files import atomic_write, require_folder
from cryptosentinel.ledger import Ledger
from cryptosentinel.models import GEMMA, GEMMA_SHA256, TINY, file_sha256, load_base
from cryptosentinel.redteam.arena import (
    KIND,
    Cell,
    Grid,
    Group,
    cell_key,
    cells_of,
    code_digest,
    failed,
    known_from,
    pooled,
    scans,
)
from cryptosentinel.redteam.defence import NONE
from cryptosentinel.redteam.regress import MARGIN, check_comparable, check_margin, compare
from cryptosentinel.redteam.sandbox import Isolation, Limits, run_sandboxed
from cryptosentinel.services.arena_cells import DOCUMENT, Kept
from cryptosentinel.services.redteam import ENTRY, prepared
from cryptosentinel.types import Progress

GROUPS = "groups"  # the stage of progress that counts them
Render = Callable[[Mapping[str, Any]], str]


def run_arena(
    grid: Grid,
    *,
    out: Path | None = None,
    ledger: Ledger | None = None,
    old: Mapping[str, Any] | None = None,
    margin: float = MARGIN,
    fresh: bool = False,
    sandbox: Isolation = "namespace",
    limits: Limits | None = None,
    renderers: Mapping[str, Render] | None = None,
    on_progress: Progress | None = None,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """How far does each attack get through each defence?

    For each task, attack and seed one sandboxed job makes the data, trains the clean and the undefended copy once, and
    then each defence. A group that is finished is written at once, to `out` and to the ledger. A second start takes
    over what either holds under the same key, see `cell_key`, and measures the rest. A cell that fails is noted with
    its reason and tried again by the next start.

    Args:
        grid: what is held against what.
        out: folder for cells.jsonl, arena.json and what `renderers` make. cells.jsonl keeps cells of other settings.
        ledger: where cells are noted too.
        old: the document of an earlier run, see `arena_cells.load_run`, to be compared with.
        margin: see `regress.compare`.
        fresh: take nothing over.
        sandbox: isolation, see `run_sandboxed`.
        limits: bounds of one group's job.
        renderers: file name -> function from the document to that file's text.
        on_progress: receives (stage, done, total); ("groups", done, total) among others.
        now: the time, in seconds since 1970.

    Returns:
        The document, as arena.json has it.

    Raises:
        ConfigError: the model is unknown, or the runs cannot be compared.
        MissingExtraError, ModelIntegrityError, LedgerError, OSError: no run is possible.
    """
    started, report = time.monotonic(), on_progress or (lambda stage, done, total: None)
    check_margin(margin)
    if sandbox not in get_args(Isolation):
        raise ConfigError(f"unknown isolation {sandbox!r} (known: {', '.join(get_args(Isolation))})")
    if old is not None:
        names = [(g.task, g.attack, d, g.seed) for g in grid.groups() for d in grid.defences]
        check_comparable(old, {"model": grid.model, "n": grid.n, "rows": grid.rows, "cells": names})
    if out is not None:
        require_folder(out)
    model = prepared(grid.model, on_progress)
    identity = model_identity(grid.model, model)
    kept = Kept(out, ledger, grid, fresh, now)

    def keys_of(group: Group) -> dict[str, str]:
        return {name: cell_key(grid, group, name, identity, code) for name in grid.defences}

    code = codes()
    waiting = [g for g in grid.groups() if not kept.done.keys() >= set(keys_of(g).values())]
    cells: list[Cell] = []
    taken = 0
    for group in grid.groups():
        keys = keys_of(group)
        have = {name: kept.done[key] for name, key in keys.items() if key in kept.done}
        missing = {name: key for name, key in keys.items() if name not in have}
        if missing:
            report(GROUPS, waiting.index(group) if group in waiting else len(waiting), len(waiting))
            found = _measured(grid, group, missing, have.values(), model, sandbox, limits, on_progress)
            new = [{**cell, "version": __version__, "code": code[scans(cell["defence"])]} for cell in found]
            kept.add(new)
            code = codes()  # should it have changed, the next job runs the new one
            have |= {cell["defence"]: cell for cell in new}
        taken += len(keys) - len(missing)
        cells += [have[name] for name in keys]
    report(GROUPS, len(waiting), len(waiting))
    errors = sum(c["status"] != "done" for c in cells)
    document: dict[str, Any] = {
        "kind": KIND,
        "version": __version__,
        **grid.settings(),
        "sandbox": sandbox,
        "counts": {"cells": len(cells), "taken_over": taken, "measured": len(cells) - taken - errors, "errors": errors},
        "unreadable": kept.unreadable,
        "pooled": pooled(cells),
        "cells": cells,
    }
    document |= {key: c[key] for c in cells if c["status"] == "done" for key in ("model_sha256", "machine", "versions")}
    refused = None
    try:
        document["comparison"] = compare(old, document, margin) if old is not None else None
    except ConfigError as error:  # other weights under the same name: said once what was measured is written
        refused, document["comparison"] = error, None
    document["seconds"] = round(time.monotonic() - started, 2)
    document["ledger_run"] = kept.close(document)
    if out is not None:
        for name, render in (renderers or {}).items():
            atomic_write(out / name, render(document))
        atomic_write(out / DOCUMENT, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
    if refused is not None:
        raise refused
    return document


def codes() -> dict[bool, str]:
    """`code_digest` of cells that do not scan (False) and that do."""
    return {with_scanner: code_digest(with_scanner) for with_scanner in (False, True)}


def _measured(
    grid: Grid,
    group: Group,
    missing: Mapping[str, str],
    have: Iterable[Cell],
    model: str,
    sandbox: Isolation,
    limits: Limits | None,
    on_progress: Progress | None,
) -> Iterator[Cell]:
    """Measure a group's missing cells in one job; whatever goes wrong becomes cells with the reason."""
    job: dict[str, Any] = {
        "task": group.task,
        "attack": group.attack,
        "seed": group.seed,
        "model": model,
        "rows": grid.rows,
        "n": grid.n,
        "defend": [name for name in missing if name != NONE],
        "known": known_from(have),
        "strict": False,
    }
    if NONE not in missing and "undefended" not in job["known"]:
        job["known"].setdefault("undefended", {})  # nobody asked for it, so it is not measured
    try:
        document = run_sandboxed(ENTRY, job, isolation=sandbox, limits=limits, on_progress=on_progress)
        yield from cells_of(group, missing, document)
    except (SentinelError, OSError) as error:  # one group of many: the others are still worth having
        reason = f"{type(error).__name__}: {error}"
        yield from (failed(group, name, key, reason) for name, key in missing.items())


def model_identity(name: str, prepared_name: str) -> str:
    """What names a model's weights, without loading them where that can be had.

    Raises:
        ConfigError: a folder without files.
    """
    if name in (GEMMA, TINY):
        return GEMMA_SHA256 if name == GEMMA else TINY
    folder = Path(prepared_name)
    if not folder.is_dir():
        return load_base(name).sha256
    files = sorted(p for p in folder.iterdir() if p.is_file())
    if not files:
        raise ConfigError(f"{name}: a model folder needs config.json and *.safetensors, found no file")
    return hashlib.sha256("".join(f"{p.name} {file_sha256(p)}\n" for p in files).encode()).hexdigest()
