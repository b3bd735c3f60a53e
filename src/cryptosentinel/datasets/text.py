"""Raw rows of text files: JSON lines, JSON documents, CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from cryptosentinel.datasets.forms import PROMPT_KEYS, TURN_KEYS
from cryptosentinel.datasets.offered import TOOL_KEYS
from cryptosentinel.datasets.streams import BREAKS, open_stream, read_whole
from cryptosentinel.errors import DataError

MAX_ROW_BYTES = 64 << 20  # longer rows are rejected unread: no sample is that long, a decompression bomb is
LISTS_OF_A_ROW = (*TURN_KEYS, *TOOL_KEYS)  # of objects that are no rows
MAX_DEPTH = 100  # far below Python's recursion limit, so that what was read can be written again


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that could not be read, in place of its value."""

    reason: str


RawRow = tuple[int, Any, str]  # (line or row number from 1, value or Broken, the text as read where there is one)


def _refuse_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, JSON does not have them."""
    raise ValueError(f"{name} is not JSON")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice, one parser reads the first value and another the last: one would be unscanned."""
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)[:40]!r} stands twice in one object")
    return value


_decode = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins).raw_decode
_space = re.compile(r"[ \t\n\r]*")
_list_in_object = re.compile(r'\{\s*"([^"\\]*)"\s*:\s*(?=\[\s*\{)')


def break_off(error: Exception) -> Broken:
    """The one reject that stands for the rest of a file."""
    return Broken(f"the file breaks off here: {one_line(error)}")


def one_line(error: Exception) -> str:
    """What went wrong, on one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__


def read_jsonl(path: Path) -> Iterator[RawRow]:
    """Which value is on each line? Blank lines are no rows."""
    with open_stream(path) as stream:
        readline = partial(stream.readline, MAX_ROW_BYTES + 1)
        number = 0
        while True:
            number += 1
            try:
                line = readline()
                if len(line) > MAX_ROW_BYTES:
                    yield _too_long(number, line)
                    _skip_line(readline, line)
                    continue
            except BREAKS as error:
                yield number, break_off(error), ""
                return
            if not line:
                return
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip() == b"[":  # an indented JSON array under the name of JSON lines
                    yield from read_json(path)
                    return
            row = read_line(number, line)
            if row is not None:
                yield row


def read_line(number: int, line: bytes) -> RawRow | None:
    """Which value is on this line, the file's first one without its byte order mark? None on a blank line."""
    if len(line) > MAX_ROW_BYTES:
        return _too_long(number, line)
    try:
        text = line.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError as error:
        bad = f"not UTF-8: byte 0x{line[error.start]:02x} at {error.start}"
        return number, Broken(bad), line.decode("utf-8", "replace")
    return (number, _parse(text), text) if text and not text.isspace() else None


def _too_long(number: int, line: bytes) -> RawRow:
    return number, Broken(f"longer than {MAX_ROW_BYTES} bytes"), line[:200].decode("utf-8", "replace")


def read_json(path: Path) -> Iterator[RawRow]:
    """Which rows does this JSON document hold: an array, the lists in an object, one row, or in truth JSON lines?

    An array is walked element by element, so that what precedes a break is kept.

    Raises:
        DataError: the document is larger than 2 GiB, holds no list of rows, or also one where none is read.
    """
    data = bytearray()
    end: Broken | None = None
    with open_stream(path) as stream:
        try:
            read_whole(path, stream, data)
        except BREAKS as error:
            end = break_off(error)
    # surrogateescape keeps the place of bad bytes, so that only the rows that hold them are rejected
    text = data.decode("utf-8-sig", "surrogateescape")
    del data
    start = _skip_space(text, 0)
    if text[start : start + 1] == "[":
        yield from _array(text, start, end, last=True)
        return
    try:
        value, stop = _decode(text, start)
    except (ValueError, RecursionError):
        value, stop = None, -1
    opening = _list_in_object.match(text, start)
    if stop >= 0 and _skip_space(text, stop) == len(text) and end is None:
        yield from _document(path, value)
    elif stop < 0 and opening and opening[1] not in TURN_KEYS:
        yield from _array(text, opening.end(), end or Broken("the file breaks off here: not JSON"), last=False)
    else:
        yield from _lines_of(text, end)


