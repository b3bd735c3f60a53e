"""The arena's cells between two starts: in the folder, in the ledger, and in an earlier run to compare with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.files import atomic_write
from cryptosentinel.ledger import Ledger
from cryptosentinel.redteam.arena import KIND, Cell, Grid, known_from, pooled
from cryptosentinel.redteam.regress import check_old

COMMAND = "redteam arena"
CELLS, DOCUMENT = "cells.jsonl", "arena.json"
RUN = "run-"  # what the id of a run in the ledger begins with


class Kept:
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
        lines = path.read_text("utf-8", "replace").split("\n") if path.is_file() else []
        for line in filter(None, lines):
            try:
                cell = json.loads(line)
                check_old({"kind": KIND, "cells": [cell]}, str(path))
                if cell["status"] == "done":  # whatever is asked of it later must be there
                    known_from([cell])
                    pooled([cell])
                cells[str(cell["key"])] = cell
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
    elif where.startswith(RUN) and where.removeprefix(RUN).isdigit():
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
