"""What a scan said about exactly these bytes, signed: an in-toto statement in a DSSE envelope, ed25519.

Sources: in-toto attestation framework, Statement v1; DSSE 1.0, protocol and envelope; RFC 8032 (ed25519).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryptosentinel.errors import AttestationError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:cryptosentinel:dataset-scan:v1"
LARGEST_ENVELOPE = 64 << 20

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """A part of a statement: of exactly the written types, never changed; fields that are not known are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class NamedDigest(_Part):
    """A file by its name, relative to the dataset, and the SHA-256 of its content."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Sha256


class Predicate(_Part):
    """What the scan was, and what it said.

    `verdict` is "passed" where every row was read and none was suspicious: then `inputs` are attested. It is
    "quarantined" where rows were set aside: then what is left, clean.jsonl, is attested and the inputs are not.
    `undecided` counts the associations that stand out and that nobody could judge. A statement from before that was
    counted has 0, and None for `reference_model_asked`. `companions` are files of a dataset folder that hold no rows:
    not scanned, but held to their content.
    """

    tool: Mapping[str, str]
    time: str
    verdict: Literal["passed", "quarantined"]
    rows: Count
    flagged: Count
    rejected: Count
    undecided: Count = 0
    fpr: float
    reference_model: str
    reference_model_asked: bool | None = None
    judge: str
    trusted: tuple[NamedDigest, ...] = Field(strict=False)
    hypotheses: tuple[Mapping[str, str], ...] = Field(strict=False)
    inputs: tuple[NamedDigest, ...] = Field(strict=False, min_length=1)
    companions: tuple[NamedDigest, ...] = Field(strict=False)
    results: Mapping[str, Sha256]

    def found(self, nothing: str) -> str:
        """What is to be said where no row was flagged? `nothing` only if no association is left undecided."""
        return f"none flagged, {self.undecided} undecided" if self.undecided else nothing


class _Digests(_Part):
    sha256: Sha256


class _Subject(_Part):
    name: str
    digest: _Digests


class Statement(_Part):
    """An in-toto statement about the data that may be trained on."""

    kind: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[_Subject, ...] = Field(strict=False, min_length=1)
    predicate_type: Literal["urn:cryptosentinel:dataset-scan:v1"] = Field(alias="predicateType")
    predicate: Predicate

    def check_file(self, name: str, sha256: str) -> str:
        """Is a file with this content attested? Returns the name it was scanned under.

        A file may be moved and renamed; its extension may not change, which says how its bytes are read.

        Raises:
            AttestationError: no, and why.
        """
        same = [s.name for s in self.subject if s.digest.sha256 == sha256]
        if not same and sha256 in (i.sha256 for i in self.predicate.inputs):
            raise AttestationError(
                f"{name}: the scan set rows aside ({self.predicate.flagged} flagged, {self.predicate.rejected} "
                "unreadable); what it attests is clean.jsonl, not this file"
            )
        if not same:
            raise AttestationError(f"{name}: not the data that was attested (SHA-256 {sha256[:16]}…)")
        alike = [known for known in same if _extensions(known) == _extensions(name)]
        if alike:
            base = name.rpartition("/")[2]
            return base if base in alike else alike[0]
        raise AttestationError(f"{name}: attested as {same[0]}; another extension means another way to read it")

    def check_folder(self, name: str, files: Collection[str], sha256_of: Callable[[str], str]) -> None:
        """Is a folder with these files (relative names) and contents attested, no file more and none less?

        Raises:
            AttestationError: no, and why.
        """
        said = self.predicate
        if said.verdict != "passed":
            raise AttestationError(
                f"{name}: the scan set rows aside ({said.flagged} flagged, {said.rejected} unreadable); what it "
                "attests is clean.jsonl, not this folder"
            )
        attested = {s.digest.sha256 for s in self.subject}
        expected = {i.name: i.sha256 for i in (*said.inputs, *said.companions)}
        if missing := sorted(expected.keys() - set(files)):
            raise AttestationError(f"{name}: {missing[0]} was attested and is missing")
        if extra := sorted(set(files) - expected.keys()):
            raise AttestationError(f"{name}: {extra[0]} was not attested")
        for file in sorted(files):
            if (sha256 := sha256_of(file)) != expected[file]:
                raise AttestationError(f"{name}: {file} is not as it was attested (SHA-256 {sha256[:16]}…)")
        if not attested.issuperset(i.sha256 for i in said.inputs):
            raise AttestationError(f"{name}: the statement passes files that are not its subject")


def build_statement(predicate: Mapping[str, Any], clean: NamedDigest) -> dict[str, Any]:
    """The statement that a predicate makes: its subject is what may be trained on, and nothing else.

    Raises:
        AttestationError: the predicate is not complete.
    """
    try:
        said = Predicate.model_validate(predicate)
    except ValidationError as error:
        raise AttestationError(f"cannot attest: {_first(error)}") from None
    attested = [*said.inputs, clean] if said.verdict == "passed" else [clean]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f.name, "digest": {"sha256": f.sha256}} for f in attested],
        "predicateType": PREDICATE_TYPE,
        "predicate": said.model_dump(mode="json"),
    }


def pae(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is made over: the type and the payload, each with its length.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: Ed25519PublicKey) -> str:
    """A name for a key: the SHA-256 of its 32 bytes. A hint for people, never a reason to trust."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def sign(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The statement in its envelope, as a file holds it. Same statement, same key: same bytes."""
    payload = json.dumps(statement, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return _envelope(payload, key.sign(pae(PAYLOAD_TYPE, payload)), key.public_key())


def open_signed(content: bytes, key: Ed25519PublicKey) -> Statement:
    """The statement in this envelope, if this key signed it and not one byte was changed since.

    The envelope must be byte for byte what `sign` writes: what the signature does not cover (white space, the key's
    name, a second signature) is held to that instead.

    Raises:
        AttestationError: truncated, unsigned, signed by another key, changed, or a statement about something else.
    """
    if len(content) > LARGEST_ENVELOPE:
        raise AttestationError(f"over {LARGEST_ENVELOPE} bytes, which no attestation of ours has")
    payload, signature = _unpack(content)
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload))
    except InvalidSignature:
        raise AttestationError(f"not signed by this key ({key_id(key)[:16]}…), or changed since") from None
    if content != _envelope(payload, signature, key):
        raise AttestationError("the envelope was changed after it was written")
    try:
        return Statement.model_validate(json.loads(payload))
    except ValidationError as error:
        raise AttestationError(f"signed, but no statement about a scanned dataset: {_first(error)}") from None
    except (ValueError, RecursionError):
        raise AttestationError("signed, but no statement: not JSON") from None


