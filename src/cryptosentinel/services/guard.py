"""Recorded conversations judged step by step, as they would have arrived."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from cryptosentinel.agentspec import Engine, Firing, RuleBook, Signals, judge
from cryptosentinel.datasets.rows import TEXT_KEPT, Reject, as_line, no_readable_row, write_jsonl
from cryptosentinel.datasets.streams import format_of, locate
from cryptosentinel.datasets.text import Broken, read_json, read_jsonl
from cryptosentinel.errors import DataError, SentinelError
from cryptosentinel.files import atomic_open
from cryptosentinel.guard.guard import Assessment, Guard
from cryptosentinel.guard.scorer import SCORES
from cryptosentinel.guard.traces import steps
from cryptosentinel.policy import SEVERITY
from cryptosentinel.types import Action, Event, Finding, Progress

FORMATS = (".jsonl", ".ndjson", ".json")
SHOWN = 20
KEPT_REJECTS = 100_000
MOST_FINDINGS = 200  # of one trace in the output; the count says how many there were
PROGRESS_EVERY = 50


class UnableError(SentinelError):
    """A defence that was asked for by name cannot run."""


class Judging(Protocol):
    """What a trace is judged by: a `Guard`, or a `SemanticGuard`."""

    def open(self, run_id: str, tools: Sequence[Any] | None = None, task: str | None = None) -> Any:
        """Begin a run."""

    def assess(self, events: Sequence[Event]) -> Assessment:
        """Judge one step."""

    def forget(self, run_id: str) -> None:
        """Drop a run."""


def check_traces(
    traces: Sequence[Path],
    *,
    rules: Path | None = None,
    hypotheses: Path | None = None,
    guard: Judging | None = None,
    out: Path | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Which of these conversations would have been held or blocked, at which message and why?

    Args:
        traces: JSONL or JSON of {"id", "messages", "tools"?}, also compressed.
        rules: the operator's rules; none: no rules apply.
        hypotheses: hypotheses.json of a scan, whose triggers are looked for.
        guard: what judges; none: the local guard.
        out: file for one line a trace; `rejects.jsonl` is written beside it. None: the lines are in the document.
        on_progress: receives ("guard", traces, 0).

    Returns:
        A document: counts, what could not be read and why, and without `out` the lines as "traces".

    Raises:
        DataError: no readable trace.
        UnableError: a named rule file or hypotheses file is missing or broken.
        OSError: `out` cannot be written.
    """
    started = time.monotonic()
    book = load_rules(rules)
    judging = guard if guard is not None else Guard(read_hypotheses(hypotheses))
    counts: Counter[str] = Counter()
    rejects: list[Reject] = []
    lines: list[dict[str, Any]] = []
    with ExitStack() as stack:
        writer = stack.enter_context(atomic_open(out)) if out is not None else None
        for read in read_traces(traces):
            if isinstance(read, Reject):
                counts["rejected"] += 1
                if len(rejects) < KEPT_REJECTS:
                    rejects.append(read)
                continue
            line = judge_trace(read[1], read[0], judging, book)
            counts["traces"] += 1
            counts[line["action"]] += 1
            if writer is not None:
                writer.write(as_line(line))
            else:
                lines.append(line)
            if on_progress is not None and counts["traces"] % PROGRESS_EVERY == 0:
                on_progress("guard", counts["traces"], 0)
        if not counts["traces"]:
            raise no_readable_row(traces, rejects)
    if out is not None:
        write_jsonl(out.with_name("rejects.jsonl"), map(asdict, rejects))
    actions = {action: counts[action] for action in SEVERITY}
    document: dict[str, Any] = {
        "kind": "guard",
        "traces": counts["traces"] if out is not None else lines,
        "judged": counts["traces"],
        "actions": actions,
        "stopped": actions["hold"] + actions["block"],
        "rules": str(rules) if rules else None,
        "hypotheses": str(hypotheses) if hypotheses else None,
        "rejected": counts["rejected"],
        "rejects": [asdict(r) for r in rejects[:SHOWN]],
        "out": str(out) if out is not None else None,
        "seconds": round(time.monotonic() - started, 3),
    }
    return document


def judge_trace(trace: Mapping[str, Any], run: str, guard: Judging, book: RuleBook | None = None) -> dict[str, Any]:
    """One line of the output: what would have been done with this conversation, at which message, and why.

    The messages are judged one after the other, and what comes later is not known.

    Raises:
        DataError: no conversation.
    """
    checked = [(index, events) for index, events in steps({**trace, "id": run}) if events]
    engine = Engine(book) if book is not None else None
    worst: Action = "allow"
    step: int | None = None
    scores = dict.fromkeys(SCORES, 0.0)
    found: list[dict[str, Any]] = []
    guard.open(run, tools=_tools(trace))
    try:
        for index, events in checked:
            action, seen, now = _judged(events, guard, engine)
            scores = {name: max(scores[name], now[name]) for name in SCORES}
            found += [{"message": index, **shown(f)} for f in seen]
            if SEVERITY[action] > SEVERITY[worst]:
                worst = action
            if step is None and SEVERITY[action] >= SEVERITY["hold"]:
                step = index
    finally:
        guard.forget(run)
    line = {
        "id": trace.get("id", run),
        "action": worst,
        "scores": scores,
        "step": step,
        "findings": found[:MOST_FINDINGS],
    }
    if len(found) > MOST_FINDINGS:
        line["findings_left_out"] = len(found) - MOST_FINDINGS
    return line


def _judged(
    events: Sequence[Event], guard: Judging, engine: Engine | None
) -> tuple[Action, list[Finding], Mapping[str, float]]:
    """What is to be done with one step, by the guard and by the rules."""
    assessment = guard.assess(events)
    action: Action = assessment.verdict.action
    found = list(assessment.findings)
    now = assessment.scores.as_dict()
    if engine is not None:
        firings: list[Firing] = [f for event in events for f in engine.check(event, Signals(scores=now))]
        found += [f.finding for f in firings]
        action = max(action, judge(firings).action, key=SEVERITY.__getitem__)
    return action, found, now


def shown(finding: Finding) -> dict[str, Any]:
    """A finding, for JSON."""
    return {
        "source": finding.source,
        "version": finding.version,
        "subject": {k: v for k, v in asdict(finding.subject).items() if v not in ("", None)},
        "score": finding.score,
        "status": finding.status,
        "reason": finding.reason,
        "evidence": dict(finding.evidence),
    }


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
    _tools(value)
    try:
        json.dumps(value.get("id"), allow_nan=False)
    except ValueError:
        raise ValueError(f"the id must be text or a finite number, got {value['id']!r}"[:200]) from None
    return value


def _tools(trace: Mapping[str, Any]) -> list[Any]:
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
