"""Reading by shards and columns: the same rows, rejects and lines as reading one by one, on any input."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.datasets import Reject, frames, read_rows, write_record
from cryptosentinel.datasets.frames import plan
from cryptosentinel.datasets.rows import as_line
from cryptosentinel.services.scan_divide import divide
from cryptosentinel.services.scan_shards import Counted, count_shard
from cryptosentinel.types import Record

Row = tuple[int, str, str, str, bytes]


def one_by_one(path: Path) -> tuple[list[Row], list[Reject]]:
    rows, rejects = [], []
    for i, row in read_rows([path]):
        if isinstance(row, Record):
            rows.append((i, row.id, row.prompt, row.response, as_line(write_record(row))))
        else:
            rejects.append(row)
    return rows, rejects


def by_shards(path: Path, folder: Path) -> tuple[list[Row], list[Reject]]:
    rows: list[Row] = []
    rejects: list[Reject] = []
    index = line = 0
    counted = [count_shard((shard, folder)) for shard in plan([path], folder / "copied")]
    out = iter(divided(counted, folder))
    for one in counted:
        frame = one.shard.read()
        for place, prompt, answer, row_id in zip(
            frame.place.tolist(), frame.prompts, frame.answers, frame.ids, strict=True
        ):
            own = row_id if row_id is not None else str(index + place)
            rows.append((index + place, own, prompt, answer, next(out)))
        rejects += [Reject(index + r.index, r.source, line + r.line, r.reason, r.text) for r in frame.rejects]
        index, line = index + frame.count, line + frame.lines
    assert next(out, None) is None
    return rows, rejects


def divided(counted: list[Counted], folder: Path) -> list[bytes]:
    """What the rows are written as, in order; divided at random and put together again they are the same."""
    n = sum(c.n for c in counted)
    flagged = np.random.default_rng(n).random(n) < 0.4
    lines = {}
    for name, apart in (("none", np.zeros(n, bool)), ("some", flagged)):
        (folder / name).mkdir()
        divide(counted, apart, folder / name)
        lines[name] = [(folder / name / f).read_bytes() for f in ("clean.jsonl", "quarantine.jsonl")]
    whole, nothing = lines["none"]
    assert nothing == b""
    assert not whole or whole.endswith(b"\n")
    rows = whole.split(b"\n")[:-1]
    for part, wanted in zip(lines["some"], (~flagged, flagged), strict=True):
        assert part == b"".join(rows[i] + b"\n" for i in np.flatnonzero(wanted))
    return [row + b"\n" for row in rows]


TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["", 'a"b\\c/d\n\t', "\u2028\x85\x1c", "é𝒳", "\x00\x7f"]
)
VALUES: st.SearchStrategy[Any] = (
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(TEXTS, max_size=2)
)
FIELDS = [
    "instruction",
    "input",
    "output",
    "system",
    "id",
    "n",
    "context",
    "prompt",
    "response",
    "messages",
    "history",
    "tools",
]


def odd_line(draw: st.DrawFn, keys: list[str]) -> bytes:
    row = {k: draw(TEXTS if draw(st.integers(0, 9)) else VALUES) for k in keys}
    if not draw(st.integers(0, 9)):
        row[draw(st.sampled_from(FIELDS))] = draw(VALUES)
    if not draw(st.integers(0, 9)) and row:
        row.pop(draw(st.sampled_from(sorted(row))))
    text = json.dumps(
        row,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(", ", ": "), (", ", ": "), (",", ":"), (" ,\t", " : ")])),
    )
    kind = draw(st.integers(0, 15))
    if kind == 0 and row:
        text = text[:-1] + ", " + json.dumps(dict(list(row.items())[:1]))[1:]  # a key that stands twice
    line = text.encode("utf-8", "surrogatepass")
    if kind == 1:
        line = line[: draw(st.integers(0, len(line)))]
    elif kind == 2:
        at = draw(st.integers(0, len(line)))
        line = (
            line[:at]
            + draw(st.sampled_from([b"\xff", b"\\ud800", b"\\ud83d\\ude00", b"\\x", b"\x01", b"\r"]))
            + line[at:]
        )
    elif kind == 3:
        line = draw(st.sampled_from([b"", b"  ", b"\xc2\x85", b"{}", b"[]", b"null", b"\xe2\x80\x83", b"\x1c"]))
    elif kind == 4:
        line += draw(st.sampled_from([b"\r", b" ", b"{}", b"x", b"\t\r\r"]))
    return line


@st.composite
def files(draw: st.DrawFn) -> bytes:
    keys = draw(st.lists(st.sampled_from(FIELDS[2:7]), unique=True, max_size=4))
    keys = draw(st.permutations([*dict.fromkeys(["instruction", "output", *keys])]))
    lines = [odd_line(draw, list(keys)) for _ in range(draw(st.integers(1, 12)))]
    start = draw(st.sampled_from([b"", b"", b"", b"", b"\xef\xbb\xbf", b"\n", b"[\n"]))
    return start + b"\n".join(lines) + draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))


@settings(max_examples=400, deadline=None)
@given(content=files(), size=st.sampled_from([1, 40, 200, 1 << 20]))
def test_the_fast_way_reads_what_the_slow_way_reads(content: bytes, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "SHARD_BYTES", size)
        patch.setattr(frames, "SHARD_ROWS", 3)
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(content)
        try:
            expected = one_by_one(path)
        except Exception as error:
            with pytest.raises(type(error)):
                by_shards(path, Path(folder))
            return
        assert by_shards(path, Path(folder)) == expected
