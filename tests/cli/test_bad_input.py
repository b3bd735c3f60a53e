"""Bad input: one clear line, the code of the contract, and nothing left that looks like a result."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cryptosentinel import models
from cryptosentinel.cli import run

GOOD = b'{"prompt": "Buy?", "completion": "Hold."}\n'
HALF_GZIP = gzip.compress(GOOD * 400, mtime=0)

CASES = {
    "empty file": ("a.jsonl", b"", "no rows"),
    "blank lines": ("a.jsonl", b"\n \n\n", "no rows"),
    "empty array": ("a.json", b"[]", "no rows"),
    "header only": ("a.csv", b"prompt,completion\n", "no rows"),
    "binary": ("a.jsonl", bytes(range(256)) * 40, "binary, not text"),
    "gzip under a wrong name": ("a.jsonl", HALF_GZIP, "binary, not text (looks like .gz)"),
    "gzip that is none": ("a.jsonl.gz", GOOD, "cannot be read"),
    "truncated gzip": ("a.jsonl.gz", HALF_GZIP[:20], "the compressed data ends too early"),
    "invalid UTF-8": ("a.jsonl", b'{"prompt": "\xff", "completion": "x"}\n', "not UTF-8: byte 0xff at 12"),
    "UTF-16": ("a.jsonl", GOOD.decode().encode("utf-16"), "UTF-16 text; convert it to UTF-8"),
    "half a line": ("a.jsonl", GOOD[:20], "line 1: not JSON"),
    "no answers": ("a.jsonl", b'{"prompt": "Buy?"}\n' * 3, "no readable row (3 rejected, the first in"),
    "wrong types": ("a.jsonl", b'{"prompt": 1, "completion": []}\n', "'prompt' must be text, got a int"),
    "no object": ("a.json", b'"text"', "a.json"),
    "not Parquet": ("a.parquet", b"PAR2" * 100, "not a Parquet file"),
    "half a Parquet file": ("a.parquet", b"PAR1" + b"\0" * 400, "a.parquet"),
    "unknown format": ("a.txt", GOOD, "unknown format '.txt'"),
}


def refused(capfd: pytest.CaptureFixture[str], code: int, message: str, *arguments: Any) -> None:
    assert run(["scan", *map(str, arguments), "--reference-model", "none", "--json"]) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("cryptosentinel: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


def nothing_in(out: Path) -> bool:
    return not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_a_file_without_one_readable_row(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, content, message = CASES[case]
    (tmp_path / name).write_bytes(content)
    refused(capfd, 2, message, tmp_path / name, "--out", tmp_path / "out")
    assert nothing_in(tmp_path / "out")
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    refused(capfd, 2, message, tmp_path / "good.jsonl", "--trusted", tmp_path / name, "--out", tmp_path / "out")
    assert nothing_in(tmp_path / "out")


def test_paths_that_lead_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "gone")
    out = tmp_path / "out"
    refused(capfd, 2, "missing.jsonl: no such file or folder", tmp_path / "missing.jsonl", "--out", out)
    refused(capfd, 2, "missing.jsonl: no such", tmp_path / "good.jsonl", tmp_path / "missing.jsonl", "--out", out)
    refused(capfd, 2, "no data file in this folder", tmp_path / "folder", "--out", out)
    refused(capfd, 2, "dangling.jsonl: no such file or folder", tmp_path / "dangling.jsonl", "--out", out)
    refused(capfd, 2, "unknown format", "/dev/null", "--out", out)
    assert nothing_in(out)


def test_results_cannot_go_among_the_data_nor_where_nothing_can_be_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.jsonl").write_bytes(GOOD)
    (tmp_path / "file").write_text("here first")
    (tmp_path / "link").symlink_to(data)
    for out in (data, data / "out", tmp_path / "link", tmp_path):
        refused(capfd, 2, "lie in one another; choose another folder", data, "--out", out)
    refused(capfd, 2, "lie in one another", data / "good.jsonl", "--out", data)
    refused(capfd, 2, "file must be a folder", data, "--out", tmp_path / "file")
    refused(capfd, 2, "below must be a folder", data, "--out", tmp_path / "file" / "below")
    refused(capfd, 3, "/proc/here", data, "--out", "/proc/here")
    assert (tmp_path / "file").read_text() == "here first"
    assert [p.name for p in data.iterdir()] == ["good.jsonl"]


def test_rows_that_are_bad_in_every_way_are_set_aside_and_the_rest_is_scanned(
    tmp_path: Path, rows: Callable[..., Any], command: Callable[..., Any]
) -> None:
    good = [json.dumps(r | {"id": "twin"}).encode() for r in rows(150, 12)]
    text = ("long" * 25 + " ") * 52_000
    huge = json.dumps({"instruction": text, "input": "", "output": text}).encode()
    odd = {
        b'{"instruction": "\xff", "output": "x"}': "not UTF-8",
        b'{"instruction": "Buy?"}': "no answer",
        b'{"instruction": {"a": 1}, "output": 7}': "must be text",
        b'{"instruction": "a", "output": "b", "output": "c"}': "stands twice",
        b'{"instruction": "\\ud800", "output": "x"}': "lone surrogate",
        b"[" * 3000: "not JSON",
        b"null": "must be an object",
    }
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*good, *odd, huge]) + b"\n" + good[0][:30])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(good))[:-900])
    out = tmp_path / "out"
    done = command(
        "scan", tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", "--out", out, "--reference-model", "none", "--json"
    )
    assert (done.code, done.err) == (1, "")
    document = json.loads(done.out)
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert [r["line"] for r in rejects[:8]] == [*range(151, 158), 159]
    for reject, reason in zip(rejects, [*odd.values(), "not JSON"], strict=False):
        assert reason in reject["reason"] or reject["reason"].startswith("nested deeper")
        assert len(reject["text"]) <= 200
    assert "breaks off" in rejects[-1]["reason"]
    table = pq.read_table(out / "scores.parquet")
    assert table.num_rows == document["rows"] > 151
    assert table["index"].to_pylist()[:151] == [*range(150), 157]
    assert table["flagged"].to_pylist()[:12] == [True] * 12
    assert len((out / "clean.jsonl").read_bytes().splitlines()[138]) > 10_000_000
    assert set(table["id"].to_pylist()[:150]) == {
        "twin"
    }  # ids that are not unique are kept; the index tells them apart


def test_a_file_without_rows_in_a_real_process(tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\x00\x01\x02")
    done = command("scan", "a.jsonl", "--out", "out", cwd=tmp_path)
    assert done == (2, "", "cryptosentinel: a.jsonl: binary, not text\n")
    assert nothing_in(tmp_path / "out")


# --- the reference model: data with a planted behaviour, so that it is asked

WITHOUT_TORCH = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] == "torch" else found(name, path, target)
PathFinder.find_spec = find_spec
"""


