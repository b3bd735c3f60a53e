"""A watch that outlives its process: every decision, alarm and state is in the ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger import Entry, Kind, Ledger, from_dict, to_dict
from cryptosentinel.monitor import Alarm, Watch
from cryptosentinel.monitor.live import Seen
from cryptosentinel.types import Event

COMMAND = "monitor"
EVERY = 1000  # decisions between two states
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: how many decisions are new, which came before, which cannot be kept, and the alarms.

    `last` is the last entry that was written, 0 if none was.
    """

    new: int
    duplicates: int
    refused: tuple[str, ...]
    alarms: tuple[Alarm, ...]
    last: int = 0


class LedgerWatch:
    """Takes decisions in so that none is lost or counted twice, whatever stops the process and when.

    A batch is one transaction: its decisions, the alarms that they set off, and now and then the watch's whole state.
    When `take` returns it is on disk. Whoever sends events sends those again of which it did not learn that; events
    that came before are known by their id. After a stop the last state is read and the decisions since are taken again,
    which gives the same floats.

    Args:
        ledger: where all is kept.
        name: which of the ledger's watches this is.
        make: a watch that has learnt its baseline, for the first time.
        every: decisions between two states.

    Raises:
        LedgerError: the ledger cannot be read or written.
        DataError: the state in it is of another version.

    >>> import tempfile; from pathlib import Path; from cryptosentinel.monitor import Plan
    >>> ledger = Ledger.open(Path(tempfile.mkdtemp()) / "ledger.db")
    >>> event = Event("e1", 0.0, "", "Trader", "decision", "Trader", "", {"attributes": {"asset": "ETH"}})
    >>> LedgerWatch(ledger, "desk", lambda: Watch(Plan())).take([event, event]).new
    1
    >>> LedgerWatch(ledger, "desk", lambda: Watch(Plan())).take([event]).duplicates
    1
    """

    def __init__(self, ledger: Ledger, name: str, make: Callable[[], Watch], every: int = EVERY) -> None:
        """Go on where it stopped, or begin."""
        self.ledger, self.name, self.every = ledger, name, every
        self._make = make
        self._lock = threading.Lock()
        self._seen, self._since, self._stale = Seen(), 0, False
        self._at = 0  # the entry of the latest state
        self._notes: dict[str, Mapping[str, Any]] = {}
        self.watch = self._resume()

    def take(self, events: Sequence[Event], beside: Sequence[tuple[Kind, Mapping[str, Any]]] = ()) -> Taken:
        """Take these in, in their order; when this returns they are on disk with all that follows from them.

        Args:
            events: decisions, or what else the plan watches.
            beside: other entries that are written before them, in the same transaction.

        Raises:
            LedgerError: nothing of the batch was kept; send it again.
        """
        with self._lock:
            return self._take(events, beside)

    def alarms(self, event: Event) -> dict[str, bool]:
        """Which streams of this event's agent have their alarm on? What an Observer asks; a new decision counts first.

        Raises:
            LedgerError: the decision could not be kept.
        """
        with self._lock:
            if event.kind in self.watch.plan.kinds:
                self._take([event])
            return self.watch.alarms(event)

    def look(self, read: Callable[[Watch], T]) -> T:
        """What does the watch say now? While `read` looks at it nothing is taken in."""
        with self._lock:
            return read(self.watch)

    def _take(self, events: Sequence[Event], beside: Sequence[tuple[Kind, Mapping[str, Any]]] = ()) -> Taken:
        if self._stale:
            self.watch = self._resume()
        items = list(beside)
        fresh: list[str] = []
        alarms: list[Alarm] = []
        refused: list[str] = []
        new = duplicates = 0
        self._stale = True  # until the ledger has it, memory is ahead of the disk
        for event in events:
            if event.id in self._seen:
                duplicates += 1
                continue
            body = to_dict(event) | {"run": self.name}
            if (fault := _unkept(body)) or event.kind not in self.watch.plan.kinds:
                refused.append(f"{event.id[:80]}: {fault or f'a {event.kind} is not watched'}")
                continue
            self._seen.again(event.id)
            fresh.append(event.id)
            new += 1
            items.append(("event", body))
            for alarm in self.watch.observe(event):
                alarms.append(alarm)
                items.append(("finding", to_dict(alarm.finding()) | {"run": self.name, "alarm": alarm.as_dict()}))
        self._since += new
        if self._since >= self.every:
            items.append(("run", self._entry("state", {"state": self.watch.state()})))
            # Written anew, so that what is older than the state need not be kept for them.
            items += [("run", self._entry(phase, body)) for phase, body in self._notes.items()]
        try:
            written = self.ledger.append_many(items)
            self._stale = False
        finally:
            for id in fresh if self._stale else ():  # if they are in the ledger all the same, `_resume` finds them
                self._seen.forget(id)
        if self._since >= self.every:
            self._since, self._at = 0, written[-1 - len(self._notes)].seq
        return Taken(new, duplicates, tuple(refused), tuple(alarms), written[-1].seq if written else 0)

    def note(self, phase: str, body: Mapping[str, Any]) -> None:
        """Write down something else about this watch, such as which alerts were delivered."""
        with self._lock:
            self.ledger.append("run", self._entry(phase, body))
            self._notes[phase] = dict(body)

    def last_note(self, phase: str) -> Entry | None:
        """What was written down last under this phase?"""
        found = None
        for entry in self.ledger.entries("run"):
            if _is(entry.body, self.name) and entry.body["phase"] == phase:
                found = entry
        return found

    def _entry(self, phase: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"command": COMMAND, "watch": self.name, "phase": phase, **body}

    def _resume(self) -> Watch:
        """The watch as the ledger has it; writes the first state where there is none.

        All ids are read the first time; after a fault what follows the latest state that is known is enough, though
        the write that seemed to fail may have left a newer one.
        """
        state, known, at = None, self._at, self._at
        for entry in self.ledger.entries("run", max(0, known - 1)):
            if not _is(entry.body, self.name):
                continue
            if entry.body["phase"] == "state":
                at, state = entry.seq, entry.body["state"]
            else:
                mine = ("command", "watch", "phase")
                self._notes[entry.body["phase"]] = {k: v for k, v in entry.body.items() if k not in mine}
        self._since = 0
        if state is None:
            state = json.loads(json.dumps(self._make().state(), sort_keys=True))
            self._at = self.ledger.append("run", self._entry("state", {"state": state})).seq
            return Watch.restored(state)  # as a restart would read it, to the order of its keys
        watch = Watch.restored(state)
        for entry in self.ledger.entries("event", known):
            if entry.body.get("run") != self.name:
                continue
            self._seen.again(str(entry.body.get("id")))
            if entry.seq > at:
                watch.observe(from_dict(Event, entry.body))
                self._since += 1
        self._stale, self._at = False, at  # not before: the ledger may go away while it is read
        return watch


