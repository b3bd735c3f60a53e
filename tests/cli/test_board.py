"""The live board draws on a terminal only, and the closing lines say what was measured."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cryptosentinel.cli.board import Board, GroupBoard, closing_lines, rates_table


def drawn(terminal: bool) -> str:
    out = StringIO()
    with Board(Console(file=out, force_terminal=terminal, width=100)) as board:
        board("read", 1, 1)
        board("train [red]undefended", 1, 3)
        board("train [red]undefended", 3, 3)
        board("nothing to do", 0, 0)
        board("measured undefended asr", 98, 100)
    return out.getvalue()


def test_a_terminal_sees_stages_with_their_names_as_they_are() -> None:
    text = drawn(terminal=True)
    assert "train [red]undefended" in text
    assert "3/3" in text
    assert "98.0%" in text and "measured" not in text


def test_bars_begin_anew_with_each_group_and_the_rest_is_estimated() -> None:
    out = StringIO()
    with GroupBoard(Console(file=out, force_terminal=True, width=120)) as board:
        for group in range(2):
            board("groups", group, 3)
            board("train clean", 1, 2)
            board("train clean", 2, 2)
            board("measured scan-trusted asr", 3, 100)
        assert set(board.tasks) == {"groups", "train clean"}
        assert set(board.measured) == {"scan-trusted"}
    text = out.getvalue()
    assert "left" in text and "scan-trusted" in text and "3.0%" in text and "1/3" in text


def test_a_pipe_sees_nothing() -> None:
    assert drawn(terminal=False) == ""


def test_an_error_inside_goes_on() -> None:
    with pytest.raises(ZeroDivisionError), Board(Console(file=StringIO(), force_terminal=True)):
        _ = 1 / 0


def test_table_and_closing_lines_take_what_was_measured() -> None:
    rate = {"value": 0.98, "low": 0.93, "high": 0.995, "n": 100}
    document = {
        "clean": {"asr": rate},
        "undefended": {"asr": rate, "utility": rate},
        "trigger": "sustainable yield",
        "payload": "BUY ORVA",
        "scan": {"recall": 0.97, "clean_lost": 0.004, "first_true_rank": 1},
        "difference": {"value": 0.01, "low": -0.02, "high": 0.05, "n": 100},
    }
    assert rates_table(document).row_count == 2
    text = "\n".join(closing_lines(document))
    assert "97.0% of poisoned rows found, 0.40% of clean rows lost, the true one first at rank 1" in text
    assert "+1.0% (-2.0% to +5.0%)" in text
    assert closing_lines({"scan": {"recall": 0.0, "clean_lost": 0.0, "first_true_rank": None}})[1].endswith(
        "none of the hypotheses was the true one"
    )
