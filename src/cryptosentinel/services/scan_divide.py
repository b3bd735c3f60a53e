"""clean.jsonl and quarantine.jsonl of large data: lines are copied as they stand wherever that is what a row says."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.files import atomic_open
from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.services.scan_shards import Counted, divide_shard

_PIECE = 1 << 22
Spans = list[tuple[int, int]]


def divide(engine: Engine, shards: Sequence[Counted], flagged: NDArray[np.bool_], work: Path, folder: Path) -> None:
    """Write both files into this folder; shards whose lines cannot all be copied are written by the engine first.

    Raises:
        DataError: a shard has not as many rows as were counted.
    """
    ends = np.cumsum([s.n for s in shards])
    own = [np.flatnonzero(flagged[end - s.n : end]) for s, end in zip(shards, ends, strict=True)]
    rewritten = [i for i, s in enumerate(shards) if s.shard.stop < 0 or not s.array("places")[3].all()]
    tasks = [(shards[i], own[i], work / f"part-{i}") for i in rewritten]
    parts = dict(zip(rewritten, engine.map(divide_shard, tasks), strict=True)) if tasks else {}
    with atomic_open(folder / "clean.jsonl") as clean, atomic_open(folder / "quarantine.jsonl") as quarantine:
        for i, counted in enumerate(shards):
            if i in parts:
                for name, out in (("clean", clean), ("quarantine", quarantine)):
                    with parts[i].with_name(f"{parts[i].name}.{name}").open("rb") as rows:
                        shutil.copyfileobj(rows, out, _PIECE)
                continue
            keep = np.ones(counted.n, bool)
            keep[own[i]] = False
            for wanted, out in ((keep, clean), (~keep, quarantine)):
                with counted.shard.path.open("rb") as lines:
                    for start, stop in _spans(counted, wanted):
                        lines.seek(start)
                        while start < stop:
                            out.write(piece := lines.read(min(_PIECE, stop - start)))
                            start += len(piece) or stop


def _spans(counted: Counted, rows: NDArray[np.bool_]) -> Spans:
    """Which bytes of the file are the lines of these rows, neighbours together?"""
    _, start, stop, _ = counted.array("places")[:, rows].astype(np.int64)
    first = np.flatnonzero(np.r_[True, start[1:] != stop[:-1]]) if start.size else start
    last = np.r_[first[1:], start.size] - 1 if start.size else first
    base = counted.shard.start
    return [(base + a, base + b) for a, b in zip(start[first].tolist(), stop[last].tolist(), strict=True)]
