"""A person decides: who is asked, and what no answer means."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from cryptosentinel.agentspec.engine import Firing
from cryptosentinel.errors import ConfigError
from cryptosentinel.types import Event


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a person is asked about: an event and the rules that want it looked at. `timeout_s` is all there is."""

    event: Event
    firings: tuple[Firing, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and by whom; `reason` says why nobody approved where nobody did."""

    is_approved: bool
    by: str
    reason: str = ""


class Inspector(Protocol):
    """Someone who can be asked. `inspect` really waits; it may raise, and may be too late: both are a rejection."""

    def inspect(self, inspection: Inspection) -> Decision:
        """Ask, and wait for the answer."""
        ...


def inspect(inspector: Inspector, inspection: Inspection) -> Decision:
    """Does a person let this event through? Everything but an approval in time is a rejection.

    Raises:
        ConfigError: a time limit of 0 or less.

    >>> class Nobody:
    ...     def inspect(self, inspection):
    ...         raise OSError("no terminal")
    >>> event = Event("1", 0.0, "r", "a", "message", "a", "b", {})
    >>> inspect(Nobody(), Inspection(event, (), timeout_s=5))
    Decision(is_approved=False, by='', reason='could not ask: OSError: no terminal')
    """
    if not inspection.timeout_s > 0:
        raise ConfigError(f"timeout_s must be above 0, got {inspection.timeout_s}")
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(inspector.inspect(inspection))
        except Exception as error:  # whoever is asked is not part of this package
            answers.append(Decision(False, "", f"could not ask: {type(error).__name__}: {error}"))

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()
    waiting.join(inspection.timeout_s)
    answer = answers[0] if answers else Decision(False, "", f"no answer in {inspection.timeout_s:g} s")
    if not isinstance(answer, Decision) or not isinstance(answer.is_approved, bool):
        return Decision(False, "", f"not a decision: {type(answer).__name__}")
    return answer
