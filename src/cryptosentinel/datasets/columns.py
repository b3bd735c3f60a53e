"""Raw rows of columnar files: Parquet and Arrow."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptosentinel.datasets.streams import BREAKS, COMPRESSIONS, open_stream, read_whole
from cryptosentinel.datasets.text import Broken, RawRow, break_off, one_line
from cryptosentinel.errors import DataError

BATCH_ROWS = 1024


def read_parquet(path: Path) -> Iterator[RawRow]:
    """Which rows does this Parquet file hold?

    Raises:
        DataError: it is no readable Parquet file.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    try:
        file = pq.ParquetFile(_seekable(path))
    except (pa.ArrowException, *BREAKS) as error:
        raise DataError(f"{path}: no readable Parquet file: {one_line(error)}") from None
    _refuse_twins(path, file.schema_arrow.names)
    with file:
        yield from _rows(file.iter_batches(BATCH_ROWS))


def read_arrow(path: Path) -> Iterator[RawRow]:
    """Which rows does this Arrow file hold? Stream format (what `save_to_disk` writes) or file format.

    Raises:
        DataError: it is no readable Arrow file.
    """
    import pyarrow as pa

    where = _seekable(path)
    try:
        with pa.memory_map(where) if isinstance(where, str) else pa.BufferReader(where.getbuffer()) as source:
            file_format = source.read(6) == b"ARROW1"
            source.seek(0)
            reader = pa.ipc.open_file(source) if file_format else pa.ipc.open_stream(source)
            _refuse_twins(path, reader.schema.names)
            batches = (reader.get_batch(n) for n in range(reader.num_record_batches)) if file_format else reader
            yield from _rows(batches)
    except (pa.ArrowException, *BREAKS) as error:
        raise DataError(f"{path}: no readable Arrow file: {one_line(error)}") from None


def _seekable(path: Path) -> Any:
    """The path itself, or the decompressed content in memory."""
    if path.suffix.lower() not in COMPRESSIONS:
        return str(path)
    data = bytearray()
    try:
        with open_stream(path) as stream:
            read_whole(path, stream, data)
    except BREAKS as error:
        raise DataError(f"{path}: cannot be decompressed: {one_line(error)}") from None
    return io.BytesIO(data)


def _rows(batches: Iterable[Any]) -> Iterator[RawRow]:
    """Each row as a dict; where a batch cannot be converted, row by row, so that only the bad ones are lost."""
    import pyarrow as pa

    number = 0
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator, None)
        except (pa.ArrowException, *BREAKS) as error:
            yield number + 1, break_off(error), ""
            return
        if batch is None:
            return
        # small slices: one batch of an Arrow file can be the whole file
        for start in range(0, batch.num_rows, BATCH_ROWS):
            piece = batch.slice(start, BATCH_ROWS)
            try:
                rows: list[Any] = piece.to_pylist()
            except (pa.ArrowException, ValueError, OverflowError):
                rows = [_one(piece, n) for n in range(piece.num_rows)]
            for row in rows:
                number += 1
                yield number, row, ""


def _one(batch: Any, n: int) -> Any:
    """Row n of this batch, or why it cannot be read."""
    import pyarrow as pa

    try:
        return batch.slice(n, 1).to_pylist()[0]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return Broken(f"not readable: {one_line(error)}")


def _refuse_twins(path: Path, names: list[str]) -> None:
    """Two columns of one name: a trainer could read the other one."""
    if len(set(names)) < len(names):
        raise DataError(f"{path}: two columns have the same name ({', '.join(names):.200})")