def watches(ledger: Ledger) -> dict[str, Watch]:
    """Every watch that this ledger keeps, as it is now.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    names = {str(e.body.get("watch")) for e in ledger.entries("run") if e.body.get("command") == COMMAND}
    return {name: LedgerWatch(ledger, name, _none).watch for name in sorted(names)}


def alarms_of(ledger: Ledger, name: str) -> Iterable[Alarm]:
    """All alarms of a watch, in their order."""
    return (alarm for _, alarm in alarms_after(ledger, name, 0))


def alarms_after(ledger: Ledger, name: str, seq: int) -> Iterable[tuple[int, Alarm]]:
    """The alarms of a watch after this entry, in their order, each with the number of its own.

    Raises:
        LedgerError: the ledger cannot be read, or what stands there as an alarm is none.
    """
    for entry in ledger.entries("finding", seq):
        if entry.body.get("run") == name and "alarm" in entry.body:
            try:
                yield entry.seq, Alarm.from_dict(entry.body["alarm"])
            except (KeyError, TypeError, AttributeError) as error:
                raise LedgerError(f"entry {entry.seq} is no alarm: {type(error).__name__}: {error}") from None


def _none() -> Watch:
    raise LedgerError("no such watch")


def _is(body: Mapping[str, Any], name: str) -> bool:
    return body.get("command") == COMMAND and body.get("watch") == name and "phase" in body


def _unkept(body: Mapping[str, Any]) -> str:
    """Why can the ledger not keep this? Empty where it can."""
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return ""
