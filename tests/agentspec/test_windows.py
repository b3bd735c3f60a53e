"""Windows against counting by hand, and what an attacker could do to a sum."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.agentspec import Engine, RuleBook
from cryptosentinel.types import Event

sys.path.insert(0, str(Path(__file__).parent))
from agentspec_events import call, engine  # type: ignore[import-not-found]

step = st.tuples(
    st.integers(-5, 30),  # seconds since the last one; clocks may run back
    st.sampled_from(["swap", "look"]),
    st.sampled_from(["r1", "r2"]),
    st.sampled_from(["A", "B"]),
    st.integers(0, 9),
    st.sampled_from(["x", "X ", "y"]),
)


def shows(check: str, events: list[Event]) -> list[str]:
    """The value of an aggregate at each event."""
    running = engine(f"{check} >= 0", "any", "none")
    return [running.check(e)[0].finding.evidence["values"].popitem()[1] for e in events]


def to_whom(e: Event) -> str:
    return str(e.body["arguments"]["to"]).strip().lower()


def by_hand(kind: str, scope: str, events: list[Event], within: float | None, groups: bool) -> list[str]:
    found = []
    clocks: dict[tuple[str, ...], float] = {}
    seen: list[tuple[tuple[str, ...], float, Event]] = []
    for e in events:
        key = {"run": (e.run_id,), "agent": (e.run_id, e.agent), "all": ()}[scope]
        clocks[key] = now = max(clocks.get(key, e.time), e.time)
        if e.body["tool"] == "swap":
            seen.append((key, now, e))
        counted = [s for k, t, s in seen if k == key and (within is None or t >= now - within)]
        if groups:
            counted = [s for s in counted if to_whom(s) == to_whom(e)]
        values = [s.body["arguments"]["amount"] for s in counted]
        found.append(str({"count": len(values), "sum": sum(values), "distinct": len(set(values))}[kind]))
    return found


@given(
    st.lists(step, max_size=40), st.sampled_from(["run", "agent", "all"]), st.sampled_from([None, 7, 40]), st.booleans()
)
def test_windows_count_what_counting_by_hand_gives(
    steps: list[tuple[int, str, str, str, int, str]], scope: str, within: int | None, groups: bool
) -> None:
    time, events = 0.0, []
    for gap, tool, run, agent, amount, to in steps:
        time += gap
        events.append(call(tool, time, run, agent, amount=amount, to=to))
    filters = ["tool=swap", f"scope={scope}"] + [f"within={within}s"] * bool(within) + ["by=arg.to"] * groups
    for kind, of in (("count", ""), ("sum", "arg.amount, "), ("distinct", "arg.amount, ")):
        assert shows(f"{kind}({of}{', '.join(filters)})", events) == by_hand(kind, scope, events, within, groups)


def test_without_a_filter_the_triggers_count() -> None:
    running = engine("count() >= 2", "swap, pay")
    assert [bool(running.check(call(tool))) for tool in ("swap", "look", "dex.pay", "pay")] == [
        False,
        False,
        True,
        True,
    ]


def test_results_of_a_tool_can_be_counted() -> None:
    running = engine("count(tool=swap, event=after_action) >= 1", "pay")
    done = Event("1", 0.0, "run", "T", "tool_result", "T", "d", {"tool": "swap", "result": "ok"})
    other = Event("1", 0.0, "run", "T", "tool_result", "T", "d", {"tool": "look", "result": "ok"})
    running.check(other)
    running.check(call("swap"))
    assert not running.check(call("pay"))
    running.check(done)
    assert running.check(call("pay"))


def test_an_event_that_comes_late_counts_as_of_now() -> None:
    running = engine("count(tool=swap, within=7s) >= 1", "look")
    assert running.check(call("look", 10.0)) == []
    running.check(call("swap", 5.0))
    assert running.check(call("look", 16.0))
    assert running.check(call("look", 17.5)) == []


def test_sums_are_exact() -> None:
    running = engine("sum(arg.amount, within=10s) >= 0.3", "any", "none")
    for i in range(1000):
        running.check(call(time=float(i), amount="1e-40" if i % 3 else 0.1))
    (firing,) = engine("sum(arg.amount) == 0.3").check(call(amount=0.3))
    assert firing.finding.status == "evaluated"
    exact = engine("sum(arg.amount) == 0.3")
    for _ in range(3):
        found = exact.check(call(amount=0.1))
    assert [f.finding.status for f in found] == ["evaluated"]


def test_an_amount_that_cannot_be_read_makes_the_sum_unknown_while_it_counts() -> None:
    running = engine("sum(arg.amount, tool=swap, within=10s) > 100", "pay")
    for amount in ("x", -1000, None):
        running.check(call("swap", 0.0, amount=amount))
        assert [f.finding.status for f in running.check(call("pay", 5.0))] == ["error"]
        assert running.check(call("pay", 10.5)) == []
        running = engine("sum(arg.amount, tool=swap, within=10s) > 100", "pay")


def test_a_group_that_cannot_be_read_could_be_any() -> None:
    running = engine("count(tool=swap, by=arg.to, within=10s) > 5", "pay")
    running.check(call("swap", 0.0))
    assert [f.finding.status for f in running.check(call("pay", 1.0, to="a"))] == ["error"]
    assert running.check(call("pay", 11.0, to="a")) == []


def test_a_run_that_is_over_is_forgotten() -> None:
    book = RuleBook.parse(
        "rule @a trigger swap check count() >= 2 enforce stop end "
        "rule @b trigger swap check structuring(10, times=2) enforce stop end"
    )
    running = Engine(book)
    running.check(call(amount=9))
    running.check(call(run="other", amount=9))
    running.forget("run")
    assert running.check(call(amount=9)) == []
    assert [f.rule for f in running.check(call(run="other", amount=9))] == ["a", "b"]


@pytest.mark.parametrize("agents", [("A",), ("A", "B", "C")])
def test_splitting_a_sum_is_seen_also_across_agents(agents: tuple[str, ...]) -> None:
    running = engine("structuring(1_000, times=3, within=1h)")
    found = [running.check(call(agent=agents[i % len(agents)], time=60.0 * i, amount=a)) for i, a in
             enumerate((950, 1200, 20, 990, 999.99, 30, 900))]  # fmt: skip
    assert [bool(f) for f in found] == [False, False, False, False, True, False, True]


def test_a_trade_that_was_held_does_not_make_anyone_known() -> None:
    running = engine("new_counterparty(known=['0x1'])", "pay")
    assert all(running.check(call("pay", recipient="0x9")) for _ in range(3))
    assert not running.check(call("pay", recipient="0x1"))
