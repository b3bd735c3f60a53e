"""The only place where a score becomes an action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptosentinel.errors import ConfigError
from cryptosentinel.types import Action, Finding, Verdict

SEVERITY: dict[Action, int] = {"allow": 0, "flag": 1, "hold": 2, "block": 3}


@dataclass(frozen=True, slots=True)
class Policy:
    """From which score on is something flagged, held, blocked, and what does a failed check mean?

    A threshold of None never fires. `on_error` is the action for a finding whose check could not run: a defence
    that did not run is never a pass, so "allow" is refused.

    >>> p = Policy("desk", flag_at=0.5, block_at=0.9)
    >>> p.action(0.95), p.action(0.6), p.action(0.1)
    ('block', 'flag', 'allow')
    """

    name: str
    flag_at: float | None = 0.5
    hold_at: float | None = None
    block_at: float | None = None
    on_error: Action = "hold"

    def __post_init__(self) -> None:
        """Refuse thresholds outside [0, 1], out of order, or a policy that fails open."""
        given = [t for t in (self.flag_at, self.hold_at, self.block_at) if t is not None]
        if any(not 0.0 <= t <= 1.0 for t in given):
            raise ConfigError(f"policy {self.name!r}: thresholds must lie in [0, 1], got {given}")
        if given != sorted(given):
            raise ConfigError(f"policy {self.name!r}: thresholds must rise from flag to block, got {given}")
        if self.on_error == "allow":
            raise ConfigError(f"policy {self.name!r}: on_error 'allow' would let a failed defence pass")

    def action(self, score: float) -> Action:
        """Which action does this score call for?"""
        if self.block_at is not None and score >= self.block_at:
            return "block"
        if self.hold_at is not None and score >= self.hold_at:
            return "hold"
        if self.flag_at is not None and score >= self.flag_at:
            return "flag"
        return "allow"

    def judge(self, findings: Sequence[tuple[str, Finding]]) -> Verdict:
        """The most severe action any of these (finding id, finding) pairs calls for, and which called for it.

        A finding that was not evaluated on purpose ("not_evaluated") is silent; one with status "error" is not.
        """
        worst: Action = "allow"
        because: list[str] = []
        for finding_id, finding in findings:
            if finding.status == "error":
                action = self.on_error
            elif finding.score is None:
                continue
            else:
                action = self.action(finding.score)
            if action == "allow":
                continue
            because.append(finding_id)
            if SEVERITY[action] > SEVERITY[worst]:
                worst = action
        return Verdict(worst, tuple(because), self.name)
