"""What the observer lets through, whom it asks, what it writes down; and that whatever fails, holds."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel import deadline
from cryptosentinel.agentspec import Decision, Engine, Inspection, RuleBook
from cryptosentinel.deadline import within
from cryptosentinel.errors import ConfigError, SentinelError
from cryptosentinel.guard.guard import Assessment, Guard
from cryptosentinel.guard.scorer import Scores
from cryptosentinel.ledger import Ledger
from cryptosentinel.observer import Observer, Ruling
from cryptosentinel.observer.plain import plain
from cryptosentinel.policy import Policy
from cryptosentinel.types import Event, Verdict

sys.path.insert(0, str(Path(__file__).parent))
from observer_events import Says, said, swap  # type: ignore[import-not-found]


def rules(enforce: str, check: str = "arg.amount >= 1_000", trigger: str = "swap") -> RuleBook:
    return RuleBook.parse(f"rule @big trigger {trigger} check {check} enforce {enforce} end")


class Person:
    """An inspector who decides the same each time, and remembers what was asked."""

    def __init__(self, approves: bool, wait_s: float = 0.0) -> None:
        self.approves, self.wait_s = approves, wait_s
        self.asked: list[Inspection] = []

    def inspect(self, inspection: Inspection) -> Decision:
        self.asked.append(inspection)
        time.sleep(self.wait_s)
        return Decision(self.approves, "ann", "" if self.approves else "no")


def test_nothing_to_say_lets_it_through() -> None:
    ruling = Observer(rules("stop"), Says()).observe(swap(10))
    assert (ruling.action, ruling.because, ruling.message, ruling.goes_through) == ("allow", (), "", True)
    assert isinstance(ruling, Verdict)


def test_stop_ends_the_run_and_the_operator_can_release_it() -> None:
    observer = Observer(rules("stop"))
    first = observer.observe(swap(2_000))
    assert (first.action, first.stops) == ("block", True)
    assert "rule @big" in first.message
    again = observer.observe(swap(1))
    assert (again.action, again.stops) == ("block", True)
    assert observer.observe(said("hello")).action == "block"
    assert observer.observe(swap(1, run="other")).goes_through
    observer.release("r")
    assert observer.observe(swap(1)).goes_through


def test_a_stop_ends_one_run_of_a_longer_conversation() -> None:
    longer = Observer(rules("stop"))
    event = swap(2_000)
    assert longer.observe(Event("a", 0.0, "s", "T", "tool_call", "T", "d", {**event.body, "run": "1"})).stops
    assert not longer.observe(
        Event("b", 0.0, "s", "T", "tool_call", "T", "d", {**swap(1).body, "run": "1"})
    ).goes_through
    assert longer.observe(Event("c", 0.0, "s", "T", "tool_call", "T", "d", {**swap(1).body, "run": "2"})).goes_through


def test_skip_leaves_out_this_call_only() -> None:
    observer = Observer(rules("skip"))
    assert [r.action for r in observer.observe_batch([swap(2_000), swap(1)])] == ["block", "allow"]
    assert observer.observe(swap(1)).goes_through


def test_a_stop_for_one_parallel_call_blocks_all() -> None:
    first, second = Observer(rules("stop")).observe_batch([swap(1), swap(2_000)])
    assert (first.action, first.stops, second.action, second.stops) == ("block", True, "block", True)


def test_the_guard_judges_parallel_calls_as_one_step() -> None:
    guard = Says("hold", 0.9)
    events = [swap(1), swap(2)]
    rulings = Observer(None, guard).observe_batch(events)
    assert guard.steps == [[e.id for e in events]]
    assert [r.action for r in rulings] == ["hold", "hold"]
    assert all("it is odd" in r.message and "The tool was not run." in r.message for r in rulings)
    assert rulings[0].because == rulings[1].because == (f"{events[0].id}/odd",)
    assert rulings[0].scores["suspicion"] == 0.9


def test_a_person_approves_or_rejects() -> None:
    yes, no = Person(True), Person(False)
    ruling = Observer(rules("user_inspection"), inspector=yes).observe(swap(2_000))
    assert (ruling.action, ruling.approved_by) == ("allow", "ann")
    assert [f.rule for f in yes.asked[0].firings] == ["big"]
    ruling = Observer(rules("user_inspection"), inspector=no).observe(swap(2_000))
    assert ruling.action == "hold"
    assert "Nobody approved it: no." in ruling.message


def test_nobody_to_ask_and_no_answer_in_time_are_rejections() -> None:
    assert "there is nobody to ask" in Observer(rules("user_inspection")).observe(swap(2_000)).message
    late = Observer(rules("user_inspection"), inspector=Person(True, 1.0), inspect_timeout_s=0.05)
    ruling = late.observe(swap(2_000))
    assert (ruling.action, "no answer in 0.05 s" in ruling.message) == ("hold", True)


def test_a_guards_hold_is_shown_to_a_person_with_its_finding() -> None:
    person = Person(True)
    assert Observer(None, Says("hold", 0.9), inspector=person).observe(swap()).action == "allow"
    assert [f.finding.reason for f in person.asked[0].firings] == ["it is odd"]
    person = Person(True)
    assert Observer(None, Says("block", 0.9), inspector=person).observe(swap()).action == "block"
    assert not person.asked


def test_while_a_person_thinks_the_run_may_be_stopped() -> None:
    observer = Observer(rules("user_inspection"), inspector=Person(True, 0.3))
    threading.Timer(0.1, observer.stop, ("r",)).start()
    assert observer.observe(swap(2_000)).action == "block"


def test_self_examination_comes_once_and_then_a_person() -> None:
    person = Person(True)
    observer = Observer(rules("llm_self_examine"), inspector=person)
    first = observer.observe(swap(2_000))
    assert (first.action, "Look again" in first.message, person.asked) == ("hold", True, [])
    assert observer.observe(swap(3_000)).action == "hold"  # another call is examined by itself
    assert observer.observe(swap(2_000)).approved_by == "ann"
    alone = Observer(rules("llm_self_examine"))
    assert [alone.observe(swap(2_000)).action for _ in range(3)] == ["hold"] * 3


def test_an_action_is_invoked_instead() -> None:
    done: list[Mapping[str, Any]] = []
    actions: dict[str, Callable[[Mapping[str, Any]], object]] = {"notify": done.append}
    observer = Observer(rules('invoke_action(notify, {"who": "ops", "amount": arg.amount})'), actions=actions)
    ruling = observer.observe(swap(2_000))
    assert (ruling.action, done) == ("hold", [{"who": "ops", "amount": 2_000}])
    assert "Instead, the operator's notify was called." in ruling.message
    both = Observer(rules("stop, invoke_action(notify, {})"), actions=actions).observe(swap(2_000))
    assert (both.action, both.stops, len(done)) == ("block", True, 2)
    person = Person(True)
    unknown = Observer(rules("invoke_action(sell, {})"), actions=actions, inspector=person).observe(swap(2_000))
    assert unknown.approved_by == "ann"
    assert "no action is called 'sell'" in person.asked[0].firings[-1].finding.reason


def test_rules_hear_the_guard_the_monitor_and_the_facts() -> None:
    class Drifted:
        def alarms(self, event: Event) -> Mapping[str, bool]:
            return {"size": True}

    check = "semantic_score(suspicion) >= 0.4 and drift_alarm(size) and fact.cash < 100"
    book = rules("skip", check)
    known: Callable[[Event], Mapping[str, Any]] = lambda event: {"cash": 50}  # noqa: E731
    assert Observer(book, Says("allow", 0.5), monitor=Drifted(), facts=known).observe(swap()).action == "block"
    assert Observer(book, Says("allow", 0.3), monitor=Drifted(), facts=known).observe(swap()).action == "allow"
    assert Observer(book, Says("allow", 0.5), monitor=Drifted()).observe(swap()).action == "hold"  # no such fact
    assert Observer(book, monitor=Drifted(), facts=known).observe(swap()).action == "hold"  # no guard


def test_everything_is_written_down_in_one_chain(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    odd = swap(Decimal("2500"), note=float("nan"), what=object())
    Observer(rules("skip"), Says("flag", 0.6), ledger=ledger).observe(odd)
    kept = [(e.kind, e.body) for e in ledger.entries()]
    assert [kind for kind, _ in kept] == ["event", "finding", "finding", "verdict"]
    event, guard, rule, verdict = (body for _, body in kept)
    assert event["body"]["arguments"]["amount"] == "2500"
    assert event["body"]["note"] == "nan"
    assert (guard["id"], rule["id"]) == (f"{odd.id}/odd", f"{odd.id}/agentspec")
    assert (verdict["action"], verdict["because"], verdict["event"]) == ("block", [guard["id"], rule["id"]], odd.id)
    assert {body["run"] for _, body in kept} == {"r"}
    assert ledger.verify().ok


class Raises:
    """Every part of a defence, broken."""

    def __init__(self, error: BaseException | None = None, wait_s: float = 0.0) -> None:
        self.error, self.wait_s = error or RuntimeError("broken"), wait_s

    def assess(self, events: Any) -> Any:
        time.sleep(self.wait_s)
        raise self.error

    def alarms(self, event: Event) -> Any:
        raise self.error

    def check(self, event: Event, signals: Any) -> Any:
        raise self.error

    def __call__(self, event: Event) -> Any:
        raise self.error


class Odd:
    """A guard whose answers are no assessments."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def assess(self, events: Any) -> Any:
        return self.answer


