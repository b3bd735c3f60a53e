"""Who is told that an alarm is on: the log, a webhook, a page of metrics."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from cryptosentinel.errors import LedgerError
from cryptosentinel.monitor import Alarm, Watch
from cryptosentinel.quoting import one_line
from cryptosentinel.services.events import seconds_of
from cryptosentinel.services.monitor_ledger import LedgerWatch, alarms_after
from cryptosentinel.services.webhook import checked_url, post

LOG = logging.getLogger("cryptosentinel.monitor")
TIMEOUT_S = 5.0
LINE = 500  # characters of a line in the log: names come from whoever sends events
RESEND_S = 60.0  # an Alertmanager takes what it does not hear of for 5 minutes for over
PHASE = "delivered"
UNREAD = ("missing", "unreadable", "no baseline")
Key = tuple[str, str]
Post = Callable[[str, list[dict[str, Any]]], None]


class Alerts:
    """Tells a webhook, in Alertmanager's form, when a stream's alarm goes on and when it goes off again.

    Alarms are read from the ledger, and what was delivered is written there after the delivery: whatever stops the
    process, each alarm is delivered at least once, also one that went on and off between two calls (it is told as on,
    and as off with the next call). What stays on is told again every minute, as an Alertmanager expects.

    Args:
        kept: the watch whose alarms these are.
        url: where to post; such as http://alertmanager:9093/api/v2/alerts. Empty: only the log.
        send: posts them; for tests.
        now: the time.

    Raises:
        ConfigError: no http or https URL.
    """

    def __init__(
        self, kept: LedgerWatch, url: str = "", *, send: Post | None = None, now: Callable[[], float] = time.time
    ) -> None:
        """Find out what was delivered before."""
        self.kept, self.url = kept, checked_url(url) if url else ""
        self._send = send or _send
        self._now = now
        self._lock = threading.Lock()
        note = kept.last_note(PHASE)
        self._told: set[Key] = {(a, s) for a, s in note.body["firing"]} if note else set()
        self._noted = int(note.body.get("alarm", note.seq)) if note else 0  # the last finding that was delivered
        self._read = 0  # the last finding that was read
        self._raised = -1
        self._sent = float("-inf")
        self._known: dict[Key, Alarm] = {}
        self._fresh: set[Key] = set()  # alarms that nobody was told of yet, on or not by now

    def sync(self) -> bool:
        """Tell what has changed since the last time; False where the webhook could not be reached.

        Raises:
            LedgerError: alarms could not be read, or the delivery not be written down; it will be repeated.
        """
        with self._lock:
            return self._sync()

    def _sync(self) -> bool:
        raised, firing = self.kept.look(
            lambda watch: (watch.counts["alarms"], {(s.agent, s.name) for s in watch.streams() if s.alarming})
        )
        if raised != self._raised:
            self._take_in()
            self._raised = raised
        on = firing | self._fresh
        off = self._told - on
        now = self._now()
        changed = on != self._told or self._noted != self._read
        if not changed and not (self.url and on and now - self._sent >= RESEND_S):
            return True
        if self.url:
            alerts = [self._alert(key, now, None) for key in sorted(on)]
            alerts += [self._alert(key, now, now) for key in sorted(off)]
            try:
                self._send(self.url, alerts)
            except OSError as error:
                LOG.error("alerts not delivered, will be tried again: %s", error)
                return False
            self._sent = now
        for agent, stream in off:
            LOG.info("%s", one_line(f"{agent}: {stream} is as it was", LINE))
        if changed:
            self.kept.note(PHASE, {"firing": sorted(map(list, on)), "alarm": self._read})
        self._told, self._noted = on, self._read
        self._fresh.clear()
        return True

    def _take_in(self) -> None:
        """Read the alarms that came since."""
        for seq, alarm in alarms_after(self.kept.ledger, self.kept.name, self._read):
            self._known[alarm.agent, alarm.stream] = alarm
            if seq > self._noted:
                self._fresh.add((alarm.agent, alarm.stream))
                LOG.warning("%s", one_line(alarm.sentence, LINE))
            self._read = seq
        self._read = max(self._read, self._noted)

    def _alert(self, key: Key, now: float, ended: float | None) -> dict[str, Any]:
        alarm = self._known.get(key)
        labels = {"alertname": "AgentBehaviourChanged", "watch": self.kept.name, "agent": key[0], "stream": key[1]}
        notes = {"summary": f"{key[0]}: {key[1]} has changed"}
        started = now
        if alarm is not None:
            labels["detector"] = alarm.detector
            notes["description"] = alarm.sentence
            with suppress(ValueError):  # the event's own time may be none
                started = min(now, seconds_of(alarm.time))  # a clock that is ahead would have it end before it began
        made = {"labels": labels, "annotations": notes, "startsAt": _iso(started)}
        return made | ({"endsAt": _iso(ended)} if ended is not None else {})


class Teller:
    """Keeps whoever is on duty told while a process runs: at once when called, and every minute by itself.

    Whoever calls does not wait for the webhook. A ledger that cannot be read or written is logged and tried again.
    """

    def __init__(self, alerts: Alerts, every_s: float = RESEND_S) -> None:
        """Start telling."""
        self._alerts, self._every_s = alerts, every_s
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def close(self) -> None:
        """Tell what is left, then stop."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            closing = self._closed
            try:
                self._alerts.sync()
            except LedgerError as error:
                LOG.error("alerts not told, will be tried again: %s", error)
            if closing:
                return
            self._wake.wait(self._every_s)
            self._wake.clear()


