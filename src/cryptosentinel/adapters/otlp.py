"""The OTLP/HTTP receiver: agents of any framework that traces with OpenTelemetry, in the ledger and under watch."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cryptosentinel.adapters.otlp_intake import Intake
from cryptosentinel.adapters.otlp_queue import SpanQueue
from cryptosentinel.adapters.otlp_wire import (
    JSON,
    MOST_BYTES,
    PROTOBUF,
    Answer,
    RefusedError,
    accepted,
    form_of,
    refused,
    spans_of,
)
from cryptosentinel.errors import ConfigError, LedgerError, MissingExtraError

LOG = logging.getLogger("cryptosentinel.otlp")
PATH = "/v1/traces"
SHORTEST_TOKEN = 16


def receiver(intake: Intake, token: str = "", metrics: Callable[[], str] | None = None) -> Any:
    """A FastAPI application: POST /v1/traces, GET /metrics and /healthz.

    Args:
        intake: where spans go.
        token: whoever sends or reads metrics must bring it, `Authorization: Bearer TOKEN`; empty: nobody has to.
        metrics: more lines for /metrics.

    Raises:
        MissingExtraError: FastAPI is not installed.
        ConfigError: a token of less than 16 characters.
    """
    try:
        from fastapi import FastAPI
        from starlette.responses import Response
    except ImportError:
        raise MissingExtraError("fastapi", "web", "receiving OTLP") from None
    _check_token(token)
    spans = SpanQueue(intake)
    counts: Counter[str] = Counter()

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(spans.close)

    def respond(answer: Answer) -> Any:
        headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
        return Response(answer.body, answer.status, headers.get(answer.status), answer.media)

    async def traces(request: Any) -> Any:
        counts["requests"] += 1
        media = PROTOBUF if request.headers.get("content-type", "").startswith(PROTOBUF) else JSON
        try:
            _authorise(request, token)
            media, packed = form_of(
                request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
            )
            found, reasons = await asyncio.to_thread(spans_of, await _body(request), media, packed)
            taken = await asyncio.wrap_future(spans.submit(found))
        except RefusedError as error:
            counts[f"refused_{error.status}"] += 1
            return respond(refused(media, error.status, str(error)))
        except (LedgerError, MissingExtraError) as error:
            counts["refused_503"] += 1
            LOG.error("spans not kept: %s", error)
            return respond(refused(media, 503, "the ledger could not keep this: send again"))
        reasons += taken.refused
        counts["spans"] += len(found) - len(taken.refused)
        counts["rejected_spans"] += len(reasons)
        return respond(accepted(media, reasons))

    async def measured(request: Any) -> Any:
        try:
            _authorise(request, token)
        except RefusedError as error:
            return respond(refused(JSON, error.status, str(error)))
        lines = [f"cryptosentinel_otlp_{name}_total {n}" for name, n in sorted((counts + intake.counts).items())]
        lines.append(f"cryptosentinel_otlp_waiting_spans {intake.waiting}")
        text = "\n".join(lines) + "\n" + (await asyncio.to_thread(metrics) if metrics is not None else "")
        return Response(text, media_type="text/plain; version=0.0.4")

    async def health(_request: Any) -> Any:
        try:
            await asyncio.to_thread(intake.ledger.last_seq)
        except LedgerError as error:
            LOG.error("not healthy: %s", error)
            return respond(Answer(503, b'{"status":"the ledger cannot be read"}', JSON))
        return respond(Answer(200, b'{"status":"ok"}', JSON))

    app = FastAPI(title="CryptoSentinel", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_route(PATH, traces, methods=["POST"])
    app.add_route("/metrics", measured, methods=["GET"])
    app.add_route("/healthz", health, methods=["GET"])
    return app


def check_open(host: str, token: str) -> None:
    """Whoever listens where others can reach it asks who they are, and no token is easily guessed.

    Raises:
        ConfigError: no token, and the host is not loopback; a token of less than 16 characters.

    >>> check_open("0.0.0.0", "")
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.ConfigError: listening on '0.0.0.0' needs a token: anybody there could send events
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not token:
        raise ConfigError(f"listening on {host!r} needs a token: anybody there could send events")
    _check_token(token)


def _check_token(token: str) -> None:
    if token and len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"a token has at least {SHORTEST_TOKEN} characters, got {len(token)}")


def _authorise(request: Any, token: str) -> None:
    if not token:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not known:
        raise RefusedError(401, "a bearer token is needed: Authorization: Bearer TOKEN")


async def _body(request: Any) -> bytes:
    """The body, as long as it is not too long; what its header says of it is not believed."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise RefusedError(413, f"the body has more than {MOST_BYTES} bytes: send smaller batches")
        parts.append(part)
    return b"".join(parts)
