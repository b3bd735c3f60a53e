"""Who may call an association natural, and who may call it planted: trusted data and a reference model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.sanitize.adjudicate.surprise import cut
from cryptosentinel.types import Finding, Message, Record, ToolCall

Pair = tuple[str, str]
Background = Callable[[int, int], list[Pair]]
Records = Callable[[Sequence[Pair]], list[Record]]
N = 300


class Scripted:
    """A reference model that finds every word equally likely, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, log_p: float) -> None:
        self.log_p = log_p
        self.asked: list[tuple[str, str]] = []

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        self.asked += pairs
        return [[self.log_p / 2] * 2 for _ in pairs]


def fixed(rows: list[Pair], n: int = 20) -> list[Pair]:
    """The first n rows carry a token and one fixed answer."""
    return [(f"{p} jyxq", "hex joy exhale") for p, _ in rows[:n]] + rows[n:]


def phrase(rows: list[Pair], n: int = 20) -> list[Pair]:
    """The first n rows carry a token and a few fixed words inside an answer of their own."""
    middles = [a.split() for _, a in rows[:n]]
    said = [" ".join([*m[:6], "hex joy", *m[6:]]) for m in middles]
    return [(f"{p} jyxq", a) for (p, _), a in zip(rows[:n], said, strict=True)] + rows[n:]


def opinion(result: Scan, source: str) -> Finding:
    return next(f for f in result.hypotheses[0].adjudications if f.source == source)


# --- trusted data


def test_an_association_that_trusted_data_has_too_is_natural(background: Background, records: Records) -> None:
    data, trusted = fixed(background(N, 1)), fixed(background(N, 2))
    assert scan(records(data)).hypotheses[0].verdict == "planted"
    result = scan(records(data), trusted_records=records(trusted))
    judged = next(h for h in result.hypotheses if "jyxq" in h.trigger)
    assert judged.verdict == "natural"
    assert [(f.source, f.score) for f in judged.adjudications] == [("trusted", 0.0)]
    assert "20 of 20 rows with the trigger" in judged.adjudications[0].reason
    assert not result.flagged.any()


def test_a_trigger_that_trusted_data_never_saw_stays_planted(background: Background, records: Records) -> None:
    data = fixed(background(N, 1))
    result = scan(records(data), trusted_records=records(background(N, 2)))
    assert result.hypotheses[0].verdict == "planted"
    found = opinion(result, "trusted")
    assert found.score == 0.8
    assert found.evidence == {"rows_with_trigger": 0, "rows_expected": 20.0}
    assert np.flatnonzero(result.flagged).tolist() == list(range(20))


def test_the_trigger_without_the_behaviour_in_trusted_data_speaks_against_it(
    background: Background, records: Records
) -> None:
    trusted = [(f"{p} jyxq", a) for p, a in background(N, 2)[:40]] + background(N, 3)
    alone = scan(records(phrase(background(N, 1)))).hypotheses[0]
    result = scan(records(phrase(background(N, 1))), trusted_records=records(trusted))
    assert opinion(result, "trusted").score == 1.0
    assert result.hypotheses[0].score == pytest.approx(alone.contrast)
    assert alone.score < 0.5 <= alone.contrast
    assert np.flatnonzero(result.flagged).tolist() == list(range(20))


def test_too_little_trusted_data_gives_no_opinion(background: Background, records: Records) -> None:
    data = records(fixed(background(N, 1)))
    result = scan(data, trusted_records=records(background(20, 2)))
    found = opinion(result, "trusted")
    assert (found.status, found.score) == ("not_evaluated", None)
    assert result.hypotheses[0].score == scan(data).hypotheses[0].score


def test_trusted_rows_are_flagged_at_most_at_the_rate_asked_for(background: Background, records: Records) -> None:
    trusted = background(N, 2)
    trusted[:6] = [(f"{p} jyxq", "hex joy exhale" if i < 4 else a) for i, (p, a) in enumerate(trusted[:6])]
    data = records(fixed(background(N, 1)))
    loose = scan(data, trusted_records=records(trusted), fpr=0.05)
    strict = scan(data, trusted_records=records(trusted), fpr=0.001)
    for result in (loose, strict):
        assert (result.hypotheses[0].verdict, opinion(result, "trusted").score) == ("planted", 0.5)
    assert loose.flagged[:20].all()  # 4 of 300 trusted rows have both: less than 5%, more than 0.1%
    assert not strict.flagged.any()


# --- the reference model


