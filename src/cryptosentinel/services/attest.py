"""The gate before training: sign what a scan found, and refuse data that was not scanned, or was changed since."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosentinel.config import load_settings
from cryptosentinel.errors import AttestationError, ConfigError, DataError
from cryptosentinel.files import atomic_write, require_file
from cryptosentinel.sanitize.attest import (
    LARGEST_ENVELOPE,
    NamedDigest,
    Predicate,
    Statement,
    build_statement,
    open_signed,
    sign,
)
from cryptosentinel.services.digests import Watched, digest, files_below
from cryptosentinel.services.keys import read_private_key, read_public_key
from cryptosentinel.services.scan_results import ScannedFile, ScanResults, read_results

SUFFIX = ".attestation.json"
CLEAN = "clean.jsonl"
# What may lie in a dataset folder without holding rows; anything else there would be data that nobody scanned.
COMPANIONS = frozenset(
    "dataset_info.json dataset_infos.json dataset_dict.json state.json README.md LICENSE LICENSE.md LICENSE.txt "
    ".gitattributes .gitignore".split()
)
TEXT_KEPT = 200


@dataclass(frozen=True, slots=True)
class Verification:
    """May this data be trained on? True in a condition exactly when it may; `reason` says why, on one line."""

    accepted: bool
    reason: str
    data: Path
    attestation: Path
    statement: Statement | None = None

    def __bool__(self) -> bool:
        """Accepted?"""
        return self.accepted

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        said: Predicate | None = self.statement.predicate if self.statement else None
        return {
            "kind": "verification",
            "accepted": self.accepted,
            "reason": self.reason,
            "data": str(self.data),
            "attestation": str(self.attestation),
            "predicate": said.model_dump(mode="json") if said else None,
        }


def attest(data: Path | Sequence[Path], report: Path, key: Path, out: Path | None = None) -> Path:
    """Sign what the scan in folder `report` said about this data, and say where the attestation is.

    If every row was read and none was suspicious, data and the report's clean.jsonl are attested. Otherwise only
    clean.jsonl is: the data it was taken from stays refused.

    Args:
        data: what was scanned: one file or folder, or several files.
        report: the folder that `scan --out` wrote.
        key: private key, PEM, ed25519.
        out: where to write; by default beside clean.jsonl, and where the data passed beside it too: there training
            looks for it. The one of the data is returned then.

    Raises:
        AttestationError: the report is of other data, not complete, changed, or a check in it failed.
        DataError: the data cannot be read.
        ConfigError: the key is none, the folder holds files that the scan does not read, or `out` lies in the data or
            is a folder.
        OSError: the attestation cannot be written.
    """
    private = read_private_key(Path(key))
    given = [Path(data)] if isinstance(data, str | os.PathLike) else [Path(path) for path in data]
    report = Path(report)
    results = read_results(report)
    watched = Watched(given)
    if _contents(watched.describe()) != _contents([f.model_dump() for f in results.inputs]):
        raise AttestationError(f"{report}: the report is not of this data as it is now; scan again")
    inputs, companions = _named(given, watched)
    passed = not (results.flagged or results.rejected or results.planted)
    predicate = _predicate(results, inputs, companions, "passed" if passed else "quarantined")
    clean = NamedDigest(name=CLEAN, sha256=results.results[CLEAN].sha256)
    places = [Path(out)] if out is not None else [beside(report / CLEAN)]
    if out is None and passed and len(given) == 1:
        places.append(beside(given[0]))
    for place in places:
        _refuse_overlap(place, [*given, Path(key)], report)
        require_file(place)
    envelope = sign(build_statement(predicate, clean), private)
    if len(envelope) > LARGEST_ENVELOPE:
        raise AttestationError(f"over {LARGEST_ENVELOPE} bytes: too many files or hypotheses for one attestation")
    for place in places:
        atomic_write(place, envelope)
    return places[-1]


def verify(data: Path, attestation: Path, public_key: Path) -> Verification:
    """Does an attestation, signed with this key, let exactly this data be trained on?

    Raises:
        DataError: the data cannot be read.
        ConfigError: the public key cannot be read.
    """
    data, attestation = Path(data), Path(attestation)
    key = read_public_key(Path(public_key))
    try:
        os.stat(data)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(f"{data}: {'no such file or folder' if missing else error.strerror}") from None
    statement = None
    try:
        statement = open_signed(_read(attestation), key)
        if data.is_dir():
            files = files_below(data)
            statement.check_folder(str(data), files, lambda name: digest(files[name]).sha256)
            found = statement.predicate.found("nothing found")
            return Verification(True, f"{data}: scanned and attested, {found}", data, attestation, statement)
        known = statement.check_file(str(data), digest(data).sha256)
    except AttestationError as error:
        reason = str(error) if statement else f"{attestation}: {error}"
        return Verification(False, " ".join(reason.split()), data, attestation, statement)
    said = statement.predicate
    left = (
        f"what is left of {said.rows + said.rejected} rows{f', {said.undecided} undecided' if said.undecided else ''}"
    )
    found = said.found("nothing found") if said.verdict == "passed" else left
    return Verification(True, f"{data}: attested as {known}, {found}", data, attestation, statement)


def require_attested(path: Path, public_key: Path | None = None, attestation: Path | None = None) -> Verification:
    """Stop here unless this data was scanned, attested, and not changed since. Call it before you read the data.

    Args:
        path: a data file, or a folder that is a dataset.
        public_key: PEM; by default the setting `public_key` (CRYPTOSENTINEL_PUBLIC_KEY).
        attestation: by default PATH.attestation.json beside the data.

    Raises:
        AttestationError: not attested, or changed since.
        DataError: the data cannot be read.
        ConfigError: no public key is set, or it cannot be read.
    """
    key = public_key_or_setting(public_key)
    result = verify(Path(path), Path(attestation) if attestation else beside(Path(path)), key)
    if not result:
        raise AttestationError(f"refused: {result.reason}")
    return result


def public_key_or_setting(public_key: Path | None) -> Path:
    """Which key are attestations verified with?

    Raises:
        ConfigError: none is given and none is set.
    """
    key = public_key or load_settings().public_key
    if key is None:
        raise ConfigError("no public key to verify with: name one (--public-key) or set CRYPTOSENTINEL_PUBLIC_KEY")
    return Path(key)


def beside(path: Path) -> Path:
    """Where is the attestation of this data looked for?

    >>> beside(Path("/data/train.jsonl"))
    PosixPath('/data/train.jsonl.attestation.json')
    """
    return Path(os.path.abspath(path) + SUFFIX)


def _read(attestation: Path) -> bytes:
    try:
        if attestation.exists() and not attestation.is_file():  # opening a pipe would wait for ever
            raise AttestationError("not a regular file")
        with attestation.open("rb") as file:
            return file.read(LARGEST_ENVELOPE + 1)
    except FileNotFoundError:
        raise AttestationError("no such attestation") from None
    except OSError as error:
        raise AttestationError(f"cannot be read: {error.strerror or error}") from None


def _contents(files: Sequence[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Names and contents, wherever the files lie now."""
    return Counter((Path(f["path"]).name, f["sha256"]) for f in files)