def read_csv(path: Path) -> Iterator[RawRow]:
    """Which row of named columns is on each line? The first line names the columns.

    Raises:
        DataError: two columns have the same name.
    """
    csv.field_size_limit(MAX_ROW_BYTES)  # global in the csv module; its default refuses fields of 128 KiB
    with open_stream(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.reader(iter(partial(text.readline, MAX_ROW_BYTES), ""), strict=True)
        header: list[str] = []
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num, Broken(f"not CSV: {error}"), ""
                continue
            except BREAKS as error:
                yield rows.line_num + 1, break_off(error), ""
                return
            if not row:
                continue
            if not header:
                header = row
                if len(set(header)) < len(header):
                    raise DataError(f"{path}: two columns have the same name ({', '.join(header):.200})")
            elif len(row) != len(header):
                yield rows.line_num, Broken(f"{len(row)} fields, the header names {len(header)}"), ",".join(row)
            elif not all(_is_unicode(field) for field in row):
                yield rows.line_num, Broken("not UTF-8"), ",".join(row)
            else:
                yield rows.line_num, dict(zip(header, row, strict=True)), ""


def _parse(text: str) -> Any:
    """The one JSON value in this text, or why there is none."""
    try:
        value, end = _decode(text, 0 if text[0] == "{" else _skip_space(text, 0))
    except json.JSONDecodeError as error:
        return Broken(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}")
    except ValueError as error:
        return Broken(f"not JSON: {one_line(error)}")
    except RecursionError:
        return Broken(f"nested deeper than {MAX_DEPTH}")
    if end < len(text) and _skip_space(text, end) < len(text):
        return Broken(f"not JSON: more text after the value, at character {end}")
    return _checked(value, text, 0, len(text))


def _checked(value: Any, text: str, start: int, end: int) -> Any:
    """The value, unless it is nested too deep; counting brackets first keeps the usual row cheap."""
    if text.count("{", start, end) + text.count("[", start, end) > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return Broken(f"nested deeper than {MAX_DEPTH}")
    return value


def _depth(value: Any) -> int:
    """How many containers enclose the innermost value?"""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, (dict, list))]:
        depth += 1
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
    return depth


def _array(text: str, start: int, end: Broken | None, last: bool) -> Iterator[RawRow]:
    """The elements of the array that opens at `start`; `end`: how the file broke off; `last`: nothing may follow."""
    at = _skip_space(text, start + 1)
    number = 1
    while text[at : at + 1] != "]":
        try:
            value, stop = _decode(text, at)
        except (ValueError, RecursionError) as error:
            yield number, end or break_off(error), text[at : at + 200]
            return
        if _is_unicode(text[at:stop]):
            yield number, _checked(value, text, at, stop), text[at : min(stop, at + 200)]
        else:
            yield number, Broken("not UTF-8"), text[at : min(stop, at + 200)]
        number += 1
        at = _skip_space(text, stop)
        if text[at : at + 1] == ",":
            at = _skip_space(text, at + 1)
        elif text[at : at + 1] != "]":
            yield number, end or Broken("the file breaks off here: the array is not closed"), text[at : at + 200]
            return
    rest = text[at + 1 :].strip() if last else ""
    if end or rest:
        yield number, end or Broken("not JSON: more text after the array"), rest[:200]


def _document(path: Path, value: Any) -> Iterator[RawRow]:
    """The rows of a whole JSON document that is no array: every list of objects in it, or itself one row.

    A list of objects anywhere else could be the one that is trained on, so it is refused.
    """
    if isinstance(value, dict) and any(key in value for key in (*TURN_KEYS, *PROMPT_KEYS)):
        _refuse_more_rows(path, {key: v for key, v in value.items() if key not in LISTS_OF_A_ROW})
        yield 1, value if _depth(value) <= MAX_DEPTH else Broken(f"nested deeper than {MAX_DEPTH}"), ""
        return
    values = list(value.values()) if isinstance(value, dict) else []
    lists = [rows for rows in values if isinstance(rows, list) and any(isinstance(row, dict) for row in rows)]
    if not lists:
        raise DataError(f"{path}: a JSON document without a list of rows")
    _refuse_more_rows(path, {key: v for key, v in value.items() if not any(v is rows for rows in lists)})
    for number, row in enumerate((row for rows in lists for row in rows), start=1):
        fine = _depth(row) <= MAX_DEPTH
        yield number, row if fine else Broken(f"nested deeper than {MAX_DEPTH}"), ""


def _refuse_more_rows(path: Path, rest: dict[str, Any]) -> None:
    """Is there a list of objects in what was not taken for rows, however deep?"""
    waiting: list[tuple[str, Any]] = list(rest.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            if any(isinstance(child, dict) for child in value):
                raise DataError(f"{path}: the list of objects under {key[:40]!r} is read as no rows; move it out")
            waiting += [(key, child) for child in value]


def _lines_of(text: str, end: Broken | None) -> Iterator[RawRow]:
    """JSON lines under the name of a JSON document."""
    number = 0
    lines = text.split("\n")
    if end is not None:
        lines.pop()  # cut in the middle; the break below stands for it
    for number, line in enumerate(lines, start=1):
        if line and not line.isspace():
            yield number, _parse(line) if _is_unicode(line) else Broken("not UTF-8"), line
    if end is not None:
        yield number + 1, end, ""


def _is_unicode(text: str) -> bool:
    """Does this text hold no lone surrogate? That is how undecodable bytes arrive here."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _skip_space(text: str, at: int) -> int:
    """Where does the next thing begin?"""
    match = _space.match(text, at)
    return match.end() if match else at


def _skip_line(readline: Callable[[], bytes], line: bytes) -> None:
    """Read on to the end of a line that is too long to keep."""
    while line and not line.endswith(b"\n"):
        line = readline()
