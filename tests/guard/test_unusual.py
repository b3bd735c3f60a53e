"""What an agent never does is held; what it often does, what the user names and what only looks is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.profile import Profile
from cryptosentinel.guard.traces import steps

sys.path.insert(0, str(Path(__file__).parent))
from talks import actions, calls, system, user  # type: ignore[import-not-found]

ROLE = system("You plan routes. Today is 3 May 2026.")
DAILY = [ROLE, user("Plan the route to the harbour."), calls(("plan_route", {}))]


def learnt_profile(*conversations: list[dict[str, Any]]) -> Profile:
    traces = ({"id": str(n), "messages": messages} for n, messages in enumerate(conversations))
    return Profile.learn([event for _, events in steps(trace) for event in events] for trace in traces)


def learnt(*conversations: list[dict[str, Any]]) -> Guard:
    return Guard(profile=learnt_profile(*conversations))


def asked(tool: str, wish: str = "Plan the route to the harbour.", role: Any = ROLE) -> list[dict[str, Any]]:
    return [role, user(wish), calls((tool, {}))]


def test_a_tool_that_the_agent_never_calls_is_held() -> None:
    guard = learnt(*[DAILY] * 30)
    assert actions(asked("plan_route"), guard)[-1] == "allow"
    assert actions(asked("order_fuel"), guard)[-1] == "hold"
    assert actions(asked("order_fuel"))[-1] == "allow"  # without a baseline


def test_a_tool_that_the_user_names_or_that_only_looks_is_not() -> None:
    guard = learnt(*[DAILY] * 30)
    assert actions(asked("order_fuel", "Order fuel for the boat."), guard)[-1] == "allow"
    assert actions(asked("read_fuel_gauge"), guard)[-1] == "allow"


def test_dates_in_instructions_make_no_other_agent_and_other_words_do() -> None:
    guard = learnt(*[DAILY] * 30)
    assert actions(asked("order_fuel", role=system("You plan routes. Today is 14 May 2027.")), guard)[-1] == "hold"
    assert actions(asked("order_fuel", role=system("You buy fuel.")), guard)[-1] == "allow"


def test_an_agent_of_whom_little_is_known_or_that_often_does_something_new_is_not_held() -> None:
    assert actions(asked("order_fuel"), learnt(*[DAILY] * 5))[-1] == "allow"
    new = [asked(f"tool_{n}", "Do it.") for n in "abcdefghij"]
    assert actions(asked("order_fuel"), learnt(*[DAILY] * 30, *new))[-1] == "allow"


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), min_size=2, max_size=30))
def test_no_more_conversations_are_new_to_the_others_than_the_score_says(made: list[list[str]]) -> None:
    """Each held one is held with a score that admits a share of false holds; the share there is stays within it."""
    conversations = [[ROLE, user("Go."), calls(*((f"do_{t}", {}) for t in tools))] for tools in made]
    admitted = []
    for n, tools in enumerate(made):
        profile = learnt_profile(*conversations[:n], *conversations[n + 1 :])
        (habit,) = profile.habits.values()
        assert habit.conversations == len(made) - 1
        if any(f"do_{t}" not in habit.tools for t in tools):
            admitted.append(1 - habit.surprise)
    assert all(len(admitted) / len(made) <= share + 1e-9 for share in admitted)