def _send(url: str, alerts: list[dict[str, Any]]) -> None:
    post(url, alerts, f"{len(alerts)} alerts", timeout_s=TIMEOUT_S)


def metrics_text(found: Mapping[str, Watch]) -> str:
    r"""The state of these watches for Prometheus, as text.

    >>> from cryptosentinel.monitor import Plan
    >>> print(metrics_text({"desk": Watch(Plan())}).splitlines()[-1])
    cryptosentinel_monitor_decisions_total{watch="desk"} 0
    """
    lines: list[str] = []

    def family(name: str, kind: str, said: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> None:
        lines.extend((f"# HELP {name} {said}", f"# TYPE {name} {kind}"))
        for labels, value in rows:
            shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
            lines.append(f"{name}{{{shown}}} {_number(value)}")

    streams = [
        ({"watch": name, "agent": s.agent, "stream": s.name}, s, watch.run_length * agent.each)
        for name, watch in found.items()
        for agent in watch.agents.values()
        for s in agent.streams.values()
    ]
    gauges = [
        ({"watch": name, "agent": agent, "feature": gauge.feature.name}, gauge)
        for name, watch in found.items()
        for agent, said in watch.agents.items()
        for gauge in said.gauges
    ]
    family("cryptosentinel_monitor_evidence_share", "gauge", "Evidence as a share of the threshold.",
           ((labels, s.detector.evidence / full) for labels, s, full in streams))  # fmt: skip
    family("cryptosentinel_monitor_alarm", "gauge", "1 while a stream's alarm is on.",
           ((labels, float(s.alarming)) for labels, s, _ in streams))  # fmt: skip
    family("cryptosentinel_monitor_watched", "gauge", "0 while decisions lack what a feature measures.",
           ((labels, float(not gauge.lost)) for labels, gauge in gauges))  # fmt: skip
    family("cryptosentinel_monitor_unread_total", "counter", "Decisions that a feature did not measure, and why.",
           ((labels | {"why": why}, float(gauge.counts[why])) for labels, gauge in gauges
            for why in UNREAD))  # fmt: skip
    family("cryptosentinel_monitor_alarms_total", "counter", "Alarms so far.",
           (({"watch": name}, float(watch.counts["alarms"])) for name, watch in found.items()))  # fmt: skip
    family("cryptosentinel_monitor_late_total", "counter", "Decisions older than one that came before.",
           (({"watch": name}, float(watch.counts["late"])) for name, watch in found.items()))  # fmt: skip
    family("cryptosentinel_monitor_decisions_total", "counter", "Decisions taken in.",
           (({"watch": name}, float(watch.counts["decisions"])) for name, watch in found.items()))  # fmt: skip
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """All of its digits: a counter that is rounded stands still, and then jumps."""
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    plain = text.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
