"""The rows of counted shards: read one by one when asked for, numbered over all inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.datasets import Reject
from cryptosentinel.datasets.rows import as_record
from cryptosentinel.datasets.text import read_line
from cryptosentinel.errors import DataError
from cryptosentinel.services.scan_shards import Counted
from cryptosentinel.types import Message, Record

Ints = NDArray[np.int64]


class Dataset(Sequence[Record]):
    """All readable rows of these shards; bases: the number of each shard's first among the readable rows."""

    def __init__(self, shards: Sequence[Counted]) -> None:
        """Number the rows."""
        self.shards = list(shards)
        self.bases: Ints = np.cumsum([0, *(s.n for s in shards)], dtype=np.int64)
        self._first: Ints = np.cumsum([0, *(s.count for s in shards)], dtype=np.int64)
        self._known: dict[int, Record] = {}

    def __len__(self) -> int:
        """How many readable rows?"""
        return int(self.bases[-1])

    @overload
    def __getitem__(self, row: int) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> list[Record]: ...
    def __getitem__(self, row: int | slice) -> Record | list[Record]:
        """One row, or some."""
        if isinstance(row, slice):
            return self.gather(np.arange(len(self))[row])
        return self.gather(np.array([row]))[0]

    def gather(self, rows: Ints) -> list[Record]:
        """These rows; each is read once and kept.

        Raises:
            DataError: they are not what was counted.
        """
        missing = np.array([r for r in rows.tolist() if r not in self._known], np.int64)
        of = np.searchsorted(self.bases, missing, "right") - 1
        for shard in np.unique(of).tolist():
            local = missing[of == shard] - self.bases[shard]
            for row, record in zip(local.tolist(), self._read(shard, local), strict=True):
                self._known[row + int(self.bases[shard])] = record
        return [self._known[r] for r in rows.tolist()]

    def numbers(self) -> Ints:
        """The number of each row over the inputs, rejected rows counted."""
        places = [s.array("places")[0] + first for s, first in zip(self.shards, self._first, strict=False)]
        return np.concatenate([np.zeros(0, np.int64), *places])

    def rejects(self) -> tuple[Reject, ...]:
        """The rows that could not be read, numbered over the inputs; lines over their files."""
        found = []
        line, source = 0, ""
        for shard, first in zip(self.shards, self._first.tolist(), strict=False):
            if shard.shard.start == 0 or shard.shard.source != source:
                line, source = 0, shard.shard.source
            found += [Reject(first + r.index, r.source, line + r.line, r.reason, r.text) for r in shard.rejects]
            line += shard.lines
        return tuple(found)

    def rows_of(self) -> Mapping[str, int]:
        """Rows by input, rejected ones included."""
        rows: Counter[str] = Counter()
        for shard in self.shards:
            rows[shard.shard.source] += shard.count
        return rows

    def _read(self, number: int, rows: Ints) -> Iterator[Record]:
        counted = self.shards[number]
        shard = counted.shard
        place, start, stop = counted.array("places")[:, rows].astype(np.int64).tolist()
        if shard.stop < 0:
            texts = counted.table("texts")
            for row, at in zip(rows.tolist(), place, strict=True):
                prompt, answer, own = texts.row(row)
                turns = Message("user", prompt), Message("assistant", answer)
                yield Record(own or str(int(self._first[number]) + at), turns, shard.source)
            return
        with shard.path.open("rb") as file:
            for at, a, b in zip(place, start, stop, strict=True):
                file.seek(shard.start + a)
                row = read_line(1, file.read(b - a))
                record = as_record(int(self._first[number]) + at, shard.source, row or (0, None, ""))
                if not isinstance(record, Record):
                    raise DataError(f"{shard.source}: changed while the data was being scanned")
                yield Record(record.id, record.messages, record.source, tools=record.tools)
