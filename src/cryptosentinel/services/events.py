"""Events from files: read with distrust, what cannot be read with its reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from zlib import crc32

from cryptosentinel.datasets.rows import TEXT_KEPT, Reject
from cryptosentinel.datasets.streams import format_of, locate
from cryptosentinel.datasets.text import Broken, read_json, read_jsonl
from cryptosentinel.errors import DataError
from cryptosentinel.monitor.attributes import number_of
from cryptosentinel.types import Event, EventKind

KINDS: tuple[str, ...] = get_args(EventKind)
FIRST_TIME_S, LAST_TIME_S = -62_135_596_800.0, 253_402_300_799.0  # the years 1 to 9999
LONGEST_NAME = 200


def read_events(paths: Sequence[Path]) -> Iterator[tuple[Event, bool] | Reject]:
    """The events of JSONL or JSON files (also .gz, .zst), in order; with each whether it brought an id of its own.

    Raises:
        DataError: a path that is missing, unreadable or of another format: before the first event.
    """
    files = locate(paths)
    for file in files:
        if format_of(file) not in (".jsonl", ".ndjson", ".json"):
            raise DataError(f"{file}: events are JSONL or JSON, not {format_of(file)}")
    return _all(files)


def _all(files: Sequence[Path]) -> Iterator[tuple[Event, bool] | Reject]:
    index = 0
    for file in files:
        reader = read_json if format_of(file) == ".json" else read_jsonl
        try:
            for line, value, text in reader(file):
                try:
                    if type(value) is Broken:
                        raise ValueError(value.reason)
                    yield as_event(value, f"{file.name}:{line}:{crc32(text.encode('utf-8', 'replace')):08x}")
                except ValueError as error:
                    kept = text[:TEXT_KEPT].encode("utf-8", "replace").decode("utf-8").rstrip("\r\n")
                    yield Reject(index, str(file), line, str(error).encode("utf-8", "replace").decode("utf-8"), kept)
                index += 1
        except OSError as error:
            raise DataError(f"{file}: {error.strerror or error}") from None


def as_event(value: Any, place: str) -> tuple[Event, bool]:
    """The event that this JSON value is, and whether it brought an id of its own; without one it goes by its place.

    Raises:
        ValueError: it is none; the message says why.

    >>> given = {"time": "2026-11-23T04:00:00Z", "agent": "Trader", "kind": "decision", "attributes": {"asset": "ETH"}}
    >>> event, own = as_event(given, "events.jsonl:1")
    >>> event.time, event.id, own
    (1795406400.0, 'events.jsonl:1', False)
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"an event is a JSON object, got {type(value).__name__}")
    kind = value.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {_shown(kind)}")
    agent = value.get("agent")
    if not isinstance(agent, str) or not agent.strip() or len(agent) > LONGEST_NAME:
        raise ValueError(f"agent must be a name of at most {LONGEST_NAME} characters, got {_shown(agent)}")
    given = value.get("id")
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int) or len(str(given)) > 200):
        raise ValueError(f"id must be a text or an integer of at most 200 characters, got {_shown(given)}")
    if "time" not in value:
        raise ValueError("time is missing")
    attributes = value.get("attributes")
    if kind == "decision" and not isinstance(attributes, Mapping):
        raise ValueError(f"a decision's attributes must be an object, got {_shown(attributes)}")
    body = {k: v for k, v in value.items() if k not in ("id", "agent", "kind")}
    own = given not in (None, "")
    run = value.get("run_id")
    event = Event(
        str(given) if own else place, seconds_of(value["time"]), run if isinstance(run, str) else "", agent, kind,
        agent, "", body,
    )  # fmt: skip
    return event, own


def seconds_of(value: Any) -> float:
    """Seconds since 1970: a number of them, or a time in ISO form; without a zone it is UTC.

    Raises:
        ValueError: neither, or not between the years 1 and 9999.

    >>> seconds_of("1970-01-02 00:00:00"), seconds_of(5)
    (86400.0, 5.0)
    """
    if isinstance(value, str):
        try:
            parsed = dt.datetime.fromisoformat(value.strip())
            if parsed.tzinfo is None:
                parsed = parsed.replace(tzinfo=dt.UTC)
            return parsed.timestamp()
        except (ValueError, OverflowError):
            raise ValueError(f"time must be seconds since 1970 or in ISO form, got {_shown(value)}") from None
    number = number_of(value)
    if number is None or not FIRST_TIME_S <= number <= LAST_TIME_S:
        bounds = f"{FIRST_TIME_S:.0f} to {LAST_TIME_S:.0f}"
        raise ValueError(f"time must be seconds since 1970, {bounds}, or in ISO form, got {_shown(value)}")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
