"""Which run is a hook in, and what of it has been shown to the observer?

A team and its members share a session: that is the conversation. Each has a run id of its own, and a stop ends the run
of whoever was asked by the user. Members run inside the leader's call, so a context variable says who asked them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from cryptosentinel.adapters.agno_events import USER

KEPT = 2_000  # runs and sessions that are remembered
KEPT_LIVE = 200  # runs whose messages are held


@dataclass(frozen=True, slots=True)
class Under:
    """Inside whose call does this happen?"""

    session: str
    root: str
    leader: str


_UNDER: ContextVar[Under | None] = ContextVar("under", default=None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hook is: the conversation, the run that a stop ends, this run, and who asked this agent."""

    session: str
    root: str
    run: str
    asked_by: str


def place_of(run_context: Any) -> Place:
    """Where does this happen?"""
    run = str(getattr(run_context, "run_id", None) or "")
    session = str(getattr(run_context, "session_id", None) or run)
    under = _UNDER.get()
    if under is None:
        return Place(session, run, run, USER)
    # another session, as of an agent that is used as a tool, is another conversation; the words are still the agent's
    return Place(session, under.root if under.session == session else run, run, under.leader)


@contextmanager
def inside(place: Place, leader: str) -> Iterator[None]:
    """While a tool of `leader` runs: whatever runs inside was asked for by him."""
    token = _UNDER.set(Under(place.session, place.root, leader))
    try:
        yield
    finally:
        _UNDER.reset(token)


@dataclass(slots=True)
class Turn:
    """The calls of one message: judged once, together. `rulings` by the call's digest, one for each time it stands."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    is_judged: bool = False
    rulings: dict[str, list[Any]] = field(default_factory=dict)


class Shown:
    """What has been shown to the observer already, so that nothing is shown twice; bounded."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, set[str]] = OrderedDict()
        self._turns: OrderedDict[tuple[str, str], Turn] = OrderedDict()
        self._asked: OrderedDict[str, list[str]] = OrderedDict()
        self._notices: OrderedDict[str, str] = OrderedDict()
        self._live: OrderedDict[str, list[Any]] = OrderedDict()

    def is_new(self, session: str, name: str) -> bool:
        """Is this the first time that this content is seen in this session? From now on it is not."""
        with self._lock:
            seen = self._seen.setdefault(session, set())
            _keep(self._seen, session)
            if name in seen:
                return False
            seen.add(name)
            return True

    def turn(self, run: str, message: str) -> Turn:
        """The calls of this message of this run."""
        with self._lock:
            turn = self._turns.setdefault((run, message), Turn())
            _keep(self._turns, (run, message))
            return turn

    def asked(self, run: str, text: str | None = None) -> list[str]:
        """What was this run asked? `text` is added to it."""
        with self._lock:
            known = self._asked.setdefault(run, [])
            _keep(self._asked, run)
            if text is not None:
                known.append(text)
            return list(known)

    def notice(self, answer: str, notice: str | None = None) -> str | None:
        """What is said in place of this answer, if it was withheld? `notice` is noted."""
        with self._lock:
            if notice is not None:
                self._notices[answer] = notice
                _keep(self._notices, answer)
            return self._notices.get(answer)

    def live(self, run: str, messages: list[Any] | None = None) -> list[Any]:
        """The list that grows with this run; `messages` is noted to be it."""
        with self._lock:
            if messages is not None:
                self._live[run] = messages
                _keep(self._live, run, KEPT_LIVE)
            return self._live.get(run, [])

    def forget(self, session: str) -> None:
        """Drop a session that is over."""
        with self._lock:
            self._seen.pop(session, None)


def _keep(kept: OrderedDict[Any, Any], latest: Any, most: int = KEPT) -> None:
    kept.move_to_end(latest)
    while len(kept) > most:
        kept.popitem(last=False)
