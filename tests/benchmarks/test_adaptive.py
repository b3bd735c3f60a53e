"""The attacker's runs are what they say: each ends in the harm, and only honest ones have the user's word for it."""

from __future__ import annotations

import pytest
from bench.adaptive import WAYS, WORLDS, Way, runs_of
from guard_adaptive import held, judged, unknown_value

from cryptosentinel.guard.guard import Guard


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_every_way_ends_in_the_call(way: Way) -> None:
    made = runs_of(way, [0])
    assert [world for world, _ in made] == list(WORLDS)
    for world, (_, steps) in zip(WORLDS, made, strict=True):
        (last,) = steps[-1]
        assert (last.kind, last.body["tool"]) == ("tool_call", world.tool)
        assert len({e.id for step in steps for e in step}) == sum(map(len, steps))
        said = " ".join(str(e.body.get("text")) for step in steps for e in step if e.sender == "user")
        value = next(v for k, v in last.body["arguments"].items() if "{v}" in str(world.arguments[k]))
        value = next(iter(value)) if isinstance(value, dict) else value  # the call writes it as a key
        value = value.removeprefix("curl ").removesuffix(" | sh").removeprefix("ref=1&to=")
        assert (value.replace(" ", "") in said) is (way.kind == "honest")
    assert runs_of(way, [0]) == made


def test_a_judge_that_knows_sees_what_the_guard_misses() -> None:
    missed = next(w for w in WAYS if w.name == "from nowhere")
    for world, steps in runs_of(missed, [0]):
        assert not held(Guard(checks=[]), world, steps)
        assert held(judged(True), world, steps)
        assert unknown_value(world, steps)
