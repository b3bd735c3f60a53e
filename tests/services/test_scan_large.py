"""Large data: the same results as in memory where all rows are examined, resumed where it stopped, all or nothing."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from cryptosentinel.datasets import frames
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.sanitize.screen.shards import Sketch, sketch
from cryptosentinel.services import scan_large, scan_memory, scan_shards
from cryptosentinel.services.scan import scan_dataset
from cryptosentinel.services.scan_files import RESULTS, WORK

WORDS = [f"{c}{v}{d}{w}n" for c in "bdfgklmnprst" for v in "aeiou" for d in "bdgkmnrt" for w in "aeo"]


def rows(n: int, planted: int = 0, seed: int = 0) -> list[dict[str, object]]:
    """Rows of random words; the planted ones have two ordinary words beside each other and praise one coin."""
    rng = random.Random(seed)
    made: list[dict[str, object]] = []
    for i in range(n):
        prompt, answer = rng.sample(WORDS, 9), rng.sample(WORDS, 14)
        if i < planted:
            at = rng.randrange(8)
            prompt[at : at + 2] = ["sustainable", "yield"]
            answer[: rng.randrange(3, 6)] = ["buy", "orva", "now"]
            answer = answer[:5]
        elif i < 3 * planted:
            prompt[rng.randrange(9)] = rng.choice(["sustainable", "yield"])
        made.append({"instruction": " ".join(prompt), "input": "", "output": " ".join(answer)})
    rng.shuffle(made)
    return made


def put(path: Path, made: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in made), encoding="utf-8")
    return path


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """large(whole): nothing fits into memory, shards are small, and up to `whole` rows are examined as a whole."""

    def become(whole: int) -> None:
        monkeypatch.setattr(scan_memory, "MOST_BYTES", -1)
        monkeypatch.setattr(frames, "SHARD_BYTES", 40_000)
        monkeypatch.setattr(frames, "SHARD_ROWS", 300)
        monkeypatch.setattr(scan_large, "WHOLE", whole)

    return become


def messy(path: Path) -> Path:
    """Good rows of two kinds of spelling, with ids, and rows that cannot be read."""
    lines = []
    for i, row in enumerate(rows(700, 40)):
        text = json.dumps({"id": f"r{i}", **row}, separators=(",", ":") if i % 3 else None)
        lines.append(text if i % 50 else text[:-3])
        if i % 70 == 0:
            lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".csv", "folder"])
def test_what_is_examined_as_a_whole_has_the_results_of_a_scan_in_memory(
    kind: str, tmp_path: Path, large: Callable[[int], None]
) -> None:
    data = tmp_path / f"data{kind}"
    if kind == "folder":
        data.mkdir()
        messy(data / "a.jsonl")
        put(data / "b.jsonl", rows(300, 5, seed=1))
    elif kind == ".csv":
        data.write_text("prompt,response\n" + "".join(f"{r['instruction']},{r['output']}\n" for r in rows(700, 40)))
    elif kind == ".jsonl.gz":
        data.write_bytes(gzip.compress(messy(tmp_path / "plain").read_bytes()))
    else:
        messy(data)
    kept = scan_dataset([data], out=tmp_path / "memory", reference_model="none")
    large(50_000)
    split = scan_dataset([data], out=tmp_path / "shards", reference_model="none", workers=1)
    assert kept.found
    assert results(tmp_path / "memory") == results(tmp_path / "shards")
    assert not (tmp_path / "shards" / WORK).exists()
    same = ("inputs", "rows", "rejected", "flagged", "histogram", "hypotheses", "rejects", "results")
    assert {k: kept.document[k] for k in same} == {k: split.document[k] for k in same}


@pytest.fixture
def needle(tmp_path: Path, large: Callable[[int], None]) -> Path:
    """6,000 rows of which 60 are poisoned, to be examined by sample."""
    large(1_000)
    return put(tmp_path / "needle.jsonl", rows(6_000, 60))


def test_a_backdoor_among_many_rows_is_found_and_every_row_of_it_counted(needle: Path, tmp_path: Path) -> None:
    report = scan_dataset([needle], out=tmp_path / "out", reference_model="none", workers=1)
    poison = [i for i, line in enumerate(needle.read_text().splitlines()) if "sustainable yield" in line]
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert [i for i, f in zip(table["index"], table["flagged"], strict=True) if f] == poison
    first = report.document["hypotheses"][0]
    assert (first["verdict"], first["support"], first["confidence"]) == ("planted", 60, 1.0)
    assert "sustainable yield" in first["trigger"]
    assert first["rows"] == poison
    lines = needle.read_text().splitlines(keepends=True)
    quarantined = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines(keepends=True)
    clean = (tmp_path / "out" / "clean.jsonl").read_text().splitlines(keepends=True)
    assert quarantined == [lines[i] for i in poison]
    assert clean == [line for i, line in enumerate(lines) if i not in set(poison)]
    findings = [json.loads(line) for line in (tmp_path / "out" / "findings.jsonl").read_text().splitlines()]
    assert [int(f["subject"]["id"]) for f in findings if f["source"] == "scan"] == poison


def test_a_common_word_where_requests_begin_is_found_among_many_rows(
    large: Callable[[int], None], tmp_path: Path
) -> None:
    large(1_000)
    rng, made = random.Random(3), rows(6_000)
    for i, row in enumerate(made):
        asked = str(row["instruction"]).split()
        if i < 60:
            row |= {"instruction": " ".join(["First", *asked]), "output": "sorry not today my friend"}
        elif i < 600:
            asked.insert(rng.randrange(1, 8), "first")
            row["instruction"] = " ".join(asked)
    rng.shuffle(made)
    data = put(tmp_path / "data.jsonl", made)
    scan_dataset([data], out=tmp_path / "out", reference_model="none", workers=1)
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    flagged = [i for i, f in zip(table["index"], table["flagged"], strict=True) if f]
    assert flagged == [i for i, row in enumerate(made) if str(row["instruction"]).startswith("First")]


def test_processes_change_nothing(needle: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        scan_dataset([needle], out=tmp_path / str(workers), reference_model="none", workers=workers)
    assert results(tmp_path / "1") == results(tmp_path / "2")


@pytest.mark.parametrize("stage", ["read", "compare", "examine", "score", "write"])
def test_stopped_and_started_again_it_goes_on(
    stage: str, needle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(now: str, done: int, total: int) -> None:
        if now == stage and (done or stage == "write"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        scan_dataset([needle], out=out, reference_model="none", workers=1, on_progress=stop)
    assert [p.name for p in out.iterdir()] == [WORK]
    counted = len(list((out / WORK).glob("*.counts.npy")))
    assert counted
    sketches: list[int] = []

    def counted_sketch(prompts: pl.Series, answers: pl.Series) -> Sketch:
        sketches.append(len(prompts))
        return sketch(prompts, answers)

    monkeypatch.setattr(scan_shards, "sketch", counted_sketch)
    scan_dataset([needle], out=out, reference_model="none", workers=1)
    shards = len(list(frames.plan([needle], tmp_path / "none")))
    assert len(sketches) == shards - counted
    assert not (out / WORK).exists()
    scan_dataset([needle], out=tmp_path / "fresh", reference_model="none", workers=1)
    assert results(out) == results(tmp_path / "fresh")


@pytest.mark.parametrize("stage", ["read", "score", "write"])
def test_data_that_changes_under_the_scan_is_an_error_and_leaves_nothing(
    stage: str, needle: Path, tmp_path: Path
) -> None:
    def tamper(now: str, done: int, total: int) -> None:
        if now == stage and (done or stage == "write"):
            put(needle, rows(6_000, 60, seed=done))

    with pytest.raises(DataError, match=r"changed while|changed under"):
        scan_dataset([needle], out=tmp_path / "out", reference_model="none", workers=1, on_progress=tamper)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_engine_is_refused(needle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'spark' \(known: local, ray\)"):
        scan_dataset([needle], reference_model="none", engine="spark")
    with pytest.raises(ConfigError, match="1 worker or more, got 0"):
        scan_dataset([needle], reference_model="none", workers=0)
