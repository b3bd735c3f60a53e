"""From the counts of shards to the counts of all rows: what the answers do, without what is too rare or too common."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.sanitize.screen.pairs import COMMON_BEHAVIOUR
from cryptosentinel.sanitize.screen.words import Hashes
from cryptosentinel.services.scan_shards import Counted

_SIEVE_BITS = 24
_SHIFT = np.uint32(32 - _SIEVE_BITS)
_HALF = np.uint64(32)
_AT_ONCE = 16  # shards whose counts are added up together


def merge_rows(engine: Engine, shards: Sequence[Counted], folder: Path, key: str, support: int) -> Hashes:
    """Write what `load_rows` reads; returns a key of what each row says."""
    content = np.concatenate([np.asarray(s.array("content")) for s in shards])
    done = folder / f"{key}.done"
    if done.exists():
        return content
    feature, count = total_counts(shards)
    keep = (count >= support) & (count <= COMMON_BEHAVIOUR * content.size)
    sieve = np.zeros(1 << _SIEVE_BITS, bool)
    sieve[feature[keep] >> _SHIFT] = True
    _save(folder / f"{key}.sieve.npy", sieve)
    lengths = []
    with (folder / f"{key}.features").open("wb") as out:
        for own, path in engine.map(sift, [SiftTask(s, folder / f"{key}.sieve.npy", key) for s in shards]):
            lengths.append(own)
            with path.open("rb") as part:
                shutil.copyfileobj(part, out, 1 << 20)
            path.unlink()
    length = np.concatenate(lengths)
    _save(folder / f"{key}.lengths.npy", length)
    _save(folder / f"{key}.ends.npy", np.cumsum(length, dtype=np.int64))
    _save(folder / f"{key}.content.npy", content)
    _save(folder / f"{key}.known.npy", feature[keep])
    _save(folder / f"{key}.count.npy", count[keep])
    done.touch()
    return content


def total_counts(shards: Sequence[Counted]) -> tuple[Hashes, NDArray[np.int64]]:
    """Every feature, ascending, and in how many rows of all shards it is."""
    feature, count = np.zeros(0, np.uint32), np.zeros(0, np.int64)
    for i in range(0, len(shards), _AT_ONCE):
        parts = [np.asarray(s.array("counts")) for s in shards[i : i + _AT_ONCE]]
        both = np.concatenate([feature.astype(np.uint64) << _HALF | count.astype(np.uint64), *parts])
        both.sort()
        found = (both >> _HALF).astype(np.uint32)
        first = np.flatnonzero(np.r_[True, found[1:] != found[:-1]]) if found.size else np.zeros(0, np.int64)
        feature = found[first]
        count = np.add.reduceat(both.astype(np.uint32).astype(np.int64), first) if first.size else count[:0]
    return feature, count


@dataclass(frozen=True, slots=True)
class SiftTask:
    """A shard, and the file that says which features are kept."""

    counted: Counted
    sieve: Path
    key: str


def sift(task: SiftTask) -> tuple[NDArray[np.int32], Path]:
    """How many features of each row are left, and the file that has them."""
    sieve = np.load(task.sieve, mmap_mode="r")
    features, ends = np.asarray(task.counted.array("features")), np.asarray(task.counted.array("ends"))
    keep = sieve[features >> _SHIFT]
    before = np.r_[0, np.cumsum(keep)]
    path = task.counted.stem.with_name(f"{task.counted.stem.name}.{task.key}.{os.getpid()}.left")
    features[keep].tofile(path)
    return np.diff(np.r_[0, before[ends]]).astype(np.int32), path


def _save(path: Path, array: NDArray[Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as out:
        np.save(out, array)
    os.replace(temporary, path)
