"""The laws of an attestation: what a key signed about some bytes holds for those bytes and that key alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.errors import AttestationError
from cryptosentinel.sanitize import attest
from cryptosentinel.sanitize.attest import NamedDigest, build_statement, key_id, open_signed, pae, sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


CLEAN = NamedDigest(name="clean.jsonl", sha256=sha("clean"))


def predicate(**changed: Any) -> dict[str, Any]:
    return {
        "tool": {"name": "cryptosentinel", "version": "0.1.0"},
        "time": "2026-01-02T03:04:05Z",
        "verdict": "passed",
        "rows": 90,
        "flagged": 0,
        "rejected": 0,
        "undecided": 0,
        "fpr": 0.01,
        "reference_model": "none",
        "reference_model_asked": False,
        "judge": "none",
        "trusted": [{"name": "last.jsonl", "sha256": sha("last")}],
        "hypotheses": [{"trigger": "zq", "behaviour": "refuses", "verdict": "planted"}],
        "inputs": [{"name": "a.jsonl", "sha256": sha("a")}, {"name": "b/c.csv.gz", "sha256": sha("c")}],
        "companions": [{"name": "state.json", "sha256": sha("state")}],
        "results": {"scores.parquet": sha("scores"), "clean.jsonl": sha("clean")},
    } | changed


PASSED = build_statement(predicate(), CLEAN)
QUARANTINED = build_statement(predicate(verdict="quarantined", flagged=3), CLEAN)
ENVELOPE = sign(PASSED, KEY)


def refused(content: bytes) -> str:
    with pytest.raises(AttestationError) as caught:
        open_signed(content, PUBLIC)
    return str(caught.value)


def test_what_was_signed_is_what_is_read() -> None:
    statement = open_signed(ENVELOPE, PUBLIC)
    assert statement.model_dump(mode="json", by_alias=True) == PASSED
    assert sign(PASSED, KEY) == ENVELOPE


def test_a_statement_from_before_these_were_noted_is_still_read() -> None:
    older = {k: v for k, v in PASSED["predicate"].items() if k not in ("undecided", "reference_model_asked")}
    said = open_signed(sign(PASSED | {"predicate": older}, KEY), PUBLIC).predicate
    assert (said.undecided, said.reference_model_asked) == (0, None)
    envelope = json.loads(ENVELOPE)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(base64.b64decode(envelope["payload"])) == PASSED
    assert PASSED["_type"] == "https://in-toto.io/Statement/v1"
    assert PASSED["subject"][0] == {"name": "a.jsonl", "digest": {"sha256": sha("a")}}


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_any_flipped_byte_of_the_envelope_is_refused(at: int, mask: int) -> None:
    changed = bytearray(ENVELOPE)
    changed[at] ^= mask
    assert refused(bytes(changed))


@given(st.integers(0, len(ENVELOPE)), st.binary(min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_nothing_can_be_cut_off_or_put_in(at: int, more: bytes) -> None:
    if at < len(ENVELOPE):
        assert refused(ENVELOPE[:at])
    assert refused(ENVELOPE[:at] + more + ENVELOPE[at:])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_no_envelope_is_refused_in_one_line(content: bytes) -> None:
    assert "\n" not in refused(content)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("path", list(leaves(PASSED)), ids=lambda path: ".".join(map(str, path)))
def test_the_signature_covers_every_part_of_the_statement(path: tuple[Any, ...]) -> None:
    statement = json.loads(json.dumps(PASSED))
    place = statement
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = place[path[-1]] + 1 if isinstance(place[path[-1]], int | float) else f"{place[path[-1]]}x"
    forged = json.loads(ENVELOPE) | {"payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    assert "not signed by this key" in refused(json.dumps(forged, indent=1).encode() + b"\n")


def envelope(said: bytes, kind: str = attest.PAYLOAD_TYPE, **changed: Any) -> bytes:
    """Signed by the right key, whatever it is."""
    signature = base64.b64encode(KEY.sign(pae(kind, said))).decode()
    whole = {
        "payload": base64.b64encode(said).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": key_id(PUBLIC), "sig": signature}],
    }
    return json.dumps(whole | changed, indent=1).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON, or cut short"),
        (b"[]", "no DSSE envelope"),
        (b"[" * 100_000, "not JSON"),
        (b'{"payloadType": 7}', "not an in-toto statement"),
        (sign(PASSED, OTHER), "not signed by this key"),
        (envelope(b"{}", signatures=[]), "not signed"),
        (envelope(b"{}", signatures=[{"sig": "AAAA"}]), "not signed by this key"),
        (envelope(b"{}", signatures="none"), "no DSSE envelope"),
        (envelope(b"{}", payload="%%"), "no DSSE envelope"),
        (envelope(b"{}", "application/json"), "not an in-toto statement: payloadType 'application/json'"),
        (envelope(b"not JSON"), "signed, but no statement"),
        (envelope(b"[" * 100_000), "signed, but no statement"),
        (envelope(b"[]"), "no statement about a scanned dataset"),
        (envelope(json.dumps(PASSED | {"_type": "https://in-toto.io/Statement/v0.1"}).encode()), "_type"),
        (envelope(json.dumps(PASSED | {"predicateType": "https://slsa.dev/provenance/v1"}).encode()), "predicateType"),
        (envelope(json.dumps(PASSED | {"subject": []}).encode()), "subject"),
        (envelope(json.dumps(PASSED | {"predicate": predicate(verdict="fine")}).encode()), "verdict"),
        (envelope(json.dumps(PASSED | {"predicate": predicate(flagged="0")}).encode()), "flagged"),
        (envelope(json.dumps(PASSED | {"predicate": predicate(inputs=[])}).encode()), "inputs"),
    ],
)
def test_each_refusal_says_why(content: bytes, reason: str) -> None:
    said = refused(content)
    assert reason in said
    assert "\n" not in said


def test_a_second_signature_or_another_writer_is_not_what_we_wrote() -> None:
    whole = json.loads(ENVELOPE)
    assert "changed after" in refused(json.dumps(whole).encode())
    whole["signatures"].append(whole["signatures"][0])
    assert "changed after" in refused(json.dumps(whole, indent=1).encode() + b"\n")


def test_what_passed_is_attested_with_what_is_left_of_it() -> None:
    statement = open_signed(ENVELOPE, PUBLIC)
    assert statement.check_file("elsewhere/renamed.jsonl", sha("a")) == "a.jsonl"
    assert statement.check_file("clean.jsonl", sha("clean")) == "clean.jsonl"
    assert statement.check_file("c.CSV.gz", sha("c")) == "b/c.csv.gz"
    statement.check_folder("data", FOLDER, FOLDER.__getitem__)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", "b", "not the data that was attested"),
        ("a.csv", "a", "another extension"),
        ("a.jsonl.gz", "a", "another extension"),
        ("a", "a", "another extension"),
        ("c.jsonl.gz", "c", "another extension"),
        ("state.json", "state", "not the data"),  # held to its content, but never scanned
        ("last.jsonl", "last", "not the data"),  # trusted by the scan, attested by nobody
        ("scores.parquet", "scores", "not the data"),
    ],
)
def test_other_files_are_not_attested(name: str, content: str, reason: str) -> None:
    with pytest.raises(AttestationError, match=reason):
        open_signed(ENVELOPE, PUBLIC).check_file(name, sha(content))


FOLDER = {"a.jsonl": sha("a"), "b/c.csv.gz": sha("c"), "state.json": sha("state")}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({k: v for k, v in FOLDER.items() if k != "a.jsonl"}, "a.jsonl was attested and is missing"),
        (FOLDER | {"extra.jsonl": sha("a")}, "extra.jsonl was not attested"),
        (FOLDER | {"state.json": sha("other")}, "state.json is not as it was attested"),
        (FOLDER | {"a.jsonl": sha("c"), "b/c.csv.gz": sha("a")}, "a.jsonl is not as it was attested"),
        ({}, "is missing"),
    ],
)
def test_a_folder_is_attested_as_a_whole(files: dict[str, str], reason: str) -> None:
    with pytest.raises(AttestationError, match=reason):
        open_signed(ENVELOPE, PUBLIC).check_folder("data", files, files.__getitem__)


def test_what_was_quarantined_from_is_not_attested_and_what_is_left_is() -> None:
    statement = open_signed(sign(QUARANTINED, KEY), PUBLIC)
    assert [s.name for s in statement.subject] == ["clean.jsonl"]
    assert statement.check_file("new-name.jsonl", sha("clean")) == "clean.jsonl"
    for name in ("a.jsonl", "clean.jsonl"):
        with pytest.raises(AttestationError, match=r"the scan set rows aside \(3 flagged, 0 unreadable\)"):
            statement.check_file(name, sha("a"))
    with pytest.raises(AttestationError, match="the scan set rows aside"):
        statement.check_folder("data", FOLDER, FOLDER.__getitem__)


def test_a_statement_that_contradicts_itself_passes_nothing() -> None:
    forged = build_statement(predicate(), CLEAN) | {"subject": [{"name": "z", "digest": {"sha256": sha("z")}}]}
    statement = open_signed(sign(forged, KEY), PUBLIC)
    with pytest.raises(AttestationError, match="not its subject"):
        statement.check_folder("data", FOLDER, FOLDER.__getitem__)
    with pytest.raises(AttestationError, match="cannot attest: rows"):
        build_statement(predicate(rows=-1), CLEAN)
