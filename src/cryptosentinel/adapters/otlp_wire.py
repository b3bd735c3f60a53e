"""OTLP over HTTP: what may be sent, how much of it, and what is answered."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptosentinel.adapters.otlp_spans import Span, spans_of_json, spans_of_protobuf
from cryptosentinel.errors import DataError

MOST_BYTES = 8 * 2**20  # of a body as it is sent
MOST_UNPACKED = 64 * 2**20  # of a body after gzip
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_READERS = {PROTOBUF: spans_of_protobuf, JSON: spans_of_json}
_GRPC_CODES = {400: 3, 401: 16, 413: 8, 415: 3, 429: 8, 503: 14}


class RefusedError(DataError):
    """A request that is not taken, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        """The message says what, with the value and the bound."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    media: str


def form_of(content_type: str, encoding: str) -> tuple[str, bool]:
    """In which form does a body come, and is it packed?

    Raises:
        RefusedError: 415, another form or packing.

    >>> form_of("application/json; charset=utf-8", "gzip")
    ('application/json', True)
    """
    media = content_type.partition(";")[0].strip().lower()
    if media not in _READERS:
        raise RefusedError(415, f"content-type must be {PROTOBUF} or {JSON}, got {content_type[:60]!r}")
    packing = encoding.strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise RefusedError(415, f"content-encoding must be gzip or none, got {encoding[:60]!r}")
    return media, packing == "gzip"


def spans_of(body: bytes, media: str, packed: bool, now: float | None = None) -> tuple[list[Span], list[str]]:
    """The spans of a body, and why others in it cannot be taken.

    Raises:
        RefusedError: 400 where nothing can be read, 413 where it is too large.
        MissingExtraError: protobuf without its package.
    """
    try:
        found = list(_READERS[media](_unpacked(body) if packed else body, time.time() if now is None else now))
    except RefusedError:
        raise
    except DataError as error:
        raise RefusedError(413 if "at most" in str(error) else 400, str(error)) from None
    return [s for s in found if isinstance(s, Span)], [s for s in found if isinstance(s, str)]


def accepted(media: str, reasons: Sequence[str]) -> Answer:
    """200: all is kept but the spans that these reasons are about.

    >>> accepted(JSON, ["no id"]).body
    b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no id"}}'
    """
    said = told(reasons)
    if media == JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(len(reasons)), "errorMessage": said}} if reasons else {}
        return Answer(200, json.dumps(partial, separators=(",", ":")).encode(), JSON)
    inner = (b"\x08" + _varint(len(reasons)) + _field(2, said)) if reasons else b""
    return Answer(200, b"\x0a" + _varint(len(inner)) + inner if inner else b"", PROTOBUF)


def refused(media: str, status: int, message: str) -> Answer:
    """An error, as google.rpc.Status in the form of the request."""
    code = _GRPC_CODES.get(status, 2)
    if media == PROTOBUF:
        return Answer(status, b"\x08" + _varint(code) + _field(2, message), PROTOBUF)
    return Answer(status, json.dumps({"code": code, "message": message}).encode(), JSON)


def told(reasons: Sequence[str]) -> str:
    """The first reasons, on one line."""
    shown = "; ".join(" ".join(r.split())[:200] for r in list(dict.fromkeys(reasons))[:3])
    return shown + ("; ..." if len(set(reasons)) > 3 else "")


def _unpacked(body: bytes) -> bytes:
    parts: list[bytes] = []
    room = MOST_UNPACKED
    while body:
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(body, room + 1))
        except zlib.error as error:
            raise RefusedError(400, f"the body is not gzip: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise RefusedError(413, f"the body unpacks to more than {MOST_UNPACKED} bytes")
        if not stream.eof:
            raise RefusedError(400, "the body is not gzip: it ends too early")
        body = stream.unused_data
    return b"".join(parts)


def _field(number: int, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
