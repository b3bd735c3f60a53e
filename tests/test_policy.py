"""A score becomes an action in one place, and a defence that did not run is never a pass."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.errors import ConfigError
from cryptosentinel.policy import SEVERITY, Policy
from cryptosentinel.types import Action, Finding, Ref

unit = st.floats(0, 1)
ROW = Ref("row", "1")


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    thresholds = sorted(draw(st.lists(unit, min_size=3, max_size=3)))
    flag_at, hold_at, block_at = (t if draw(st.booleans()) else None for t in thresholds)
    on_error: Action = draw(st.sampled_from(["flag", "hold", "block"]))
    return Policy("p", flag_at, hold_at, block_at, on_error)


evaluated = unit.map(lambda s: Finding("check", 1, ROW, s))
failed = st.just(Finding("check", 1, ROW, None, "error"))
left_out = st.just(Finding("check", 1, ROW, None, "not_evaluated"))
numbered = st.lists(evaluated | failed | left_out, max_size=6).map(lambda fs: [(str(i), f) for i, f in enumerate(fs)])


@given(policies(), numbered)
def test_an_error_is_never_allowed(policy: Policy, findings: list[tuple[str, Finding]]) -> None:
    verdict = policy.judge([*findings, ("failed", Finding("check", 1, ROW, None, "error"))])
    assert SEVERITY[verdict.action] >= SEVERITY[policy.on_error] > SEVERITY["allow"]
    assert "failed" in verdict.because


@given(policies(), numbered)
def test_the_worst_decides_whatever_the_order(policy: Policy, findings: list[tuple[str, Finding]]) -> None:
    verdict = policy.judge(findings)
    alone = {i: policy.judge([(i, f)]).action for i, f in findings}
    assert SEVERITY[verdict.action] == max((SEVERITY[a] for a in alone.values()), default=0)
    assert set(verdict.because) == {i for i, a in alone.items() if a != "allow"}
    assert policy.judge(findings[::-1]).action == verdict.action
    assert verdict.policy == "p"


@given(policies(), unit, unit)
def test_a_higher_score_is_never_treated_more_gently(policy: Policy, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert SEVERITY[policy.action(low)] <= SEVERITY[policy.action(high)]


def test_thresholds_are_met_at_their_value() -> None:
    policy = Policy("p", flag_at=0.2, hold_at=0.5, block_at=0.9)
    assert [policy.action(s) for s in (0.19, 0.2, 0.5, 0.9, 1.0)] == ["allow", "flag", "hold", "block", "block"]
    assert Policy("never", flag_at=None).action(1.0) == "allow"
    assert policy.judge([]).action == "allow"
    assert policy.judge([("a", Finding("check", 1, ROW, None, "not_evaluated"))]).because == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flag_at": 1.5}, r"must lie in \[0, 1\], got \[1.5\]"),
        ({"flag_at": math.nan}, r"must lie in \[0, 1\]"),
        ({"flag_at": 0.9, "block_at": 0.5}, r"must rise from flag to block, got \[0.9, 0.5\]"),
        ({"on_error": "allow"}, "would let a failed defence pass"),
    ],
)
def test_policies_that_fail_open_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy("p", **settings)
