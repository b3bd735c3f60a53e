"""Recorded conversations judged step by step, as they would have arrived."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from cryptosentinel.agentspec import Engine, Firing, RuleBook, Signals, judge
from cryptosentinel.datasets.rows import Reject, as_line, no_readable_row, write_jsonl
from cryptosentinel.files import atomic_open, require_file
from cryptosentinel.guard.guard import Assessment
from cryptosentinel.guard.scorer import SCORES
from cryptosentinel.guard.traces import steps
from cryptosentinel.policy import SEVERITY
from cryptosentinel.services.guard_files import load_rules, local_guard, read_traces, tools_of
from cryptosentinel.types import Action, Event, Finding, Progress

SHOWN = 20
KEPT_REJECTS = 100_000
MOST_FINDINGS = 200  # of one trace in the output; the count says how many there were
PROGRESS_EVERY = 50


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
    baseline: Path | None = None,
    guard: Judging | None = None,
    out: Path | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Which of these conversations would have been held or blocked, at which message and why?

    Args:
        traces: JSONL or JSON of {"id", "messages", "tools"?}, also compressed.
        rules: the operator's rules; none: no rules apply.
        hypotheses: hypotheses.json of a scan, whose triggers are looked for.
        baseline: honest conversations of the same agents, as `traces`: a tool that they never call is held.
        guard: what judges; none: the local guard, with the hypotheses and the baseline.
        out: file for one line a trace; `rejects.jsonl` is written beside it, both also where no trace can be read.
            None: the lines are in the document.
        on_progress: receives ("guard", traces, 0).

    Returns:
        A document: counts, what could not be read and why, and without `out` the lines as "traces".

    Raises:
        DataError: no readable trace.
        ConfigError: `out` is a folder.
        UnableError: a named rule file, hypotheses file or baseline is missing or broken.
        OSError: `out` cannot be written.
    """
    started = time.monotonic()
    if out is not None:
        require_file(out)
    book = load_rules(rules)
    judging = guard if guard is not None else local_guard(hypotheses, baseline)
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
    if out is not None:
        write_jsonl(out.with_name("rejects.jsonl"), map(asdict, rejects))
    if not counts["traces"]:
        raise no_readable_row(traces, rejects)
    actions = {action: counts[action] for action in SEVERITY}
    document: dict[str, Any] = {
        "kind": "guard",
        "traces": counts["traces"] if out is not None else lines,
        "judged": counts["traces"],
        "actions": actions,
        "stopped": actions["hold"] + actions["block"],
        "rules": str(rules) if rules else None,
        "hypotheses": str(hypotheses) if hypotheses else None,
        "baseline": str(baseline) if baseline else None,
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
    guard.open(run, tools=tools_of(trace))
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
