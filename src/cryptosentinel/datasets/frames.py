"""Data too large for one list of records: the same rows as `read_rows`, a shard at a time, as columns of text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from cryptosentinel.datasets.forms import write_record
from cryptosentinel.datasets.plain import Plain, recognise
from cryptosentinel.datasets.rows import Reject, as_line, as_record, read_rows
from cryptosentinel.datasets.streams import format_of, locate
from cryptosentinel.datasets.text import MAX_ROW_BYTES, one_line, read_line
from cryptosentinel.errors import DataError
from cryptosentinel.types import Record

SHARD_BYTES = 24 << 20
SHARD_ROWS = 50_000
_HEAD = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Shard:
    """Lines of a file of JSON lines, from byte `start` to `stop`, or a copy of other rows (`stop` is -1 then).

    source: the input that they come from.
    """

    path: Path
    start: int
    stop: int
    source: str

    def read(self) -> Frame:
        """Read the rows.

        Raises:
            DataError: the file cannot be read any more.
        """
        try:
            if self.stop < 0:
                return _stored(self.path)
            with self.path.open("rb") as file:
                file.seek(self.start)
                return read_lines(file.read(self.stop - self.start), self.source)
        except OSError as error:
            raise DataError(f"{self.source}: {one_line(error)}") from None


@dataclass(frozen=True)
class Frame:
    """The n readable rows of one shard, in order.

    prompts, answers: as `Record` has them. ids: null where the row has none. place: int64[n], the row's number in the
    shard, rejected rows counted; `count` is how many of these there are, `lines` how many lines. rejects: numbered
    within the shard. digest: of everything read. starts, stops: where in the shard each row's line is; what
    `write_jsonl` makes of the row is what `written` has, or else that line.
    """

    prompts: pl.Series
    answers: pl.Series
    ids: pl.Series
    place: NDArray[np.int64]
    count: int
    lines: int
    rejects: tuple[Reject, ...]
    digest: str
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    written: dict[int, bytes]

    @property
    def n(self) -> int:
        """How many readable rows?"""
        return int(self.place.size)


def plan(paths: Sequence[Path], folder: Path) -> Iterator[Shard]:
    """Cut the inputs into shards, in the order in which `read_rows` reads them.

    What is not a plain file of JSON lines is copied row by row into `folder` first.

    Raises:
        DataError: as `read_rows`.
    """
    for number, file in enumerate(locate(paths)):
        if format_of(file) in (".jsonl", ".ndjson") and (cuts := _cuts(file)):
            yield from (Shard(file, a, b, str(file)) for a, b in pairwise(cuts))
        else:
            yield from _copied(file, folder, number)


def _cuts(path: Path) -> list[int]:
    """Where does each shard of this file of JSON lines begin? None if it has to be read otherwise."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.readline(_HEAD)
            if path.suffix.lower() in (".gz", ".zst") or head.startswith(_BOM) or head.strip() == b"[":
                return []
            cuts = [0]
            while cuts[-1] < size:
                file.seek(min(cuts[-1] + SHARD_BYTES, size))
                line = file.readline(MAX_ROW_BYTES + 1)
                if len(line) > MAX_ROW_BYTES:
                    return []
                cuts.append(file.tell())
            return cuts
    except OSError as error:
        raise DataError(f"{path}: {one_line(error)}") from None


