"""What the guard is given as files: recorded conversations, rules, hypotheses, a baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.datasets.rows import TEXT_KEPT, Reject, no_readable_row
from cryptosentinel.datasets.streams import format_of, locate
from cryptosentinel.datasets.text import Broken, read_json, read_jsonl
from cryptosentinel.errors import DataError, SentinelError
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.profile import Profile
from cryptosentinel.guard.traces import steps
from cryptosentinel.types import Event

FORMATS = (".jsonl", ".ndjson", ".json")


class UnableError(SentinelError):
    """A defence that was asked for by name cannot run."""


def local_guard(hypotheses: Path | None = None, baseline: Path | None = None) -> Guard:
    """The guard with what it is to know beforehand.

    Raises:
        UnableError: a file that is named cannot be used.
    """
    return Guard(read_hypotheses(hypotheses), profile=read_baseline(baseline))


def read_baseline(path: Path | None) -> Profile | None:
    """What the agents of these conversations usually do.

    Raises:
        UnableError: the file is missing, or no conversation in it can be read.
    """
    if path is None:
        return None
    try:
        read = list(read_traces([path]))
        known = [r for r in read if not isinstance(r, Reject)]
        if not known:
            raise no_readable_row([path], [r for r in read if isinstance(r, Reject)])
    except DataError as error:
        raise UnableError(f"{path}: the baseline cannot be used: {error}") from None
    return Profile.learn(_events(*one) for one in known)


def _events(name: str, trace: dict[str, Any]) -> Iterator[Event]:
    return (event for _, events in steps({**trace, "id": name}) for event in events)


def read_traces(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]] | Reject]:
    """The conversations of these files in order, each with a name of its own; what is none, with the reason.

    Raises:
        DataError: a path that is missing, unreadable or of another format: before the first one.
    """
    files = locate(paths)
    for file in files:
        if format_of(file) not in FORMATS:
            raise DataError(f"{file}: traces are JSONL or JSON, not {format_of(file)}")
    return _all(files)


def _all(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]] | Reject]:
    index = 0
    for file in files:
        reader = read_json if format_of(file) == ".json" else read_jsonl
        try:
            for line, value, text in reader(file):
                try:
                    yield f"{file.name}:{line}", _trace(value)
                except ValueError as error:
                    kept = text[:TEXT_KEPT].encode("utf-8", "replace").decode("utf-8").rstrip("\r\n")
                    yield Reject(index, str(file), line, str(error).encode("utf-8", "replace").decode("utf-8"), kept)
                index += 1
        except OSError as error:
            raise DataError(f"{file}: {error.strerror or error}") from None


def _trace(value: Any) -> dict[str, Any]:
    if type(value) is Broken:
        raise ValueError(value.reason)
    if not isinstance(value, dict):
        raise ValueError(f"a trace is an object, got {type(value).__name__}")
    try:
        for _ in steps(value):
            pass
    except DataError as error:
        raise ValueError(str(error)) from None
    if not value["messages"]:
        raise ValueError("a trace needs at least one message")
    tools_of(value)
    try:
        json.dumps(value.get("id"), allow_nan=False)
    except ValueError:
        raise ValueError(f"the id must be text or a finite number, got {value['id']!r}"[:200]) from None
    return value


def tools_of(trace: Mapping[str, Any]) -> list[Any]:
    """Which tools does this conversation say that there are?

    Raises:
        ValueError: they are no list.
    """
    tools = trace.get("tools") or []
    if not isinstance(tools, list):
        raise ValueError(f"tools must be a list, got {type(tools).__name__}")
    return tools


def load_rules(path: Path | None) -> RuleBook | None:
    """The operator's rules, if a file is named.

    Raises:
        UnableError: it is missing or broken: a guard that was to have rules does not start without them.
    """
    if path is None:
        return None
    try:
        return RuleBook.load(path)
    except (SentinelError, OSError) as error:
        raise UnableError(f"{path}: the rules cannot be used: {error}") from None


def read_hypotheses(path: Path | None) -> list[dict[str, Any]] | None:
    """The hypotheses that a scan wrote.

    Raises:
        UnableError: the file is missing, or no such list.
    """
    if path is None:
        return None
    try:
        listed = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UnableError(f"{path}: the hypotheses cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UnableError(f"{path}: the hypotheses are no JSON: {' '.join(str(error).split())}") from None
    if not isinstance(listed, list) or not all(_is_hypothesis(h) for h in listed):
        raise UnableError(f"{path}: must be the list of hypotheses that a scan writes")
    return listed


def _is_hypothesis(value: Any) -> bool:
    """Has it what is looked for? One that could not be read would be one that is not looked for."""
    if not isinstance(value, dict) or not isinstance(value.get("trigger"), str):
        return False
    return value.get("verdict", "unsure") in ("planted", "natural", "unsure")
