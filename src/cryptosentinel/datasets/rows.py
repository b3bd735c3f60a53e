"""All inputs as one numbered stream of records and rejects, and rows back into a file."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosentinel.datasets.columns import read_arrow, read_parquet
from cryptosentinel.datasets.forms import FormError, read_record
from cryptosentinel.datasets.streams import format_of, locate
from cryptosentinel.datasets.text import Broken, RawRow, one_line, read_csv, read_json, read_jsonl
from cryptosentinel.errors import DataError
from cryptosentinel.files import atomic_open
from cryptosentinel.types import Record

TEXT_KEPT = 200
READERS: dict[str, Callable[[Path], Iterator[RawRow]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be read: where it stands, why, and how its text begins.

    `line` counts from 1 in its source: the line of a text file, the row of a columnar one.
    """

    index: int
    source: str
    line: int
    reason: str
    text: str


def read_rows(paths: Sequence[Path], require_answer: bool = True) -> Iterator[tuple[int, Record | Reject]]:
    r"""What does each row of these inputs teach? In order, numbered from 0 over all inputs, rejected rows included.

    A path is a file (JSONL, JSON, CSV, Parquet, Arrow; also .gz or .zst) or a folder of such files. A bad row is a
    `Reject`; a file that breaks off is one `Reject` after the rows that precede the break.

    Raises:
        DataError: a path that is missing, unreadable or no dataset: before the first row where the first bytes tell.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "rows.jsonl"
    >>> _ = file.write_text('{"prompt": "Buy?", "completion": "Hold."}\n{"prompt": "Se')
    >>> for index, row in read_rows([file]):
    ...     print(index, row.response if isinstance(row, Record) else row.reason)
    0 Hold.
    1 not JSON: Unterminated string starting at character 11
    """
    return _number(locate(paths), require_answer)


def no_readable_row(paths: Sequence[Path], rejects: Sequence[Reject]) -> DataError:
    """The error for a caller to raise when not one row was readable; says where the first one failed."""
    names = ", ".join(str(p) for p in paths)
    if not rejects:
        return DataError(f"{names:.300}: no rows")
    first = rejects[0]
    where = f"the first in {first.source} line {first.line}: {first.reason}"
    return DataError(f"{names:.300}: no readable row ({len(rejects)} rejected, {where})")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line, all or nothing; returns how many. No rows make an empty file.

    What JSON has no word for is written as near as it can be: dates as ISO text, bytes as base64, NaN as null.

    Raises:
        OSError: the file cannot be written.
    """
    count = 0
    with atomic_open(Path(path)) as out:
        for row in rows:
            out.write(as_line(row))
            count += 1
    return count


def _number(files: Sequence[Path], require_answer: bool) -> Iterator[tuple[int, Record | Reject]]:
    """Number the rows of all files and read each into a record."""
    index = 0
    for file in files:
        source = str(file)
        try:
            for line, value, text in READERS[format_of(file)](file):
                yield index, as_record(index, source, (line, value, text), require_answer)
                index += 1
        except OSError as error:
            raise DataError(f"{source}: {one_line(error)}") from None


def as_record(index: int, source: str, row: RawRow, require_answer: bool = True) -> Record | Reject:
    """What does this raw row teach, or why can it not be read?"""
    line, value, text = row
    if type(value) is Broken:
        return _reject(index, source, line, value.reason, text)
    try:
        return read_record(value, index, source, require_answer)
    except (FormError, RecursionError) as error:
        return _reject(index, source, line, str(error), text or repr(value))


def _reject(index: int, source: str, line: int, reason: str, text: str) -> Reject:
    """Make a reject that any file can hold: its text cut and free of lone surrogates."""
    kept = text[:TEXT_KEPT].encode("utf-8", "replace").decode("utf-8").rstrip("\r\n")
    return Reject(index, source, line, reason.encode("utf-8", "replace").decode("utf-8"), kept)


def as_line(row: Mapping[str, Any]) -> bytes:
    """One row as a line of JSON; the two fallbacks are for what JSON or UTF-8 cannot hold."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        row = _finite(row)
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, allow_nan=False, default=_plain).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    """The nearest JSON for a value that Parquet can hold."""
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def _finite(value: Any) -> Any:
    """The same value with null for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
