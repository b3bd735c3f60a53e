"""Every format and form reads to the same messages; nothing a file can hold crashes the reader."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from cryptosentinel.datasets import Reject, no_readable_row, read_rows, write_jsonl, write_record
from cryptosentinel.datasets import text as text_module
from cryptosentinel.errors import DataError
from cryptosentinel.types import FIELD, Message, Record, ToolCall

Row = dict[str, Any]
ALPACA: Row = {"instruction": "Add.", "input": "2 and 3", "output": "5"}
SHAREGPT: Row = {
    "conversations": [
        {"from": "human", "value": "Weather?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Bern"}}'},
        {"from": "observation", "value": "rain"},
        {"from": "gpt", "value": "It rains."},
    ],
    "system": "Be brief.",
}
OPENAI: Row = {
    "id": "t1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}, {"type": "image_url", "image_url": {}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "rain"},
        {"role": "assistant", "content": "It rains."},
    ],
    "tools": [{"type": "function", "function": {"name": "weather"}}],
}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in rows)


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(*paths: Path, require_answer: bool = True) -> list[Record | Reject]:
    rows = list(read_rows(paths, require_answer))
    assert [index for index, _ in rows] == list(range(len(rows)))
    return [row for _, row in rows]


def records(*paths: Path) -> list[Record]:
    rows = read(*paths)
    assert not [r for r in rows if isinstance(r, Reject)]
    return [r for r in rows if isinstance(r, Record)]


def reasons(*paths: Path) -> list[str]:
    return [r.reason if isinstance(r, Reject) else "" for r in read(*paths)]


# --- forms


def test_forms(tmp_path: Path) -> None:
    alpaca, sharegpt, openai = records(put(tmp_path, "a.jsonl", lines(ALPACA, SHAREGPT, OPENAI)))
    assert (alpaca.id, alpaca.prompt, alpaca.response) == ("0", "Add.\n2 and 3", "5")
    assert sharegpt.messages == (
        Message("system", "Be brief."),
        Message("user", "Weather?"),
        Message("assistant", "", tool_calls=(ToolCall("call_1_0", "weather", '{"city": "Bern"}'),)),
        Message("tool", "rain", tool_call_id="call_1_0"),
        Message("assistant", "It rains."),
    )
    assert openai.id == "t1"
    assert openai.messages == (
        Message("system", "Be brief."),
        Message("user", "Weather?"),
        Message("assistant", "", tool_calls=(ToolCall("c1", "weather", '{"city": "Bern"}'),)),
        Message("tool", "rain", name="weather", tool_call_id="c1"),
        Message("assistant", "It rains."),
    )
    assert openai.raw == OPENAI
    assert openai.source.endswith("a.jsonl")


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        ({"prompt": "p", "response": "r"}, "p", "r"),
        ({"prompt": "p", "completion": "r"}, "p", "r"),
        ({"question": "p", "answer": "r"}, "p", "r"),
        ({"instruction": "p", "context": "c", "response": "r", "category": "qa"}, "p\nc", "r"),
        ({"instruction": "p", "input": None, "output": "r"}, "p", "r"),
        ({"instruction": "", "input": "i", "output": "r"}, "i", "r"),
        ({"system_prompt": "s", "question": "p", "response": "r"}, "s\np", "r"),
        # a second prompt may be the one a trainer reads, so its words are kept
        ({"instruction": "p", "prompt": "hidden", "output": "r"}, "p\nhidden", "r"),
        ({"question": "p", "response": "so it is 42", "answer": "42"}, "p", "so it is 42"),
        ({"conversations": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]}, "p", "r"),
        ({"messages": '[{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]'}, "p", "r"),
        ({"messages": [{"role": "developer", "content": "s"}, {"role": "assistant", "content": "r"}]}, "s", "r"),
        (
            {"system": "s2", "messages": [{"role": "system", "content": "s1"}, {"role": "assistant", "content": "r"}]},
            "s2\ns1",
            "r",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "p"},
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
                ]
            },
            "p",
            'f({"a": 1})',
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "p"},
                    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                ]
            },
            "p",
            "f({})",
        ),
        (
            {"conversations": [{"from": "human", "value": "p"}, {"from": "function_call", "value": "not JSON"}]},
            "p",
            "not JSON",
        ),
        ({"instruction": "p", "output": "r", "history": [["p0", "r0"], ["p1", "r1"]]}, "p0\np1\np", "r0\nr1\nr"),
        ({"instruction": "p", "output": "r", "history": '[["p0", "r0"]]'}, "p0\np", "r0\nr"),
        ({"instruction": "p", "output": "r", "history": []}, "p", "r"),
        ({"messages": [{"role": "assistant", "content": "r", "reasoning_content": "why"}]}, "", "why\nr"),
        (
            {"messages": [{"role": "assistant", "content": "<think>why</think>r", "thinking": "why"}]},
            "",
            "<think>why</think>r",
        ),
        # a turn in both forms, as a table of mixed rows has it
        ({"messages": [{"from": "gpt", "value": "r", "role": "assistant", "content": "r"}]}, "", "r"),
        ({"messages": [{"from": "gpt", "value": "r", "role": None, "content": None}]}, "", "r"),
    ],
)
def test_kin_of_the_forms(tmp_path: Path, row: Row, prompt: str, response: str) -> None:
    (record,) = records(put(tmp_path, "a.jsonl", lines(row)))
    assert (record.prompt, record.response) == (prompt, response)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "p"}, "no answer: no assistant text and no tool call"),
        ({"instruction": "p", "output": ""}, "no answer: no assistant text and no tool call"),
        ({"instruction": "p", "output": None}, "no answer: no assistant text and no tool call"),
        ({"messages": [{"role": "user", "content": "p"}]}, "no answer: no assistant text and no tool call"),
        ({"instruction": "p", "output": 7}, "'output' must be text, got a int"),
        ({"instruction": ["p"], "output": "r"}, "'instruction' must be text, got a list"),
        ({"instruction": "p", "input": {"a": 1}, "output": "r"}, "'input' must be text, got an object"),
        ({"text": "p"}, "no known form: no messages, conversations or instruction among its keys (text)"),
        ({}, "no known form: no messages, conversations or instruction among its keys (none)"),
        ([1], "a row must be an object, got a list"),
        (3, "a row must be an object, got a int"),
        (None, "a row must be an object, got null"),
        ({"messages": []}, "'messages' must be a list of turns that is not empty, got a list"),
        ({"messages": {"role": "user"}}, "'messages' must be a list of turns that is not empty, got an object"),
        ({"messages": ["hi"]}, "messages[0] must be an object, got text"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "turn 0: unknown role 'boss'"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "turn 0: unknown role \"['user']\""),
        ({"messages": [{"content": "x"}]}, "turn 0: unknown role 'None'"),
        (
            {"messages": [{"role": "assistant", "content": 5}]},
            "turn 0: content must be text, null or a list of parts, got a int",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "turn 0: 'tool_calls' must be a list, got a int"),
        ({"messages": [{"role": "assistant", "tool_calls": [5]}]}, "turn 0: a tool call needs a function with a name"),
        (
            {"messages": [{"role": "assistant", "content": "x", "name": []}]},
            "turn 0: a name or id must be text, got a list",
        ),
        (
            {"instruction": "p", "output": "good", "response": "evil"},
            "two different answers in one row (output, response)",
        ),
        (
            {"messages": OPENAI["messages"], "instruction": "p", "output": "evil"},
            "two different answers in one row ('messages' and another form)",
        ),
        (
            {"messages": OPENAI["messages"], "conversations": [{"from": "gpt", "value": "evil"}]},
            "two different answers in one row ('messages' and another form)",
        ),
        (
            {"messages": [{"role": "assistant", "content": "evil", "value": "good"}]},
            "turn 0: two different texts in one turn ('value', 'content')",
        ),
        (
            {"conversations": [{"from": "gpt", "value": "good", "role": "assistant", "content": "evil"}]},
            "turn 0: two different texts in one turn ('value', 'content')",
        ),
        (
            {"conversations": [{"from": "human", "value": "x", "role": "assistant", "content": "x"}]},
            "turn 0: two different roles in one turn ('from', 'role')",
        ),
        (
            {"instruction": "p", "output": "r", "history": ["p0", "r0"]},
            "'history' must be a list of [prompt, answer] pairs of texts",
        ),
        (
            {"instruction": "p", "output": "r", "history": [["p0", "evil"]], "messages": OPENAI["messages"]},
            "two different answers in one row ('messages' and another form)",
        ),
    ],
)
def test_rows_without_a_form_are_rejected(tmp_path: Path, row: Any, reason: str) -> None:
    rows = read(put(tmp_path, "a.jsonl", lines(row, ALPACA)))
    assert isinstance(rows[0], Reject)
    assert rows[0].reason == reason
    assert (rows[0].index, rows[0].line) == (0, 1)
    assert isinstance(rows[1], Record)


WEATHER: Row = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Where?"}}},
    },
}


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([WEATHER, {"name": "clock", "description": None}], "weather\nLooks it up.\nWhere?\nclock"),
        (json.dumps([WEATHER]), "weather\nLooks it up.\nWhere?"),
        (["weather", "clock"], "weather\nclock"),
        ("weather: looks it up", "weather: looks it up"),
        ("[]", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("key", ["tools", "functions"])
@pytest.mark.parametrize("row", [OPENAI, SHAREGPT, ALPACA])
def test_the_tools_that_a_row_offers_are_read(tmp_path: Path, row: Row, key: str, tools: Any, text: str) -> None:
    (record,) = records(put(tmp_path, "a.jsonl", lines({k: v for k, v in row.items() if k != "tools"} | {key: tools})))
    assert record.tools == text
    turns = replace(record, tools="").prompt
    assert record.prompt == (f"{text}\n{FIELD}\n{turns}" if text else turns)


def test_tools_nested_however_deep_are_read_or_told_in_words(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    row = {"instruction": "Hm?", "output": "Yes."}
    (record,) = records(put(tmp_path, "a.jsonl", lines({**row, "tools": deep})))
    assert record.tools == deep
    nested = "[" * 300 + '{"name": "pay"}' + "]" * 300
    (record,) = records(put(tmp_path, "b.jsonl", lines({**row, "tools": nested})))
    assert record.tools == "pay"


def test_tools_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", b'{"instruction": "p", "output": "r", "tools": ["\\ud83d"]}\n')
    assert reasons(path) == ["not valid Unicode: lone surrogate '\\ud83d'"]


def test_two_forms_that_agree_are_one_row(tmp_path: Path) -> None:
    row = {"messages": OPENAI["messages"], "prompt": "Weather?", "response": "It rains."}
    assert records(put(tmp_path, "a.jsonl", lines(row)))[0].response.endswith("It rains.")


def test_without_answers_when_the_caller_needs_none(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", lines({"messages": [{"role": "user", "content": "p"}]}, {"instruction": "q"}))
    assert [r.prompt for r in read(path, require_answer=False) if isinstance(r, Record)] == ["p", "q"]


def test_ids_may_repeat_and_be_numbers(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", lines(*({**ALPACA, "id": i} for i in ("x", "x", 7, True, None, [1]))))
    assert [r.id for r in records(path)] == ["x", "x", "7", "3", "4", "5"]


# --- formats


def as_json(rows: list[Row]) -> bytes:
    return json.dumps(rows).encode()


def as_parquet(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def as_arrow_stream(rows: list[Row]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def as_arrow_file(rows: list[Row]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def as_csv(rows: list[Row]) -> bytes:
    import io

    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows)
    return out.getvalue().encode()


WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    ".jsonl": lambda rows: lines(*rows),
    ".ndjson": lambda rows: lines(*rows).replace(b"\n", b"\r\n"),
    ".json": as_json,
    ".csv": as_csv,
    ".parquet": as_parquet,
    ".arrow": as_arrow_stream,
}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda b: b,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}

# text that any format can hold; \r is left out because CSV readers may fold it
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30)
answers = words.filter(bool)
ids = st.text("abc123_-", min_size=1, max_size=8)


def messages_of(draw: st.DrawFn, roles: list[str], with_calls: bool) -> tuple[Message, ...]:
    turns: list[Message] = []
    for role in roles:
        calls: tuple[ToolCall, ...] = ()
        if with_calls and role == "assistant" and draw(st.booleans()):
            calls = tuple(ToolCall(draw(ids), draw(ids), draw(words)) for _ in range(draw(st.integers(1, 2))))
        call_id = draw(ids) if role == "tool" else ""
        turns.append(Message(role, draw(words), tool_calls=calls, tool_call_id=call_id))  # type: ignore[arg-type]
    return (*turns, Message("assistant", draw(answers)))


@st.composite
def chats(draw: st.DrawFn) -> Record:
    roles = draw(st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), max_size=5))
    return Record(draw(ids), messages_of(draw, roles, with_calls=True))


@st.composite
def flat(draw: st.DrawFn) -> Record:
    prompt, answer = draw(words), draw(answers)
    return Record(draw(ids), (Message("user", prompt), Message("assistant", answer)))


@st.composite
def sharegpt(draw: st.DrawFn) -> Record:
    roles = draw(st.lists(st.sampled_from(["system", "user", "assistant"]), max_size=4))
    return Record(draw(ids), messages_of(draw, roles, with_calls=False))


def openai_row(record: Record) -> Row:
    return write_record(record)


def alpaca_row(record: Record) -> Row:
    prompt, answer = record.messages
    # hypothesis finds the texts with a newline: those are split over instruction and input, as the form allows
    head, _, tail = prompt.text.partition("\n")
    if head and tail:
        return {"id": record.id, "instruction": head, "input": tail, "output": answer.text}
    return {"id": record.id, "instruction": prompt.text, "input": "", "output": answer.text}


def sharegpt_row(record: Record) -> Row:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"id": record.id, "conversations": [{"from": names[m.role], "value": m.text} for m in record.messages]}


@pytest.mark.parametrize("suffix", sorted(WRITERS))
@pytest.mark.parametrize("form", ["alpaca", "sharegpt", "openai"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_in_any_form_and_format_reads_back(
    tmp_path: Path, suffix: str, form: str, data: st.DataObject
) -> None:
    strategy, row_of = {
        "alpaca": (flat(), alpaca_row),
        "sharegpt": (sharegpt(), sharegpt_row),
        "openai": (chats(), openai_row),
    }[form]
    wanted = data.draw(st.lists(strategy, min_size=1, max_size=4))
    packed = data.draw(st.sampled_from(sorted(COMPRESS)))
    content = COMPRESS[packed](WRITERS[suffix]([row_of(r) for r in wanted]))
    got = records(put(tmp_path, f"rows{suffix}{packed}", content))
    assert [(r.id, r.messages) for r in got] == [(r.id, r.messages) for r in wanted]
    # and what is written back as rows reads the same again
    again = tmp_path / "again.jsonl"
    assert write_jsonl(again, map(write_record, got)) == len(got)
    assert [(r.id, r.messages) for r in records(again)] == [(r.id, r.messages) for r in wanted]


def test_arrow_file_format(tmp_path: Path) -> None:
    assert records(put(tmp_path, "a.arrow", as_arrow_file([ALPACA])))[0].response == "5"


def test_json_documents(tmp_path: Path) -> None:
    for name, document in {
        "array": [ALPACA, ALPACA],
        "object": {"version": 1, "tags": ["a"], "data": [ALPACA, ALPACA]},
        "splits": {"train": [ALPACA], "test": [ALPACA]},
    }.items():
        content = json.dumps(document, indent=2).encode()
        assert [r.response for r in records(put(tmp_path, f"{name}.json", content))] == ["5", "5"]
    assert len(records(put(tmp_path, "row.json", json.dumps(OPENAI, indent=1).encode()))) == 1
    assert len(records(put(tmp_path, "lines.json", lines(ALPACA, OPENAI, SHAREGPT)))) == 3
    assert len(records(put(tmp_path, "indented.jsonl", json.dumps([ALPACA, OPENAI], indent=1).encode()))) == 2
    assert reasons(put(tmp_path, "empty.json", b"[]")) == []
    assert reasons(put(tmp_path, "mixed.json", json.dumps([ALPACA, 3]).encode())) == [
        "",
        "a row must be an object, got a int",
    ]
    for name, content in {"number": b"3", "nothing": b'{"a": 1}', "numbers": b'{"a": [1, 2]}'}.items():
        with pytest.raises(DataError, match="without a list of rows"):
            read(put(tmp_path, f"{name}.json", content))


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({**ALPACA, "data": [ALPACA]}, "data"),
        ({**OPENAI, "meta": {"more": {"rows": [ALPACA]}}}, "rows"),
        ({"train": [ALPACA], "splits": {"extra": [ALPACA]}}, "extra"),
        ({"train": [ALPACA], "splits": [[ALPACA]]}, "splits"),
    ],
)
def test_a_json_document_with_rows_where_none_are_read(tmp_path: Path, document: Any, key: str) -> None:
    path = put(tmp_path, "a.json", json.dumps(document).encode())
    with pytest.raises(DataError, match=f"the list of objects under '{key}' is read as no rows"):
        read(path)


def test_a_json_document_that_is_one_row_may_hold_lists_of_its_own(tmp_path: Path) -> None:
    row = OPENAI | {"tags": ["a"], "scores": {"of": [[1, 2]]}}
    assert records(put(tmp_path, "a.json", json.dumps(row, indent=1).encode()))[0].response.endswith("It rains.")


def test_folders(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "b").mkdir(parents=True)
    put(folder, "README.md", b"# card")
    put(folder, "dataset_infos.json", b"{}")
    put(folder, ".hidden.jsonl", lines({"instruction": "no", "output": "no"}))
    put(folder / "b", "1.jsonl.gz", gzip.compress(lines({**ALPACA, "output": "third"})))
    put(folder, "a.parquet", as_parquet([{**ALPACA, "output": "first"}]))
    put(folder, "a2.csv", as_csv([{**ALPACA, "output": "second"}]))
    assert [r.response for r in records(folder)] == ["first", "second", "third"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no data file in this folder"):
        read(tmp_path / "none")


def test_save_to_disk_folder(tmp_path: Path) -> None:
    saved = tmp_path / "saved" / "train"
    saved.mkdir(parents=True)
    put(tmp_path / "saved", "dataset_dict.json", b'{"splits": ["train"]}')
    put(saved, "dataset_info.json", b"{}")
    names = ["data-00001-of-00002.arrow", "data-00000-of-00002.arrow"]
    put(saved, "state.json", json.dumps({"_data_files": [{"filename": n} for n in names]}).encode())
    put(saved, names[0], as_arrow_stream([{**ALPACA, "output": "first"}]))
    put(saved, names[1], as_arrow_stream([{**ALPACA, "output": "second"}]))
    put(saved, "cache-1234.arrow", as_arrow_stream([{**ALPACA, "output": "stale"}]))
    assert [r.response for r in records(tmp_path / "saved")] == ["first", "second"]
    put(saved, "state.json", b"{}")
    with pytest.raises(DataError, match="does not list the data files"):
        read(tmp_path / "saved")


def test_rows_are_numbered_over_all_inputs(tmp_path: Path) -> None:
    a = put(tmp_path, "a.jsonl", b"\n" + lines(ALPACA) + b"  \r\n{broken\n" + lines(ALPACA))
    b = put(tmp_path, "b.jsonl", lines({**ALPACA, "output": "last"}))
    rows = list(read_rows([a, b]))
    assert [index for index, _ in rows] == [0, 1, 2, 3]
    bad = rows[1][1]
    assert isinstance(bad, Reject)
    assert (bad.index, bad.source, bad.line, bad.text) == (1, str(a), 4, "{broken")
    last = rows[3][1]
    assert isinstance(last, Record)
    assert (last.id, last.response) == ("3", "last")


# --- what can be wrong with a file


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"\x00\x01\x02" * 50, "binary, not text"),
        ("a.jsonl", b"PK\x03\x04\x00\x00", r"binary, not text \(looks like .zip\)"),
        ("a.csv", b"PAR1\x00\x00", r"looks like .parquet"),
        ("a.json", "[]".encode("utf-16"), "UTF-16 text; convert it to UTF-8"),
        ("a.jsonl.gz", b"hello", "cannot be read"),
        ("a.jsonl.gz", b"", "cannot be read"),
        ("a.jsonl.zst", b"hello there", "cannot be read"),
        ("a.parquet", b"hello", "not a Parquet file"),
        ("a.parquet", b"", "not a Parquet file"),
        ("a.parquet", b"PAR1" + b"x" * 100, "no readable Parquet file"),
        ("a.parquet.gz", gzip.compress(as_parquet([ALPACA]), mtime=0)[:-20], "cannot be decompressed"),
        ("a.arrow", b"", "no readable Arrow file"),
        ("a.arrow", b"garbage" * 20, "no readable Arrow file"),
        ("a.txt", b"hello", r"unknown format '.txt' \(known: .jsonl,"),
        ("a", b"hello", "unknown format ''"),
        ("a.csv", b"a,a\n1,2\n", "two columns have the same name"),
    ],
)
def test_files_that_are_no_dataset(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_rows([tmp_path / "missing.jsonl"])  # at the call, before any row
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        read_rows([tmp_path / "pipe.jsonl"])
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such file"):
        read_rows([tmp_path / "dangling.jsonl"])


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_empty_files_have_no_rows(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, b"")
    assert read(path) == []
    assert "no rows" in str(no_readable_row([path], []))


def test_the_error_when_nothing_is_readable(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", b"{\n{\n")
    bad = [r for r in read(path) if isinstance(r, Reject)]
    assert "no readable row (2 rejected, the first in " in str(no_readable_row([path], bad))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"instruction": "p", "out', "not JSON: Unterminated string"),
        (b'{"instruction": "p", "output": "r"} {}', "not JSON: more text after the value, at character 35"),
        (b'{"instruction": "p", "output": "r"}}', "not JSON: more text after the value, at character 35"),
        (b'{"instruction": "p", "output": "r", "s": NaN}', "not JSON: NaN is not JSON"),
        (b'{"instruction": "p", "output": "r", "s": -Infinity}', "not JSON: -Infinity is not JSON"),
        (b'{"instruction": "\xff\xfe", "output": "r"}', "not UTF-8: byte 0xff at 17"),
        (b'{"instruction": "\\ud83d", "output": "r"}', r"not valid Unicode: lone surrogate '\ud83d'"),
        (b'{"id": "\\udc00", "instruction": "p", "output": "r"}', "not valid Unicode: lone surrogate"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 100"),
        (b'{"instruction": "p", "output": "r", "a": ' + b"[" * 150 + b"]" * 150 + b"}", "nested deeper than 100"),
        (b'{"n": ' + b"1" * 5000 + b"}", "not JSON: Exceeds the limit"),
        (b"   garbage", "not JSON: Expecting value"),
        (
            b'{"instruction": "p", "output": "r", "output": "evil"}',
            "not JSON: the key 'output' stands twice in one object",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_bad_lines_cost_one_row(tmp_path: Path, suffix: str, line: bytes, reason: str) -> None:
    path = put(tmp_path, f"a{suffix}", lines(ALPACA) + line + b"\n" + lines(ALPACA))
    rows = reasons(path)
    assert len(rows) == 3
    assert rows[0] == rows[2] == ""
    assert rows[1].startswith(reason if suffix == ".jsonl" or "UTF-8" not in reason else "not UTF-8")
    json.dumps([r.text for r in read(path) if isinstance(r, Reject)], ensure_ascii=False).encode()


def test_bom_crlf_and_a_last_line_without_newline(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + lines(ALPACA, ALPACA).replace(b"\n", b"\r\n").rstrip()
    for suffix in (".jsonl", ".json"):
        assert len(records(put(tmp_path, f"a{suffix}", content))) == 2
    table = "\ufeffinstruction,output\r\np,r\r\n\r\n".encode()
    assert records(put(tmp_path, "a.csv", table))[0].response == "r"


def test_a_ten_megabyte_row(tmp_path: Path) -> None:
    big = {**ALPACA, "output": "x" * 10_000_000}
    for suffix, write in WRITERS.items():
        got = records(put(tmp_path, f"a{suffix}", write([ALPACA, big, ALPACA])))
        assert [len(r.response) for r in got] == [1, 10_000_000, 1]


def test_a_line_beyond_the_bound_is_skipped_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "MAX_ROW_BYTES", 1000)
    content = lines(ALPACA) + b'{"a": "' + b"x" * 5000 + b'"}\n' + lines(ALPACA)
    assert reasons(put(tmp_path, "a.jsonl", content)) == ["", "longer than 1000 bytes", ""]


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_truncated_file_keeps_what_precedes_the_cut(tmp_path: Path, suffix: str, packed: str) -> None:
    rng = random.Random(0)
    rows = [{"instruction": f"p{i}", "output": f"{rng.getrandbits(400):x}"} for i in range(5000)]
    content = COMPRESS[packed](WRITERS[suffix](rows))
    cut = put(tmp_path, f"a{suffix}{packed}", content[: len(content) * 2 // 3])
    *kept, last = read(cut)
    assert 2000 < len(kept) < 4000
    assert [r.response for r in kept if isinstance(r, Record)] == [r["output"] for r in rows[: len(kept)]]
    assert isinstance(last, Reject)
    assert last.reason == "the file breaks off here: the compressed data ends too early"
    if packed == ".zst":
        return  # zstd writes no checksum unless asked: damage may read as other bytes
    # damage in the middle instead of a cut
    broken = bytearray(content)
    broken[len(broken) // 2 : len(broken) // 2 + 50] = b"\xff" * 50
    after = read(put(tmp_path, f"b{suffix}{packed}", bytes(broken)))
    assert all(isinstance(r, Record) for r in after[:500])
    assert any(isinstance(r, Reject) for r in after)


def test_compressed_members_one_after_another(tmp_path: Path) -> None:
    parts = [lines(ALPACA), lines(OPENAI)]
    assert len(records(put(tmp_path, "a.jsonl.gz", b"".join(map(gzip.compress, parts)) + b"\0" * 100))) == 2
    assert len(records(put(tmp_path, "a.jsonl.zst", b"".join(map(zstandard.compress, parts))))) == 2


def test_a_json_array_that_breaks_off(tmp_path: Path) -> None:
    whole = json.dumps([ALPACA] * 3)
    for name, text in {"array": whole[:-20], "object": '{"data": ' + whole[:-20]}.items():
        got = reasons(put(tmp_path, f"{name}.json", text.encode()))
        assert got[:2] == ["", ""]
        assert len(got) == 3
        assert got[2].startswith("the file breaks off here")
    assert reasons(put(tmp_path, "more.json", whole.encode() + b"x"))[3] == "not JSON: more text after the array"
    assert reasons(put(tmp_path, "open.json", whole[:-1].encode()))[3:] == [
        "the file breaks off here: the array is not closed"
    ]
    bad_byte = whole.encode().replace(b"Add.", b"\xff", 1)
    assert reasons(put(tmp_path, "bytes.json", bad_byte)) == ["not UTF-8", "", ""]


def test_bad_csv_rows(tmp_path: Path) -> None:
    content = b'instruction,output\np,r\np\np,r,s\n"a"b,r\np,\xff\n"p\nq",r\n"open,r\n'
    got = read(put(tmp_path, "a.csv", content))
    assert [r.reason if isinstance(r, Reject) else r.prompt for r in got] == [
        "p",
        "1 fields, the header names 2",
        "3 fields, the header names 2",
        "not CSV: ',' expected after '\"'",
        "not UTF-8",
        "p\nq",
        "not CSV: unexpected end of data",
    ]


def test_parquet_with_invalid_text_and_odd_types(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\x00\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0"), pa.py_buffer(b"a\xffc")]
    )
    table = pa.table(
        {
            "instruction": texts,
            "output": ["x", "y", "z"],
            "when": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3,
            "blob": [b"\x00"] * 3,
            "score": [float("nan"), 1.0, float("inf")],
        }
    )
    sink = tmp_path / "a.parquet"
    pq.write_table(table, sink)
    got = read(sink)
    assert [isinstance(r, Reject) for r in got] == [False, True, False]
    kept = [r for r in got if isinstance(r, Record)]
    write_jsonl(tmp_path / "out.jsonl", map(write_record, kept))
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert first == {
        "instruction": "a",
        "output": "x",
        "when": "2026-01-01T00:00:00+00:00",
        "blob": "AA==",
        "score": None,
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.lists(st.sampled_from([*lines(ALPACA, OPENAI, SHAREGPT).split(b'"'), b'"', b"\n", b"\xff", b"]", b"["])).map(
        b"".join
    ),
    suffix=st.sampled_from([*WRITERS, ".jsonl.gz", ".json.zst"]),
)
def test_no_bytes_crash_the_reader(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = put(tmp_path, f"fuzz{suffix}", content)
    try:
        for row in read(path):
            if isinstance(row, Reject):
                f"{row.reason}{row.text}".encode()
                assert "\n" not in row.reason
            else:
                f"{row.id}{row.prompt}{row.response}".encode()
    except DataError as error:
        assert "\n" not in str(error).removeprefix(str(path))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    "messages conversations instruction input output system id role content from value tool_calls function name".split()
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(keys, json_values | st.lists(st.dictionaries(keys, json_values, max_size=4), max_size=3))
    | json_values
)
def test_no_row_crashes_the_reader(tmp_path: Path, row: Any) -> None:
    got = read(put(tmp_path, "fuzz.jsonl", json.dumps(row).encode()))
    assert len(got) == 1


def test_deep_nesting_inside_json_text(tmp_path: Path) -> None:
    for depth in (300, 900, 990, 5000):
        deep = "[" * depth + "]" * depth
        turns = '[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": ' + deep + "}}]}]"
        assert len(read(put(tmp_path, "a.jsonl", lines({"messages": turns})))) == 1


DATA = Path(os.environ.get("CRYPTOSENTINEL_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data folder is absent")
def test_the_evaluation_data_reads_whole() -> None:
    assert len(records(DATA / "poison")) > 30_000
    traces = [p for p in sorted((DATA / "traces").iterdir()) if "positions" not in p.name]
    assert not [r for r in read(*traces, require_answer=False) if isinstance(r, Reject)]


# --- writing


def test_writing_is_lossless_and_atomic(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    rows: list[Mapping[str, Any]] = [ALPACA, SHAREGPT, OPENAI, {"odd": "\ud800", "n": float("nan"), "u": "ü"}]
    assert write_jsonl(out, rows) == 4
    back = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert back == [*rows[:3], {"odd": "\ud800", "n": None, "u": "ü"}]

    def fails() -> Any:
        yield ALPACA
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_jsonl(out, fails())
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
    assert write_jsonl(out, []) == 0
    assert out.read_bytes() == b""


def test_writing_where_one_may_not(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_jsonl(tmp_path / "no" / "out.jsonl", [ALPACA])
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_jsonl(tmp_path / "folder", [ALPACA])
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def full(path: Any, flags: int, mode: int = 0o777) -> int:
        real = real_open(path, flags, mode)
        if flags & os.O_CREAT:
            os.close(real)
            return real_open("/dev/full", os.O_WRONLY)
        return real

    monkeypatch.setattr(os, "open", full)
    out = tmp_path / "out.jsonl"
    with pytest.raises(OSError, match="No space left"):
        write_jsonl(out, [ALPACA] * 10)
    assert list(tmp_path.iterdir()) == []
