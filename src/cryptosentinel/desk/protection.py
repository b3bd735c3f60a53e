"""`protect(team, floor)`: the one place where defences are attached to the desk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from cryptosentinel.agentspec import RuleBook
from cryptosentinel.desk.facts import Facts
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.watching import DeskMonitor
from cryptosentinel.errors import ConfigError
from cryptosentinel.guard.guard import Guard
from cryptosentinel.observer import Observer, Ruling
from cryptosentinel.types import Event

if TYPE_CHECKING:
    from agno.team import Team

    from cryptosentinel.ledger import Ledger
    from cryptosentinel.monitor import Alarm

DEFENCES = ("rules", "guard", "monitor")
MONITOR_RULE = "rule @drift"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something a defence did: at which step (an event of the session) and meeting, about whom, what, by which."""

    step: int
    meeting: int
    agent: str
    what: str
    action: str
    by: tuple[str, ...]
    reason: str


class DeskObserver(Observer):
    """An observer that counts its events and keeps what it held, blocked and alarmed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing seen yet."""
        super().__init__(*args, **kwargs)
        self.steps = self.meeting = 0
        self.sightings: list[Sighting] = []
        self.alarms: list[Alarm] = []  # of the monitor, not yet among the sightings

    def observe_batch(self, events: Sequence[Event]) -> list[Ruling]:
        """As any observer's; what does not go through is written down here too."""
        first = self.steps
        self.steps += len(events)
        rulings = super().observe_batch(events)
        while self.alarms:
            alarm = self.alarms.pop(0)
            seen = Sighting(first + 1, self.meeting, alarm.agent, alarm.stream, "alarm", ("monitor",), alarm.sentence)
            self.sightings.append(seen)
        for step, (event, ruling) in enumerate(zip(events, rulings, strict=True), start=first + 1):
            if not ruling.goes_through:
                what = str(event.body.get("tool") or event.kind)
                known = dict(ruling.findings)
                causes = [known[name] for name in ruling.because if name in known]
                by = {_defence(f.source, f.reason) for f in causes} or {"observer"}
                reason = "; ".join(f.reason for f in causes)[:300]
                self.sightings.append(
                    Sighting(step, self.meeting, event.agent, what, ruling.action, tuple(sorted(by)), reason)
                )
        return rulings


@dataclass(frozen=True)
class Protection:
    """The defences of one session."""

    observer: DeskObserver
    attached: Any
    facts: Facts
    monitor: DeskMonitor | None

    def forget(self, session: str) -> None:
        """A meeting is over: its conversation is dropped, counts over all meetings stay."""
        self.attached.forget(session)
        self.facts.forget(session)
        if self.monitor:
            self.monitor.forget(session)


def protect(team: Team, floor: Floor, defences: Collection[str] = DEFENCES, ledger: Ledger | None = None) -> Protection:
    """Put the team and all its members behind rules, guard and monitor, or some of them.

    The manager gets the guard as tools (SemanticGuardToolkit); the hooks hold whether or not it calls them. Nobody is
    asked: what needs a person is not done.

    Raises:
        ConfigError: no such defence, none at all, or the team cannot be guarded.
    """
    chosen = require_known(defences)
    from cryptosentinel.adapters.agno import SemanticGuardToolkit, attach

    pages = [name for part, name in (("rules", "rules.ags"), ("monitor", "drift.ags")) if part in chosen]
    text = "\n".join(files("cryptosentinel.desk").joinpath(page).read_text("utf-8") for page in pages)
    facts = Facts(floor)
    alarmed: list[Alarm] = []
    monitor = DeskMonitor(floor.market, alarmed.append) if "monitor" in chosen else None
    observer = DeskObserver(
        RuleBook.parse(text) if text else None,
        Guard() if "guard" in chosen else None,
        monitor=monitor,
        facts=facts if "rules" in chosen else None,
        ledger=ledger,
    )
    observer.alarms = alarmed
    if "guard" in chosen:
        team.tools = [*(team.tools or []), SemanticGuardToolkit(observer)]  # type: ignore[misc]
    return Protection(observer, attach(team, observer), facts, monitor)


def require_known(defences: Collection[str]) -> set[str]:
    """These defences, each once.

    Raises:
        ConfigError: no such defence, or none at all.
    """
    chosen = set(defences)
    if not chosen or not chosen <= set(DEFENCES):
        raise ConfigError(f"defences are some of {', '.join(DEFENCES)}, got {', '.join(sorted(chosen)) or 'none'}")
    return chosen


def _defence(source: str, reason: str) -> str:
    """Which defence does this finding come from?"""
    if source == "agentspec":
        return "monitor" if reason.startswith(MONITOR_RULE) else "rules"
    return source if source in ("monitor", "facts", "observer", "event") else "guard"
