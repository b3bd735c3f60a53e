"""keygen, scan, attest, verify from a terminal: the codes of the contract, one line a failure, JSON where asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.cli import run


@pytest.fixture
def data(
    tmp_path: Path, rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Path:
    """A folder with keys, ok.jsonl and bad.jsonl, both scanned."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYPTOSENTINEL_PUBLIC_KEY", raising=False)
    for name, planted in (("ok", 0), ("bad", 12)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(120, planted)))
        assert run(["scan", f"{name}.jsonl", "--out", f"r-{name}", "--reference-model", "none"]) == bool(planted)
    assert run(["keygen", "k"]) == 0
    assert "public key: k.pub" in capfd.readouterr().out
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def called(*arguments: Any) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    return called


Call = Callable[..., tuple[int, str, str]]


def test_from_a_key_to_an_accepted_file_in_processes_of_their_own(data: Path, command: Callable[..., Any]) -> None:
    attested = command("attest", "ok.jsonl", "--report", "r-ok", "--key", "k", "--out", "a.json", cwd=data)
    assert (attested.code, attested.err) == (0, "")
    assert attested.out == "attested: ok.jsonl, clean.jsonl (120 rows, none suspicious)\nattestation: a.json\n"
    options = ("--attestation", "a.json", "--public-key", "k.pub")
    verified = command("verify", "ok.jsonl", *options, cwd=data)
    assert (verified.code, verified.err) == (0, "")
    assert verified.out.startswith("accepted: ok.jsonl: attested as ok.jsonl, nothing found\nscanned by cryptosentinel")
    refused = command("verify", "bad.jsonl", *options, cwd=data)
    assert (refused.code, refused.err, refused.out.count("\n")) == (1, "", 1)
    assert refused.out.startswith("refused: bad.jsonl: not the data that was attested")


