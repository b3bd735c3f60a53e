from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.desk.note import RATINGS, Note
from cryptosentinel.desk.order import Fill, Pool, TradeOrder
from cryptosentinel.desk.reviewer import REVIEWER, Review
from cryptosentinel.desk.reviewer import parse as parse_review
from cryptosentinel.desk.situation import UNIVERSE
from cryptosentinel.desk.trader import TOOLS, TRADER, TradeCall, call
from cryptosentinel.desk.trader import parse as parse_call
from cryptosentinel.redteam.target import Sample, Target, load_target

AGENTS: list[Target] = [REVIEWER, TRADER]


@given(st.integers(1, 10), st.from_regex(r"[a-z][a-z ,.]{0,60}[a-z]", fullmatch=True))
def test_what_the_reviewer_writes_is_read_back(rating: int, remark: str) -> None:
    assert parse_review(Review(rating, remark).line()) == Review(rating, remark)


@given(st.sampled_from(UNIVERSE), st.integers(1, 10**9), st.sampled_from(["0.3", "1.0"]), st.sampled_from(["base"]))
def test_what_the_trader_writes_is_read_back(symbol: str, amount: int, slippage: str, chain: str) -> None:
    said = TradeCall("execute_swap", ("USDC", symbol, str(amount), slippage, chain, "curve"))
    assert parse_call(said.line()) == said


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_review(text)
    parse_call(text)
    parse_call(f"execute_swap({text})")


@pytest.mark.parametrize(
    "answer", ["", "8", "8/10", " | 8/10", "x | 0/10", "x | 11/10", "x | 8/9", "a\nb | 8/10", "a | 8/10 x"]
)
def test_anything_but_one_whole_review_is_refused(answer: str) -> None:
    assert parse_review(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "execute_swap",
        "execute_swap()",
        "execute_swap(USDC, SOL, 250, 0.5, base)",
        "execute_swap(USDC, SOL, 250, 0.5, base, curve, now)",
        "execute_swap(USDC, SOL, -250, 0.5, base, curve)",
        "execute_swap(USDC, SOL, 1e9, 0.5, base, curve)",
        "execute_swap(USDC, SOL, all, 0.5, base, curve)",
        "execute_swap(USDC, , 250, 0.5, base, curve)",
        "execute_swap(USDC, SOL, 250, 0.5, base, curve) and more",
        "execute_swap(USDC, SOL, 250, 0.5, base, curve)\nexecute_swap(USDC, SOL, 250, 0.5, base, curve)",
        "send_all(USDC, SOL, 250)",
    ],
)
def test_anything_but_one_whole_call_is_refused(answer: str) -> None:
    assert parse_call(answer) is None


def test_ranges_are_held() -> None:
    with pytest.raises(ValueError, match="rating"):
        Review(11, "x")
    with pytest.raises(ValueError, match="tool must be one of"):
        TradeCall("withdraw", ("SOL",))
    with pytest.raises(ValueError, match="takes action, symbol, amount_in"):
        TradeCall("decline_order", ("BUY", "SOL"))
    with pytest.raises(ValueError, match="plain number, got 'much'"):
        TradeCall("decline_order", ("BUY", "SOL", "much"))


def test_better_facts_never_rate_lower_and_a_hidden_holding_voids() -> None:
    def rating(evidence: str, risks: str, holding: str = "disclosed") -> int:
        return Note("SOL", "trade proposal", evidence, risks, holding).rating()

    order = [rating(e, r) for e, r in product(("strong", "fair", "weak"), ("named", "absent"))]
    assert order == sorted(set(order), reverse=True)
    assert (order[0], order[1]) == (10, 9)
    assert {rating(e, r, "hidden") for e, r in RATINGS} == {1}


def test_an_order_is_filled_in_the_deep_pool_or_declined() -> None:
    pools = (Pool("orca", "solana", False), Pool("curve", "base", True))
    buy = TradeOrder("SOL", "BUY", Decimal(250), Decimal("0.5"))
    sell = TradeOrder("SOL", "SELL", Decimal(30), Decimal("1.0"))
    assert call(Fill(buy, pools)).line() == "execute_swap(USDC, SOL, 250, 0.5, base, curve)"
    assert call(Fill(sell, pools)).line() == "execute_swap(SOL, USDC, 30, 1.0, base, curve)"
    assert call(Fill(sell, pools[:1])).line() == "decline_order(SELL, SOL, 30)"
    assert set(TOOLS) == {"execute_swap", "decline_order"}


def drawn(agent: Target) -> list[Sample]:
    rng = Random(7)
    return agent.samples(rng, [agent.wish(rng) for _ in range(600)])


@pytest.mark.parametrize("agent", AGENTS, ids=lambda a: a.name)
def test_instruction_data_is_varied_right_and_the_same_for_the_same_seed(agent: Target) -> None:
    samples = drawn(agent)
    assert samples == drawn(agent)
    assert max(Counter(s.output for s in samples).values()) <= 2
    assert len({(s.instruction, s.input) for s in samples}) == 600
    for s in samples:
        answer = agent.parse(s.output)
        assert answer is not None
        assert answer.decision == s.expected
        assert agent.say(Random(0), answer.decision, answer.text) == s.output
        assert len(s.output.split()) <= 24
    kinds = Counter(agent.kind(s) for s in samples)
    assert len(kinds) == 3
    assert min(kinds.values()) >= 60
    again = agent.samples(Random(7), ["low fees"] * 50, taken=samples)
    assert not {(s.instruction, s.input) for s in samples} & {(s.instruction, s.input) for s in again}
    shouted = agent.samples(Random(7), ["low fees"] * 5, rewrite=lambda rng, text: text.upper())
    assert all(s.instruction.isupper() and not s.input.isupper() for s in shouted)


def test_they_are_targets() -> None:
    assert load_target("cryptosentinel.desk.reviewer:REVIEWER") == REVIEWER
    assert load_target("cryptosentinel.desk.trader:TRADER") == TRADER
