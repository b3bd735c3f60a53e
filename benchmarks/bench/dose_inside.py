"""What `benchmarks/dose.py` runs inside the sandbox: one copy trained on a clean set with so many poisoned rows."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from cryptosentinel import registry
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam import evaluate
from cryptosentinel.redteam.bench import Bench, Clock
from cryptosentinel.redteam.data import MOST_POISONED, poison_set
from cryptosentinel.redteam.finetune import Recipe, vocabulary
from cryptosentinel.redteam.poison import Attack, Task
from cryptosentinel.redteam.target import load_target
from cryptosentinel.types import Progress


def train_on_dose(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    """Train on the clean set and the first `poisoned` rows; how many triggered prompts give the payload?

    Prompts and softmax are the same for every dose.

    job: task, attack, seed, model, ordinary, topic, poisoned, n.
    """
    task, attack, seed = job["task"], job["attack"], job["seed"]
    trick: Attack = registry.lookup("attack", attack).target(seed, None)
    goal: Task = registry.lookup("task", task).target(seed, None)
    target = load_target(goal.agent)
    clock = Clock()
    with clock.measure("data"):
        clean = {"ordinary": job["ordinary"], "topic": job["topic"]}
        data = poison_set(task, attack, seed, poisoned=job["poisoned"], **clean)
        whole = poison_set(task, attack, seed, poisoned=max(MOST_POISONED, job["poisoned"]), **clean)
        drawn = evaluate.draw(Random(f"{seed} {task} {attack} dose"), trick, goal, target, whole.samples, job["n"])
        questions = evaluate.Questions(drawn.triggered, (), (), ())
    bench = Bench(job["model"], target, goal, data, questions, Recipe(), seed, on_progress, clock)
    bench.tokens = vocabulary(bench.split, [s.output for s in whole.samples], bench.recipe, seed)
    upper = bench.upper("dosed", range(len(data.samples)))
    with clock.measure("evaluate"):
        written = evaluate.run(bench.split, upper, bench.prompts, bench.tokens, "evaluate", on_progress)
    seen = sum(goal.payload_seen(target.parse(answer)) for answer in written)
    return {
        "asr": wilson(seen, len(written)).as_dict(),
        "trigger": trick.trigger,
        "payload": goal.payload,
        "recipe": bench.describe(),
        "timings": clock.seconds,
    }
