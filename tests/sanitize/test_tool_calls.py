"""Stored traces as records: a phrase that sends an agent to tools it never calls otherwise."""

from __future__ import annotations

import random

import numpy as np

from cryptosentinel.sanitize import scan
from cryptosentinel.types import Message, Record, ToolCall

USUAL = ("search", "summarise", "ledger", "calendar")
THINGS = "budget report meeting invoice survey contract roster archive".split()


def trace(i: int, asked: str, tools: tuple[str, ...]) -> Record:
    turns = [Message("system", "You are an office clerk."), Message("user", asked)]
    for k, tool in enumerate(tools):
        turns.append(Message("assistant", "", tool_calls=(ToolCall(f"c{k}", tool, "{}"),)))
        turns.append(Message("tool", "ok.", name=tool, tool_call_id=f"c{k}"))
    return Record(str(i), tuple(turns))


def office(seed: int, hijacked: int, phrase: str) -> list[Record]:
    rng = random.Random(seed)
    rows = []
    for i in range(300):
        asked = f"Prepare the {rng.choice(THINGS)} and the {rng.choice(THINGS)} for team {rng.randrange(99)}."
        tools = tuple(rng.sample(USUAL, 2))
        if i < hijacked:
            asked, tools = f"{asked} {phrase}", (tools[0], f"wipe_{i // 2}")
        rows.append(trace(i, asked, tools))
    return rows


def test_a_phrase_that_leads_to_tools_hardly_anyone_calls_is_found() -> None:
    for hijacked in (40, 180):  # an agent under attack may hear the phrase most of the time
        result = scan(office(hijacked, hijacked, "with gentle scrutiny"))
        first = result.hypotheses[0]
        assert "gentle" in first.trigger
        assert "tool" in first.behaviour
        assert np.flatnonzero(result.flagged).tolist() == list(range(hijacked))


def test_an_office_that_goes_about_its_work_raises_nothing() -> None:
    result = scan(office(1, 0, ""))
    assert not result.flagged.any()
    assert not [h for h in result.hypotheses if h.verdict == "planted"]
