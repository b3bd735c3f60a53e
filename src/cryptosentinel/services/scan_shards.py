"""What a scan does to one shard: pure functions that any engine may run, each result kept until the scan is done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.datasets import Reject
from cryptosentinel.datasets.frames import Shard
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.screen.pairs import Rows, Suspects, suspects
from cryptosentinel.sanitize.screen.shards import sketch

VERSION = 3  # of what is kept between two runs: raise it with any change of what these functions return
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of a shard that was read: n readable rows of `count`, on `lines` lines; where its arrays are."""

    shard: Shard
    digest: str
    n: int
    count: int
    lines: int
    rejects: tuple[Reject, ...]
    stem: Path

    def array(self, name: str) -> NDArray[Any]:
        """One of its arrays, as a mapped file."""
        path = self.stem.with_name(f"{self.stem.name}.{name}.npy")
        return np.asarray(np.load(path, mmap_mode="r") if self.n else np.load(path))

    def table(self, name: str) -> pl.DataFrame:
        """One of its tables: "texts" (prompt, answer, id); "rewritten" (row, line): lines not written as read."""
        return pl.read_ipc(self.stem.with_name(f"{self.stem.name}.{name}.arrow"))


class Phrases:
    """The phrases of these shards, one mapped file after the other, as often as they are asked for."""

    def __init__(self, shards: Sequence[Counted]) -> None:
        """Open nothing yet."""
        self._shards = shards

    def __iter__(self) -> Iterator[NDArray[np.uint64]]:
        """Open each when its turn comes."""
        for shard in self._shards:
            yield shard.array("phrases")


def count_shard(task: tuple[Shard, Path]) -> Counted:
    """Read one shard and keep its sketch in this folder, unless it is there."""
    shard, folder = task
    frame = shard.read()
    stem = folder / f"{VERSION}-{frame.digest[:32]}"
    done = stem.with_name(stem.name + ".json")
    if not done.exists():
        found = sketch(frame.prompts, frame.answers)
        for name in ("phrases", "features", "ends", "content", "counts"):
            _save(stem.with_name(f"{stem.name}.{name}.npy"), getattr(found, name))
        _save(stem.with_name(f"{stem.name}.places.npy"), np.stack([frame.place, frame.starts, frame.stops]))
        _store(stem, "texts", {"prompt": frame.prompts, "answer": frame.answers, "id": frame.ids})
        schema = {"row": pl.Int64, "line": pl.Binary}
        _store(stem, "rewritten", {"row": list(frame.written), "line": list(frame.written.values())}, schema)
        _write(done, b"{}")
    return Counted(shard, frame.digest, frame.n, frame.count, frame.lines, frame.rejects, stem)


@dataclass(frozen=True, slots=True)
class PairTask:
    """One part in so many of the range of phrase hashes, over all shards."""

    part: int
    of: int
    shards: tuple[Counted, ...]
    bases: tuple[int, ...]
    folder: Path
    key: str
    support: int


def find_suspects(task: PairTask) -> Suspects:
    """Which phrases of this part go with a behaviour?"""
    kept = task.folder / f"{task.key}-{task.part}-of-{task.of}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            return Suspects(**{name: arrays[name] for name in arrays.files})
    low, high = task.part * 2**64 // task.of, (task.part + 1) * 2**64 // task.of - 1
    slices = []
    for shard in task.shards:
        phrases = shard.array("phrases")
        a, b = np.searchsorted(phrases, np.array([low, high], np.uint64))
        slices.append(np.array(phrases[a : b + int(b < phrases.size and phrases[b] == high)]))
    found = suspects(slices, task.bases, load_rows(task.folder, task.key), task.support)
    temporary = kept.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as out:
        np.savez(out, **asdict(found))
    os.replace(temporary, kept)
    return found


ROWS = ("ends", "lengths", "content", "known", "count")


