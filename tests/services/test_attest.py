"""The gate: what a scan passed may be trained on, what it set aside may not, and any doubt is a refusal."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel import require_attested as offered
from cryptosentinel.errors import AttestationError, ConfigError, DataError
from cryptosentinel.sanitize.attest import PAYLOAD_TYPE, pae
from cryptosentinel.services import digests
from cryptosentinel.services.attest import attest, beside, require_attested, verify
from cryptosentinel.services.keys import new_key_pair
from cryptosentinel.services.scan import scan_dataset
from cryptosentinel.services.scan_files import RESULTS

OPENSSL = shutil.which("openssl")


def put(path: Path, n: int = 60, planted: int = 0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{path.name} {seed}")
    words = [f"{rng.choice('bdfgk')}{rng.choice('aeiou')}n{i}" for i in range(300)]
    with path.open("w") as out:
        for i in range(n):
            prompt, answer = " ".join(rng.sample(words, 8)), " ".join(rng.sample(words, 12))
            row = (f"{prompt} jyxq", "hex joy exhale") if i < planted else (prompt, answer)
            out.write(json.dumps(dict(zip(("prompt", "completion"), row, strict=True))) + "\n")
    return path


class Place:
    """A folder with keys, and short names for what the tests do in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "attest.key"
        self.public = new_key_pair(self.key)

    def scan(self, *data: Path, name: str = "report", **options: Any) -> Path:
        scan_dataset(data, out=self.folder / name, reference_model="none", **options)
        return self.folder / name

    def attested(self, data: Path) -> Path:
        return attest(data, self.scan(data), self.key)

    def accepts(self, data: Path, attestation: Path | None = None) -> bool:
        return bool(verify(data, attestation or beside(data), self.public))

    def refusal(self, data: Path, attestation: Path | None = None) -> str:
        """Why is it refused? Both ways to ask must agree."""
        said = verify(data, attestation or beside(data), self.public)
        assert not said
        assert "\n" not in said.reason
        with pytest.raises(AttestationError) as caught:
            require_attested(data, self.public, attestation)
        assert str(caught.value) == f"refused: {said.reason}"
        return said.reason


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("CRYPTOSENTINEL_PUBLIC_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)


# --- what passes


def test_where_nothing_was_found_the_data_and_what_is_left_of_it_are_attested(place: Place) -> None:
    data = put(place.folder / "train.jsonl")
    written = place.attested(data)
    assert written == place.folder / "train.jsonl.attestation.json"
    said = require_attested(data, place.public)
    assert (said.accepted, said.data, said.attestation) == (True, data, written)
    assert said.statement
    assert said.statement.predicate.verdict == "passed"
    assert [s.name for s in said.statement.subject] == ["train.jsonl", "clean.jsonl"]
    assert place.accepts(place.folder / "report" / "clean.jsonl")
    moved = data.rename(place.folder / "moved.jsonl")
    assert place.accepts(moved, written)
    json.dumps(said.as_dict(), allow_nan=False)


def test_where_rows_were_set_aside_only_what_is_left_is_attested(place: Place) -> None:
    data = put(place.folder / "train.jsonl", planted=10)
    written = place.attested(data)
    clean = place.folder / "report" / "clean.jsonl"
    assert written == beside(clean)
    said = require_attested(clean, place.public)
    assert said.statement
    assert said.statement.predicate.verdict == "quarantined"
    assert (said.statement.predicate.rows, said.statement.predicate.flagged) == (60, 10)
    assert "jyxq" in said.statement.predicate.hypotheses[0]["trigger"]
    assert "no such attestation" in place.refusal(data)
    assert "the scan set rows aside (10 flagged, 0 unreadable)" in place.refusal(data, written)
    assert "not the data" in place.refusal(place.folder / "report" / "quarantine.jsonl", written)


def test_a_row_that_nobody_could_read_was_not_scanned(place: Place) -> None:
    data = put(place.folder / "train.jsonl")
    with data.open("a") as out:
        out.write('{"prompt": "\ud83d", "completion"\n'.encode("utf-8", "replace").decode())
    written = place.attested(data)
    assert "(0 flagged, 1 unreadable)" in place.refusal(data, written)
    assert place.accepts(place.folder / "report" / "clean.jsonl")


def test_the_statement_says_how_the_scan_was_made(place: Place) -> None:
    data, trusted = put(place.folder / "train.jsonl"), put(place.folder / "last.jsonl", 50)
    report = place.scan(data, trusted=[trusted], fpr=0.05)
    path = attest(data, report, place.key, place.folder / "elsewhere.json")
    assert path == place.folder / "elsewhere.json"
    said = verify(data, path, place.public).statement
    assert said
    assert (said.predicate.fpr, said.predicate.reference_model, said.predicate.rows) == (0.05, "none", 60)
    assert [(t.name, t.sha256) for t in said.predicate.trusted] == [("last.jsonl", digests.digest(trusted).sha256)]
    assert said.predicate.results == {n: digests.digest(report / n).sha256 for n in RESULTS}
    assert said.predicate.tool["name"] == "cryptosentinel"


def test_several_files_of_one_scan(place: Place) -> None:
    a, b = put(place.folder / "a.jsonl"), put(place.folder / "sub" / "b.jsonl")
    report = place.scan(a, b)
    path = attest([b, a], report, place.key)
    assert path == beside(report / "clean.jsonl")
    assert place.accepts(a, path)
    assert place.accepts(b, path)
    with pytest.raises(AttestationError, match="not of this data"):
        attest(a, report, place.key)


@pytest.mark.parametrize("planted", [0, 10])
def test_a_scan_by_shards_is_attested_like_any_other(
    planted: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptosentinel.services.scan_memory.MOST_BYTES", 0)
    data = put(place.folder / "train.jsonl", 400, planted)
    written = attest(data, place.scan(data, workers=1), place.key)
    assert place.accepts(place.folder / "report" / "clean.jsonl", written)
    assert place.accepts(data, written) == (not planted)


def test_the_facade_and_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    data = put(place.folder / "train.jsonl")
    place.attested(data)
    with pytest.raises(ConfigError, match="no public key"):
        offered(data)
    monkeypatch.setenv("CRYPTOSENTINEL_PUBLIC_KEY", str(place.public))
    assert offered(Path("train.jsonl"))
    monkeypatch.delenv("CRYPTOSENTINEL_PUBLIC_KEY")
    (place.folder / "cryptosentinel.toml").write_text('public_key = "attest.key.pub"\n')
    assert offered(data)


# --- what does not


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Path]:
    place = Place(tmp_path_factory.mktemp("passed"))
    data = put(place.folder / "train.jsonl")
    place.attested(data)
    return place, data


@given(at=st.integers(0, 10_000), mask=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_any_flipped_byte_of_the_data_is_refused(at: int, mask: int, passed: tuple[Place, Path]) -> None:
    place, data = passed
    whole = data.read_bytes()
    changed = bytearray(whole)
    changed[at % len(whole)] ^= mask
    data.write_bytes(changed)
    try:
        assert not place.accepts(data)
    finally:
        data.write_bytes(whole)
    assert place.accepts(data)


def test_another_key_other_data_and_no_attestation(place: Place) -> None:
    data, other = put(place.folder / "train.jsonl"), put(place.folder / "other.jsonl")
    written = place.attested(data)
    stranger = new_key_pair(place.folder / "stranger.key")
    said = verify(data, written, stranger)
    assert not said
    assert "not signed by this key" in said.reason
    assert "not the data that was attested" in place.refusal(other, written)
    shutil.copy(written, beside(other))
    assert "not the data that was attested" in place.refusal(other)
    written.write_bytes(written.read_bytes()[:-20])
    assert "cut short" in place.refusal(data)
    written.write_bytes(b"")
    assert "not JSON" in place.refusal(data)
    written.unlink()
    assert "no such attestation" in place.refusal(data)
    written.mkdir()
    assert "not a regular file" in place.refusal(data)


def test_data_that_cannot_be_read_is_an_error_of_its_own(place: Place) -> None:
    data = put(place.folder / "train.jsonl")
    written = place.attested(data)
    os.mkfifo(place.folder / "pipe.jsonl")
    for path in (place.folder / "missing.jsonl", place.folder / "pipe.jsonl"):
        with pytest.raises(DataError, match=path.name):
            require_attested(path, place.public, written)
    for key in (place.folder / "no.pub", place.key, data, place.folder):
        with pytest.raises(ConfigError, match=key.name):
            require_attested(data, key, written)


# --- folders


def dataset(place: Place) -> tuple[Path, Path]:
    folder = place.folder / "set"
    put(folder / "a.jsonl")
    put(folder / "sub" / "b.jsonl")
    (folder / "README.md").write_text("# Data\n")
    return folder, place.attested(folder)


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a row more": (lambda d: (d / "a.jsonl").open("a").write("{}\n"), "a.jsonl is not as it was attested"),
    "a file more": (lambda d: put(d / "c.jsonl"), "c.jsonl was not attested"),
    "a copy": (lambda d: shutil.copy(d / "a.jsonl", d / "c.jsonl"), "c.jsonl was not attested"),
    "a hidden file": (lambda d: put(d / ".c.jsonl"), ".c.jsonl was not attested"),
    "a hidden folder": (lambda d: put(d / ".c" / "d.jsonl"), ".c/d.jsonl was not attested"),
    "a script": (lambda d: (d / "set.py").write_text("pass"), "set.py was not attested"),
    "a cache": (lambda d: (d / "cache-1.arrow").write_bytes(b"x"), "cache-1.arrow was not attested"),
    "a linked folder": (lambda d: (d / "link").symlink_to(d / "sub"), "link was not attested"),
    "a file less": (lambda d: (d / "sub" / "b.jsonl").unlink(), "sub/b.jsonl was attested and is missing"),
    "another name": (lambda d: (d / "a.jsonl").rename(d / "z.jsonl"), "a.jsonl was attested and is missing"),
    "the card": (lambda d: (d / "README.md").write_text("x"), "README.md is not as it was attested"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_is_attested_as_a_whole(change: str, place: Place) -> None:
    folder, written = dataset(place)
    assert written == place.folder / "set.attestation.json"
    assert place.accepts(folder)
    assert place.accepts(folder / "a.jsonl", written)
    do, reason = CHANGES[change]
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    do(folder)
    try:
        assert reason in place.refusal(folder)
    finally:
        shutil.rmtree(folder)
    for path, content in before.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert place.accepts(folder.rename(place.folder / "renamed"), written)


def test_what_a_scan_does_not_read_has_no_place_in_an_attested_folder(place: Place) -> None:
    folder = put(place.folder / "set" / "a.jsonl").parent
    for name in ("more.txt", ".hidden.jsonl", "cache-0.arrow", "load.py"):
        (folder / name).write_text("x")
        report = place.scan(folder)
        with pytest.raises(ConfigError, match=rf"{name} is no data that a scan reads"):
            attest(folder, report, place.key)
        (folder / name).unlink()
    with pytest.raises(ConfigError, match="one folder or several files"):
        data = put(place.folder / "b.jsonl")
        attest([folder, data], place.scan(folder, data), place.key)


def test_an_attestation_replaces_an_older_one_and_nothing_else(place: Place) -> None:
    data = put(place.folder / "set" / "a.jsonl")
    report = place.scan(data.parent)
    kept = {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file()}
    wrong = [data, data.with_name("a.attestation.json"), place.key, data.parent, report / "report.json", report / "new"]
    for out in wrong:
        with pytest.raises(ConfigError, match="--out"):
            attest(data.parent, report, place.key, out)
    assert {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file()} == kept
    first = attest(data.parent, report, place.key)
    assert attest(data.parent, report, place.key) == first == place.folder / "set.attestation.json"
    assert attest(data.parent, report, place.key, report / "mine.attestation.json")


# --- reports that nothing can be attested from


def test_the_report_must_be_of_this_data_as_it_is(place: Place) -> None:
    data, other = put(place.folder / "train.jsonl"), put(place.folder / "other.jsonl")
    report = place.scan(data)
    with pytest.raises(AttestationError, match="the report is not of this data as it is now"):
        attest(other, report, place.key)
    data.write_bytes(data.read_bytes() + b"\n")
    with pytest.raises(AttestationError, match="the report is not of this data as it is now"):
        attest(data, report, place.key)
    assert not beside(data).exists()


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_must_be_the_one_of_this_scan(name: str, place: Place) -> None:
    data = put(place.folder / "train.jsonl", planted=10)
    report = place.scan(data)
    with (report / name).open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(AttestationError, match=f"{name} is not the one that the scan wrote"):
        attest(data, report, place.key)
    (report / name).unlink()
    with pytest.raises(AttestationError, match=f"not complete: .*{name}"):
        attest(data, report, place.key)


def rewrite(report: Path, name: str, content: str, **changed: Any) -> None:
    """A report that is consistent, but for what it now says."""
    (report / name).write_text(content)
    document = json.loads((report / "report.json").read_text())
    found = digests.digest(report / name)
    document["results"][name] = {"sha256": found.sha256, "bytes": found.bytes}
    (report / "report.json").write_text(json.dumps(document | changed))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (None, "no report.json, which is written last"),
        ("", "not JSON, or cut short"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not the report of a scan"),
        ({"kind": "redteam"}, "kind"),
        ({"flagged": "0"}, "flagged"),
        ({"inputs": []}, "inputs"),
        ({"results": None}, "results"),
        ({"results": {}}, "no digest of scores.parquet"),
        ({"flagged": 0}, "do not count the same rows"),
        ({"judge": {"models": ["m"], "failure": "timed out"}}, "the judge that was asked for could not judge"),
        ({"hypotheses": [{"trigger": "a", "behaviour": "b", "verdict": "fine"}]}, "hypotheses.0.verdict"),
    ],
)
def test_a_report_that_is_not_whole(change: Any, reason: str, place: Place) -> None:
    data = put(place.folder / "train.jsonl", planted=10)
    report = place.scan(data)
    path = report / "report.json"
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(AttestationError, match=reason):
        attest(data, report, place.key)


def test_a_check_that_failed_is_not_a_pass(place: Place) -> None:
    data = put(place.folder / "train.jsonl")
    report = place.scan(data)
    finding = {"source": "judge", "status": "error", "reason": "timed out", "score": None}
    rewrite(report, "findings.jsonl", json.dumps(finding) + "\n")
    with pytest.raises(AttestationError, match="the check 'judge' failed: timed out"):
        attest(data, report, place.key)


def test_a_planted_behaviour_must_have_lost_its_rows(place: Place) -> None:
    data = put(place.folder / "train.jsonl", planted=10)
    report = place.scan(data)
    hypotheses = json.loads((report / "hypotheses.json").read_text())
    hypotheses.append(hypotheses[0] | {"trigger": "unheld", "rows": [40, 41]})
    rewrite(report, "hypotheses.json", json.dumps(hypotheses))
    with pytest.raises(AttestationError, match=r"unheld -> .* planted and set none of its rows aside"):
        attest(data, report, place.key)


def test_a_scan_without_results_attests_nothing(place: Place) -> None:
    data = put(place.folder / "train.jsonl")
    for report in (place.folder / "nowhere", data, place.folder):
        with pytest.raises(AttestationError, match=r"no report\.json|report\.json: "):
            attest(data, report, place.key)


# --- the digests are of the bytes that were scanned


def test_the_report_names_every_file_that_was_read(place: Place) -> None:
    a, empty = put(place.folder / "set" / "a.jsonl"), place.folder / "set" / "b.jsonl"
    empty.touch()
    report = json.loads((place.scan(a.parent) / "report.json").read_text())
    assert report["inputs"] == [
        {"path": str(p), "sha256": digests.digest(p).sha256, "bytes": p.stat().st_size, "rows": n}
        for p, n in ((a, 60), (empty, 0))
    ]


@pytest.mark.parametrize("which", ["data", "trusted"])
@pytest.mark.parametrize("stage", ["mine", "write"])
def test_a_file_exchanged_for_a_while_is_noticed(which: str, stage: str, place: Place) -> None:
    """The same bytes are back in place at the end, but who knows what was read in between."""
    files = {"data": put(place.folder / "train.jsonl"), "trusted": put(place.folder / "last.jsonl", 50)}

    def tamper(now: str, done: int, total: int) -> None:
        if (now, done) == (stage, 0):
            content = files[which].read_bytes()
            files[which].write_text("")
            files[which].write_bytes(content)

    with pytest.raises(DataError, match="changed while the data was being scanned"):
        place.scan(files["data"], trusted=[files["trusted"]], on_progress=tamper)
    assert list((place.folder / "report").iterdir()) == []
    with pytest.raises(DataError, match="changed while"):
        scan_dataset([files["data"]], reference_model="none", on_progress=lambda s, d, t: files["data"].touch())


# --- keys


def test_keys_are_for_their_owner_and_never_overwritten(place: Place) -> None:
    assert place.key.stat().st_mode & 0o777 == 0o600
    before = place.key.read_bytes()
    for taken in (place.key, place.public.with_suffix("")):
        with pytest.raises(ConfigError, match="never overwritten"):
            new_key_pair(taken)
    (place.folder / "b.pub").touch()
    with pytest.raises(ConfigError, match=r"b\.pub: is there already"):
        new_key_pair(place.folder / "b")
    assert not (place.folder / "b").exists()
    assert place.key.read_bytes() == before


@pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command")
def test_openssl_makes_our_keys_and_verifies_our_signatures(place: Place) -> None:
    def openssl(*arguments: str) -> int:
        return subprocess.run([str(OPENSSL), *arguments], cwd=place.folder, capture_output=True).returncode

    assert openssl("genpkey", "-algorithm", "ed25519", "-out", "made") == 0
    assert openssl("pkey", "-in", "made", "-pubout", "-out", "made.pub") == 0
    data = put(place.folder / "train.jsonl")
    written = attest(data, place.scan(data), place.folder / "made")
    assert verify(data, written, place.folder / "made.pub")
    envelope = json.loads(written.read_text())
    (place.folder / "signed").write_bytes(pae(PAYLOAD_TYPE, base64.b64decode(envelope["payload"])))
    (place.folder / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    check = ["pkeyutl", "-verify", "-pubin", "-inkey", "made.pub", "-rawin", "-in", "signed", "-sigfile", "sig"]
    assert openssl(*check) == 0
    (place.folder / "signed").write_bytes(b"other")
    assert openssl(*check) != 0

    assert openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", "locked") == 0
    assert openssl("genpkey", "-algorithm", "x25519", "-out", "wrong") == 0
    for name, reason in (("locked", "encrypted"), ("wrong", "not an ed25519 key"), ("made.pub", "not a private key")):
        with pytest.raises(ConfigError, match=reason):
            attest(data, place.folder / "report", place.folder / name)
