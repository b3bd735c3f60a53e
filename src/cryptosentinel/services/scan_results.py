"""A finished scan read back from its folder, as far as an attestation stands on it; anything odd is a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryptosentinel.errors import AttestationError, DataError
from cryptosentinel.sanitize.attest import Count, Sha256
from cryptosentinel.services.digests import digest
from cryptosentinel.services.scan_files import RESULTS


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class ScannedFile(_Part):
    """A file as it was when it was scanned."""

    path: str
    sha256: Sha256
    bytes: Count


class _Result(_Part):
    sha256: Sha256
    bytes: Count


class _Hypothesis(_Part):
    trigger: str
    behaviour: str
    verdict: Literal["planted", "natural", "unsure"]


class _Judge(_Part):
    models: tuple[str, ...] = Field(strict=False)
    failure: str | None


class ScanResults(_Part):
    """What report.json says; see `read_results` for what was checked beside it."""

    kind: Literal["scan"]
    version: str
    rows: Count
    flagged: Count
    rejected: Count
    undecided: Count
    fpr: float
    reference_model: str
    reference_model_asked: bool
    judge: _Judge | None
    inputs: tuple[ScannedFile, ...] = Field(strict=False, min_length=1)
    trusted_inputs: tuple[ScannedFile, ...] = Field(strict=False)
    hypotheses: tuple[_Hypothesis, ...] = Field(strict=False)
    results: Mapping[str, _Result]

    @property
    def planted(self) -> list[_Hypothesis]:
        """The behaviours that the scan calls planted."""
        return [h for h in self.hypotheses if h.verdict == "planted"]


def read_results(folder: Path) -> ScanResults:
    """What does this folder of results say? Every file is the one that its report.json answers for.

    Raises:
        AttestationError: it is not complete, was changed, or is a scan that nothing can be attested from: a check of
            it failed, or it calls a behaviour planted and set none of its rows aside.
    """
    report = _read_report(folder)
    if report.judge and report.judge.failure:
        raise AttestationError(f"{folder}: the judge that was asked for could not judge; scan again")
    for name in RESULTS:
        if name not in report.results:
            raise AttestationError(f"{folder}: report.json has no digest of {name}; scan again")
        try:
            found = digest(folder / name)
        except DataError as error:
            raise AttestationError(f"{folder}: not complete: {error}") from None
        if found.sha256 != report.results[name].sha256:
            raise AttestationError(f"{folder}: {name} is not the one that the scan wrote")
    try:
        _check_findings(folder / "findings.jsonl")
        _check_quarantine(folder, report)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise AttestationError(f"{folder}: cannot be read: {type(error).__name__}: {error}") from None
    return report


def _read_report(folder: Path) -> ScanResults:
    path = folder / "report.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AttestationError(f"{folder}: no report.json, which is written last: no scan was completed here") from None
    except OSError as error:
        raise AttestationError(f"{path}: {error.strerror or error}") from None
    try:
        return ScanResults.model_validate(json.loads(content))
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise AttestationError(f"{path}: not the report of a scan: {place}: {fault['msg']}") from None
    except (ValueError, RecursionError):
        raise AttestationError(f"{path}: not JSON, or cut short") from None


def _check_findings(path: Path) -> None:
    """A check that failed to run is not a pass."""
    with path.open("rb") as lines:
        for line in lines:
            if b'"error"' in line and (finding := json.loads(line))["status"] == "error":
                raise AttestationError(
                    f"the check {finding['source']!r} failed: {finding['reason']!s:.200}; scan again"
                )


def _check_quarantine(folder: Path, report: ScanResults) -> None:
    """The flagged rows are as many as the report says, and every planted behaviour lost rows to quarantine."""
    scores = pq.read_table(folder / "scores.parquet", columns=["index", "flagged"])
    flagged = set(scores["index"].filter(scores["flagged"]).to_pylist())
    if (scores.num_rows, len(flagged)) != (report.rows, report.flagged):
        raise AttestationError(f"{folder}: scores.parquet and report.json do not count the same rows")
    if not report.planted:
        return
    for h in json.loads((folder / "hypotheses.json").read_bytes()):
        if h["verdict"] == "planted" and flagged.isdisjoint(h["rows"]):
            raise AttestationError(
                f"the scan calls {h['trigger']!s:.80} -> {h['behaviour']!s:.80} planted and set none of its rows "
                "aside, so nothing of it is attested (without --trusted the threshold does not rise)"
            )
