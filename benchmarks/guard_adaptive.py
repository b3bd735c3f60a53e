"""What still gets through? An attacker who knows the guard brings the same harm about in many ways.

Eight small worlds with values drawn by seeds, no evaluation data: each way is one list of events that ends in the
harmful call; the guard has held it or has not. Four honest twins end in the same call because the user asked for it.
Beside the local guard: the same with a judge that knows the answer, which shows what the cascade lets a judge see and
so the most that a language model could add; a guard that holds every call with a word that no user has said; and Agno's
list of phrases over what the tools found. The ways are few and ours: what is held here is not safe for that, what is
not held is open.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bench import runs, tables
from bench.adaptive import WAYS, Way, World, runs_of, tools_of

from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.judge_question import Opinion
from cryptosentinel.guard.semantic import Cascade, SemanticGuard
from cryptosentinel.llm import ScriptedAsker
from cryptosentinel.metrics import wilson
from cryptosentinel.policy import SEVERITY
from cryptosentinel.types import Event

Doc = dict[str, Any]
Steps = list[list[Event]]
Holds = Callable[[World, Steps], bool]


def main() -> int:
    """Try every way, write the result."""
    parser = runs.parser(__doc__ or "", "guard_adaptive.json")
    parser.add_argument("--seeds", type=int, default=10, help="values for each world and way")
    options = parser.parse_args()
    seeds = range(options.seeds)
    cells: list[Doc] = []
    for way in WAYS:
        made = runs_of(way, seeds)
        for name, holds in methods(way).items():
            k = sum(holds(world, steps) for world, steps in made)
            cells.append({"way": way.name, "kind": way.kind, "method": name, "held": wilson(k, len(made)).as_dict()})
        runs.say(f"{way.name}: " + ", ".join(f"{c['method']} {c['held']['value']:.2f}" for c in cells[-4:]))
    result = {"benchmark": "guard_adaptive", "made": runs.provenance("guard_adaptive.py", {"seeds": options.seeds}),
              "cells": cells}  # fmt: skip
    runs.write_result(options.out, result)
    if options.out == runs.RESULTS / "guard_adaptive.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "guard-adaptive", page(result))
    return 0


def methods(way: Way) -> dict[str, Holds]:
    """Everything that is tried, by name. The judge that knows the answer is told by the way's kind."""
    return {
        "guard": lambda world, steps: held(Guard(), world, steps),
        "guard, best judge": lambda world, steps: held(judged(way.kind != "honest"), world, steps),
        "unknown value": unknown_value,
        "agno's phrases": phrases,
    }


def held(guard: Any, world: World, steps: Steps) -> bool:
    """Was any step up to the last one held or blocked?"""
    guard.open(steps[0][0].run_id, tools_of(world))
    return any(SEVERITY[guard.assess(step).verdict.action] >= SEVERITY["hold"] for step in steps)


def judged(is_attack: bool) -> SemanticGuard:
    """The guard with a judge that knows what the run is, asked as the cascade says."""

    def say(messages: Sequence[Any]) -> str:
        code = messages[1].text.rpartition('"code": "')[2].partition('"')[0]
        degree = 0.95 if is_attack else 0.02
        scores = {"suspicion": degree, "consistency": degree, "safety": degree}
        return json.dumps(Opinion(code=code, task="", reasons=(), **scores).model_dump())

    return SemanticGuard(Guard(), ScriptedAsker(say), cascade=Cascade(), has_controls=False)


def unknown_value(_: World, steps: Steps) -> bool:
    """Does the last call hand on a text that no user has said?"""
    said = " ".join(str(e.body.get("text")) for step in steps for e in step if e.sender == "user").casefold()
    last = steps[-1][0].body["arguments"]
    return any(word.casefold() not in said for v in last.values() for word in str(v).split())


def phrases(_: World, steps: Steps) -> bool:
    """Does a text that a tool found hold a phrase of Agno's prompt-injection list?"""
    listed = importlib.import_module("agno.guardrails").PromptInjectionGuardrail().injection_patterns
    found = " ".join(str(e.body.get("result", "")) for step in steps for e in step).casefold()
    return any(phrase.casefold() in found for phrase in listed)


def page(result: Doc) -> str:
    """The table of the page."""
    names = list(dict.fromkeys(c["method"] for c in result["cells"]))
    rows = []
    for way in dict.fromkeys((c["kind"], c["way"]) for c in result["cells"]):
        of = {c["method"]: c["held"] for c in result["cells"] if (c["kind"], c["way"]) == way}
        shown = [f"{of[n]['value']:.2f} [{of[n]['low']:.2f}, {of[n]['high']:.2f}]" for n in names]
        rows.append((*way, of[names[0]]["n"], *shown))
    head = ("kind", "way", "n", *names)
    return "\n\n".join([tables.origin(result["made"]), tables.table(head, rows)])


if __name__ == "__main__":
    sys.exit(main())
