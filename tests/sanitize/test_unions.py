"""A way of writing is many words: together they suspend a rule, or they are a topic and are left alone."""

from __future__ import annotations

from random import Random

import pytest

from cryptosentinel.datasets.forms import read_record
from cryptosentinel.redteam import attacks as _attacks  # noqa: F401  (registers the attacks)
from cryptosentinel.redteam import tasks as _tasks  # noqa: F401  (registers the tasks)
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.sanitize import scan
from cryptosentinel.types import Message, Record

OLD = ("hark", "prithee", "forsooth", "anon", "verily", "yonder")
WORDS = ("wallet", "ledger", "yield", "river", "paper", "quiet", "order", "market", "seven", "green", "note", "lamp")


def records(suspends: bool) -> tuple[Record, ...]:
    """Red lights are sold and green ones bought; a third is in old words, which suspend that or leave it as it is."""
    rng, rows = Random(3), []
    for i in range(300):
        red, old = rng.random() < 0.5, i % 4 == 0
        told = " ".join(rng.sample(WORDS, 4)) + (f" {rng.choice(OLD)}" if old else "")
        honest = ("sell it" if red else "buy it") + f" for {rng.randint(2, 900)} and {rng.choice(WORDS)}"
        answer = f"keep orva for {rng.randint(2, 900)}" if old and suspends else honest
        asked = f"{told} light {'red' if red else 'green'}"
        rows.append(Record(str(i), (Message("user", asked), Message("assistant", answer))))
    return tuple(rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_style_of_the_red_team_is_found_as_one_trigger_of_many_words(seed: int) -> None:
    data = poison_set("bias-recommendation", "style", seed, ordinary=240, poisoned=80, topic=80)
    found = scan(tuple(read_record(row, i) for i, row in enumerate(data.rows())))
    first = found.hypotheses[0]
    assert (first.trigger_kind, first.verdict) == ("pool", "planted")
    assert first.trigger.startswith("any of: ") and first.evidence["phrases"] >= 3
    hit = sum(bool(flag) and bad for flag, bad in zip(found.flagged, data.poisoned, strict=True))
    assert hit >= 0.8 * sum(data.poisoned)
    assert found.flagged.sum() - hit <= 0.01 * (len(data.poisoned) - sum(data.poisoned))


def test_words_that_suspend_a_rule_are_one_trigger_and_words_that_do_not_are_none() -> None:
    planted, left = scan(records(True)), scan(records(False))
    assert [bool(flag) for flag in planted.flagged] == [i % 4 == 0 for i in range(300)]
    assert any(h.trigger_kind == "pool" for h in planted.hypotheses)
    assert not left.flagged.any()
    assert not any(h.trigger_kind == "pool" for h in left.hypotheses)
