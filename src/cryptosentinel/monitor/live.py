"""A watch beside running agents: each decision is taken in once, whoever asks how often."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from cryptosentinel.monitor.alarm import Alarm
from cryptosentinel.monitor.watch import Watch
from cryptosentinel.types import Event

MOST_IDS = 1_000_000


class Seen:
    """Which ids came before? Remembers the last million.

    >>> seen = Seen()
    >>> seen.again("a"), seen.again("b"), seen.again("a")
    (False, False, True)
    """

    def __init__(self, most: int = MOST_IDS) -> None:
        """Nothing came yet."""
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def again(self, id: str) -> bool:
        """Did it come before? From now on it did."""
        if id in self._ids:
            return True
        self._ids[id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return False

    def forget(self, id: str) -> None:
        """It did not come after all."""
        self._ids.pop(id, None)

    def __contains__(self, id: str) -> bool:
        """Did it come before?"""
        return id in self._ids


class Live:
    """What an Observer asks: which alarms are on, this decision included? Safe to use from several threads.

    Keeps nothing on disk; `services.monitor_ledger.LedgerWatch` is asked in the same way and does.

    Args:
        watch: has learnt its baseline.
        on_alarm: told of each alarm, once.

    >>> from cryptosentinel.monitor import Plan
    >>> told: list[Alarm] = []
    >>> event = Event("1", 0.0, "", "Trader", "decision", "Trader", "", {"attributes": {"asset": "ETH"}})
    >>> live = Live(Watch(Plan()), told.append)
    >>> live.alarms(event), live.alarms(event), live.watch.counts["decisions"]
    ({}, {}, 1)
    """

    def __init__(self, watch: Watch, on_alarm: Callable[[Alarm], None] | None = None) -> None:
        """Nothing came yet."""
        self.watch = watch
        self._told = on_alarm
        self._seen = Seen()
        self._lock = threading.Lock()

    def alarms(self, event: Event) -> dict[str, bool]:
        """Which streams of this event's agent have their alarm on? A decision counts first, if it is new."""
        with self._lock:
            counts = event.kind in self.watch.plan.kinds and not self._seen.again(event.id)
            found = self.watch.observe(event) if counts else []
            on = self.watch.alarms(event)
        for alarm in found:
            if self._told is not None:
                self._told(alarm)
        return on
