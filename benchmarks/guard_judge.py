"""What does a judge behind the guard cost, and what can it still add? Calls and tokens per 1,000 events, by trace set.

Every trace of the evaluation data is judged by the local guard; for each cut the cascade's questions are counted, and
of the hijacks that the local guard misses the share that the judge is asked about before the harm: what the best judge
could add. Then a sample is judged again with a judge over HTTP, a scripted server on the loopback, which counts calls
and tokens (four characters each); its answers are always "nothing odd", so that it can be seen to change no verdict.
Asking about every consequential step is the baseline. No language model takes part: this measures cost and reach, not
how good an answer is.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import runs, tables
from bench.judge_server import JudgeServer, opinion, step_of

from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.judge import Budget
from cryptosentinel.guard.scorer import Scores
from cryptosentinel.guard.semantic import Cascade, SemanticGuard, untraced
from cryptosentinel.guard.traces import steps
from cryptosentinel.llm import HTTPAsker
from cryptosentinel.metrics import wilson
from cryptosentinel.policy import SEVERITY

PARTS = ("agentdojo", "asb", "asb_planning_backdoor", "rjudge", "assebench", "taubench_airline", "tradetrap_steps")
CASCADES: dict[str, Cascade] = {
    "every call and decision": Cascade(low=0.0),
    "default: score >= 0.1, or a value without a source": Cascade(),
    "score >= 0.1": Cascade(untraced=False),
    "score >= 0.3": Cascade(low=0.3, untraced=False),
}
OVER_HTTP = tuple(CASCADES)[:3]
MISSABLE = ("attack_succeeded",)
Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the local guard saw it."""

    message: int
    events: int
    kinds: tuple[str, ...]
    tools: tuple[str, ...]
    scores: Scores
    is_untraced: bool
    is_held: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace: its steps, and where the harm is done."""

    label: str
    harmful_step: int | None
    steps: tuple[Step, ...]


def main() -> int:
    """Count, ask the sample, write the result."""
    parser = runs.parser(__doc__ or "", "guard_judge.json")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--sample", type=int, default=150, help="traces of each part that are judged over HTTP")
    parser.add_argument("--latency-s", type=float, default=0.0, help="what the scripted server takes for an answer")
    options = parser.parse_args()
    data = runs.data_folder(options.data)
    if data is None:
        return 0
    load = [round(x, 2) for x in os.getloadavg()]
    counted: list[Doc] = []
    asked: list[Doc] = []
    for part in options.parts:
        rows = list(_rows(data, part))
        traces = [_judged(row, place) for place, row in enumerate(rows)]
        counted += [_counted(part, traces, name) for name in CASCADES]
        for name in OVER_HTTP:
            asked.append(_asked(part, _spread(rows, options.sample), name, options.latency_s))
            runs.say(str(asked[-1]))
    made = runs.provenance("guard_judge.py", {"parts": options.parts, "sample": options.sample})
    result = {"benchmark": "guard_judge", "made": made, "load_before": load, "counted": counted, "asked": asked}
    runs.write_result(options.out, result)
    if options.out == runs.RESULTS / "guard_judge.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "guard-judge", page(result))
    return 0


def page(result: Mapping[str, Any]) -> str:
    """The tables of the page."""
    cost = [
        (a["part"], a["cascade"], a["events"],
         f"{a['calls_per_1000_events']:.1f}", f"{a['prompt_tokens_per_1000_events']:,.0f}",
         f"{a['completion_tokens_per_1000_events']:,.0f}", a["errors"], a["verdicts_changed"])
        for a in result["asked"]
    ]  # fmt: skip
    head = ("traces", "asked about", "events", "calls per 1,000 events", "prompt tokens", "completion tokens", "errors",
            "verdicts changed")  # fmt: skip
    reach = [
        (c["part"], c["cascade"], c["events"], f"{c['questions_per_1000_events']:.1f}", c.get("hijacks", "-"),
         c.get("missed", "-"), _share(c["reach"]))
        for c in result["counted"]
    ]  # fmt: skip
    heads = ("traces", "asked about", "events", "questions per 1,000 events", "hijacks", "missed locally",
             "of these asked about in time")  # fmt: skip
    return "\n\n".join(
        [
            tables.origin(result["made"]),
            "**Over HTTP, a sample of each set**",
            tables.table(head, cost),
            "**All traces: questions, and how many of the misses a judge would see**",
            tables.table(heads, reach),
        ]
    )


def _share(reach: Mapping[str, Any] | None) -> str:
    return f"{reach['value']:.2f} [{reach['low']:.2f}, {reach['high']:.2f}]" if reach else "-"


def _rows(data: Path, part: str) -> Iterator[Doc]:
    with gzip.open(data / "traces" / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _spread(rows: Sequence[Doc], n: int) -> list[Doc]:
    """So many rows, evenly over the file."""
    return list(rows) if len(rows) <= n else [rows[i * len(rows) // n] for i in range(n)]


def _judged(row: Mapping[str, Any], place: int) -> Trace:
    guard, run = Guard(), str(place)
    guard.open(run, tools=row.get("tools"))
    seen: list[Step] = []
    for message, events in steps({**row, "id": run}):
        if events:
            found = guard.assess(events)
            kinds, tools = tuple(e.kind for e in events), tuple(tool_of(e) for e in events)
            loose = untraced(events, guard.conversation(run))
            is_held = SEVERITY[found.verdict.action] >= SEVERITY["hold"]
            seen.append(Step(message, len(events), kinds, tools, found.scores, loose, is_held))
    return Trace(str(row.get("label", "")), row.get("harmful_step"), tuple(seen))


def _counted(part: str, traces: Sequence[Trace], name: str) -> Doc:
    """How many questions does this cascade ask, and how many of the misses would it see in time?"""
    cascade = CASCADES[name]
    totals: Counter[str] = Counter()
    for trace in traces:
        hits = [s for s in trace.steps if not s.is_held and cascade.asks(s.scores, s.kinds, s.tools, s.is_untraced)]
        totals["events"] += sum(s.events for s in trace.steps)
        totals["consequential steps"] += sum(bool({"tool_call", "decision"} & set(s.kinds)) for s in trace.steps)
        totals["questions"] += len(hits)
        if trace.label in MISSABLE and trace.harmful_step is not None:
            harm = trace.harmful_step
            totals["hijacks"] += 1
            if not any(s.is_held and s.message <= harm for s in trace.steps):
                totals["missed"] += 1
                totals["missed, asked about in time"] += any(s.message <= harm for s in hits)
    per = 1_000 * totals["questions"] / max(totals["events"], 1)
    reach = wilson(totals["missed, asked about in time"], totals["missed"]).as_dict() if totals["missed"] else None
    return {
        "part": part,
        "cascade": name,
        "traces": len(traces),
        **totals,
        "questions_per_1000_events": per,
        "reach": reach,
    }


def _asked(part: str, rows: Sequence[Doc], name: str, latency_s: float) -> Doc:
    """What does a judge cost over HTTP on these rows, and does one that finds nothing change any verdict?"""

    def calm(question: str) -> Any:
        return opinion(question, 0.95 if "4 Hill Lane" in step_of(question) else 0.0)  # the control is told apart

    changed = events = 0
    with JudgeServer(calm, latency_s) as server:
        asker = HTTPAsker(server.url, "scripted")
        budget = Budget(questions=1_000_000, per_run=10_000)
        guard = SemanticGuard(Guard(), asker, cascade=CASCADES[name], budget=budget, cache=100_000)
        alone = Guard()
        started = time.perf_counter()
        for place, row in enumerate(rows):
            run = str(place)
            for one in (guard, alone):
                one.open(run, tools=row.get("tools"))
            for _, step in steps({**row, "id": run}):
                if step:
                    events += len(step)
                    changed += guard.assess(step).verdict.action != alone.assess(step).verdict.action
            guard.forget(run)
            alone.forget(run)
        seconds = time.perf_counter() - started
        usage = guard.usage
        asker.close()
    per = 1_000 / max(events, 1)
    return {
        "part": part, "cascade": name, "traces": len(rows), "events": events, "calls": usage.asked,
        "cached": usage.cached, "errors": usage.errors + usage.refused, "verdicts_changed": changed,
        "calls_per_1000_events": usage.asked * per, "prompt_tokens_per_1000_events": usage.prompt_tokens * per,
        "completion_tokens_per_1000_events": usage.completion_tokens * per,
        "prompt_tokens_per_call": usage.prompt_tokens / max(usage.asked, 1),
        "judge_seconds_per_call": usage.seconds / max(usage.asked, 1), "seconds": seconds,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
