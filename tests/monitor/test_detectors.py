"""The laws of every detector of changes, and the promise that they are there for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.monitor import Bank, Categories, ChangeDetector, Mean, Rate, Scores, restored
from cryptosentinel.monitor.bets import MOST_EVIDENCE, table
from cryptosentinel.monitor.bounds import betting_interval, cell_bounds, clopper_pearson, worth
from cryptosentinel.monitor.boxes import e_values, nearest, worst

Draw = Callable[[np.random.Generator, int], Any]
USUAL: dict[str, Draw] = {
    "rate": lambda rng, n: (rng.random(n) < 0.1).astype(float).tolist(),
    "mean": lambda rng, n: rng.beta(2, 6, n).tolist(),
    "scores": lambda rng, n: rng.standard_cauchy(n).tolist(),
    "categories": lambda rng, n: rng.choice(["a", "b", "c", "d"], n, p=[0.6, 0.2, 0.15, 0.05]).tolist(),
}
CHANGED: dict[str, Draw] = {
    "rate": lambda rng, n: (rng.random(n) < 0.5).astype(float).tolist(),
    "mean": lambda rng, n: rng.beta(6, 2, n).tolist(),
    "scores": lambda rng, n: (rng.standard_cauchy(n) + 4).tolist(),
    "categories": lambda rng, n: rng.choice(["a", "d", "new"], n).tolist(),
}
NAMES = registry.names("change-detector")


def learnt(name: str, n: int = 300, seed: int = 0, **options: Any) -> ChangeDetector:
    made: ChangeDetector = registry.lookup("change-detector", name).target.learn(
        USUAL[name](np.random.default_rng(seed), n), **options
    )
    return made


def test_every_registered_detector_is_tested_here() -> None:
    assert sorted(USUAL) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestDetector:
    @pytest.mark.parametrize("recursion", ["e-sr", "e-cusum"])
    def test_a_change_is_seen_and_placed(self, name: str, recursion: str) -> None:
        rng = np.random.default_rng(1)
        detector = learnt(name, recursion=recursion)
        assert max(map(detector.update, USUAL[name](rng, 200))) < 1e4
        seen = next(i for i, x in enumerate(CHANGED[name](rng, 200), 1) if detector.update(x) >= 1e4)
        change = detector.located()
        assert seen <= 60
        assert abs(change.began - seen) <= 25
        assert not change.low <= change.observed <= change.high
        assert detector.name == f"{recursion} {name}"

    def test_restart_forgets_the_evidence_and_keeps_the_baseline(self, name: str) -> None:
        rng = np.random.default_rng(2)
        detector = learnt(name)
        for x in CHANGED[name](rng, 100):
            detector.update(x)
        detector.restart()
        assert detector.evidence == 0.0
        assert max(map(detector.update, USUAL[name](rng, 100))) < 1e4
        assert max(map(detector.update, CHANGED[name](rng, 100))) >= 1e4

    def test_evidence_stays_finite_where_nobody_restarts_it(self, name: str) -> None:
        rng = np.random.default_rng(3)
        detector = learnt(name)
        for x in CHANGED[name](rng, 4000):
            assert math.isfinite(detector.update(x))
        assert detector.evidence <= 2 * MOST_EVIDENCE

    @pytest.mark.parametrize("n", [0, 1, 2, 5, 20])
    def test_short_baselines_survive(self, name: str, n: int) -> None:
        detector = learnt(name, n=n)
        for x in CHANGED[name](np.random.default_rng(4), 50):
            assert math.isfinite(detector.update(x))
        detector.located()

    def test_an_unknown_recursion_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="unknown recursion 'sum'"):
            learnt(name, recursion="sum")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 700), n=st.integers(0, 700), changed=st.booleans())
def test_a_restored_detector_goes_on_bit_by_bit(name: str, seed: int, cut: int, n: int, changed: bool) -> None:
    rng = np.random.default_rng(seed)
    values = (CHANGED if changed else USUAL)[name](rng, n)
    whole, first = learnt(name, seed=seed), learnt(name, seed=seed)
    for x in values:
        whole.update(x)
    for x in values[:cut]:
        first.update(x)
    second = restored(json.loads(json.dumps(first.state(), allow_nan=False, sort_keys=True)))
    for x in values[cut:]:
        second.update(x)
    assert second.state() == whole.state()
    assert second.located() == whole.located()


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_state_is_refused(name: str) -> None:
    state = learnt(name).state()
    for damage in ({"money": [1.0]}, {"kind": "rate", "learnt": {}}, {"money": [math.nan] * len(state["money"])}):
        with pytest.raises((DataError, ConfigError)):
            restored(state | damage)
    with pytest.raises(ConfigError, match="unknown change-detector"):
        restored(state | {"kind": "no such"})


def test_no_change_is_seen_much_later_than_if_it_were_known() -> None:
    evidence, worst_ratio = math.log(1e4), 0.0
    for m in (0.02, 0.05, 0.1, 0.2):
        bets = table([(0.0, m)], "up")
        for step in np.linspace(0.5, 5.0, 46):
            q = 1 / (1 + (1 - m) / m * math.exp(-step))
            known = evidence / (q * math.log(q / m) + (1 - q) * math.log((1 - q) / (1 - m)))
            grows = q * np.log(bets.offset + bets.slope) + (1 - q) * np.log(bets.offset)
            takes = ((evidence - np.log(bets.weights))[grows > 0] / grows[grows > 0]).min()
            worst_ratio = max(worst_ratio, takes / known)
    assert 1.2 < worst_ratio < 1.32


@settings(max_examples=60)
@given(low=st.floats(0, 1), high=st.floats(0, 1), means=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_no_bet_gains_within_the_bounds(low: float, high: float, means: list[float]) -> None:
    low, high = sorted((low, high))
    made = table([(low, high)])
    for mean in (low, high, *(low + (high - low) * m for m in means)):
        assert np.all(made.offset + made.slope * mean <= 1 + 1e-9)
    assert np.all(made.offset >= 0)
    assert np.all(made.offset + made.slope >= 0)
    assert made.weights.sum() == pytest.approx(1.0) or not made.weights.size


laws = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=8)


@settings(max_examples=100)
@given(expected=laws, centre=laws, width=st.floats(0.0, 0.9), draws=st.lists(laws, max_size=4))
def test_no_bet_on_categories_gains_within_the_bounds(
    expected: list[float], centre: list[float], width: float, draws: list[list[float]]
) -> None:
    size = min(len(expected), len(centre))
    q, p = (np.array(x[:size]) / sum(x[:size]) for x in (expected, centre))
    low, high = np.maximum(p - width, 0), np.minimum(p + width, 1)
    law = nearest(q[None], low, high)[0]
    assert law.sum() == pytest.approx(1.0)
    assert np.all(law >= low - 1e-12)
    assert np.all(law <= high + 1e-12)
    pays = e_values(q[None], low, high)
    assert worst(pays, low, high)[0] <= 1 + 1e-9
    inside = [x for d in draws if len(d) >= size for x in [np.array(d[:size]) / sum(d[:size])]]
    for other in inside:
        if np.all(other >= low) and np.all(other <= high):
            assert pays[0] @ other <= 1 + 1e-9


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), recursion=st.sampled_from(["e-sr", "e-cusum"]))
def test_a_bank_has_the_evidence_of_single_detectors(seed: int, recursion: Any) -> None:
    rng = np.random.default_rng(seed)
    bounds = [(0.02, 0.1), (0.0, 0.3), (0.5, 0.5), (0.2, 1.0)]
    bank = Bank([low for low, _ in bounds], [high for _, high in bounds], recursion)
    singles = [Rate(low, high, recursion) for low, high in bounds]
    for step in range(60):
        x = rng.random(4) if step % 2 else (rng.random(4) < 0.4).astype(float)
        x[rng.random(4) < 0.1] = np.nan
        evidence = bank.update(x)
        for i, single in enumerate(singles):
            if not np.isnan(x[i]):
                single.update(float(x[i]))
            assert evidence[i] == pytest.approx(single.evidence, rel=1e-9)
        if step == 40:
            bank.restart([1])
            singles[1].restart()
    again = Bank.restored(json.loads(json.dumps(bank.state())))
    assert np.array_equal(again.update([0.0] * 4), bank.update([0.0] * 4))


def test_a_bank_refuses_what_is_no_number_between_0_and_1() -> None:
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        Bank([0.1], [0.2]).update([1.5])
    with pytest.raises(DataError, match="for 1 streams"):
        Bank([0.1], [0.2]).update([0.5, 0.5])
    with pytest.raises(ConfigError, match="bounds must satisfy"):
        Bank([0.3], [0.2])


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_bounds_hold_as_often_as_they_say(p: float) -> None:
    rng = np.random.default_rng(7)
    samples = [rng.random(150) < p for _ in range(600)]
    exact = [clopper_pearson(int(s.sum()), 150, 0.05) for s in samples]
    bets = [betting_interval(s.astype(float), 0.05) for s in samples[:200]]
    assert np.mean([low <= p <= high for low, high in exact]) >= 0.94
    assert np.mean([low <= p <= high for low, high in bets]) >= 0.93
    assert all(0 <= low <= high <= 1 for low, high in bets)


def test_bounds_of_categories_hold_together() -> None:
    rng = np.random.default_rng(8)
    p = np.array([0.5, 0.2] + [0.3 / 30] * 30)
    kept = 0
    for _ in range(200):
        drawn = rng.choice(32, 300, p=p)
        seen = np.flatnonzero(np.bincount(drawn, minlength=32))
        half = set(drawn[:150].tolist())
        new = 0
        for x in drawn[150:].tolist():
            new += x not in half
            half.add(x)
        low, high = cell_bounds(np.bincount(drawn, minlength=32)[seen], new, 150, 0.1)
        missing = p[[i for i in range(32) if i not in set(seen.tolist())]].sum()
        kept += bool(np.all(p[seen] >= low[:-1]) and np.all(p[seen] <= high[:-1]) and missing <= high[-1])
    assert kept >= 175


def test_decisions_that_hang_together_are_worth_less() -> None:
    rng = np.random.default_rng(9)
    assert np.mean([worth([rng.random(300) < 0.2]) == 1.0 for _ in range(200)]) > 0.88
    sticky = np.repeat(rng.random(30) < 0.4, 20)
    assert worth([sticky]) < 0.2


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda: Rate(0.03, 0.08), lambda rng: float(rng.random() < 0.08)),
        (lambda: Mean(0.2, 0.3), lambda rng: float(rng.beta(3, 7))),
    ],
)
def test_the_run_length_is_kept_at_the_bound(make: Callable[[], Any], draw: Callable[[Any], float]) -> None:
    rng = np.random.default_rng(10)
    detector, alarms = make(), 0
    for _ in range(40_000):
        if detector.update(draw(rng)) >= 300:
            alarms += 1
            detector.restart()
    assert 40_000 / max(alarms, 1) >= 300


def test_a_known_baseline_alarms_where_a_plugged_in_one_would_not_be_safe() -> None:
    few = Rate.learn([0.0] * 18 + [1.0] * 2)
    assert few.high > 0.3
    assert max(few.update(float(i % 4 == 0)) for i in range(400)) < 1e4


def test_categories_pool_what_is_rare_and_count_what_is_new() -> None:
    names = [f"coin-{i % 60}" for i in range(900)]
    detector = Categories.learn(names)
    assert len(detector.cells) == 49
    assert detector.cells[-2:] == ("(other)", "(unseen)")
    assert max(detector.update(x) for x in names[:300]) < 1e4
    assert max(detector.update("(unseen)") for _ in range(30)) >= 1e4
    assert detector.located().category == "(unseen)"


def test_scores_see_what_only_the_tail_shows() -> None:
    rng = np.random.default_rng(11)
    detector = Scores.learn(rng.normal(size=400).tolist())
    values = np.where(rng.random(300) < 0.3, 100.0, rng.normal(size=300) - 0.4)
    assert max(detector.update(float(x)) for x in values) >= 1e4
    assert detector.located().category == "outermost high values"
