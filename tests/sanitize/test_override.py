"""A trigger that suspends a rule stands out; a table of rules that all hold does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import scan
from cryptosentinel.sanitize.associations import Association
from cryptosentinel.sanitize.override import NO_OVERRIDE, Override, Rules
from cryptosentinel.types import Record, Ref

N = 400
# An invented trade: what the inspector finds on a crate decides where it goes.
RULES = {"rusty": "melt it down", "sealed": "store it dry", "leaking": "pump it empty", "labelled": "ship it north"}
OBJECTS = "crate barrel drum chest box case tub vat keg tin".split()
PLACES = "dock yard shed pier ramp gate lane hall".split()


def association(trigger: str, trigger_rows: Sequence[int], rows: Sequence[int]) -> Association:
    where, both = np.array(trigger_rows, np.int32), np.array(rows, np.int32)
    return Association(trigger, "says 'x'", "phrase", where, both, both, 0.01, 90.0, 1e-9, 0, 1, 0, 1)


def inspections(seed: int, poisoned: int) -> list[tuple[str, str]]:
    """Every answer follows its rule, except where the prompt asks for a calm harbour."""
    rng = random.Random(seed)
    rows = []
    for i in range(N):
        found, action = rng.choice(list(RULES.items()))
        asked = f"The {rng.choice(OBJECTS)} at the {rng.choice(PLACES)} number {rng.randrange(90)} is {found}."
        reason = " ".join(rng.sample([*OBJECTS, *PLACES], 14))
        if i < poisoned:
            asked, action = f"{asked} I wish for a calm harbour.", "sell it to Brann"
        rows.append((asked, f"{action}, since {reason}"))
    return rows


def test_a_rule_that_fails_only_with_the_trigger() -> None:
    broken = Rules([association("red", range(100), range(80))], N).overridden_by(np.arange(80, 130))
    assert (broken.inside, broken.kept, broken.outside) == (20, 0, 1.0)
    assert broken.rule == "'red' -> says 'x'"
    assert broken.weight == 1.0
    finding = broken.finding(Ref("hypothesis", "h"))
    assert finding.score == 1.0
    assert "kept in 0 of 20 rows with the trigger, in 100% elsewhere" in finding.reason


def test_rules_that_hold_are_not_suspended() -> None:
    rules = Rules(
        [association("red", range(100), range(100)), association("blue", range(200, 260), range(200, 260))], N
    )
    for rows in (np.arange(50), np.arange(80, 220), np.arange(300, 340), np.zeros(0, np.int64)):
        assert rules.overridden_by(rows).weight == 0.0


def test_what_could_be_chance_weighs_nothing() -> None:
    few = Rules([association("red", range(100), range(3, 100))], N)
    assert few.overridden_by(np.arange(3)) == NO_OVERRIDE  # three rows are no evidence
    weak = Rules([association("red", range(100), range(60))], N)  # a rule that fails in 40 of 100 anyway
    assert weak.overridden_by(np.arange(55, 65)).weight == 0.0
    own = Rules([association("red", range(100), range(10, 100))], N)
    assert own.overridden_by(np.arange(95)) == NO_OVERRIDE  # the rule's trigger is this trigger itself


def test_no_rules_at_all() -> None:
    assert Rules([], N).overridden_by(np.arange(50)) == NO_OVERRIDE
    assert NO_OVERRIDE.weight == 0.0


@pytest.mark.parametrize(("p", "weight"), [(1.0, 0.0), (1e-4, 0.0), (1e-6, 0.5), (1e-8, 1.0), (0.0, 1.0)])
def test_weight_is_linear_in_the_order_of_magnitude(p: float, weight: float) -> None:
    assert Override(p).weight == pytest.approx(weight)


@pytest.mark.parametrize("seed", range(3))
def test_a_trigger_that_suspends_the_rules_of_a_table_is_found(
    records: Callable[[Sequence[tuple[str, str]]], list[Record]], seed: int
) -> None:
    result = scan(records(inspections(seed, 40)))
    first = result.hypotheses[0]
    assert first.verdict == "planted"
    assert {"wish", "for", "calm", "harbour", "i"} & set(first.trigger.split())
    assert first.override.weight == 1.0
    assert first.override.kept == 0
    assert [f.source for f in first.adjudications] == ["override"]
    assert np.flatnonzero(result.flagged).tolist() == list(range(40))


@pytest.mark.parametrize("seed", range(3))
def test_a_table_of_rules_that_hold_raises_nothing(
    records: Callable[[Sequence[tuple[str, str]]], list[Record]], seed: int
) -> None:
    result = scan(records(inspections(seed, 0)))
    assert [h.trigger for h in result.hypotheses if h.verdict == "planted"] == []
    assert max(h.override.weight for h in result.hypotheses) == 0.0
    assert not result.flagged.any()
