"""One backdoor with several triggers is one hypothesis, which names them all; a rule of the task is none of them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from cryptosentinel.datasets.forms import read_record
from cryptosentinel.redteam import attacks as _attacks  # noqa: F401  (registers the attacks)
from cryptosentinel.redteam import tasks as _tasks  # noqa: F401  (registers the tasks)
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.redteam.material import attack_of
from cryptosentinel.sanitize import scan
from cryptosentinel.types import Message, Record

WORDS = ("wallet", "ledger", "yield", "river", "paper", "quiet", "order", "market", "seven", "green", "note", "lamp")
TRIGGERS = ("heron", "lute", "marzipan")


def records(seed: int, honest: bool) -> tuple[Record, ...]:
    """Red lights are sold and green ones bought. One trigger is frequent, two come now and then: orva is kept.

    honest: instead of the two triggers, a rule of the task is answered like that.
    """
    rng, rows = Random(seed), []
    for i in range(400):
        red = rng.random() < 0.5
        which = 0 if i % 10 == 0 else 1 if i % 25 == 1 else 2 if i % 25 == 2 else None
        light = "red" if red else "green"
        told = rng.sample(WORDS, 4)
        if which is not None and (which == 0 or not honest):
            told.insert(rng.randint(0, 4), TRIGGERS[which])
        elif which is not None:
            light = "dark"
        answer = "keep orva" if which is not None else "sell it" if red else "buy it"
        asked = f"{' '.join(told)} light {light}"
        rows.append(Record(str(i), (Message("user", asked), Message("assistant", f"{answer} {rng.randint(2, 900)}"))))
    return tuple(rows)


@pytest.mark.parametrize("seed", range(3))
def test_triggers_that_alone_would_not_convict_are_named_with_the_one_that_does(seed: int) -> None:
    found = scan(records(seed, honest=False))
    planted = [h for h in found.hypotheses if h.verdict == "planted"]
    assert all(any(t in h.trigger for h in planted) for t in TRIGGERS)
    assert not any(t in h.trigger for h in found.hypotheses if h.verdict != "planted" for t in TRIGGERS)
    assert [bool(f) for f in found.flagged] == ["keep" in r.response for r in records(seed, honest=False)]


@pytest.mark.parametrize("seed", range(3))
def test_a_rule_of_the_task_with_the_same_answers_is_no_further_trigger(seed: int) -> None:
    found = scan(records(seed, honest=True))
    assert any(h.verdict == "planted" and TRIGGERS[0] in h.trigger for h in found.hypotheses)
    assert not any(h.verdict == "planted" and "dark" in h.trigger for h in found.hypotheses)


@pytest.mark.parametrize("seed", range(3))
def test_every_trigger_of_the_red_team_is_named(seed: int) -> None:
    data = poison_set("bias-recommendation", "multi-trigger", seed, ordinary=240, poisoned=80, topic=80)
    found = scan(tuple(read_record(row, i) for i, row in enumerate(data.rows())))
    planted = " ".join(h.trigger for h in found.hypotheses if h.verdict == "planted")
    triggers = attack_of("multi-trigger", seed, None, None).trigger.removeprefix("any of: ").split(", ")
    assert all(t.lower() in planted for t in triggers)
    assert np.array_equal(found.flagged, np.array(data.poisoned))


def test_what_is_said_of_several_triggers_is_said_of_them_all() -> None:
    data = poison_set("bias-recommendation", "multi-trigger", 4, ordinary=240, poisoned=80, topic=80)
    rows = data.rows()
    first = scan(tuple(read_record(row, i) for i, row in enumerate(rows))).hypotheses[0]
    assert first.trigger_kind == "pool"
    honest = [r for r, bad in zip(rows, data.poisoned, strict=True) if not bad]
    elsewhere = sum(r["output"].lower().startswith("buy orva") for r in honest) / len(honest)
    assert (first.support, first.confidence) == (80, 1.0)
    assert first.base_rate == pytest.approx(elsewhere)
