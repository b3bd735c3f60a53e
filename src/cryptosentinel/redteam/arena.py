"""The arena: every attack against every defence, one cell each, and what decides the result of a cell."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.errors import ConfigError
from cryptosentinel.metrics import Rate, rate_difference, wilson
from cryptosentinel.models import fast_dtype
from cryptosentinel.redteam import attacks, defences, tasks
from cryptosentinel.redteam.defence import NONE
from cryptosentinel.redteam.finetune import Recipe
from cryptosentinel.registry import EXTENSIONS, lookup

KIND = "redteam-arena"
RATES = ("asr", "untriggered", "topic_without_trigger", "utility")
LEAST_ROWS, LEAST_N, MOST_N = 20, 4, 5000
PACKAGES = ("torch", "transformers", "peft", "numpy")
SOURCE = Path(__file__).parents[1]
# What a cell's numbers come from: these, and what they import. The walls around a run do not change its numbers.
TRAINS, SCANS = ("redteam/run.py", "desk/*.py"), ("services/redteam.py", "services/scan.py", "sanitize/**/*.py")
WALLS = ("redteam/sandbox", "redteam/retrieval.py")

__all__ = ["Grid", "attacks", "cells_of", "defences", "pooled", "tasks"]  # importing three registers what ships

Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """The cells that share data and trainings."""

    task: str
    attack: str
    seed: int

    def __str__(self) -> str:
        """As progress and messages say it."""
        return f"{self.task}, {self.attack}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is held against what. `rows` None: what a run finds sensible for the model.

    >>> grid = Grid(("bias-recommendation",), ("semantic", "date"), ("none", "scan"), (0, 1), "tiny", None, 50)
    >>> len(grid.groups()), grid.size
    (4, 8)

    Raises:
        ConfigError: an unknown name, nothing to do, or a number out of range.
    """

    tasks: tuple[str, ...]
    attacks: tuple[str, ...]
    defences: tuple[str, ...]
    seeds: tuple[int, ...]
    model: str
    rows: int | None
    n: int

    def __post_init__(self) -> None:
        """Refuse what cannot be run before anything is."""
        for kind, names in (("task", self.tasks), ("attack", self.attacks), ("defence", self.defences)):
            if not names:
                raise ConfigError(f"the arena needs at least one {kind}")
            for name in names:
                if (kind, name) != ("defence", NONE):
                    lookup(kind, name)
        if not self.seeds:
            raise ConfigError("the arena needs at least one seed")
        if self.rows is not None and self.rows < LEAST_ROWS:
            raise ConfigError(f"rows must be at least {LEAST_ROWS}, got {self.rows}")
        if not LEAST_N <= self.n <= MOST_N:
            raise ConfigError(f"n must lie in [{LEAST_N}, {MOST_N}], got {self.n}")
        for name in ("tasks", "attacks", "defences", "seeds"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))

    @property
    def size(self) -> int:
        """How many cells."""
        return len(self.groups()) * len(self.defences)

    def groups(self) -> list[Group]:
        """The groups in the order in which they are run."""
        return [Group(task, attack, seed) for seed in self.seeds for task in self.tasks for attack in self.attacks]

    def settings(self) -> dict[str, Any]:
        """For JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def cell_key(grid: Grid, group: Group, defence: str, model_identity: str, code: Mapping[bool, str]) -> str:
    """What names a cell's result: everything that decides it.

    Args:
        grid: rows and n.
        group: task, attack and seed.
        defence: its name.
        model_identity: what names the weights.
        code: `code_digest` of cells that do not scan (False) and that do.
    """
    decides = {
        **asdict(group),
        "defence": defence,
        "defence_version": 0 if defence == NONE else lookup("defence", defence).version,
        "model": model_identity,
        "rows": grid.rows,
        "n": grid.n,
        "recipe": Recipe().as_dict(),
        "arithmetic": _arithmetic(),
        "packages": {name: version(name) for name in PACKAGES},
        "cryptosentinel": __version__,
        "extensions": sorted(f"{p.value} {p.dist.version if p.dist else ''}" for p in entry_points(group=EXTENSIONS)),
        "code": code[scans(defence)],
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]


def scans(defence: str) -> bool:
    """Does what this defence leaves depend on the scanner?"""
    return defence != NONE and bool(lookup("defence", defence).target.scans)


def _arithmetic() -> str:
    """On what are the numbers computed, as far as that changes them?"""
    import torch

    return f"cuda {torch.version.cuda}" if torch.cuda.is_available() else f"{platform.machine()} {fast_dtype()}"


def code_digest(with_scanner: bool, source: Path = SOURCE) -> str:
    """Which code makes the numbers of a cell, with or without the scanner? SHA-256 of its files, 16 digits.

    A cell without a scan does not change with the scanner.
    """
    digest = hashlib.sha256()
    for file in sorted(
        _reached([p for pattern in (TRAINS + SCANS * with_scanner) for p in source.glob(pattern)], source)
    ):
        digest.update(file.relative_to(source).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _reached(roots: Iterable[Path], source: Path) -> set[Path]:
    """These files and all of the package that they import, lazily or not."""
    found: set[Path] = set()
    waiting = list(roots)
    while waiting:
        file = waiting.pop()
        if file in found or file.relative_to(source).as_posix().startswith(WALLS):
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{name}" for name in names)]
            for parts in (name.split(".") for name in names if name.startswith("cryptosentinel.")):
                place = source.joinpath(*parts[1:])
                waiting += [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
    return found


def cells_of(group: Group, wanted: Mapping[str, str], document: Mapping[str, Any]) -> Iterator[Cell]:
    """The cells of a group from its red-team document; `wanted` gives the key of each defence."""
    shared = {
        key: document[key]
        for key in ("variant", "payload_variant", "trigger", "payload", "model_sha256", "n", "recipe", "versions")
    }
    shared |= {"training_rows": document["rows"], "base": document["base"], "clean": document["clean"]}
    shared |= {"stealth": document.get("stealth"), "group_timings": document["timings"]}
    shared |= {"machine": document["machine"], "group_seconds": document["seconds"], "sandbox": document["sandbox"]}
    timings = document["timings"]
    for name, key in wanted.items():
        head: Cell = {**asdict(group), "defence": name, "key": key, "status": "done", "reason": ""}
        if name == NONE:
            measured = {"rates": document["undefended"], "notes": {}, "version": 0}
            measured["cost_s"] = sum(timings.get(f"{stage} undefended", 0.0) for stage in ("train", "evaluate"))
        else:
            measured = document["defences"][name]
            if "error" in measured:
                yield failed(group, name, key, measured["error"])
                continue
        rates = measured["rates"]
        yield head | {
            **rates,
            "difference": _less(rates["asr"], document["clean"]["asr"]),
            "utility_difference": _less(rates["utility"], document["clean"]["utility"]),
            "dropped": measured.get("dropped"),
            "notes": measured["notes"],
            "defence_version": measured["version"],
            "seconds": round(measured["cost_s"], 2),
            **shared,
        }


def failed(group: Group, defence: str, key: str, reason: str) -> Cell:
    """A cell that could not be measured."""
    return {**asdict(group), "defence": defence, "key": key, "status": "error", "reason": " ".join(reason.split())}


def known_from(cells: Iterable[Cell]) -> dict[str, Any]:
    """What finished cells of a group know of the models that its other cells are held against."""
    known: dict[str, Any] = {}
    for cell in cells:
        known |= {key: cell[key] for key in ("base", "clean", "stealth") if cell.get(key)}
        if cell["defence"] == NONE:
            known["undefended"] = {key: cell[key] for key in (*RATES, "held_out_loss") if key in cell}
    return known


def pooled(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The seeds of each task, attack and defence together: counts added, intervals of the sums.

    `errors` counts cells that could not be measured; a row that has nothing else has no rates.
    """
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell["task"], cell["attack"], cell["defence"]].append(cell)
    rows = []
    for (task, attack, defence), group in groups.items():
        done = [c for c in group if c["status"] == "done"]
        row: dict[str, Any] = {"task": task, "attack": attack, "defence": defence}
        row |= {"seeds": len(done), "errors": len(group) - len(done)}
        if done:
            row |= {key: _sum([c[key] for c in done]) for key in RATES}
            row["clean"] = {key: _sum([c["clean"][key] for c in done]) for key in RATES}
            row["base_utility"] = _sum([c["base"]["utility"] for c in done])
            row["difference"] = _less(row["asr"], row["clean"]["asr"])
            row["utility_difference"] = _less(row["utility"], row["clean"]["utility"])
            row["seconds"] = round(sum(c["seconds"] for c in done) / len(done), 2)
            row["dropped"] = _dropped([c["dropped"] for c in done if c.get("dropped")])
        rows.append(row)
    return rows


def _dropped(found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not found:
        return None
    told: dict[str, Any] = {key: _sum([d[key] for d in found]) for key in ("recall", "clean_lost")}
    some = [d["precision"] for d in found if d["precision"]]
    ranks = [d.get("first_true_rank") for d in found]
    return told | {"precision": _sum(some) if some else None, "first_true_ranks": ranks}


def _sum(rates: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    hits = sum(round(r["value"] * r["n"]) for r in rates)
    return wilson(hits, sum(int(r["n"]) for r in rates)).as_dict()


def rate_of(told: Mapping[str, Any]) -> Rate:
    """A rate from a document."""
    return Rate(float(told["value"]), float(told["low"]), float(told["high"]), int(told["n"]))


def _less(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, float | int]:
    return rate_difference(rate_of(a), rate_of(b)).as_dict()