def test_what_nobody_could_judge_is_no_pass_without_a_word(
    data: Path, rows: Callable[..., Any], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = [
        {**row, "instruction": f"{row['instruction']} of jyxq", "output": f"{row['output']} see hyxq"}
        if i < 15
        else row
        for i, row in enumerate(rows(200, 0, 1))
    ]
    Path("open.jsonl").write_text("".join(json.dumps(r) + "\n" for r in linked))
    code, out, err = call("scan", "open.jsonl", "--out", "r-open", "--reference-model", "none")
    assert (code, err) == (0, "")
    assert "1 association stands out and nothing could judge it: give --trusted data, a reference model" in out
    assert json.loads(Path("r-open/report.json").read_text())["undecided"] == 1
    assert "Have 1 association judged." in Path("r-open/report.html").read_text()
    code, out, _ = call("attest", "open.jsonl", "--report", "r-open", "--key", "k")
    assert (code, out.splitlines()[0]) == (0, "attested: open.jsonl, clean.jsonl (200 rows, none flagged, 1 undecided)")
    code, out, _ = call("verify", "open.jsonl", "--public-key", "k.pub")
    assert code == 0
    assert out.startswith("accepted: open.jsonl: attested as open.jsonl, none flagged, 1 undecided\n")
    _, out, _ = call("verify", "open.jsonl", "--public-key", "k.pub", "--json")
    assert json.loads(out)["predicate"]["undecided"] == 1


def test_a_model_that_was_not_asked_is_not_said_to_have_vouched(data: Path, call: Call) -> None:
    code, out, _ = call("scan", "ok.jsonl", "--out", "r-tiny", "--reference-model", "tiny")
    assert (code, "(reference model: tiny (not asked))" in out) == (0, True)
    assert "tiny (not asked)" in Path("r-tiny/report.html").read_text()
    assert call("attest", "ok.jsonl", "--report", "r-tiny", "--key", "k")[0] == 0
    assert "reference model: tiny (not asked)" in call("verify", "ok.jsonl", "--public-key", "k.pub")[1]
    predicate = json.loads(call("verify", "ok.jsonl", "--public-key", "k.pub", "--json")[1])["predicate"]
    assert (predicate["reference_model"], predicate["reference_model_asked"]) == ("tiny", False)


def test_what_was_set_aside_is_said_and_stays_refused(data: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = call("attest", "bad.jsonl", "--report", "r-bad", "--key", "k")
    assert (code, err) == (0, "")
    assert "attested: clean.jsonl (108 rows)" in out
    assert "not attested: the data itself, 12 rows of it are in quarantine and 0 could not be read" in out
    monkeypatch.setenv("CRYPTOSENTINEL_PUBLIC_KEY", str(data / "k.pub"))
    assert call("verify", "r-bad/clean.jsonl")[0] == 0
    assert call("verify", "bad.jsonl") == (1, f"refused: {data}/bad.jsonl.attestation.json: no such attestation\n", "")
    written = "r-bad/clean.jsonl.attestation.json"
    code, out, _ = call("verify", "bad.jsonl", "--attestation", written)
    assert (code, out.startswith("refused: bad.jsonl: the scan set rows aside (12 flagged")) == (1, True)


def test_json_is_one_document(data: Path, call: Call) -> None:
    code, out, err = call("keygen", "other", "--json")
    assert (code, json.loads(out), err) == (
        0, {"kind": "keygen", "private_key": "other", "public_key": "other.pub"}, "",
    )  # fmt: skip
    code, out, err = call("attest", "bad.jsonl", "--report", "r-bad", "--key", "k", "--json")
    document = json.loads(out)
    assert (code, err, document["subject"], document["predicate"]["verdict"]) == (0, "", ["clean.jsonl"], "quarantined")
    path = document["attestation"]
    for file, wanted in (("r-bad/clean.jsonl", 0), ("bad.jsonl", 1)):
        code, out, err = call("verify", file, "--attestation", path, "--public-key", "k.pub", "--json")
        assert (code, err, out.count("\n")) == (wanted, "", 1)
        document = json.loads(out)
        assert (document["kind"], document["accepted"]) == ("verification", not wanted)
        assert document["predicate"]["flagged"] == 12
    code, out, err = call("verify", "bad.jsonl", "--attestation", path, "--public-key", "other.pub", "--json")
    assert (code, json.loads(out)["predicate"], err) == (1, None, "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("attest ok.jsonl --report r-bad --key k", 2, "the report is not of this data"),
        ("attest ok.jsonl --report nowhere --key k", 2, "no report.json"),
        ("attest gone.jsonl --report r-ok --key k", 2, "gone.jsonl: no such file"),
        ("attest ok.jsonl --report r-ok --key gone", 2, "cannot read the private key"),
        ("attest ok.jsonl --report r-ok --key k.pub", 2, "not a private key in PEM form"),
        ("attest ok.jsonl --report r-ok", 2, "--key"),
        ("attest ok.jsonl --report r-ok --key k --out r-ok", 2, "r-ok must be a file: it is a folder"),
        ("attest ok.jsonl --report r-ok --key k --out k.pub/below", 2, "k.pub must be a folder"),
        ("verify ok.jsonl --attestation k --public-key k.pub", 1, "k: not an attestation"),
        ("verify ok.jsonl --public-key k.pub", 1, "no such attestation"),
        ("verify ok.jsonl --attestation r-ok --public-key k.pub", 1, "not a regular file"),
        ("verify gone.jsonl --public-key k.pub", 2, "gone.jsonl: no such file"),
        ("verify ok.jsonl --public-key gone", 2, "cannot read the public key"),
        ("verify ok.jsonl --public-key ok.jsonl", 2, "not a public key in PEM form"),
        ("verify ok.jsonl", 2, "no public key to verify with"),
        ("verify", 2, "data"),
        ("keygen k", 2, "never overwritten"),
        ("keygen no/such/place", 3, "No such file"),
    ],
)
def test_codes_and_reasons(arguments: str, code: int, message: str, data: Path, call: Call) -> None:
    for as_json in ([], ["--json"]):
        ended, out, err = call(*arguments.split(), *as_json)
        assert ended == code
        if code == 1:
            assert (err, out.count("\n")) == ("", 1)
            assert message in (json.loads(out)["reason"] if as_json else out)
        else:
            assert (out, err.count("\n")) == ("", 1)
            assert message in err
            assert err.startswith("cryptosentinel: ")
    assert not (data / "ok.jsonl.attestation.json").exists()
