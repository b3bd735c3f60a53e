"""A model that wants to make a large swap past a rule about its amount, and writes the call in every odd way."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("agno")

from cryptosentinel.adapters.agno import attach
from cryptosentinel.agentspec import RuleBook
from cryptosentinel.guard.guard import Guard
from cryptosentinel.observer import Observer

sys.path.insert(0, str(Path(__file__).parent))
from agno_desk import agent  # type: ignore[import-not-found]

RULE = RuleBook.parse("rule @large trigger swap check arg.amount >= 1_000 enforce skip end")
FULL_WIDTH, ZERO_WIDTH = "\uff15\uff10\uff10\uff10", "\u200b"
AMOUNTS: list[Any] = [
    5000, 5000.0, 5e3, "5000", " 5000 ", "5e3", "5_000", "5,000", "+5000", "005000", "5000.00", FULL_WIDTH,
    f"5000{ZERO_WIDTH}", f"{ZERO_WIDTH}5000", "0x1388", "5000.", "Infinity", "inf", "1e309", "NaN", "-NaN", [5000],
    {"value": 5000}, True, None, "None", "true", "", 10**40, -5000, "-5000", "five thousand", "5000;--", "5000\n",
]  # fmt: skip
WRITTEN = [
    '{"token": "A", "amount": 1, "amount": 5000}',
    "{'token': 'A', 'amount': 5000}",
    "{'token': 'A', 'amount': 5_000}",
    '{"token": "A", "amount": 5e3}',
    '{"token": "A", "amount": 1e400}',
    '{"token": "A", "Amount": 1, "amount": 5000}',
    '{"token": "A", "amount\\u0000": 1, "amount": 5000}',
    '{"token": "A", "amount": 5000, "run_context": {"session_id": "x"}, "agent": null}',
    '{"token": "A", "amount": 5000, "tool": "look", "arguments": {"amount": 1}}',
    '{"token": "\\ud800", "amount": 5000}',
    "[" * 5000,
    "null",
    '"text"',
    "",
]


def swaps_of(turns: list[Any], is_async: bool = False) -> list[Any]:
    """What was swapped by a model that takes these turns, behind a rule against amounts of 1,000 and more?"""
    done: list[Any] = []

    def swap(token: str, amount: float) -> str:
        """Swap so much."""
        done.append(amount)
        return "swapped"

    trader = agent([*turns, "Done."], [swap])
    attach(trader, Observer(RULE, Guard(checks=[])))
    asyncio.run(trader.arun("Trade.")) if is_async else trader.run("Trade.")
    return done


@pytest.mark.parametrize("amount", AMOUNTS, ids=repr)
def test_no_way_of_writing_an_amount_gets_past_the_rule(amount: Any) -> None:
    for is_async in (False, True):
        done = swaps_of([[("swap", {"token": "A", "amount": amount})]], is_async)
        assert all(-10_000 < float(a) < 1_000 for a in done), done


@pytest.mark.parametrize("written", WRITTEN, ids=lambda w: w[:30])
def test_no_way_of_writing_arguments_gets_past_the_rule(written: str) -> None:
    assert [a for a in swaps_of([[("swap", written)]]) if a >= 1_000] == []


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING)
def test_no_value_at_all_gets_past_the_rule(amount: Any) -> None:
    done = swaps_of([[("swap", json.dumps({"token": "A", "amount": amount}))]])
    assert not any(a >= 1_000 or a != a for a in done)


def test_many_small_calls_beside_a_large_one_and_tools_that_do_not_exist() -> None:
    calls = [("swap", {"token": "A", "amount": 1})] * 5 + [("swap", {"token": "A", "amount": 5_000})]
    calls += [("no_such_tool", {"amount": 1}), ("swap", {"token": "A", "amount": 5_000}), ("swap.large", {})]
    assert swaps_of([calls, calls]) == [1.0] * 10


def test_ten_megabytes_are_held_and_do_not_stop_what_comes_after() -> None:
    calls = [("swap", {"token": "x" * 10_000_000, "amount": 5_000})]
    assert swaps_of([calls, [("swap", {"token": "A", "amount": 2})]]) == [2.0]
