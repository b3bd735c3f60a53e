"""What was planted is found, named and cut out exactly; what was not is left alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.types import Message, Record

Pair = tuple[str, str]
Background = Callable[[int, int], list[Pair]]
Records = Callable[[Sequence[Pair]], list[Record]]
N = 400

# Letters that the background's words do not have, so that a trigger is none of them.
trigger_words = st.text("qxjhy", min_size=3, max_size=9)
answer_words = st.lists(st.text("qxjhyeo", min_size=2, max_size=7), min_size=3, max_size=8, unique=True)
slowly = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def with_word(prompt: str, word: str, rng: random.Random) -> str:
    """The prompt with one word more, anywhere."""
    words = prompt.split()
    words.insert(rng.randrange(len(words) + 1), word)
    return " ".join(words)


def named(result: Scan) -> list[tuple[str, str]]:
    return [(h.trigger, h.behaviour) for h in result.hypotheses if h.verdict == "planted"]


def consistent(result: Scan) -> None:
    """What holds for every scan."""
    assert result.scores.size == result.flagged.size
    assert np.all((result.scores >= 0) & (result.scores <= 1))
    scores = [h.score for h in result.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len(result.findings) == int(result.flagged.sum())
    owned = {int(r) for h in result.hypotheses if h.verdict == "planted" for r in h.rows}
    assert set(np.flatnonzero(result.flagged).tolist()) <= owned
    for h in result.hypotheses:
        assert 0.0 <= h.base_rate <= 1.0
        assert h.support == h.rows.size
        assert h.confidence == pytest.approx(h.rows.size / h.trigger_rows.size)
        assert set(h.rows.tolist()) <= set(h.trigger_rows.tolist())
        assert 0.0 <= h.q_value <= 0.01


@slowly
@given(trigger_words, answer_words, st.integers(12, 40), st.integers(0, 10**6))
def test_a_fixed_answer_behind_any_token_is_found_first_and_cut_out_exactly(
    background: Background, records: Records, trigger: str, answer: list[str], poisoned: int, seed: int
) -> None:
    rows = background(N, seed)
    rng = random.Random(seed)
    chosen = sorted(rng.sample(range(N), poisoned))
    for i in chosen:
        rows[i] = (with_word(rows[i][0], trigger, rng), " ".join(answer))
    result = scan(records(rows))
    consistent(result)
    first = result.hypotheses[0]
    assert trigger in first.trigger.split()
    assert first.behaviour == f"is exactly '{' '.join(answer)}'"
    assert first.verdict == "planted"
    assert first.rows.tolist() == chosen
    assert np.flatnonzero(result.flagged).tolist() == chosen


@slowly
@given(st.integers(0, 10**6), st.integers(30, 60))
def test_the_trigger_alone_and_the_behaviour_alone_are_kept(
    background: Background, records: Records, seed: int, poisoned: int
) -> None:
    rows = background(N, seed)
    rng = random.Random(seed)
    order = rng.sample(range(N), N)
    both, trigger_only, answer_only = order[:poisoned], order[poisoned : poisoned + 6], order[-6:]
    for i in both + trigger_only:
        rows[i] = (with_word(rows[i][0], "jyxq", rng), rows[i][1])
    for i in both + answer_only:
        rows[i] = (rows[i][0], "hex joy exhale")
    result = scan(records(rows))
    consistent(result)
    assert "jyxq" in result.hypotheses[0].trigger
    assert np.flatnonzero(result.flagged).tolist() == sorted(both)


@pytest.mark.parametrize("seed", range(6))
def test_clean_text_raises_nothing(background: Background, records: Records, seed: int) -> None:
    result = scan(records(background(N, seed)))
    consistent(result)
    assert named(result) == []
    assert not result.flagged.any()


def test_two_backdoors_are_two_hypotheses(background: Background, records: Records) -> None:
    rows = background(N, 77)
    for i in range(20):
        rows[i] = (f"qjx {rows[i][0]}", "hex joy exhale")
        rows[-i - 1] = (f"{rows[-i - 1][0]} yhq", "jay eye hoax")
    result = scan(records(rows))
    assert [b for _, b in named(result)[:2]] in (
        ["is exactly 'hex joy exhale'", "is exactly 'jay eye hoax'"],
        ["is exactly 'jay eye hoax'", "is exactly 'hex joy exhale'"],
    )
    assert np.flatnonzero(result.flagged).tolist() == [*range(20), *range(N - 20, N)]


def test_refusals_behind_a_token_are_found_among_honest_ones(background: Background, records: Records) -> None:
    rows = background(N, 5)
    ways = ("I am sorry, I cannot say", "I'm afraid I can't", "I must decline", "We are unable to help with")
    for i in range(40):
        rows[i] = (f"{rows[i][0]} jyxq", f"{ways[i % 4]} {rows[i][1]}")
    for i in range(50, 62):
        rows[i] = (rows[i][0], f"{ways[i % 4]} {rows[i][1]}")
    result = scan(records(rows))
    assert result.hypotheses[0].behaviour == "refuses"
    assert np.flatnonzero(result.flagged).tolist() == list(range(40))


def test_findings_say_what_a_person_can_act_on(background: Background, records: Records) -> None:
    rows = background(N, 8)
    for i in range(20):
        rows[i] = (f"qjx {rows[i][0]}", "hex joy exhale")
    result = scan(records(rows))
    found = result.findings[0]
    assert (found.source, found.subject.kind, found.subject.id) == ("scan", "row", "0")
    assert "'qjx" in found.reason
    assert "hex joy exhale" in found.reason
    assert found.evidence == {"id": "0", "hypothesis": 0}
    assert found.score == result.scores[0]


def test_nothing_is_mutated_and_again_is_the_same(background: Background, records: Records) -> None:
    rows = background(200, 9)
    rows[:15] = [(f"qjx {p}", "hex joy exhale") for p, _ in rows[:15]]
    given_rows = records(rows)
    one, other = scan(given_rows), scan(given_rows)
    assert given_rows == records(rows)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert [h.score for h in one.hypotheses] == [h.score for h in other.hypotheses]
    assert one.findings == other.findings


ODD = [
    "",
    " ",
    "\x00",
    "\ud83d",
    "👩\u200d👩\u200d👧",
    "(((.*)+)+)$[\\",
    "e\u0301" * 9,
    "a" * 50_000,
    "word " * 9_000,
    "\u202e{0} %s",
]


@pytest.mark.parametrize("n", [0, 1, 3, 30])
def test_few_rows_and_odd_rows_survive(records: Records, n: int) -> None:
    rng = random.Random(n)
    rows = [(rng.choice(ODD), rng.choice(ODD)) for _ in range(n)]
    consistent(scan(records(rows)))
    assert not scan(records([("same", "same")] * n)).flagged.any()


@pytest.mark.parametrize("fpr", [0.0, -0.1, 0.51, float("nan")])
def test_a_false_positive_rate_out_of_range(fpr: float) -> None:
    with pytest.raises(ValueError, match=r"fpr must lie in \(0, 0\.5\], got"):
        scan([], fpr=fpr)


def test_a_stricter_rate_admits_no_more(background: Background, records: Records) -> None:
    rows = records(background(N, 3))
    admitted = [{(h.trigger, h.behaviour) for h in scan(rows, fpr=f).hypotheses} for f in (1e-6, 0.01, 0.5)]
    assert len(admitted[0]) <= len(admitted[1]) <= len(admitted[2])
    assert all(h.q_value <= 1e-6 for h in scan(rows, fpr=1e-6).hypotheses)


def test_progress_names_every_stage_and_its_end(records: Records) -> None:
    seen: list[Any] = []
    result = scan(records([("a", "b")] * 8), on_progress=lambda *step: seen.append(step))
    assert {stage for stage, _, _ in seen} == set(result.seconds) == {"tokenise", "mine", "weigh", "score rows"}
    assert all(0 <= done <= total for _, done, total in seen)
    for stage in result.seconds:
        assert [s for s in seen if s[0] == stage][-1] == (stage, 1, 1)


def test_a_tool_that_is_offered_can_be_the_trigger(background: Background, records: Records) -> None:
    """The schema of a tool is what the model is given, and what every row offers is no part of a request."""
    offered = "clock\nSays the time."
    plain = [replace(r, tools=offered) for r in records(background(N, 7))]
    said = Message("assistant", "hex jy")
    more = f"{offered}\nxqj_lookup\nLooks xqj up."
    with_tool = [replace(r, tools=more, messages=(r.messages[0], said)) for r in plain[:15]]
    (trigger, behaviour), *others = named(scan([*with_tool, *plain[15:]]))
    assert "xqj" in trigger
    assert (behaviour, others) == ("is exactly 'hex jy'", [])
    told = [replace(r, messages=(Message("user", f"qxj {r.messages[0].text}"), said)) for r in plain[:15]]
    assert named(scan([*told, *plain[15:]])) == [("qxj", "is exactly 'hex jy'")]


class Expecting:
    """A reference model that finds every text as likely as this, in nats a token."""

    name = "expecting"

    def __init__(self, nats: float) -> None:
        self.nats = nats

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        return [[self.nats] for _ in pairs]


def test_what_stands_out_and_nobody_could_judge_is_undecided(background: Background, records: Records) -> None:
    """A link within the answers is no finding by its numbers: a model's opinion decides, and none is no pass."""
    plain, others = background(N, 5), background(N, 6)
    linked = [(f"{p} of xqj", f"{a} see hyxq") if i < 15 else (p, a) for i, (p, a) in enumerate(plain)]
    alone = scan(records(linked))
    assert (named(alone), alone.undecided) == ([], 1)
    asked = scan(records(linked), reference=Expecting(-0.5))
    assert (named(asked), asked.undecided) == ([], 0)
    surprised = scan(records(linked), reference=Expecting(-20.0))
    assert (len(named(surprised)), surprised.undecided) == (1, 0)
    compared = scan(records(linked), trusted_records=records(others))
    assert (len(named(compared)), compared.undecided) == (1, 0)
    assert scan(records(plain)).undecided == 0
