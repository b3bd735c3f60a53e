"""One recorded conversation as a timeline that a person can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.datasets.rows import Reject
from cryptosentinel.errors import DataError
from cryptosentinel.guard.events import text_of, tool_of
from cryptosentinel.guard.traces import steps
from cryptosentinel.policy import SEVERITY
from cryptosentinel.services.guard import judge_trace
from cryptosentinel.services.guard_files import load_rules, local_guard, read_traces
from cryptosentinel.types import Event

WIDTH = 160


def explain_trace(
    traces: Sequence[Path],
    trace_id: str,
    *,
    rules: Path | None = None,
    hypotheses: Path | None = None,
    baseline: Path | None = None,
) -> dict[str, Any]:
    """What would have been done with one conversation, and what was seen at each message?

    Raises:
        DataError: no such conversation among the readable ones.
        UnableError: as `check_traces`.
    """
    book = load_rules(rules)
    guard = local_guard(hypotheses, baseline)
    seen = 0
    for read in read_traces(traces):
        if isinstance(read, Reject):
            continue
        name, trace = read
        seen += 1
        if trace_id in (str(trace.get("id", name)), name):
            line = judge_trace(trace, name, guard, book)
            told = [(i, [_said(e) for e in events]) for i, events in steps({**trace, "id": name})]
            found = [[f for f in line["findings"] if f["message"] == i] for i, _ in told]
            messages = [
                {"message": i, "said": said, "findings": f} for (i, said), f in zip(told, found, strict=True)
            ]  # fmt: skip
            return {"kind": "guard-explanation", **line, "messages": messages}
    raise DataError(f"no conversation {trace_id!r} among the {seen} readable ones")


def timeline(document: Mapping[str, Any]) -> list[str]:
    """The explanation as lines of text."""
    scores = ", ".join(f"{name} {value:.2f}" for name, value in document["scores"].items())
    step = document["step"]
    where = f" at message {step}" if step is not None else ""
    lines = [f"{document['id']}: {document['action']}{where} ({scores})"]
    for message in document["messages"]:
        stop = message["message"] == step and SEVERITY[document["action"]] >= SEVERITY["hold"]
        for said in message["said"] or ["(empty)"]:
            lines.append(f"[{message['message']}]{' STOP' if stop else ''} {said}")
        for f in message["findings"]:
            score = "could not run" if f["score"] is None else f"{f['score']:.2f}"
            lines.append(f"      {f['source']} {score}: {' '.join(str(f['reason']).split())}")
    return lines


def _said(event: Event) -> str:
    text = " ".join(text_of(event).split())
    shown = text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
    if event.kind == "tool_call":
        return f"{event.sender} calls {shown}"
    return f"{tool_of(event) or event.sender}: {shown}"