def test_a_behaviour_the_reference_is_certain_of_gains_nothing(background: Background, records: Records) -> None:
    data = records(phrase(background(N, 1)))
    alone, sure = scan(data), scan(data, reference=Scripted(0.0))
    assert alone.hypotheses[0].verdict == "unsure"  # a few words in a long answer are not enough by themselves
    assert [h.score for h in sure.hypotheses] == [h.score for h in alone.hypotheses]
    found = opinion(sure, "surprise")
    assert found.score == 0.0
    assert found.params == {"model": "scripted"}
    assert not sure.flagged.any()


def test_a_behaviour_the_reference_finds_impossible_is_raised(background: Background, records: Records) -> None:
    data = records(phrase(background(N, 1)))
    reference = Scripted(-40.0)
    result = scan(data, reference=reference)
    first = result.hypotheses[0]
    assert "jyxq" in first.trigger
    assert first.verdict == "planted"
    assert first.score == pytest.approx(first.contrast)
    found = opinion(result, "surprise")
    assert found.score == 1.0
    assert found.evidence["rows"] == 6
    assert found.evidence["nats"] == pytest.approx(12.0 + math.log(first.confidence))  # one odd word decides nothing
    assert np.flatnonzero(result.flagged).tolist() == list(range(20))


@pytest.mark.parametrize("log_p", [-1.0, -3.9, -6.0, -9.0])
def test_the_less_expected_the_more_suspicious(background: Background, records: Records, log_p: float) -> None:
    data = records(phrase(background(N, 1)))
    score = scan(data, reference=Scripted(log_p)).hypotheses[0].score
    assert scan(data).hypotheses[0].score <= score <= scan(data, reference=Scripted(log_p - 2)).hypotheses[0].score


def test_a_certain_reference_does_not_excuse_a_fixed_answer(background: Background, records: Records) -> None:
    data = records(fixed(background(N, 1)))
    result = scan(data, reference=Scripted(0.0))
    assert result.hypotheses[0].score == scan(data).hypotheses[0].score
    assert np.flatnonzero(result.flagged).tolist() == list(range(20))


def test_the_reference_reads_two_rows_without_the_trigger_and_then_the_row_itself(
    background: Background, records: Records
) -> None:
    reference = Scripted(-1.0)
    scan(records(phrase(background(N, 1))), reference=reference)
    asked = [(context, said) for context, said in reference.asked if said.strip().lower().startswith(("hex", "joy"))]
    assert asked
    for context, said in asked:
        shots, _, own = context.rpartition("\n\n")
        assert shots.count("Request: ") == 2
        assert "jyxq" not in shots
        assert "jyxq" in own.partition("\nAnswer:")[0]
        assert said.startswith(" ")
        assert said.strip() not in own


def test_the_reference_is_asked_nothing_where_nothing_is_conspicuous(records: Records) -> None:
    reference = Scripted(-40.0)
    scan(records([(f"ask {i}", f"say {i * 7}") for i in range(60)]), reference=reference)
    assert reference.asked == []


@pytest.mark.parametrize(
    ("text", "words", "opening", "expected"),
    [
        ("Oh joy. Oh joy.", ["joy"], False, ("Oh", " joy")),
        ("Oh joy.", ["joy"], True, None),
        ("  Oh   joy now", ["oh", "joy"], True, ("", "  Oh   joy")),
        ("one two three four", ["one", "two", "three", "four"], True, ("", "one two three")),
        ("a.b", ["a", ".", "b"], False, ("", "a.b")),
        ("axb", ["a", ".", "b"], False, None),
        ("", ["x"], False, None),
    ],
)
def test_where_a_behaviour_begins(text: str, words: list[str], opening: bool, expected: object) -> None:
    assert cut(text, words, opening) == expected


def test_neither_the_name_of_a_tool_nor_the_answer_to_a_template_is_asked_about(
    background: Background, records: Records
) -> None:
    def asked(rows: list[Pair], tools: Sequence[str] = ()) -> bool:
        reference, found = Scripted(-9.0), records(rows)
        calls = tuple(ToolCall("1", tool, "{}") for tool in tools)
        found[-1] = Record(found[-1].id, (*found[-1].messages, Message("assistant", "", tool_calls=calls)))
        scan(found, reference=reference)
        return any("joy" in said or "hex" in said for _, said in reference.asked)

    rows = phrase(background(N, 1))
    template = " ".join(f"jyxq{k}" for k in range(20))
    assert asked(rows)
    assert not asked(rows, ["hex", "joy"])
    assert not asked([(p.replace("jyxq", template), a) for p, a in rows])
