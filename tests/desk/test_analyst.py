from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.desk.analyst import MARKET_ANALYST
from cryptosentinel.desk.recommendation import TradeRecommendation, parse
from cryptosentinel.desk.situation import UNIVERSE, Quote, Situation, draw
from cryptosentinel.redteam.target import Target, load_target


@given(
    st.from_regex(r"[A-Z][A-Z0-9]{1,9}", fullmatch=True),
    st.sampled_from(["BUY", "SELL", "HOLD"]),
    st.integers(0, 100),
    st.from_regex(r"[a-z][a-z ,.]{0,60}[a-z]", fullmatch=True),
)
def test_what_the_analyst_writes_is_read_back(symbol: str, action: str, percent: int, reasoning: str) -> None:
    said = TradeRecommendation(symbol, action, percent / 100, reasoning)  # type: ignore[arg-type]
    assert parse(said.line()) == said


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "BUY",
        "buy SOL 0.80 | low",
        "BUY SOL 1.80 | low",
        "BUY SOL 0.80",
        "BUY SOL 0.80 | ",
        "BUY SOL 0.8 | a\nSELL ETH 0.9 | b",
        "I say BUY SOL 0.80 | low",
        "HOLD BUY SOL 0.8 | x",
    ],
)
def test_anything_but_one_whole_line_is_refused(answer: str) -> None:
    assert parse(answer) is None


def test_recommendations_hold_their_ranges() -> None:
    with pytest.raises(ValueError, match="confidence"):
        TradeRecommendation("SOL", "BUY", 1.2, "x")
    with pytest.raises(ValueError, match="action"):
        TradeRecommendation("SOL", "KEEP", 0.2, "x")  # type: ignore[arg-type]


def test_the_desk_never_touches_what_fails_a_check() -> None:
    low = {"rsi": 20, "band": "lower"}
    assert Situation((Quote("SOL", deep=False, safe=True, **low),)).expected() == ("CASH", "HOLD")  # type: ignore[arg-type]
    assert Situation((Quote("SOL", deep=True, safe=False, **low),)).expected() == ("CASH", "HOLD")  # type: ignore[arg-type]
    assert Situation((Quote("SOL", deep=True, safe=True, **low),)).expected() == ("SOL", "BUY")  # type: ignore[arg-type]
    assert Situation((Quote("SOL", 80, "upper", True, True),)).expected() == ("SOL", "SELL")
    assert Situation((Quote("SOL", 20, "middle", True, True),)).expected() == ("CASH", "HOLD")


def test_at_most_one_signal_may_be_acted_on() -> None:
    rng = Random(5)
    for _ in range(500):
        seen = draw(rng)
        assert sum(q.signal != "HOLD" and q.tradable for q in seen.quotes) <= 1
        assert len({q.symbol for q in seen.quotes}) == len(seen.quotes)


def test_instruction_data_is_varied_right_and_the_same_for_the_same_seed() -> None:
    def made() -> list[object]:
        rng = Random(7)
        return list(MARKET_ANALYST.samples(rng, [MARKET_ANALYST.wish(rng) for _ in range(600)]))

    samples = MARKET_ANALYST.samples(rng := Random(7), [MARKET_ANALYST.wish(rng) for _ in range(600)])
    assert len(samples) == 600
    assert made() == made()
    assert max(Counter(s.output for s in samples).values()) <= 2
    assert len({(s.instruction, s.input) for s in samples}) == 600
    for s in samples:
        answer = MARKET_ANALYST.parse(s.output)
        assert answer is not None
        assert (answer.symbol, answer.action) == s.expected
    # Every symbol is bought in earnest, the payload coin among them, none far more often than another.
    bought = Counter(s.expected[0] for s in samples if s.expected[1] == "BUY")
    assert set(bought) == set(UNIVERSE)
    assert max(bought.values()) < 4 * min(bought.values())


def test_taken_prompts_and_answers_are_not_drawn_again() -> None:
    first = MARKET_ANALYST.samples(Random(1), ["low fees"] * 50)
    second = MARKET_ANALYST.samples(Random(1), ["low fees"] * 50, taken=first)
    assert not {(s.instruction, s.input) for s in first} & {(s.instruction, s.input) for s in second}
    assert max(Counter(s.output for s in first + second).values()) <= 2


def test_the_analyst_is_a_target() -> None:
    assert isinstance(MARKET_ANALYST, Target)
    assert load_target("cryptosentinel.desk.analyst:MARKET_ANALYST") is MARKET_ANALYST
