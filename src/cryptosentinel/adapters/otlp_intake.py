"""From spans to the ledger and the watch: nothing lost that was acknowledged, nothing counted twice."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptosentinel.adapters.otlp_dialects import acts_of
from cryptosentinel.adapters.otlp_families import Families, Orphan
from cryptosentinel.adapters.otlp_spans import Span
from cryptosentinel.errors import DataError, LedgerError
from cryptosentinel.ledger import Kind, Ledger, canonical
from cryptosentinel.observer import Observer
from cryptosentinel.types import Event

COMMAND, PHASE = "otlp", "waiting"
MOST_IDS = 300_000
MOST_WAITING = 50_000
PATIENCE_S = 30.0
_OURS = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}/")


class Watching(Protocol):
    """A watch that keeps what it takes, such as `LedgerWatch`."""

    @property
    def watch(self) -> Any:
        """Its `plan.kinds` are the kinds of events that it takes."""

    @property
    def ledger(self) -> Ledger:
        """Where it keeps them."""

    def take(self, events: Sequence[Event], beside: Sequence[tuple[Kind, Mapping[str, Any]]] = ()) -> Any:
        """Take these; when it returns they are kept, and so is what is written beside them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the spans of one sender: events that came before, spans that wait, why others were refused."""

    duplicates: int
    waiting: int
    refused: tuple[str, ...]


class Intake:
    """Turns spans into events and keeps them. Safe to use from several threads.

    When `take` returns, everything is on disk: events, and the acts of which no agent is known yet, which wait for
    their parents there too. A sender that got no answer sends again: events that came before are known by their ids.

    Args:
        ledger: where events go.
        name: which of the ledger's receivers this is; the `run` of its entries.
        watch: takes the kinds of events that it watches, and keeps them itself.
        observer: is shown every event after it is kept; where it has a ledger it keeps them itself.
        patience_s: how long acts wait for the span that names their agent; then the service's name stands for it.
        now: the time.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str = COMMAND,
        *,
        watch: Watching | None = None,
        observer: Observer | None = None,
        patience_s: float = PATIENCE_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read what waits, and which events came before."""
        self.ledger, self.name, self.watch, self.observer = ledger, name, watch, observer
        self.patience_s = patience_s
        self.counts: Counter[str] = Counter()
        self._now = now
        self._lock = threading.Lock()
        self._families = Families()
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._ahead: set[str] = set()  # events that were kept in a call that then failed
        self._failing: float | None = None  # since when writes fail, or are done and not answered
        self._at = 0  # up to this entry it is known what was kept
        self._waiting: dict[tuple[str, str], tuple[float, Orphan]] = {}
        self._traces: dict[str, set[tuple[str, str]]] = {}  # what waits, by trace
        self._resume()

    @property
    def waiting(self) -> int:
        """How many spans wait for the one that names their agent?"""
        return len(self._waiting)

    def take(self, spans: Sequence[Span]) -> Taken:
        """Take these in; when this returns they are on disk.

        Raises:
            LedgerError: they were not kept; send them again.
        """
        return self.take_all([spans])[0]

    def take_all(self, batches: Sequence[Sequence[Span]]) -> list[Taken]:
        """The same for several senders at once, in as few transactions as one needs."""
        with self._lock:
            return self._take(batches)

    def settle(self, everything: bool = False) -> None:
        """Stop waiting for parents that have not come in time."""
        with self._lock:
            if self._due([], everything):
                self._take([], everything)

    def _take(self, batches: Sequence[Sequence[Span]], everything: bool = False) -> list[Taken]:
        if self._failing is not None:
            self._catch_up(self._failing)
        for batch in batches:
            self._families.add(batch)
        now = self._now()
        known: dict[str, None] = {}  # this call's; remembered only once they are kept
        found: list[Event] = []
        fresh: dict[tuple[str, str], tuple[float, Orphan]] = {}
        settled: list[tuple[str, str]] = []
        for key in self._due(batches, everything):
            since, orphan = self._waiting[key]
            events = self._families.events(orphan, everything or self._overdue(since))
            if events is not None:
                settled.append(key)
                found += events
        taken: list[Taken] = []
        owner: dict[str, int] = {}
        refused: list[list[str]] = [[] for _ in batches]
        for n, batch in enumerate(batches):
            duplicates = waits = 0
            for span in batch:
                acts = []
                try:
                    said = acts_of(span)
                except DataError as error:
                    refused[n].append(str(error))
                    continue
                for act in said:
                    id = f"{span.trace}-{span.id}/{act.part}"
                    if id in self._ids or id in known:
                        duplicates += 1
                        continue
                    known[id] = None
                    owner[id] = n
                    acts.append(act)
                if not acts:
                    continue
                orphan = Orphan(span.trace, span.id, span.parent, "", span.service, tuple(acts))
                full = len(self._waiting) + len(fresh) >= MOST_WAITING
                if (events := self._families.events(orphan, full)) is None:
                    fresh[span.trace, span.id] = (now, orphan)
                    waits += 1
                else:
                    found += events
            taken.append(Taken(duplicates, waits, ()))
        found.sort(key=lambda event: event.time)
        for id, fault in self._keep(found, [orphan for _, orphan in fresh.values()]).items():
            if id in owner:
                refused[owner[id]].append(fault)
        self._ids.update(known)
        while len(self._ids) > MOST_IDS:
            self._ids.popitem(last=False)
        self._ahead.difference_update(event.id for event in found)
        for key in settled:
            del self._waiting[key]
            self._traces[key[0]].discard(key)
            if not self._traces[key[0]]:
                del self._traces[key[0]]
        for key, waits_since in fresh.items():
            self._wait(key, *waits_since)
        self.counts["events"] += len(found)
        self.counts["duplicates"] += sum(t.duplicates for t in taken)
        if self.observer is not None:
            for event in found:
                self.observer.observe(event)
        return [Taken(t.duplicates, t.waiting, tuple(r)) for t, r in zip(taken, refused, strict=True)]

    def _keep(self, events: Sequence[Event], orphans: Sequence[Orphan]) -> dict[str, str]:
        """Write these; returns which cannot be written, and why: those are in the ledger in no form.

        Each part is known by its events' ids, so what was kept before a fault is not kept again.
        """
        watched = self.watch.watch.plan.kinds if self.watch is not None else ()
        theirs = [e for e in events if e.kind in watched]
        together = self.watch if theirs and self.watch is not None and self.watch.ledger is self.ledger else None
        kept_by_observer = self.observer is not None and self.observer.ledger is not None
        faults: dict[str, str] = {}
        unkept = [e for e in events if e.kind not in watched and not kept_by_observer and e.id not in self._ahead]
        self._failing, at = self._now(), self._at
        taken: Any = None
        while True:
            mine = [e for e in unkept if e.id not in faults]
            items: list[tuple[Kind, Mapping[str, Any]]] = [("event", self._body(event)) for event in mine]
            if waits := [o.as_dict() for o in orphans if not any(id in faults for id in o.ids())]:
                items.append(("run", {"command": COMMAND, "phase": PHASE, "receiver": self.name, "spans": waits}))
            try:
                if together:
                    taken = together.take(theirs, items)
                    at = getattr(taken, "last", 0) or at
                elif kept := self.ledger.append_many(items):
                    at = kept[-1].seq
                break
            except LedgerError as error:
                bad = {e.id: fault for e in mine if (fault := _fault(self._body(e)))}
                bad |= {id: fault for o in orphans if (fault := _fault(o.as_dict())) for id in o.ids()}
                if not bad.keys() - faults.keys():
                    raise error
                faults |= bad
        if self.watch is not None and theirs and not together:
            taken = self.watch.take(theirs)
        for said in getattr(taken, "refused", ()):
            id, _, fault = said.partition(": ")
            faults[id] = fault
        self._failing, self._at = None, at
        return faults

    def _catch_up(self, failing: float) -> None:
        """What of the calls that failed is in the ledger all the same? Senders will send all of it again.

        A first part may have been kept before the second failed, and a write may be done though its answer was lost.
        The time in which nothing could be kept is no time in which a parent could have come.
        """
        waits = {id for _, orphan in self._waiting.values() for id in orphan.ids()}
        for entry in self.ledger.entries("event", self._at):
            if isinstance(id := entry.body.get("id"), str) and (id not in self._ids or id in waits):
                self._ahead.add(id)
        while len(self._ahead) > MOST_IDS:  # whoever sent those does not come back
            self._ids[self._ahead.pop()] = None
        self._failing = self._now()
        lost = self._failing - failing
        self._waiting = {key: (since + lost, orphan) for key, (since, orphan) in self._waiting.items()}

    def _due(self, batches: Sequence[Sequence[Span]], everything: bool) -> list[tuple[str, str]]:
        """Which of those that wait may go on now: their trace had news, or they waited long enough."""
        traces = {span.trace for batch in batches for span in batch} & self._traces.keys()
        due = {key: None for trace in traces for key in self._traces[trace]}
        for key, (since, _) in self._waiting.items():  # the oldest first
            if not (everything or self._overdue(since)):
                break
            due[key] = None
        return list(due)

    def _wait(self, key: tuple[str, str], since: float, orphan: Orphan) -> None:
        self._waiting[key] = (since, orphan)
        self._traces.setdefault(key[0], set()).add(key)

    def _body(self, event: Event) -> dict[str, Any]:
        return {
            "id": event.id, "time": event.time, "run_id": event.run_id, "agent": event.agent, "kind": event.kind,
            "sender": event.sender, "recipient": event.recipient, "body": event.body, "run": self.name,
        }  # fmt: skip

    def _overdue(self, since: float) -> bool:
        return self._now() - since >= self.patience_s

    def _resume(self) -> None:
        self._at = self.ledger.last_seq()
        after = max(0, self._at - 2 * MOST_IDS)
        mark = (COMMAND, PHASE, self.name)
        orphans = [
            Orphan.from_dict(given)
            for entry in self.ledger.entries("run", after)
            if (entry.body.get("command"), entry.body.get("phase"), entry.body.get("receiver")) == mark
            for given in entry.body["spans"]
        ]
        for entry in self.ledger.entries("event", after):
            if isinstance(id := entry.body.get("id"), str) and _OURS.match(id):
                self._ids[id] = None
        now = self._now()
        for orphan in orphans:
            left = tuple(a for a, id in zip(orphan.acts, orphan.ids(), strict=True) if id not in self._ids)
            if left:
                orphan = Orphan(orphan.trace, orphan.span, orphan.parent, orphan.session, orphan.service, left)
                self._wait((orphan.trace, orphan.span), now, orphan)
        for _, orphan in self._waiting.values():
            self._ids.update(dict.fromkeys(orphan.ids()))


def _fault(body: Mapping[str, Any]) -> str:
    """Why can the ledger not keep this? Empty where it can."""
    try:
        canonical("event", body)
    except LedgerError as error:
        return str(error)
    return ""
