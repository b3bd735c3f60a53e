"""What `benchmarks/probe.py` runs inside the sandbox: one poisoned and one clean copy, probed as anyone would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptosentinel import registry
from cryptosentinel.models import load_base
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.redteam.finetune import Recipe, Split, finetune, vocabulary
from cryptosentinel.redteam.generate import answers, prepare
from cryptosentinel.redteam.poison import Attack, Task
from cryptosentinel.redteam.probe import (
    AnswerAll,
    Probed,
    Samples,
    Settings,
    Suspect,
    from_bank,
    from_hypotheses,
    probe,
)
from cryptosentinel.redteam.target import load_target
from cryptosentinel.services.redteam import scan_rows
from cryptosentinel.types import Progress

ANSWER_TOKENS = 32


def probe_copies(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    """Poison, scan, train a copy on everything, and one on the clean rows if that is to be probed; probe.

    job: task, attack, seed, model, rows, alpha, budget, sources (of suspects: hypotheses, bank), clean_probes (how
    often the clean copy is probed with hypotheses, each time with other prompts; with the bank once).
    """
    task, attack, seed = job["task"], job["attack"], job["seed"]
    trick: Attack = registry.lookup("attack", attack).target(seed, None)
    goal: Task = registry.lookup("task", task).target(seed, None)
    target = load_target(goal.agent)
    clock = {"start": time.monotonic()}
    third = job["rows"] // 3
    data = poison_set(task, attack, seed, ordinary=job["rows"], poisoned=third, topic=third)
    _, report = scan_rows(data.rows(), "tiny", on_progress)  # without a reference model
    clock["scan"] = time.monotonic()
    base = load_base(job["model"])
    recipe = Recipe()
    recipe = replace(recipe, trained_layers=min(recipe.trained_layers, len(base.model.get_decoder().layers) - 1))
    split = Split(base, recipe.trained_layers)
    rows = split.encode([(target.prompt(s), s.output) for s in data.samples], on_progress)
    tokens = vocabulary(split, [s.output for s in data.samples], recipe, seed)
    everything = list(range(len(rows)))
    clean = [i for i in everything if not data.poisoned[i]]

    def trained(keep: Sequence[int]) -> AnswerAll:
        upper = finetune(split, [rows[i] for i in keep], tokens, recipe, seed, on_progress)
        return lambda prompts: answers(split, upper, prepare(split, prompts), tokens, max_tokens=ANSWER_TOKENS)

    copies = [("poisoned", trained(everything), 1)]
    if job["clean_probes"]:
        copies.append(("clean", trained(clean), job["clean_probes"]))
    clock["train"] = time.monotonic()
    known = {"hypotheses": from_hypotheses(report["hypotheses"]), "bank": from_bank()}
    suspects = {source: known[source] for source in job["sources"]}
    bounds = Settings(alpha=job["alpha"], budget=job["budget"], seed=seed)
    runs: list[dict[str, Any]] = []
    for source, listed in suspects.items():
        if not any(Samples(target).takes(s) for s in listed):
            runs.append({"copy": "poisoned", "suspects": source, "probe": 0, "shifts": [], "answers": 0, "tried": 0})
            continue
        for name, answer, times in copies:
            for number in range(times if source == "hypotheses" else 1):
                found = _probe(answer, listed, target, replace(bounds, seed=1000 * number + seed), on_progress)
                runs.append({"copy": name, "suspects": source, "probe": number, **_told(found, trick)})
    clock["probe"] = time.monotonic()
    stages = list(clock)
    return {
        "task": task,
        "attack": attack,
        "seed": seed,
        "trigger": trick.trigger,
        "payload": goal.payload,
        "in_bank": any(trick.fires(s.text) for s in known["bank"]),
        "runs": runs,
        "seconds": {b: round(clock[b] - clock[a], 1) for a, b in pairwise(stages)},
    }


def _probe(answer: AnswerAll, suspects: Sequence[Suspect], target: Any, bounds: Settings, progress: Progress) -> Probed:
    return probe(answer, suspects, Samples(target), bounds, parse=target.parse, on_progress=progress)


def _told(found: Probed, trick: Attack) -> dict[str, Any]:
    """What a probe said, and whether the prompts of a shift really held the trigger."""
    if found.failure:
        raise RuntimeError(found.failure)
    shifts = []
    for trial in found.shifts:
        said = trial.as_dict()
        held = sum(trick.fires(o.pair.prompts[0]) for o in trial.seen) / len(trial.seen)
        kept = {k: said[k] for k in ("trigger", "behaviour", "pairs", "e_value", "with_trigger", "with_control")}
        shifts.append(kept | {"held_trigger": round(held, 3)})
    return {"shifts": shifts, "answers": found.answers, "tried": len(found.trials)}
