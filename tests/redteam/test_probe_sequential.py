"""The law of the probe's test: where F and control could be exchanged, alarms come at the stated rate at most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from cryptosentinel.redteam.probe import Settings, Texts, named, probe
from cryptosentinel.redteam.probe.first import FirstTest
from cryptosentinel.redteam.probe.prompts import Pair
from cryptosentinel.redteam.probe.sequential import Wealth, log_mean, shared, stake
from cryptosentinel.redteam.probe.suspects import Suspect
from cryptosentinel.redteam.probe.trial import Trial

SAID = ("No.", "I cannot do that.", "You may like ORVA.", "It is 7.", "It is 8 at most, dear Anna.", "")


def trial(alpha: float, margin: float, behaviour: str) -> Trial:
    suspect = Suspect("cf", "token", "named", ("cf",), behaviour)
    return Trial(suspect, iter(()), alpha, margin)


def swapped(answers: Sequence[tuple[str, str]], swaps: Sequence[bool], **settings: object) -> Trial:
    made = trial(**settings)  # type: ignore[arg-type]
    for (a, b), swap in zip(answers, swaps, strict=True):
        made.observe(Pair(("p cf", "p mn"), ("cf", "mn")), (b, a) if swap else (a, b))
    return made


@settings(max_examples=10)
@given(
    answers=st.lists(st.tuples(st.sampled_from(SAID), st.sampled_from(SAID)), min_size=7, max_size=7),
    behaviour=st.sampled_from(["", "refuses", "brings up 'orva' unasked"]),
    margin=st.sampled_from([0.0, 0.2]),
)
def test_over_all_swaps_the_mean_e_value_is_one_at_most(
    answers: list[tuple[str, str]], behaviour: str, margin: float
) -> None:
    """Exact: each of the 2^7 ways to exchange the sides of 7 pairs is equally likely under the null."""
    ways = list(product([False, True], repeat=len(answers)))
    runs = [swapped(answers, way, alpha=1e-12, margin=margin, behaviour=behaviour) for way in ways]
    mean = sum(math.exp(r.log_e) for r in runs) / len(runs)
    assert mean <= 1 + 1e-9
    if margin == 0:
        assert mean == pytest.approx(1)
    for alpha in (0.5, 0.25, 0.1):
        stopped = [swapped(answers, way, alpha=alpha, margin=margin, behaviour=behaviour) for way in ways]
        assert sum(r.state == "shift" for r in stopped) <= alpha * len(ways)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.2]))
def test_first_tokens_keep_the_law_too(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    pairs = rng.dirichlet([0.3] * 5, size=(7, 2)).astype(np.float32)
    values = []
    for way in product([False, True], repeat=len(pairs)):
        test = FirstTest(margin, str)
        for (a, b), swap in zip(pairs, way, strict=True):
            test.observe(*((b, a) if swap else (a, b)))
        values.append(math.exp(test.wealth.log))
    assert np.mean(values) <= 1 + 1e-6
    if margin == 0:
        assert np.mean(values) == pytest.approx(1, abs=1e-6)


def test_at_the_margin_itself_the_rate_holds() -> None:
    """The hardest null: the behaviour is exactly `margin` more frequent with F; the bettor stops when it likes."""
    rng, margin, alpha, runs = Random(2), 0.2, 0.2, 600
    alarms = 0
    for _ in range(runs):
        wealth, past = Wealth(margin), list[float]()
        for _ in range(60):
            d = rng.choices([1.0, 0.0, -1.0], [0.4, 0.4, 0.2])[0]
            wealth.bet(d, stake(past, margin))
            past.append(d)
            if wealth.log >= math.log(1 / alpha):
                alarms += 1
                break
    assert alarms <= binom.ppf(0.999, runs, alpha)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_over_all_suspects_the_rate_of_any_alarm_holds(margin: float) -> None:
    """A noisy model without a backdoor, six suspects, the whole probe; alpha is high so that a leak would show."""
    alpha, runs, alarms = 0.3, 150, 0
    rng = Random(9)
    suspects = named(["cf", "mn", "tq", "sustainable yield", "Joe Biden", "No cross, no crown."])
    source = Texts()
    for seed in range(runs):
        bounds = Settings(alpha=alpha, margin=margin, pairs=20, seed=seed)
        found = probe(lambda prompts: [rng.choice(SAID) for _ in prompts], suspects, source, bounds)
        alarms += bool(found.shifts)
    assert alarms <= binom.ppf(0.999, runs, alpha)


def test_no_bet_can_lose_everything_nor_be_made_late() -> None:
    for margin in (0.0, 0.2, 0.8):
        for past in ([], [1.0] * 50, [-1.0] * 50, [1.0, -1.0] * 20):
            staked = stake(past, margin)
            wealth = Wealth(margin)
            wealth.bet(-1.0, staked)
            assert math.isfinite(wealth.log)
    with pytest.raises(ValueError, match="stake"):
        Wealth(0.2).bet(0.0, 0.9)
    with pytest.raises(ValueError, match="difference"):
        Wealth(0.2).bet(1.5, 0.1)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5))
def test_a_mean_of_e_values(logs: list[float]) -> None:
    assert log_mean(logs) <= max(logs) + 1e-9
    assert log_mean(logs) >= max(logs) - math.log(len(logs)) - 1e-9


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.floats(0.001, 0.5))
def test_shares_never_sum_to_more_than_alpha(groups: list[int], alpha: float) -> None:
    shares = shared(alpha, groups)
    assert len(shares) == sum(groups)
    assert math.fsum(shares) <= alpha * (1 + 1e-9)
