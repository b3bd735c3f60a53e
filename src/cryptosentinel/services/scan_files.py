"""Where a scan's results go: every file of the contract, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cryptosentinel.datasets import read_rows, write_jsonl, write_record
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.files import atomic_write
from cryptosentinel.services.digests import digest
from cryptosentinel.services.scan_document import EXAMPLES, ScanReport, describe, shown
from cryptosentinel.types import Finding, Record

WORK = ".scan-work"
Render = Callable[[Mapping[str, Any]], str]
# What an attestation stands on: report.json holds their digests, so that none can be exchanged for another scan's.
RESULTS = ("scores.parquet", "hypotheses.json", "findings.jsonl", "clean.jsonl", "quarantine.jsonl", "rejects.jsonl")


def refuse_overlap(inputs: Sequence[Path], out: Path) -> None:
    """The results must not become part of the data, nor overwrite it.

    Raises:
        ConfigError: an input lies in the output folder, or the other way round.
    """
    target = out.resolve()
    for path in inputs:
        source = path.resolve()
        if source == target or target in source.parents or source in target.parents:
            raise ConfigError(f"--out {out} and the input {path} lie in one another; choose another folder")


@contextmanager
def workplace(out: Path | None) -> Iterator[Path]:
    """A folder for what a scan keeps while it runs, inside `out`; what an interrupted scan left is still there.

    It is gone after success and after an error, and stays when the scan is stopped or killed.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="cryptosentinel-") as folder:
            yield Path(folder)
        return
    work = out / WORK
    work.mkdir(exist_ok=True)
    try:
        yield work
    except Exception:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)


def write_results(
    out: Path,
    report: ScanReport,
    records: Sequence[Record],
    ids: Iterable[str],
    divide: Callable[[Path], None],
    renderers: Mapping[str, Render],
    unchanged: Callable[[], None],
) -> dict[str, dict[str, str | int]]:
    """Write everything into a folder beside the results, then move it into place; report.json comes last.

    Args:
        out: where the results go.
        report: what was found.
        records: the scanned rows.
        ids: theirs, in order.
        divide: writes clean.jsonl and quarantine.jsonl into the folder it is given.
        renderers: file name -> function from the document to that file's text.
        unchanged: raises where the data is no longer what was scanned; it is asked when all is written.

    Returns:
        Digest and size of each file that report.json answers for.
    """
    folder = Path(tempfile.mkdtemp(prefix=".scan-", dir=out))
    try:
        result = report.scan
        pq.write_table(
            pa.table(
                {
                    "index": pa.array(report.index, pa.int64()),
                    "id": ids.to_arrow().cast(pa.string())
                    if isinstance(ids, pl.Series)
                    else pa.array(ids, pa.string()),
                    "score": pa.array(result.scores, pa.float64()),
                    "flagged": pa.array(result.flagged, pa.bool_()),
                }
            ),
            folder / "scores.parquet",
        )
        document = dict(report.document)
        examined = {id(h) for h in shown(result.hypotheses)}
        described = [describe(h, report.index, records, EXAMPLES * (id(h) in examined)) for h in result.hypotheses]
        _write_json(folder / "hypotheses.json", described)
        write_jsonl(folder / "findings.jsonl", (asdict(f) for f in _findings(report)))
        write_jsonl(folder / "rejects.jsonl", (asdict(r) for r in report.rejects))
        divide(folder)
        for name, render in renderers.items():
            atomic_write(folder / name, render(document))
        unchanged()
        document["results"] = {n: {"sha256": d.sha256, "bytes": d.bytes} for n in RESULTS if (d := digest(folder / n))}
        _write_json(folder / "report.json", document)
        (out / "report.json").unlink(missing_ok=True)  # without it a folder is not complete
        for file in sorted(folder.iterdir(), key=lambda f: (f.name == "report.json", f.name)):
            os.replace(file, out / file.name)
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(out)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return dict(document["results"])


def _findings(report: ScanReport) -> Iterable[Finding]:
    """Every finding; those about a row name it by its number over the inputs."""
    result = report.scan
    of_rows = [*result.findings, *(result.judging.rows.findings if result.judging else ())]
    for f in of_rows:
        yield replace(f, subject=replace(f.subject, id=str(report.index[int(f.subject.id)])))
    for h in result.hypotheses:
        yield from h.adjudications


def _write_json(path: Path, value: Any) -> None:
    """One list item a line, one document otherwise: readable, and at the speed of the C encoder."""
    if isinstance(value, list):
        text = "[" + ",\n".join(json.dumps(v, ensure_ascii=False, allow_nan=False) for v in value) + "]\n"
    else:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path, text)


def divide_rows(folder: Path, data: Sequence[Path], report: ScanReport, records: Sequence[Record]) -> None:
    """Read the inputs once more and write each row, as it was, to clean.jsonl or quarantine.jsonl.

    Raises:
        DataError: the rows are not the ones that were scanned.
    """
    flagged = set(np.asarray(report.index, dtype=np.int64)[report.scan.flagged].tolist())
    scanned = dict(zip(report.index, records, strict=True))

    def rows(wanted: bool) -> Iterable[dict[str, Any]]:
        seen = 0
        for i, row in read_rows(data):
            if isinstance(row, Record):
                if scanned.get(i) != row:
                    raise DataError(f"row {i} changed while the data was being scanned")
                seen += 1
                if (i in flagged) == wanted:
                    yield write_record(row)
        if seen != len(scanned):
            raise DataError(f"the data changed while being scanned: {len(scanned)} rows before, {seen} after")

    write_jsonl(folder / "clean.jsonl", rows(wanted=False))
    write_jsonl(folder / "quarantine.jsonl", rows(wanted=True))