def _envelope(payload: bytes, signature: bytes, key: Ed25519PublicKey) -> bytes:
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_id(key), "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, indent=1).encode() + b"\n"


def _unpack(content: bytes) -> tuple[bytes, bytes]:
    """Payload and signature, neither trusted yet."""
    try:
        envelope = json.loads(content)
    except (ValueError, RecursionError):
        raise AttestationError("not an attestation: not JSON, or cut short") from None
    try:
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise AttestationError(f"not an in-toto statement: payloadType {str(envelope['payloadType'])[:80]!r}")
        signatures: Sequence[Any] = envelope["signatures"]
        if not signatures:
            raise AttestationError("not signed")
        payload, signature = envelope["payload"], signatures[0]["sig"]
        return base64.b64decode(payload, validate=True), base64.b64decode(signature, validate=True)
    except (KeyError, TypeError, IndexError, ValueError, binascii.Error):
        raise AttestationError("not an attestation: no DSSE envelope with payload and signature") from None


def _extensions(name: str) -> tuple[str, ...]:
    """What says how a file is read: its last extension, or the last two of a compressed one."""
    parts = name.lower().rpartition("/")[2].split(".")[1:]
    return tuple(parts[-2:] if parts and parts[-1] in ("gz", "zst") else parts[-1:])


def _first(error: ValidationError) -> str:
    """The first fault on one line."""
    fault = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
