"""The engine: when a rule fires, when it cannot be decided, and what neither time nor threads change."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel import registry
from cryptosentinel.agentspec import Engine, Firing, RuleBook, Signals, Test, judge
from cryptosentinel.errors import ConfigError, RuleError
from cryptosentinel.types import Event, EventKind

sys.path.insert(0, str(Path(__file__).parent))
from agentspec_events import call, engine, event  # type: ignore[import-not-found]

FIRES: dict[str, tuple[str, dict[str, Any]]] = {
    "is above": ("arg.amount > 1_000", {"amount": 1001}),
    "is exactly": ("arg.amount >= 1000.10", {"amount": "1000.1"}),
    "a float as it is printed": ("arg.amount == 0.1", {"amount": 0.1}),
    "text": ('arg.to == "eve"', {"to": "eve"}),
    "not among": ('arg.chain not in ["base", "solana"]', {"chain": "bsc"}),
    "number among": ("arg.n in [1, 2]", {"n": "2.0"}),
    "pattern": ('arg.memo matches "(?i)urgent"', {"memo": "URGENT: pay"}),
    "truth": ("arg.dry_run == false", {"dry_run": False}),
    "nested": ("arg.order.legs.1.size > 5", {"order": {"legs": [{}, {"size": 6}]}}),
    "two arguments": ("arg.to != arg.approved", {"to": "eve", "approved": "bob"}),
    "fields": ('agent == "Trader" and tool == "swap" and kind == "tool_call"', {}),
    "or does not need the rest": ("true or arg.missing > 5", {}),
    "not": ("not arg.amount > 5", {"amount": 5}),
    "on two lines": ("arg.amount > 5\n  arg.amount < 7", {"amount": 6}),
    "negative": ("arg.amount < -5", {"amount": -6}),
    "amount in its usual place": ("is_large_trade", {"amount": 1, "amount_in": "1000"}),
    "absent": ("not present(arg.memo)", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRES)
def test_a_rule_fires(name: str) -> None:
    check, arguments = FIRES[name]
    for given_arguments in (arguments, json.dumps(arguments)):
        (firing,) = engine(check).check(event("tool_call", tool="swap", arguments=given_arguments))
        assert firing.finding.status == "evaluated", firing.finding.reason
        assert judge([firing]).action == "block"
        json.dumps(asdict(firing.finding), allow_nan=False)
    assert engine(f"not ({check})").check(call(**arguments)) == []


UNDECIDED: dict[str, tuple[str, dict[str, Any]]] = {
    "missing": ("arg.amount > 5", {}),
    "no number": ("arg.amount > 5", {"amount": "much"}),
    "with a separator": ("arg.amount > 5", {"amount": "1,000"}),
    "nan": ("arg.amount > 5", {"amount": float("nan")}),
    "infinite": ("arg.amount > 5", {"amount": "Infinity"}),
    "truth for a number": ("arg.amount > 5", {"amount": True}),
    "null": ("arg.amount > 5", {"amount": None}),
    "list": ("arg.amount > 5", {"amount": [5]}),
    "huge": ("arg.amount > 5", {"amount": "1e999999"}),
    "endless": ("arg.amount > 5", {"amount": "9" * 100_000}),
    "negated": ("not arg.amount > 5", {}),
    "text for a truth": ("arg.dry_run == true", {"dry_run": "true"}),
    "list among": ('arg.to in ["a"]', {"to": ["a"]}),
    "fact": ("fact.liquidity > 5", {"liquidity": 9}),
    "score": ("semantic_score(suspicion) > 0.5", {}),
    "alarm": ("drift_alarm", {}),
    "alarm of a stream": ("drift_alarm(size)", {}),
    "long text": ('arg.memo matches "x"', {"memo": "a" * 30_000}),
    "no text": ('text matches "x"', {}),
    "sum": ("sum(arg.amount) > 5", {"amount": "?"}),
    "negative sum": ("sum(arg.amount) > 5", {"amount": -5}),
    "group": ("count(by=arg.to) > 5", {}),
    "approvals": ("not dual_approval", {"approvals": ["a", "b"]}),
    "negative trade": ("is_large_trade", {"amount": -1}),
    "no amount": ("is_large_trade", {}),
    "operand missing": ("not present(arg.x) and is_large_trade(5, amount=arg.x)", {}),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_decided_is_held(name: str) -> None:
    check, arguments = UNDECIDED[name]
    for enforce in ("stop", "none"):
        (firing,) = engine(check, enforce=enforce).check(call(**arguments))
        assert (firing.finding.status, firing.finding.score) == ("error", None)
        assert [m.name for m in firing.measures] == ["user_inspection"]
        assert judge([firing]).action == "hold"
        assert "could not be decided" in firing.finding.reason


@pytest.mark.parametrize(
    "arguments", ['{"amount": 1', "[]", '"x"', '{"amount": 1, "amount": 9}', "[" * 100_000, 7, ["amount"]]
)
def test_arguments_that_cannot_be_read_are_held(arguments: object) -> None:
    for check in ("arg.amount > 5", "present(arg.amount)", "not present(arg.amount)", "sum(arg.amount) > 5"):
        (firing,) = engine(check).check(event("tool_call", tool="swap", arguments=arguments))
        assert judge([firing]).action == "hold", check


@pytest.mark.parametrize(
    "odd",
    [
        event("tool_call", arguments={}), event("tool_call", tool=7), event("tool_call", time=float("nan"), tool="x"),
        event("message", time=float("inf"), text="a"),
    ],
)  # fmt: skip
def test_an_event_that_no_rule_can_be_chosen_for_is_held(odd: Event) -> None:
    assert judge(engine("false").check(odd)).action == "hold"


@pytest.fixture
def predicate() -> Iterator[Callable[[str, Any], None]]:
    added: list[str] = []

    def add(name: str, factory: Any) -> None:
        registry.register("predicate", name)(factory)
        added.append(name)

    yield add
    for name in added:
        del registry._ENTRIES["predicate", name]


def test_a_predicate_that_raises_or_gives_no_answer_is_held(predicate: Callable[[str, Any], None]) -> None:
    def raising() -> Test:
        return lambda context: 1 / 0 > 1

    def silent() -> Test:
        return lambda context: None  # type: ignore[return-value]

    class Forgetful:
        def observe(self, context: object) -> None:
            raise MemoryError("full")

        def __call__(self, context: object) -> bool:
            return False

    for name, factory in (("t_raises", raising), ("t_silent", silent), ("t_forgets", Forgetful)):
        predicate(name, factory)
        for check in (name, f"not {name}", f"{name} and true", f"false or {name}"):
            (firing,) = engine(check).check(call())
            assert judge([firing]).action == "hold", check
    book = RuleBook.parse(
        "rule @a trigger any check t_raises enforce none end rule @b trigger any check true enforce stop end"
    )
    found = Engine(book).check(call())
    assert [(f.rule, f.finding.status) for f in found] == [("a", "error"), ("b", "evaluated")]
    assert judge(found).action == "block"


EVENTS = {
    "last part": ("swap", "dex.swap", True), "other tool": ("swap", "swapper", False),
    "full name": ("dex.swap", "dex.swap", True), "other server": ("dex.swap", "cex.swap", False),
    "case": ("swap", "Swap", False),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_a_tool_is_named_in_full_or_by_its_last_part(name: str) -> None:
    trigger, tool, fires = EVENTS[name]
    assert bool(engine("true", trigger).check(call(tool))) is fires


KINDS: dict[str, set[EventKind]] = {
    "any": {"message", "tool_call", "tool_result", "decision"},
    "before_action": {"tool_call"},
    "after_action": {"tool_result"},
    "state_change": {"tool_result", "decision"},
    "message": {"message"},
    "swap": {"tool_call"},
}


@pytest.mark.parametrize("trigger", KINDS)
@pytest.mark.parametrize("kind", ["message", "tool_call", "tool_result", "decision"])
def test_which_event_triggers_what(trigger: str, kind: EventKind) -> None:
    assert bool(engine("true", trigger).check(event(kind, tool="swap"))) is (kind in KINDS[trigger])


def test_the_end_of_a_run() -> None:
    assert engine("true", "finish").check(event("message", text="Done.", final=True))
    assert not engine("true", "finish").check(event("message", text="Done."))


def test_what_decisions_messages_and_results_carry() -> None:
    assert engine('arg.action == "buy"', "state_change").check(event("decision", attributes={"action": "buy"}))
    assert engine('text matches "pump"', "message").check(event("message", text="to the pump"))
    assert engine("arg.liquidity < 5", "after_action").check(event("tool_result", tool="t", result='{"liquidity": 1}'))
    assert engine('arg.result matches "thin"', "after_action").check(event("tool_result", tool="t", result="thin pool"))


def test_signals() -> None:
    signals = Signals({"suspicion": 0.9, "safety": 1.5}, {"size": True, "asset": False}, {"liquidity": "9"})
    for check in ("semantic_score(suspicion) >= 0.9", "drift_alarm", "drift_alarm(size)", 'drift_alarm("size")',
                  "not drift_alarm(asset)", "fact.liquidity < 10"):  # fmt: skip
        (firing,) = engine(check).check(call(), signals)
        assert firing.finding.status == "evaluated", check
    for check in ("semantic_score(safety) > 0", "semantic_score(consistency) > 0", "drift_alarm(other)"):
        assert judge(engine(check).check(call(), signals)).action == "hold"
    assert RuleBook.parse("rule @a trigger any check semantic_score(safety) > 0.5 enforce stop end").scores == {
        "safety"
    }


@pytest.mark.parametrize(
    ("enforce", "action"),
    [("stop", "block"), ("skip", "block"), ("user_inspection", "hold"),
     ("llm_self_examine", "hold"), ("llm_self_reflect", "hold"), ("invoke_action(park)", "hold"), ("none", "allow"),
     ("none user_inspection", "hold")],
)  # fmt: skip
def test_what_an_enforcement_means_to_the_policy(enforce: str, action: str) -> None:
    assert judge(engine("true", enforce=enforce).check(call())).action == action


def test_an_action_is_handed_over_with_the_values_of_the_event() -> None:
    enforce = 'invoke_action(notify, {"who": "ops", "amount": arg.amount, "tags": ["a", 1]}), stop'
    (firing,) = engine("true", enforce=enforce).check(call(amount=5))
    assert [m.name for m in firing.measures] == ["invoke_action", "stop"]
    assert (firing.measures[0].action, firing.measures[0].arguments) == (
        "notify", {"who": "ops", "amount": 5, "tags": ["a", 1]},
    )  # fmt: skip
    assert judge(engine("true", enforce=enforce).check(call())).action == "hold"  # no amount to hand over


def test_a_firing_shows_its_numbers() -> None:
    (firing,) = engine("arg.amount > 5 and count() >= 1").check(call(amount="7"))
    assert firing.finding.evidence == {
        "rule": "r", "line": 1, "values": {"arg.amount": "7", "count()": "1"}, "enforce": ["stop"],
    }  # fmt: skip
    assert (firing.finding.subject.kind, firing.finding.subject.id) == ("event", "e")


def test_a_firing_can_be_written_down_whatever_it_is_about() -> None:
    for odd in ("\ud800", "\x1b[2J\u202e", "a" * 10_000, 10**5000, object()):
        for found in (engine("present(arg.x)").check(call(x=odd)), engine("arg.x > 5").check(call(x=odd))):
            text = json.dumps([asdict(f.finding) for f in found], ensure_ascii=False, allow_nan=False)
            assert len(text.encode("utf-8")) < 2_000


def test_nothing_changes_the_rules_but_who_starts_the_engine() -> None:
    assert [name for name in dir(Engine) if not name.startswith("_")] == ["check", "forget"]
    with pytest.raises(AttributeError):
        RuleBook.desk().rules = ()  # type: ignore[misc]
    guard = engine("arg.amount > 5")
    guard.check(event("tool_call", rules=[]))
    guard.check(call("load_rules", path="x.ags"))
    assert guard.check(call(amount=6))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"rule @a trigger any check true enforce nothing end"])
def test_a_file_that_cannot_be_used_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rules.ags"
    with pytest.raises(ConfigError, match="No such file"):
        RuleBook.load(path)
    path.write_bytes(content)
    with pytest.raises((ConfigError, RuleError)):
        RuleBook.load(path)


WINDOWED = """
    rule @often trigger swap check count(within=10s) >= 3 enforce user_inspection end
    rule @much trigger swap check sum(arg.amount, within=20s, by=arg.to) > 100 enforce stop end
    rule @many trigger any check distinct(arg.to, tool=swap, scope=agent) > 2 enforce stop end
    rule @parts trigger swap check structuring(50, times=3, within=30s) enforce stop end
