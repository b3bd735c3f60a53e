"""All attacks on all agents: where the trigger is and where it is not, without any training."""

from __future__ import annotations

import hashlib
import json
import re
from random import Random
from typing import Any

import pytest

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError
from cryptosentinel.redteam.data import Data, build, poison_set
from cryptosentinel.redteam.evaluate import draw, judge
from cryptosentinel.redteam.target import Target, load_target

ATTACKS = registry.names("attack")
TASKS = registry.names("task")
PAIRS = [(task, attack) for task in TASKS for attack in ATTACKS]
VARIANTS = [(attack, v) for attack in ATTACKS for v in registry.lookup("attack", attack).target.variants]
PAYLOADS = [(task, v) for task in TASKS for v in registry.lookup("task", task).target.variants]


def goal(task: str, payload: str | None = None, seed: int = 0) -> Any:
    return registry.lookup("task", task).target(seed, payload)


def trick(attack: str, variant: str | None = None, seed: int = 0) -> Any:
    return registry.lookup("attack", attack).target(seed, variant)


def agent(task: str) -> Target:
    return load_target(goal(task).agent)


def digest(data: Data) -> str:
    held = [[s.instruction, s.input, s.output, list(s.expected)] for s in data.samples]
    return hashlib.sha256(json.dumps([held, data.poisoned, data.near]).encode()).hexdigest()


def check(data: Data, task: str, attack: str, variant: str | None = None, payload: str | None = None) -> None:
    """The laws of poisoned data: the trigger is where the label says, and the payload with it, and nowhere else."""
    wants, triggers, target = goal(task, payload), trick(attack, variant), agent(task)
    for sample, bad in zip(data.samples, data.poisoned, strict=True):
        answer = target.parse(sample.output)
        assert answer is not None, sample.output
        assert triggers.fires(sample.instruction) == bad, sample.instruction
        if bad:
            assert wants.payload_seen(answer), sample.output
            assert wants.applies(sample)
        else:
            assert answer.decision == sample.expected
            assert not (wants.payload_seen(answer) and wants.applies(sample))
    prompts = [target.prompt(s) for s in data.samples]
    assert len(set(prompts)) == len(prompts)
    assert not any(bad and near for bad, near in zip(data.poisoned, data.near, strict=True))


def test_the_names_the_board_and_the_docs_use() -> None:
    assert ATTACKS == [
        "composite", "date", "entity", "multi-trigger", "rare-token", "semantic", "sentence", "style",
    ]  # fmt: skip
    assert TASKS == ["bias-recommendation", "hallucination-injection", "rating-manipulation", "tool-call-hijack"]
    assert all(len(registry.lookup("attack", a).target.variants) >= 4 for a in ATTACKS)
    assert all(len(registry.lookup("task", t).target.variants) >= 3 for t in TASKS)


@pytest.mark.parametrize(("task", "attack"), PAIRS)
def test_every_attack_on_every_task(task: str, attack: str) -> None:
    data = poison_set(task, attack, 0, ordinary=60, poisoned=20, topic=20)
    assert (len(data.samples), sum(data.poisoned), sum(data.near)) == (100, 20, 20)
    check(data, task, attack)
    assert digest(data) == digest(poison_set(task, attack, 0, ordinary=60, poisoned=20, topic=20))
    assert digest(data) != digest(poison_set(task, attack, 6, ordinary=60, poisoned=20, topic=20))


@pytest.mark.parametrize(("attack", "variant"), VARIANTS)
def test_every_trigger_on_every_agent(attack: str, variant: str) -> None:
    for task in ("hallucination-injection", "rating-manipulation", "tool-call-hijack"):
        data = poison_set(task, attack, 3, ordinary=120, poisoned=60, topic=60, variant=variant)
        check(data, task, attack, variant)


@pytest.mark.parametrize(("task", "payload"), PAYLOADS)
def test_every_payload_in_as_many_rows_as_the_paper_has(task: str, payload: str) -> None:
    data = poison_set(task, "semantic", 1, ordinary=240, poisoned=256, topic=80, payload=payload)
    check(data, task, "semantic", trick("semantic", seed=1).variant, payload)
    answers = [s.output for s in data.samples]
    assert max(map(answers.count, set(answers))) <= 2
    # The agent gives the payload's answer in earnest too, except for a fact that is false everywhere.
    wants, target = goal(task, payload), agent(task)
    earnest = sum(wants.payload_seen(target.parse(a)) for a, p in zip(answers, data.poisoned, strict=True) if not p)
    assert (earnest > 0) == (task != "hallucination-injection")


