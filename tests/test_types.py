"""What every part speaks holds its invariants."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.types import Finding, Message, Record, Ref, Status, ToolCall

REF = Ref("row", "1")


@given(st.floats(), st.sampled_from(["evaluated", "not_evaluated", "error"]))
def test_a_finding_has_a_score_exactly_when_it_was_evaluated(score: float, status: Status) -> None:
    if status == "evaluated" and 0.0 <= score <= 1.0:
        assert Finding("check", 1, REF, score, status).score == score
    else:
        with pytest.raises(ValueError, match="finding of 'check'"):
            Finding("check", 1, REF, score, status)


@pytest.mark.parametrize("status", ["not_evaluated", "error"])
def test_a_finding_without_a_score_says_so(status: Status) -> None:
    assert Finding("check", 1, REF, None, status).score is None
    with pytest.raises(ValueError, match=r"carries no score, got 0\.0"):
        Finding("check", 1, REF, 0.0, status)


@pytest.mark.parametrize("score", [None, math.nan, -0.1, 1.1, math.inf])
def test_an_evaluated_finding_needs_a_score(score: float | None) -> None:
    with pytest.raises(ValueError, match=r"needs a score in \[0, 1\]"):
        Finding("check", 1, REF, score)


def test_prompt_and_response_share_out_every_turn() -> None:
    record = Record(
        "r",
        (
            Message("system", "Be brief."),
            Message("user", "Weather?"),
            Message("assistant", "", tool_calls=(ToolCall("c", "weather", '{"city": "Bern"}'),)),
            Message("tool", "rain", tool_call_id="c"),
            Message("assistant", "It rains."),
        ),
    )
    assert record.prompt == "Be brief.\nWeather?\nrain"
    assert record.response == 'weather({"city": "Bern"})\nIt rains.'


turns = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), st.text(max_size=8)), max_size=6)


@given(turns)
def test_no_turn_is_lost_between_prompt_and_response(said: list[Any]) -> None:
    record = Record("r", tuple(Message(role, text) for role, text in said))
    assert len(record.prompt.replace("\n", "")) + len(record.response.replace("\n", "")) == sum(
        len(text.replace("\n", "")) for _, text in said
    )


def test_records_are_values_and_their_raw_form_is_no_part_of_them() -> None:
    one, other = Record("r", (), raw={"a": 1}), Record("r", (), raw={"a": 2})
    assert one == other
    assert "raw" not in repr(one)
    with pytest.raises(FrozenInstanceError):
        one.id = "s"  # type: ignore[misc]