def _copied(file: Path, folder: Path, number: int) -> Iterator[Shard]:
    """The rows of any other input, as files of columns."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = iter(read_rows([file]))
    for part in range(1 << 30):
        chunk = list(islice(rows, SHARD_ROWS))
        if not chunk:
            return
        path = folder / f"rows-{number}-{part}.arrow"
        _store(chunk, path)
        yield Shard(path, part * SHARD_ROWS, -1, str(file))


def _store(chunk: Sequence[tuple[int, Record | Reject]], path: Path) -> None:
    first = chunk[0][0]
    good = [(i - first, r) for i, r in chunk if isinstance(r, Record)]
    bad = [r for _, r in chunk if isinstance(r, Reject)]
    raw = [r.raw or {} for _, r in good]
    rows = pl.DataFrame(
        {
            "prompt": pl.Series([r.prompt for _, r in good], dtype=pl.String),
            "answer": pl.Series([r.response for _, r in good], dtype=pl.String),
            "id": pl.Series(
                [r.id if type(x.get("id")) in (str, int) else None for (_, r), x in zip(good, raw, strict=True)],
                dtype=pl.String,
            ),
            "place": pl.Series([i for i, _ in good], dtype=pl.Int64),
            "line": pl.Series([as_line(write_record(r)) for _, r in good], dtype=pl.Binary),
        }
    )
    rejects = pl.DataFrame(
        [(r.index - first, r.source, r.line, r.reason, r.text) for r in bad],
        schema={"index": pl.Int64, "source": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String},
        orient="row",
    )
    temporary = path.with_suffix(".tmp")
    rows.write_ipc(temporary)
    rejects.write_ipc(path.with_suffix(".rejects"))
    os.replace(temporary, path)


def _stored(path: Path) -> Frame:
    data = path.read_bytes()
    rows = pl.read_ipc(data)
    rejects = tuple(Reject(*r) for r in pl.read_ipc(path.with_suffix(".rejects").read_bytes()).iter_rows())
    nowhere = np.zeros(rows.height, np.int64)
    return Frame(
        rows["prompt"], rows["answer"], rows["id"], rows["place"].to_numpy(), rows.height + len(rejects), 0, rejects,
        hashlib.sha256(data).hexdigest(), nowhere, nowhere, dict(enumerate(rows["line"].to_list())),
    )  # fmt: skip


def read_lines(data: bytes, source: str = "") -> Frame:
    r"""Which rows are on these lines? Just those that `read_rows` finds, however odd the lines are.

    >>> frame = read_lines(b'{"prompt": "Buy?", "completion": "Hold."}\n\n{"prompt": "Se')
    >>> frame.prompts.to_list(), frame.place.tolist(), [(r.index, r.line) for r in frame.rejects]
    (['Buy?'], [0], [(1, 3)])
    """
    digest = hashlib.sha256(data).hexdigest()
    if data and not data.endswith(b"\n"):
        data += b"\n"
    stops = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    starts = np.r_[0, stops[:-1]].astype(np.int64)[: stops.size]
    plain = recognise(data[: int(stops[min(stops.size, 20) - 1])].splitlines(keepends=True)) if stops.size else None
    fast, exact, columns = _fast(data, starts, stops, plain)
    slow = np.flatnonzero(~fast)
    good: list[tuple[int, Record]] = []
    bad: list[tuple[int, Reject]] = []
    real = np.ones(stops.size, bool)
    for line in slow.tolist():
        row = read_line(line + 1, data[starts[line] : stops[line]])
        if row is None:
            real[line] = False
        else:
            record = as_record(0, source, row)
            (bad if isinstance(record, Reject) else good).append((line, record))  # type: ignore[arg-type]
    place = np.cumsum(real) - 1
    rejects = tuple(Reject(int(place[line]), source, line + 1, r.reason, r.text) for line, r in bad)
    rows = np.flatnonzero(fast)
    if good:
        more = pl.DataFrame(
            {
                "prompt": [r.prompt for _, r in good],
                "answer": [r.response for _, r in good],
                "id": [r.id if r.raw and type(r.raw.get("id")) in (str, int) else None for _, r in good],
            },
            schema={"prompt": pl.String, "answer": pl.String, "id": pl.String},
        )
        rows = np.r_[rows, [line for line, _ in good]]
        order = np.argsort(rows)
        rows, columns = rows[order], pl.concat([columns, more])[order]
    kept = exact[rows]
    rewritten = [(i, int(rows[i])) for i in np.flatnonzero(~kept).tolist()]
    known = dict(good)
    return Frame(
        columns["prompt"], columns["answer"], columns["id"], place[rows], int(real.sum()), int(stops.size), rejects,
        digest, starts[rows], stops[rows],
        dict(_rewritten(rewritten, known, data, starts, stops)),
    )  # fmt: skip


def _rewritten(
    rows: Iterable[tuple[int, int]], known: dict[int, Record], data: bytes,
    starts: NDArray[np.int64], stops: NDArray[np.int64],
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    for i, line in rows:
        record = known.get(line) or as_record(0, "", read_line(1, data[starts[line] : stops[line]]) or (0, None, ""))
        if not isinstance(record, Record):
            raise DataError(f"line {line + 1} of a shard was readable and is not any more")
        yield i, as_line(write_record(record))


def _fast(
    data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64], plain: Plain | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], pl.DataFrame]:
    """Which lines can a fast parser read, which of those would be written as they are, and what do the first say?"""
    n = stops.size
    if plain is None:
        schema = {"prompt": pl.String, "answer": pl.String, "id": pl.String}
        return np.zeros(n, bool), np.zeros(n, bool), pl.DataFrame(schema=schema)
    offsets = np.r_[0, stops].astype(np.int64)
    array = pa.LargeBinaryArray.from_buffers(pa.large_binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        text = pl.Series(array).cast(pl.String)
    except pl.exceptions.PolarsError:  # not UTF-8 somewhere
        text = pl.Series([_decoded(data[a:b]) for a, b in zip(starts, stops, strict=True)], dtype=pl.String)
    exact = text.str.contains(plain.as_written).fill_null(False).to_numpy().copy()
    fast = exact.copy()
    if not exact.all():
        rest = np.flatnonzero(~exact)
        fast[rest] = text[rest].str.contains(plain.readable).fill_null(False).to_numpy()
    fast &= stops - starts <= MAX_ROW_BYTES
    columns = plain.columns(text if fast.all() else text.filter(pl.Series(fast)))
    answered = (columns["answer"] != "").to_numpy()
    if not answered.all():
        fast[np.flatnonzero(fast)[~answered]] = False
        columns = columns.filter(pl.Series(answered))
    return fast, exact & fast, columns


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None
