"""Waiting for a person: only an approval in time lets anything through."""

from __future__ import annotations

import queue
import sys
import threading
import time
from pathlib import Path

import pytest

from cryptosentinel.agentspec import Decision, Inspection, TerminalInspector, inspect
from cryptosentinel.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parent))
from agentspec_events import call, engine  # type: ignore[import-not-found]

EVENT = call("swap", amount=5000, memo="\x1b[2Jpaid\u202e")
FIRINGS = tuple(engine("arg.amount > 1", enforce='user_inspection("who?")').check(EVENT))


class Typed:
    """A terminal: lines are typed when the test says so."""

    def __init__(self, *lines: str) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.shown: list[str] = []
        for line in lines:
            self.lines.put(line)

    def inspector(self, *codes: str) -> TerminalInspector:
        given = iter(codes or ("1234",))
        return TerminalInspector(self.lines.get, self.shown.append, lambda: next(given))


def asked(terminal: Typed, timeout_s: float = 5.0) -> Decision:
    return inspect(terminal.inspector(), Inspection(EVENT, FIRINGS, timeout_s))


def test_an_approval_with_its_code() -> None:
    assert asked(Typed("approve 1234\n")) == Decision(True, "operator", "approved at the terminal")


@pytest.mark.parametrize("lines", [("reject\n",), ("y\n", "approve\n", "approve 9999\n", "reject\n"), ("",)])
def test_whatever_else_rejects(lines: tuple[str, ...]) -> None:
    assert not asked(Typed(*lines)).is_approved


def test_it_waits_and_no_answer_rejects() -> None:
    started = time.monotonic()
    assert asked(Typed(), 0.2) == Decision(False, "", "no answer in 0.2 s")
    assert time.monotonic() - started >= 0.19


def test_an_answer_that_comes_later_is_waited_for() -> None:
    terminal = Typed()
    threading.Timer(0.1, terminal.lines.put, ["approve 1234\n"]).start()
    assert asked(terminal).is_approved


def test_a_late_answer_approves_nothing_else() -> None:
    terminal = Typed()
    inspector = terminal.inspector("1111", "2222")
    assert not inspect(inspector, Inspection(EVENT, FIRINGS, 0.1)).is_approved
    terminal.lines.put("approve 1111\n")
    assert not inspect(inspector, Inspection(EVENT, FIRINGS, 0.2)).is_approved


def test_what_is_shown_has_the_numbers_and_no_control_characters() -> None:
    terminal = Typed("reject\n")
    asked(terminal)
    assert "swap by Trader" in terminal.shown[0]
    assert "note: who?" in terminal.shown[0]
    assert "amount: 5000" in terminal.shown[0]
    assert all(c.isprintable() or c == "\n" for c in "".join(terminal.shown))


def test_an_inspector_that_fails_or_answers_nonsense_rejects() -> None:
    class Failing:
        def inspect(self, inspection: Inspection) -> Decision:
            raise KeyError("console")

    class Odd:
        def inspect(self, inspection: Inspection) -> Decision:
            return True  # type: ignore[return-value]

    class Slow:
        def inspect(self, inspection: Inspection) -> Decision:
            time.sleep(0.5)
            return Decision(True, "late")

    for inspector in (Failing(), Odd(), Slow()):
        assert not inspect(inspector, Inspection(EVENT, FIRINGS, 0.1)).is_approved
    with pytest.raises(ConfigError, match="timeout_s must be above 0"):
        inspect(Odd(), Inspection(EVENT, FIRINGS, 0))
