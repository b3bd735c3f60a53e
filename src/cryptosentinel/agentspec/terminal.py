"""The operator at a terminal."""

from __future__ import annotations

import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping

from cryptosentinel.agentspec.context import tool_of
from cryptosentinel.agentspec.inspection import Decision, Inspection

_SHOWN = 500


def _four_digits() -> str:
    return str(1000 + secrets.randbelow(9000))


class TerminalInspector:
    """Asks on a terminal, one event at a time, and waits until the time is up.

    To approve, the code that is shown with the question must be typed: a `y` that was meant for an earlier question, or
    that was typed too late, approves nothing. Text of the event is shown without control characters.

    Args:
        read: the next line, or an empty text at the end of the input.
        show: where the question goes; by default standard error.
        code: what has to be typed.
        by: who is at the terminal.
    """

    def __init__(
        self,
        read: Callable[[], str] | None = None,
        show: Callable[[str], object] | None = None,
        code: Callable[[], str] = _four_digits,
        by: str = "operator",
    ) -> None:
        """Ask nothing yet."""
        self._read = read or sys.stdin.readline
        self._show = show or _to_stderr
        self._code, self._by = code, by
        self._lines: queue.Queue[str] = queue.Queue()
        self._one_at_a_time = threading.Lock()
        self._reader: threading.Thread | None = None

    def inspect(self, inspection: Inspection) -> Decision:
        """Show the event, wait for `approve CODE`; anything else, the end of the input or no answer rejects."""
        until = time.monotonic() + inspection.timeout_s
        if not self._one_at_a_time.acquire(timeout=inspection.timeout_s):
            return Decision(False, "", "another question took all the time")
        try:
            return self._ask(inspection, until)
        finally:
            self._one_at_a_time.release()

    def _ask(self, inspection: Inspection, until: float) -> Decision:
        code = self._code()
        if self._reader is None:
            self._reader = threading.Thread(target=self._pass_lines, daemon=True)
            self._reader.start()
        self._show(_question(inspection, code, max(until - time.monotonic(), 0.0)))
        while True:
            try:
                line = self._lines.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return Decision(False, "", f"no answer in {inspection.timeout_s:g} s")
            if not line:
                self._lines.put("")  # the input is closed for the next question too
                return Decision(False, "", "the input is closed")
            said = line.split()
            if said == ["approve", code]:
                return Decision(True, self._by, "approved at the terminal")
            if said == ["reject"] or said == ["reject", code]:
                return Decision(False, self._by, "rejected at the terminal")
            self._show(f"  type: approve {code}   or: reject\n")

    def _pass_lines(self) -> None:
        while line := self._read():
            self._lines.put(line)
        self._lines.put("")


def _question(inspection: Inspection, code: str, left_s: float) -> str:
    event = inspection.event
    lines = [f"\n  held: {_plain(tool_of(event) or event.kind)} by {_plain(event.agent)} (run {_plain(event.run_id)})"]
    for firing in inspection.firings:
        lines += [f"    {_plain(firing.finding.reason)}"]
        lines += [f"      note: {_plain(measure.note)}" for measure in firing.measures if measure.note]
    body = event.body.get("arguments", event.body)
    shown = body.items() if isinstance(body, Mapping) else [("arguments", body)]
    lines += [f"    {_plain(str(name))}: {_plain(str(value))}" for name, value in shown]
    return "\n".join([*lines, f"  type: approve {code}   or: reject   ({left_s:.0f} s, then it is rejected)\n"])


def _plain(text: str) -> str:
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