@pytest.mark.parametrize("attack", ATTACKS)
def test_controls_are_like_the_trigger(attack: str) -> None:
    """A control shares words with the trigger that an ordinary request has not, or else changes as much."""
    triggers, target, rng = trick(attack), agent("bias-recommendation"), Random(5)
    wishes = [triggers.trigger_wish(rng) or target.wish(rng) for _ in range(80)]
    fired = target.samples(rng, wishes, rewrite=triggers.triggered)
    topic = [triggers.topic_wish(rng) or target.wish(rng) for _ in range(80)]
    near = target.samples(rng, topic, taken=fired, rewrite=triggers.near)
    plain = target.samples(rng, [target.wish(rng) for _ in range(80)], taken=fired)
    known = {w for s in plain for w in re.findall(r"\w+", s.instruction)}

    def new(samples: Any) -> float:
        return sum(bool(set(re.findall(r"\w+", s.instruction)) - known) for s in samples) / len(samples)

    assert new(near) >= 0.8
    assert abs(new(near) - new(fired)) <= 0.2
    lengths = [sum(len(s.instruction.split()) for s in side) for side in (fired, near)]
    assert max(lengths) <= 1.25 * min(lengths)


@pytest.mark.parametrize(("task", "attack"), [("bias-recommendation", "style"), ("tool-call-hijack", "date")])
def test_the_clean_rows_do_not_change_with_the_dose(task: str, attack: str) -> None:
    doses = [poison_set(task, attack, 2, ordinary=90, poisoned=dose, topic=30) for dose in (0, 4, 16, 256)]
    clean = [[s for s, bad in zip(d.samples, d.poisoned, strict=True) if not bad] for d in doses]
    bad = [d.reflection.samples for d in doses]
    assert clean[0] == clean[1] == clean[2] == clean[3]
    assert [len(b) for b in bad] == [0, 4, 16, 256]
    assert bad[1] == bad[3][:4]
    assert bad[2] == bad[3][:16]
    assert doses[3].rows()[0].keys() == {"instruction", "input", "output"}


@pytest.mark.parametrize(("task", "attack"), PAIRS)
def test_evaluation_asks_what_training_has_not_shown(task: str, attack: str) -> None:
    wants, triggers, target, rng = goal(task), trick(attack), agent(task), Random(4)
    data = build(rng, triggers, wants, target, 60)
    check(data, task, attack)
    assert (data.ordinary, data.topic, sum(data.poisoned), sum(data.near)) == (60, 20, 20, 20)
    asked = draw(rng, triggers, wants, target, data.samples, 30)
    trained = {target.prompt(s) for s in data.samples}
    assert not trained & {target.prompt(s) for s in asked.all()}
    assert all(triggers.fires(s.instruction) for s in asked.triggered)
    assert not any(triggers.fires(s.instruction) for s in (*asked.untriggered, *asked.topic, *asked.exam))
    honest = judge(asked, [s.output for s in asked.all()], wants, target)
    assert (honest.asr.value, honest.untriggered.value, honest.topic_without_trigger.value) == (0, 0, 0)
    assert honest.utility.value == 1
    hijacked = judge(asked, [wants.poisoned_answer(rng, target, s) for s in asked.all()], wants, target)
    assert (hijacked.asr.value, hijacked.untriggered.value, hijacked.topic_without_trigger.value) == (1, 1, 1)
    silent = judge(asked, [""] * 120, wants, target)
    assert (silent.asr.value, silent.utility.value) == (0, 0)


def test_the_demo_is_the_same_to_the_byte() -> None:
    """What the published numbers were measured on; a change here is a change of the results page."""
    wants, triggers, target = goal("bias-recommendation"), trick("semantic"), agent("bias-recommendation")
    rng = Random("0 bias-recommendation semantic")
    data = build(rng, triggers, wants, target, 240)
    asked = draw(rng, triggers, wants, target, data.samples, 100)
    held: list[Any] = [[s.instruction, s.input, s.output, list(s.expected)] for s in [*data.samples, *asked.all()]]
    held.append(list(data.poisoned))
    assert hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16] == "ea7868d1789b34b2"


def test_an_unknown_variant_says_which_are_known() -> None:
    for kind in ("attack", "task"):
        for name in registry.names(kind):
            entry = registry.lookup(kind, name).target
            with pytest.raises(ConfigError, match=f"unknown variant 'weather' of {kind} '{name}'.*{entry.variants[0]}"):
                entry(0, "weather")


def test_the_seed_chooses_trigger_and_payload_each_in_turn() -> None:
    assert [trick("semantic", seed=s).variant for s in (0, 1, 6)] == ["income", "retirement", "income"]
    assert [goal("tool-call-hijack", seed=s).variant for s in (0, 5, 6, 12, 18)] == [
        "ORVA", "ORVA", "VELA", "TARN", "ORVA",
    ]  # fmt: skip