def _refuse_overlap(out: Path, kept: Sequence[Path], report: Path) -> None:
    """An attestation replaces an older one and nothing else, and never becomes part of the data."""
    target = out.resolve()
    for path in (p.resolve() for p in kept):
        if path == target or path in target.parents:
            raise ConfigError(f"--out {out} would replace {path} or lie in it; choose another place")
    if report.resolve() in target.parents and not target.name.endswith(SUFFIX):
        raise ConfigError(f"--out {out}: in the folder of a report an attestation is called *{SUFFIX}")


def _named(given: Sequence[Path], watched: Watched) -> tuple[list[NamedDigest], list[NamedDigest]]:
    """The data files by their names in the dataset, and what else lies in a dataset folder."""
    if odd := [f.path for f in watched.files if not _is_text(str(f.path))]:
        raise DataError(f"{os.fsencode(odd[0])!r}: a statement cannot hold a file name that is not UTF-8: rename it")
    if not any(path.is_dir() for path in given):
        root = os.path.commonpath([os.path.abspath(path.parent) for path in given])
        return [NamedDigest(name=os.path.relpath(f.path, root), sha256=f.sha256) for f in watched.files], []
    if len(given) > 1:
        raise ConfigError("attest takes one folder or several files, not both")
    folder = given[0]
    inputs = {f.path.relative_to(folder).as_posix(): f.sha256 for f in watched.files}
    others = {name: path for name, path in files_below(folder).items() if name not in inputs}
    if unknown := [name for name in others if Path(name).name not in COMPANIONS]:
        raise ConfigError(f"{folder}: {unknown[0]} is no data that a scan reads; move it out of the dataset's folder")
    return (
        [NamedDigest(name=name, sha256=sha256) for name, sha256 in inputs.items()],
        [NamedDigest(name=name, sha256=digest(path).sha256) for name, path in others.items()],
    )


def _predicate(
    results: ScanResults, inputs: Sequence[NamedDigest], companions: Sequence[NamedDigest], verdict: str
) -> dict[str, Any]:
    def named(file: ScannedFile) -> dict[str, str]:
        return {"name": Path(file.path).name, "sha256": file.sha256}

    return {
        "tool": {"name": "cryptosentinel", "version": results.version},
        "time": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "verdict": verdict,
        "rows": results.rows,
        "flagged": results.flagged,
        "rejected": results.rejected,
        "undecided": results.undecided,
        "fpr": results.fpr,
        "reference_model": results.reference_model,
        "reference_model_asked": results.reference_model_asked,
        "judge": ", ".join(results.judge.models) if results.judge else "none",
        "trusted": [named(file) for file in results.trusted_inputs],
        "hypotheses": [
            {"trigger": h.trigger[:TEXT_KEPT], "behaviour": h.behaviour[:TEXT_KEPT], "verdict": h.verdict}
            for h in results.planted
        ],
        "inputs": [file.model_dump() for file in inputs],
        "companions": [file.model_dump() for file in companions],
        "results": {name: result.sha256 for name, result in results.results.items()},
    }


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