def assessed(score: Any = 0.0, action: Any = "allow") -> Assessment:
    return Assessment(Scores(score, 0.0, 0.0), (), Verdict(action, (), "x"))


BROKEN: dict[str, dict[str, Any]] = {
    "guard raises": {"guard": Raises()},
    "guard exits": {"guard": Raises(SystemExit(0))},
    "guard hangs": {"guard": Raises(wait_s=5.0), "timeout_s": 0.1},
    "guard answers nothing": {"guard": Odd(None)},
    "guard answers NaN": {"guard": Odd(assessed(math.nan))},
    "guard answers 7": {"guard": Odd(assessed(7.0))},
    "guard answers text": {"guard": Odd(assessed("low"))},
    "guard knows another action": {"guard": Odd(assessed(0.0, "pass"))},
    "monitor raises": {"monitor": Raises()},
    "facts raise": {"facts": Raises()},
    "engine raises": {"rules": Raises()},
    "predicate asks for what is not there": {"rules": rules("none", "arg.no_such > 1")},
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_fails_holds_a_call_and_flags_a_message(name: str, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    observer = Observer(**{"ledger": ledger, **BROKEN[name]})
    ruling = observer.observe(swap())
    assert (ruling.action, ruling.goes_through) == ("hold", False)
    assert ruling.message.startswith("Held. The tool was not run.")
    if name != "predicate asks for what is not there":
        assert observer.observe(said("hello")).action == "flag"
    assert any(e.body.get("status") == "error" for e in ledger.entries("finding"))


@pytest.mark.parametrize(
    "event",
    [
        None,
        "swap",
        Event("x", 0.0, "r", "T", "tool_call", "T", "d", None),  # type: ignore[arg-type]
        Event("x", 0.0, "r", "T", "tool-call", "T", "d", {}),  # type: ignore[arg-type]
        Event("x", 0.0, "r", "T", ["tool_call"], "T", "d", {}),  # type: ignore[arg-type]
        Event("x", math.nan, "r", "T", "tool_call", "T", "d", {"tool": "swap"}),
        Event("x", 0.0, "r", "T", "tool_call", "T", "d", {"tool": "swap", "arguments": "{"}),
    ],
)
def test_what_is_no_event_is_held(event: Any, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    observer = Observer(rules("none", "true", "any"), Guard(), ledger=ledger)
    assert not observer.observe(event).goes_through
    assert observer.observe(swap()).goes_through


def test_a_policy_may_block_what_failed_but_never_let_it_pass() -> None:
    assert Observer(None, Raises(), policy=Policy("strict", on_error="block")).observe(swap()).action == "block"
    with pytest.raises(ConfigError):
        Policy("open", on_error="allow")


def test_messages_can_be_consequential_too() -> None:
    assert Observer(None, Says("hold", 0.9)).observe(said("x", "web")).action == "flag"
    assert Observer(None, Says("block", 0.9)).observe(said("x", "web")).action == "block"
    strict = Observer(None, Says("hold", 0.9), consequential=("message", "tool_call"))
    assert strict.observe(said("x", "web")).action == "hold"
    assert Observer(rules("stop", "true", "message")).observe(said("x")).action == "block"


@pytest.mark.parametrize("text", [None, "", "rule @a trigger swap check no_such enforce stop end", b"\xff"])
def test_no_observer_starts_on_a_rule_file_that_is_missing_empty_or_broken(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "rules.ags"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SentinelError):
        Observer(path)


def test_limits_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Observer(timeout_s=0)


def test_a_ledger_that_is_locked_full_or_gone_holds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    observer = Observer(ledger=ledger, timeout_s=0.3)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    ruling = observer.observe(swap())
    assert (ruling.action, "the ledger could not be written" in ruling.message) == ("hold", True)
    lock.execute("ROLLBACK")
    for _ in range(100):  # the late write says at once that it was held after all
        actions = [e.body["action"] for e in ledger.entries("verdict")]
        if len(actions) == 2:
            break
        time.sleep(0.05)
    assert actions == ["allow", "hold"]
    assert observer.observe(swap()).goes_through
    broken = Observer(ledger=_Full())  # type: ignore[arg-type]
    assert broken.observe(swap()).action == "hold"
    assert broken.observe(said("hello")).action == "flag"


class _Full:
    def append_many(self, items: Any) -> None:
        raise OSError(28, "No space left on device")


def test_a_person_cannot_approve_what_cannot_be_written() -> None:
    observer = Observer(rules("user_inspection"), inspector=Person(True), ledger=_Full())  # type: ignore[arg-type]
    assert observer.observe(swap(2_000)).action == "hold"


def test_threads_and_tasks_are_judged_alike() -> None:
    observer = Observer(Engine(rules("skip", "count() > 50", "swap")), Guard())
    got: list[Ruling] = []
    threads = [
        threading.Thread(target=lambda: got.extend(observer.observe(swap(1)) for _ in range(10))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.action for r in got) == ["allow"] * 50 + ["block"] * 50

    async def many() -> list[Ruling]:
        return await asyncio.gather(*(observer.aobserve(swap(1, run="async")) for _ in range(60)))

    assert sorted(r.action for r in asyncio.run(many())) == ["allow"] * 50 + ["block"] * 10


def test_the_event_loop_goes_on_while_a_person_thinks() -> None:
    observer = Observer(rules("user_inspection"), inspector=Person(True, 0.3))

    async def ticks() -> tuple[Ruling, int]:
        asked = asyncio.ensure_future(observer.aobserve(swap(2_000)))
        n = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            n += 1
        return await asked, n

    ruling, n = asyncio.run(ticks())
    assert ruling.goes_through
    assert n > 5


def test_history_is_bounded_and_can_be_forgotten() -> None:
    observer = Observer(None, Guard())
    for _ in range(210):
        observer.observe(swap(1))
    assert len(observer.history("r")) == 200
    observer.forget("r")
    assert observer.history("r") == []


def test_work_that_never_ends_is_given_up() -> None:
    with pytest.raises(TimeoutError, match=r"no end in 0.05 s"):
        within(0.05, lambda late: time.sleep(0.5))
    with pytest.raises(ZeroDivisionError):
        within(1.0, lambda late: 1 // 0)


def test_a_thread_that_came_back_is_used_again_in_a_context_of_its_own() -> None:
    noted: ContextVar[str] = ContextVar("noted", default="nothing")

    def work(late: Any) -> tuple[int, str]:
        before = noted.get()
        noted.set("something")
        return threading.get_ident(), before

    done = [within(5.0, work) for _ in range(20)]
    assert len({thread for thread, _ in done}) == 1
    assert {before for _, before in done} == {"nothing"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_this_process_has_threads_of_its_own() -> None:
    assert within(5.0, lambda late: 1) == 1
    if not (child := os.fork()):
        os._exit(within(5.0, lambda late: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_after_too_much_that_never_ended_nothing_more_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "MOST_STUCK", deadline._count(0) + 2)
    observer = Observer(None, Raises(wait_s=0.6), timeout_s=0.02)
    rulings = [observer.observe(swap()) for _ in range(4)]
    assert {r.action for r in rulings} == {"hold"}
    assert "earlier ones never ended" in rulings[-1].message
    time.sleep(0.7)  # they ended after all
    assert "earlier ones never ended" not in observer.observe(swap()).message
    time.sleep(0.7)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner)))  # fmt: skip
def test_anything_can_be_written_down(value: Any) -> None:
    from cryptosentinel.ledger import canonical

    assert canonical("event", {"value": plain(value)})
