"""The arena from settings to report: what is known already is taken over, the rest measured group by group."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from cryptosentinel import __version__
from cryptosentinel.errors import ConfigError, DataError, SentinelError
from cryptosentinel.files import atomic_write
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
)
from cryptosentinel.redteam.defence import NONE
from cryptosentinel.redteam.regress import MARGIN, check_comparable, check_margin, check_old, compare
from cryptosentinel.redteam.sandbox import Isolation, Limits, run_sandboxed
from cryptosentinel.services.redteam import ENTRY, prepared
from cryptosentinel.services.scan_files import check_writable
from cryptosentinel.types import Progress

COMMAND = "redteam arena"
CELLS, DOCUMENT = "cells.jsonl", "arena.json"
GROUPS = "groups"  # the stage of progress that counts them
SHOWN_OF_RUN = "run-"
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
        old: the document of an earlier run, see `load_run`, to be compared with.
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
        check_writable(out)
    model = prepared(grid.model, on_progress)
    identity = model_identity(grid.model, model)
    kept = _Kept(out, ledger, grid, fresh, now)

    def keys_of(group: Group) -> dict[str, str]:
        return {name: cell_key(grid, group, name, identity, code) for name in grid.defences}

    code = {scans: code_digest(scans) for scans in (False, True)}
    waiting = [g for g in grid.groups() if not kept.done.keys() >= set(keys_of(g).values())]
    cells: list[Cell] = []
    taken = 0
    for group in grid.groups():
        keys = keys_of(group)
        have = {name: kept.done[key] for name, key in keys.items() if key in kept.done}
        missing = {name: key for name, key in keys.items() if name not in have}
        if missing:
            report(GROUPS, waiting.index(group) if group in waiting else len(waiting), len(waiting))
            new = list(_measured(grid, group, missing, have.values(), model, sandbox, limits, on_progress))
            kept.add(new)
            code = {
                scans: code_digest(scans) for scans in code
            }  # should it have changed, the next job runs the new one
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


class _Kept:
    """Finished cells of earlier starts, from the folder and the ledger, and where new ones go."""

    def __init__(
        self, out: Path | None, ledger: Ledger | None, grid: Grid, fresh: bool, now: Callable[[], float]
    ) -> None:
        """Read what is there and note that a run begins."""
        self.path = out / CELLS if out is not None else None
        self.ledger, self.now = ledger, now
        self.unreadable = 0
        in_file = {} if self.path is None else self._read(self.path)
        in_ledger = {} if ledger is None else _ledger_cells(ledger)
        self.in_file, self.in_ledger = in_file, set(in_ledger)
        self.done = {} if fresh else {k: c for k, c in (in_ledger | in_file).items() if c["status"] == "done"}
        self.run = ""
        if ledger is not None:
            begin = {"command": COMMAND, "phase": "start", "time": now(), "settings": grid.settings()}
            self.run = ledger.append("run", begin).id

    def add(self, cells: Sequence[Cell]) -> None:
        """Keep the cells of a group, at once."""
        self._write(cells)
        self._note(cells)

    def close(self, document: Mapping[str, Any]) -> str:
        """Keep what was taken over too, and note that the run has ended and which cells are its own; the run's id."""
        self._write([cell for cell in document["cells"] if cell["key"] not in self.in_file])
        self._note([cell for cell in document["cells"] if cell["key"] not in self.in_ledger])
        if self.ledger is not None:
            end = {key: value for key, value in document.items() if key not in ("cells", "pooled")}
            end |= {"command": COMMAND, "phase": "end", "run": self.run, "time": self.now()}
            self.ledger.append("run", end | {"keys": [cell["key"] for cell in document["cells"]]})
        return self.run

    def _write(self, cells: Sequence[Cell]) -> None:
        self.in_file |= {cell["key"]: cell for cell in cells}
        if self.path is not None:
            lines = (json.dumps(cell, ensure_ascii=False, allow_nan=False) for cell in self.in_file.values())
            atomic_write(self.path, "".join(f"{line}\n" for line in lines))

    def _note(self, cells: Sequence[Cell]) -> None:
        if self.ledger is not None and cells:
            self.in_ledger |= {cell["key"] for cell in cells}
            self.ledger.append_many(
                ("run", {"command": COMMAND, "phase": "cell", "run": self.run, "cell": cell}) for cell in cells
            )

    def _read(self, path: Path) -> dict[str, Cell]:
        """The cells of a file by key; a line that holds none is counted, and measured again."""
        cells: dict[str, Cell] = {}
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
            try:
                cell = json.loads(line)
                check_old({"kind": KIND, "cells": [cell]}, str(path))
                cells[str(cell["key"])] = cell
                if cell["status"] == "done":
                    known_from([cell]), pooled([cell])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError):
                self.unreadable += 1
        return cells


def _ledger_cells(ledger: Ledger) -> dict[str, Cell]:
    """The cells that the ledger knows, the latest of each key."""
    return {
        entry.body["cell"]["key"]: dict(entry.body["cell"])
        for entry in ledger.entries("run")
        if entry.body.get("command") == COMMAND and entry.body.get("phase") == "cell"
    }


def load_run(where: str, ledger: Callable[[], Ledger]) -> dict[str, Any]:
    """The document of an earlier run: a folder, its arena.json, or the id of a run in the ledger ("run-17").

    Raises:
        DataError: there is none, it is not one, or that run did not end.
        LedgerError: the ledger cannot be read.
    """
    path = Path(where)
    if path.is_dir():
        path /= DOCUMENT
    if path.is_file():
        try:
            document: Any = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not an arena run: {' '.join(str(error).split())[:120]}") from None
        if not isinstance(document, dict):
            raise DataError(f"{path}: not an arena run: a {type(document).__name__}, need an object")
    elif where.startswith(SHOWN_OF_RUN) and where.removeprefix(SHOWN_OF_RUN).isdigit():
        document = _from_ledger(ledger(), where)
    else:
        raise DataError(f"{where}: no such arena run (a folder, an arena.json, or the id of a run in the ledger)")
    check_old(document, where)
    return dict(document)


def _from_ledger(ledger: Ledger, run: str) -> dict[str, Any]:
    cells: dict[str, Cell] = {}
    begun = False
    for entry in ledger.entries("run"):
        body = entry.body
        if body.get("command") != COMMAND:
            continue
        begun = begun or (entry.id == run and body["phase"] == "start")
        if body["phase"] == "cell":
            cells[body["cell"]["key"]] = dict(body["cell"])
        elif body["phase"] == "end" and body["run"] == run:
            return {**body, "kind": KIND, "cells": [cells[key] for key in body["keys"]]}
    if begun:
        raise DataError(f"{run}: that run of the arena did not end; start it again first")
    raise DataError(f"{run}: the ledger has no such run of the arena")


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
