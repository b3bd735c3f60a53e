"""What is done with one event, and what the agent is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptosentinel.agentspec import Firing
from cryptosentinel.policy import SEVERITY, Policy
from cryptosentinel.quoting import one_line
from cryptosentinel.types import Action, Event, EventKind, Finding, Verdict

CONSEQUENTIAL: frozenset[EventKind] = frozenset({"tool_call", "decision"})  # what a defence that failed holds
POLICY = Policy("observer", flag_at=None)
REASON_CHARACTERS, REASONS = 300, 3
NOT_DONE = {"tool_call": "The tool was not run.", "tool_result": "The result is withheld."}


@dataclass(frozen=True, slots=True)
class Ruling(Verdict):
    """A verdict that is carried out: `message` is for the agent, `stops` ends its run.

    `approved_by` is the person who let it through, `scores` what the guard said of the step, `findings` all that was
    found, under the ids that `because` names.
    """

    message: str = ""
    stops: bool = False
    approved_by: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    findings: tuple[tuple[str, Finding], ...] = ()

    @property
    def goes_through(self) -> bool:
        """May it happen?

        >>> Ruling("flag").goes_through, Ruling("hold").goes_through
        (True, False)
        """
        return self.action in ("allow", "flag")


@dataclass(slots=True)
class Draft:
    """One event on its way to a ruling."""

    event: Event
    findings: list[tuple[str, Finding]] = field(default_factory=list)  # (id, finding), in the order they were made
    because: list[str] = field(default_factory=list)
    firings: list[Firing] = field(default_factory=list)
    by_guard: Action = "allow"
    by_rules: Action = "allow"
    by_error: Action = "allow"
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def action(self) -> Action:
        """The most severe of what the guard, the rules and what failed call for."""
        return worst((self.by_guard, self.by_rules, self.by_error))

    def add(self, finding: Finding, is_cause: bool) -> str:
        """Keep a finding under an id of its own, and whether it is why."""
        taken = {known for known, _ in self.findings}
        base = f"{self.event.id}/{finding.source}"
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
        self.findings.append((name, finding))
        if is_cause:
            self.because.append(name)
        return name

    def reasons(self) -> list[str]:
        """Why, in a few sentences that are fit to be read by the agent and by a person."""
        known = dict(self.findings)
        said = [one_line(known[name].reason, REASON_CHARACTERS) for name in self.because if name in known]
        return list(dict.fromkeys(text for text in said if text))[:REASONS]


def worst(actions: Iterable[Action]) -> Action:
    """The most severe of these.

    >>> worst(["flag", "hold", "allow"])
    'hold'
    """
    return max(actions, key=SEVERITY.__getitem__, default="allow")


def told(event: Event, headline: str, reasons: Sequence[str], advice: str) -> str:
    """What the agent reads in place of a result."""
    why = f" Reason: {'; '.join(reasons).rstrip('.')}." if reasons else ""
    return f"{headline} {NOT_DONE.get(event.kind, 'It was not passed on.')}{why} {advice}".strip()