"""
arbitrary = st.builds(
    lambda tool, gap, run, agent, arguments: (gap, call(tool, 0.0, run, agent, **arguments)),
    st.sampled_from(["swap", "dex.swap", "look"]),
    st.sampled_from([0, 1, 5, 11, 40]),
    st.sampled_from(["r1", "r2"]),
    st.sampled_from(["A", "B"]),
    st.fixed_dictionaries(
        {}, optional={"amount": st.sampled_from([1, 45, "49.9", -3, "x"]), "to": st.sampled_from(["a", "b", "c", 7])}
    ),
)


def timed(steps: list[tuple[int, Event]]) -> list[Event]:
    time, events = 0.0, []
    for i, (gap, e) in enumerate(steps):
        time += gap
        events.append(Event(str(i), time, e.run_id, e.agent, e.kind, e.sender, e.recipient, e.body))
    return events


def verdicts(events: list[Event]) -> list[list[Firing]]:
    running = Engine(RuleBook.parse(WINDOWED))
    return [running.check(e) for e in events]


@given(st.lists(arbitrary, max_size=25).map(timed), st.integers(0, 25))
def test_a_verdict_never_depends_on_what_comes_later(events: list[Event], k: int) -> None:
    assert verdicts(events)[:k] == verdicts(events[:k])


def test_two_threads_lose_nothing() -> None:
    running = engine("count() >= 4000")
    total = engine("sum(arg.amount) >= 4000")
    found: list[Firing] = []

    def work(agent: str) -> None:
        for _ in range(2000):
            found.extend(running.check(call(agent=agent)))
            found.extend(total.check(call(agent=agent, amount=1)))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(name,)) for name in "AB"]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    assert [f.finding.status for f in found] == ["evaluated", "evaluated"]