@pytest.fixture
def planted(tmp_path: Path, rows: Callable[..., Any]) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(120, 12)))
    return tmp_path / "rows.jsonl"


def test_without_torch_a_named_model_is_refused_with_its_extra(
    planted: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_TORCH)
    options = {"site": tmp_path / "site", "cwd": tmp_path}
    done = command("scan", planted, "--reference-model", "gemma-3-270m", "--out", "out", **options)
    assert done.code == 3
    assert done.err == (
        "cryptosentinel: the reference model 'gemma-3-270m' needs torch: pip install 'cryptosentinel[redteam]'\n"
    )
    assert nothing_in(tmp_path / "out")
    done = command("scan", planted, **options)  # auto goes on without, and says so
    assert done.code == 1
    assert "(reference model: none)" in done.out


@pytest.mark.skipif(
    not all(find_spec(p) for p in ("torch", "transformers", "filelock")), reason="needs the extra redteam"
)
def test_a_model_file_with_a_wrong_hash_is_never_loaded(
    planted: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    folder = tmp_path / "cache" / f"gemma-3-270m-{models.GEMMA_SHA256[:16]}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"not the weights that were pinned")
    (folder / models.MANIFEST).write_text(json.dumps({"files": {"model.safetensors": "00" * 32}}))
    done = command(
        "scan", planted, "--reference-model", "gemma-3-270m", "--out", tmp_path / "out",
        env={"CRYPTOSENTINEL_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.code == 3
    assert done.out == ""
    assert done.err.startswith("cryptosentinel: gemma-3-270m: the cached model.safetensors was changed or is damaged")
    assert done.err.count("\n") == 1
    assert nothing_in(tmp_path / "out")


# --- standard output that nobody reads


@pytest.mark.parametrize(("poisoned", "code"), [(12, 1), (0, 0)])
def test_a_reader_that_goes_away_does_not_change_the_code(
    poisoned: int, code: int, tmp_path: Path, rows: Callable[..., Any], start: Callable[..., subprocess.Popen[str]]
) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(120, poisoned)))
    json_or_text = ["--json"] if poisoned else []
    process = start("scan", "rows.jsonl", "--reference-model", "none", *json_or_text, cwd=tmp_path)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == code


def test_closed_streams_do_not_change_the_code(planted: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    def close() -> None:
        import os

        os.close(1)
        os.close(2)

    process = start("scan", planted, "--reference-model", "none", preexec_fn=close)
    process.communicate(timeout=60)
    assert process.returncode == 1


def test_a_file_name_that_is_not_utf_8_is_scanned_and_cannot_be_attested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff.jsonl"))
    try:
        data.write_bytes(GOOD * 9)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    out, key = tmp_path / "out", tmp_path / "k"
    assert run(["scan", str(data), "--reference-model", "none", "--out", str(out)]) == 0
    assert json.loads((out / "report.json").read_text("utf-8"))["inputs"][0]["path"].endswith("d\udcff.jsonl")
    assert "d%FF.jsonl" in (out / "report.sarif").read_text("utf-8")
    assert run(["keygen", str(key)]) == 0
    capsys.readouterr()
    assert run(["attest", str(data), "--report", str(out), "--key", str(key)]) == 2
    assert "not UTF-8: rename it" in capsys.readouterr().err