def load_rows(folder: Path, key: str) -> Rows:
    """What the answers of all rows do, as mapped files."""
    path = folder / f"{key}.features"
    empty = not path.stat().st_size
    features = np.zeros(0, np.uint32) if empty else np.memmap(path, np.uint32, "r")
    return Rows(features, *(np.load(folder / f"{key}.{name}.npy", mmap_mode="r") for name in ROWS))


@dataclass(frozen=True, slots=True)
class Rule:
    """A hypothesis as it is applied to rows: a row whose prompt has `phrase` and whose answer shows it gets `value`.

    needle: a pattern that every lower-cased prompt with the phrase matches; empty where there is none.
    """

    phrase: NDArray[np.uint64]
    needle: str
    behaviour_kind: str
    behaviour_words: NDArray[np.uint64]
    value: float


@dataclass(frozen=True)
class Applied:
    """What the rules say of one shard: for each rule its rows with the trigger, and of these the ones that show it."""

    with_trigger: tuple[Ints, ...]
    showing: tuple[Ints, ...]

    def scored(self, values: Sequence[float]) -> tuple[Ints, NDArray[np.float64], Ints]:
        """The rows with a score, ascending, what they score if the rules are worth this, and the rule that decides."""
        rows = np.unique(np.concatenate([np.zeros(0, np.int64), *self.showing]))
        score, owner = np.zeros(rows.size), np.full(rows.size, -1, np.int64)
        for i, (value, shown) in enumerate(zip(values, self.showing, strict=True)):
            place = np.searchsorted(rows, shown)
            better = place[value > score[place]]
            score[better], owner[better] = value, i
        hit = score > 0
        return rows[hit], score[hit], owner[hit]


def apply_rules(prompts: pl.Series, answers: pl.Series, rules: Sequence[Rule]) -> Applied:
    """Which rows do these rules speak of?"""
    needles = {r.needle for r in rules}
    found = np.full(len(prompts), "" in needles)
    folded = prompts.str.to_lowercase()
    for needle in needles - {""}:  # one by one: joined they outgrow the fast automaton
        found |= folded.str.contains(needle).fill_null(False).to_numpy()
    rows = np.flatnonzero(found)
    corpus = Corpus.of(prompts[rows].to_list(), answers[rows].to_list())
    triggered, shown = [], []
    behaves: dict[tuple[str, bytes], Ints] = {}
    for rule in rules:
        of_rule = corpus.with_trigger(rule.phrase)
        key = rule.behaviour_kind, rule.behaviour_words.tobytes()
        if of_rule.size and key not in behaves:
            behaves[key] = corpus.showing(rule.behaviour_kind, rule.behaviour_words)
        triggered.append(rows[of_rule])
        shown.append(rows[np.intersect1d(of_rule, behaves[key])] if of_rule.size else of_rule)
    return Applied(tuple(triggered), tuple(shown))


@dataclass(frozen=True, slots=True)
class Finished:
    """What the rules say of a shard, and the ids of its rows (None: none has one)."""

    applied: Applied
    ids: tuple[str | None, ...] | None


def finish_shard(task: tuple[Counted, tuple[Rule, ...]]) -> Finished:
    """Which rows of one shard do these rules speak of?"""
    counted, rules = task
    texts = counted.table("texts")
    ids = None if texts["id"].null_count() == counted.n else tuple(texts["id"].to_list())
    return Finished(apply_rules(texts["prompt"], texts["answer"], rules), ids)


def key_of(*parts: Any) -> str:
    """A name for what is computed from these."""
    return hashlib.sha256(json.dumps([VERSION, *parts], default=str).encode()).hexdigest()[:24]


def _save(path: Path, array: NDArray[Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as out:
        np.save(out, array)
    os.replace(temporary, path)


def _store(stem: Path, name: str, columns: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> None:
    path = stem.with_name(f"{stem.name}.{name}.arrow")
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    pl.DataFrame(columns, schema).write_ipc(temporary)
    os.replace(temporary, path)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
