"""Many streams, one budget; features, strata, state, and decisions that someone made to hurt."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.agentspec import Engine, RuleBook, Signals
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.monitor import Alarm, Plan, Watch
from cryptosentinel.types import Event

sys.path.insert(0, str(Path(__file__).parent))
from monitor_decisions import decision, decisions  # type: ignore[import-not-found]

BASE = list(decisions(400, 0))


def watched(events: Any, watch: Watch) -> list[Alarm]:
    return [alarm for event in events for alarm in watch.observe(event)]


def test_streams_by_type_and_nothing_from_what_never_changes() -> None:
    watch = Watch.learn(Plan(), BASE)
    assert {s.name: s.detector.kind for s in watch.streams()} == {
        "asset": "categories", "risky": "rate", "size": "mean",
    }  # fmt: skip
    assert watch.agents["Trader"].left_out == {"venue": "never changes"}
    assert watched(decisions(3000, 1), watch) == []


def test_a_slow_favour_for_one_asset_is_named() -> None:
    watch = Watch.learn(Plan(), BASE)
    assert watched(decisions(500, 2), watch) == []
    alarms = watched(decisions(200, 3, coin=0.3, start=500), watch)
    assert [(a.stream, a.change.category, a.change.direction) for a in alarms] == [("asset", "ORVA", "up")]
    assert alarms[0].evidence >= alarms[0].threshold
    assert alarms[0].threshold == 3 * 10_000
    assert alarms[0].run_length_guarantee == 10_000
    assert "'ORVA' of asset" in alarms[0].sentence
    assert alarms[0].finding().score is not None
    assert json.loads(json.dumps(alarms[0].as_dict()))["agent"] == "Trader"
    assert Alarm.from_dict(json.loads(json.dumps(alarms[0].as_dict()))) == alarms[0]


def test_an_alarm_stays_on_until_the_behaviour_is_back_for_a_while() -> None:
    watch = Watch.learn(Plan(), BASE)
    probe = decision(0)
    assert len(watched(decisions(1000, 4, risky=0.6), watch)) == 1  # said once, however long it lasts
    assert watch.alarms(probe) == {"asset": False, "risky": True, "size": False}
    assert watched(decisions(40, 5), watch) == []
    assert watch.alarms(probe)["risky"]
    watched(decisions(600, 6), watch)
    assert not watch.alarms(probe)["risky"]
    assert len(watched(decisions(200, 7, risky=0.6), watch)) == 1


def test_streams_that_change_together_alarm_together() -> None:
    together, single = (Watch.learn(Plan.read({"multiplicity": m}), BASE) for m in ("e-bh", "share"))
    events = list(decisions(200, 8, risky=0.3, coin=0.15))
    first = watched(events, together)
    assert first[0].time <= watched(events, single)[0].time
    assert all(a.evidence >= a.threshold for a in first)


def test_the_rules_ask_for_the_alarm() -> None:
    watch = Watch.learn(Plan(), BASE)
    watched(decisions(200, 9, risky=0.6), watch)
    engine = Engine(RuleBook.parse("rule @drift trigger any check drift_alarm(risky) enforce user_inspection end"))
    event = Event("e", 0.0, "", "Trader", "tool_call", "Trader", "dex", {"tool": "swap", "arguments": {}})
    assert engine.check(event, Signals(alarms=watch.alarms(event)))[0].finding.status == "evaluated"
    stranger = Event("e", 0.0, "", "Nobody", "tool_call", "Nobody", "dex", {"tool": "swap", "arguments": {}})
    assert engine.check(stranger, Signals(alarms=watch.alarms(stranger)))[0].finding.status == "error"


def test_an_agent_without_a_baseline_is_learnt_online() -> None:
    watch = Watch(Plan.read({"learn": 200}))
    assert watched(decisions(199, 10), watch) == []
    assert not watch.streams()
    assert watched(decisions(500, 11), watch) == []
    assert len(watch.streams()) == 3
    assert watched(decisions(150, 12, risky=0.7), watch)


FEATURES = {
    "decisions": 1000,
    "feature": [
        {"name": "asset", "kind": "categories", "attribute": "asset", "where": {"action": ["buy", "sell"]}},
        {"name": "large", "kind": "rate", "attribute": "size", "above": 100.0, "unit": "of trades"},
        {"name": "confidence", "kind": "mean", "attribute": "confidence", "low": 0.0, "high": 1.0, "by": ["market"]},
        {"name": "calls", "kind": "scores", "per": "task", "unit": "calls a task"},
        {"name": "tone", "kind": "text", "attribute": "note"},
    ],
}


def desk(n: int, seed: int, **changed: Any) -> list[Event]:
    import random

    draw = random.Random(seed)
    found = []
    for i in range(n):
        market = "calm" if i // 50 % 2 else "wild"
        found.append(decision(i, **{
            "action": draw.choice(["buy", "sell", "hold"]), "asset": draw.choice(["BTC", "ETH"]),
            "size": draw.expovariate(0.02), "market": market,
            "confidence": draw.betavariate(8, 2) if market == "calm" else draw.betavariate(2, 8),
            "task": i // draw.choice([4, 4, 5]), "note": draw.choice(["Hold, RSI is neutral", "Buy near the band"])
            + f" at {draw.random():.3f}",
        } | {k: (v(draw, i) if callable(v) else v) for k, v in changed.items()}))  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("stream", "changed"),
    [
        ("asset", {"asset": lambda r, i: "ORVA" if r.random() < 0.5 else "ETH"}),
        ("large", {"size": 500}),
        ("confidence [market=wild]", {"confidence": lambda r, i: r.betavariate(8, 2)}),
        ("calls", {"task": lambda r, i: i // 40}),
        ("tone", {"note": "ALL IN NOW!!! this coin cannot lose, trust me"}),
    ],
)
def test_declared_features_each_see_their_change(stream: str, changed: dict[str, Any]) -> None:
    plan = Plan.read(FEATURES)
    assert watched(desk(600, 2), Watch.learn(plan, desk(800, 1))) == []
    alarms = watched(desk(600, 3, **changed), Watch.learn(plan, desk(800, 1)))
    assert stream in {a.stream for a in alarms}


def test_market_states_have_baselines_of_their_own() -> None:
    watch = Watch.learn(Plan.read(FEATURES), desk(800, 1))
    assert {s.name for s in watch.streams() if s.feature == "confidence"} == {
        "confidence [market=calm]", "confidence [market=wild]",
    }  # fmt: skip
    watched(desk(5, 2, market="storm"), watch)
    gauge = next(g for g in watch.agents["Trader"].gauges if g.feature.name == "confidence")
    assert gauge.counts["no baseline"] == 5


def test_a_budget_by_the_month_follows_the_baseline() -> None:
    base = [decision(i, time=i * 60.0, risky=i % 7 == 0) for i in range(1000)]
    watch = Watch.learn(Plan.read({"per_month": 2}), base)
    assert watch.run_length == pytest.approx(30.44 * 1440 / 2, rel=1e-6)
    with pytest.raises(ConfigError, match="needs a baseline with times"):
        Watch.learn(Plan.read({"per_month": 2}), [decision(i, time=0.0, risky=i % 7 == 0) for i in range(100)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"decisions": 5}, "decisions = 5"),
        ({"decisions": 1e4, "per_month": 1}, "give one"),
        ({"confidence": 1.0}, "confidence = 1.0"),
        ({"recursion": "cusum"}, "recursion = 'cusum'"),
        ({"feature": [{"name": "a", "kind": "rate"}]}, "attribute is missing"),
        ({"feature": [{"name": "a", "kind": "mean", "attribute": "x", "low": 2.0, "high": 1.0}]}, "low must be below"),
        ({"feature": [{"name": "a", "kind": "mean", "attribute": "x", "above": 2.0}]}, "make a rate"),
        ({"feature": [{"name": "a", "kind": "rate", "atribute": "x"}]}, "did you mean attribute"),
        ({"feature": [{"name": "a", "kind": "rate", "attribute": "x"}] * 2}, "is there twice"),
        ({"feature": [{"name": "a", "kind": "rate", "attribute": "x", "per": "t"}]}, "per counts or sums"),
        ({"feature": "no"}, "features = 'no'"),
        ({"decisions": float("nan")}, "decisions = nan"),
    ],
)
def test_settings_that_do_not_fit_are_refused_on_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plan.read(given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text(max_size=200),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.just(10**400), st.just("x" * 100_000), st.just("\ud800"),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(["asset", "size", "risky", "new", ""]), values), max_size=30))
def test_whatever_comes_evidence_is_a_number(hostile: list[dict[str, Any]]) -> None:
    watch = Watch.learn(Plan(), BASE)
    for i, attributes in enumerate(hostile):
        watch.observe(decision(i, **attributes))
    for stream in watch.streams():
        assert math.isfinite(stream.detector.evidence)
        assert math.isfinite(stream.peak)
    json.dumps(watch.state(), allow_nan=False)


@settings(max_examples=25)
@given(st.lists(st.dictionaries(st.sampled_from(["asset", "size", "risky"]), values), min_size=20, max_size=60))
def test_whatever_the_baseline_is_it_can_be_learnt(hostile: list[dict[str, Any]]) -> None:
    events = [decision(i, **attributes) for i, attributes in enumerate(hostile)]
    watch = Watch.learn(Plan(), events)
    watched(events, watch)
    json.dumps(watch.state(), allow_nan=False)


@settings(max_examples=20)
@given(cut=st.integers(0, 400), seed=st.integers(0, 1000), declared=st.booleans())
def test_a_restored_watch_goes_on_bit_by_bit(cut: int, seed: int, declared: bool) -> None:
    plan = Plan.read(FEATURES if declared else {"learn": 150})
    events = desk(400, seed, size=500)
    base = desk(300, 1) if declared else []
    whole, first = Watch.learn(plan, base), Watch.learn(plan, base)
    alarms = watched(events, whole)
    some = watched(events[:cut], first)
    second = Watch.restored(json.loads(json.dumps(first.state(), allow_nan=False)))
    some += watched(events[cut:], second)
    assert some == alarms
    assert second.state() == whole.state()


def test_a_state_that_is_none_is_refused() -> None:
    state = Watch.learn(Plan(), BASE).state()
    for damaged in ({}, {"version": 1}, state | {"version": 99}, state | {"plan": {"decisions": 1}}):
        with pytest.raises(DataError):
            Watch.restored(damaged)


def test_what_is_gone_is_counted_until_it_is_back() -> None:
    watch = Watch.learn(Plan(), BASE)
    asset = watch.agents["Trader"].gauges[0]
    watched(decisions(100, 1), watch)
    watched([decision(i, size=50.0, risky=False) for i in range(19)], watch)
    assert (asset.feature.name, asset.counts["missing"], asset.lost) == ("asset", 19, False)
    watched([decision(19, size=50.0, risky=False)], watch)
    assert asset.lost
    again = Watch.restored(json.loads(json.dumps(watch.state())))
    assert [g.lost for g in again.agents["Trader"].gauges] == [True, False, False]
    watched([decision(20, asset="BTC")], watch)
    assert (asset.counts["missing"], asset.lost) == (20, False)


def test_who_is_not_meant_lacks_nothing() -> None:
    plan = Plan.read({"feature": [
        {"name": "bought", "kind": "categories", "attribute": "asset", "where": {"action": "buy"}},
        {"name": "calls", "kind": "scores", "per": "task"},
    ]})  # fmt: skip
    base = [decision(i, action="buy", asset="AB"[i % 2], task=i // (1 + i % 3)) for i in range(300)]
    watch = Watch.learn(plan, base)
    watched([decision(i, action="sell", task=i) for i in range(50)], watch)
    bought, calls = watch.agents["Trader"].gauges
    assert (bought.counts, bought.lost, calls.counts, calls.lost) == ({}, False, {}, False)
    watched([decision(i, action="buy") for i in range(50)], watch)
    assert (bought.counts, bought.lost, calls.counts, calls.lost) == ({"missing": 50}, True, {"missing": 50}, True)


def test_late_decisions_count_and_are_counted() -> None:
    watch = Watch.learn(Plan(), BASE)
    watched([decision(1, time=100.0, size=1.0), decision(2, time=50.0, size=1.0)], watch)
    assert watch.counts["late"] == 1
    assert {s.decisions for s in watch.streams() if s.name == "size"} == {2}


def test_a_clock_that_is_ahead_makes_nobody_else_late() -> None:
    watch = Watch(Plan())
    ahead = [replace(decision(i, time=1e9 + i), agent="Analyst") for i in range(5)]
    for pair in zip(ahead, [decision(i, time=float(i)) for i in range(5)], strict=True):
        watched(pair, watch)
    assert watch.counts["late"] == 0
    again = Watch.restored(json.loads(json.dumps(watch.state())))
    watched([decision(9, time=1.0)], again)
    assert again.counts["late"] == 1


def test_names_made_up_by_agents_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptosentinel.monitor.watch.MOST_AGENTS", 5)
    watch = Watch(Plan())
    for i in range(20):
        watch.observe(decision(i, agent=f"agent-{i}", size=1.0))
    assert len(watch.agents) == 5
    assert watch.counts["beyond the most agents"] == 15


def test_a_baseline_that_is_too_short_is_learnt_on() -> None:
    watch = Watch.learn(Plan.read({"learn": 100}), list(decisions(15, 0)))
    assert not watch.streams()
    assert watched(decisions(85, 1, start=15), watch) == []
    assert len(watch.streams()) == 3


def called(n: int, tool: str, **arguments: Any) -> Event:
    body = {"tool": tool, "arguments": json.dumps(arguments) if n % 2 else arguments}
    return Event(f"c{n}", float(n), "", "Trader", "tool_call", "Trader", "dex", body)


def test_tool_calls_are_watched_where_the_plan_says_so() -> None:
    calls = [called(n, "price" if n % 3 else "swap", amount=n % 7, to=f"0x{n % 5}") for n in range(300)]
    assert not Watch.learn(Plan(), calls).streams()
    watch = Watch.learn(Plan.read({"kinds": ["decision", "tool_call"]}), calls)
    assert {s.name for s in watch.streams()} == {"tool", "arguments.amount", "arguments.to"}
    alarms = watched([called(n, "transfer", amount=500, to="0xeve") for n in range(40)], watch)
    assert {"tool", "arguments.to"} <= {a.stream for a in alarms}
    odd = Event("x", 0.0, "", "Trader", "tool_call", "Trader", "dex", {"tool": ["?"], "arguments": "[" * 10_000})
    watch.observe(odd)
    json.dumps(watch.state(), allow_nan=False)
