"""Who is told that an alarm is on: the log, a webhook, a page of metrics."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from cryptosentinel.errors import ConfigError
from cryptosentinel.monitor import Alarm, Watch
from cryptosentinel.services.monitor_ledger import LedgerWatch, alarms_of

LOG = logging.getLogger("cryptosentinel.monitor")
TIMEOUT_S = 5.0
ATTEMPTS = 3
PHASE = "delivered"
Key = tuple[str, str]
Post = Callable[[str, list[dict[str, Any]]], None]


class Alerts:
    """Tells a webhook, in Alertmanager's form, when a stream's alarm goes on and when it goes off again.

    What was delivered is in the ledger, written after the delivery: whatever stops the process, an alert is delivered
    at least once. A webhook that is away keeps nothing from being watched: the next `sync` tries again.

    Args:
        kept: the watch whose alarms these are.
        url: where to post; such as http://alertmanager:9093/api/v2/alerts. Empty: only the log.
        post: sends; for tests.
        now: the time.

    Raises:
        ConfigError: no http or https URL.
    """

    def __init__(
        self, kept: LedgerWatch, url: str = "", *, post: Post | None = None, now: Callable[[], float] = time.time
    ) -> None:
        """Find out what was delivered before."""
        if url and not url.startswith(("http://", "https://")):
            raise ConfigError(f"a webhook is an http or https URL, got {url[:80]!r}")
        self.kept, self.url = kept, url
        self._post = post or send
        self._now = now
        last = kept.last_note(PHASE)
        self._told: set[Key] = {(a, s) for a, s in last["firing"]} if last else set()
        self._known: dict[Key, Alarm] = {(a.agent, a.stream): a for a in alarms_of(kept.ledger, kept.name)}

    def sync(self, alarms: Iterable[Alarm] = ()) -> bool:
        """Tell what has changed since the last time; False where the webhook could not be reached.

        Raises:
            LedgerError: the delivery could not be written down; it will be repeated.
        """
        for alarm in alarms:
            self._known[alarm.agent, alarm.stream] = alarm
            LOG.warning("%s", alarm.sentence)
        firing = {(s.agent, s.name) for s in self.kept.watch.streams() if s.alarming}
        if firing == self._told:
            return True
        for agent, stream in self._told - firing:
            LOG.info("%s: %s is as it was", agent, stream)
        if self.url:
            now = self._now()
            changed = [self._alert(key, now, None) for key in sorted(firing)]
            changed += [self._alert(key, now, now) for key in sorted(self._told - firing)]
            try:
                self._post(self.url, changed)
            except (httpx.HTTPError, OSError) as error:
                LOG.error("alerts not delivered, will be tried again: %s", error)
                return False
        self.kept.note(PHASE, {"firing": sorted(map(list, firing))})
        self._told = firing
        return True

    def _alert(self, key: Key, now: float, ended: float | None) -> dict[str, Any]:
        alarm = self._known.get(key)
        started = float(alarm.time) if alarm and isinstance(alarm.time, int | float) else now
        labels = {"alertname": "AgentBehaviourChanged", "watch": self.kept.name, "agent": key[0], "stream": key[1]}
        notes = {"summary": f"{key[0]}: {key[1]} has changed"}
        if alarm is not None:
            labels["detector"] = alarm.detector
            notes["description"] = alarm.sentence
            if isinstance(alarm.time, str):
                started = now
        made = {"labels": labels, "annotations": notes, "startsAt": _iso(started)}
        return made | ({"endsAt": _iso(ended)} if ended is not None else {})


def send(url: str, alerts: list[dict[str, Any]]) -> None:
    """Post them; a server that is busy is asked three times.

    Raises:
        httpx.HTTPError: it did not take them.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            httpx.post(url, json=alerts, timeout=TIMEOUT_S).raise_for_status()
            return
        except httpx.HTTPError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)


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
            lines.append(f"{name}{{{shown}}} {value:g}")

    streams = [
        ({"watch": name, "agent": s.agent, "stream": s.name}, s, watch.run_length * agent.each)
        for name, watch in found.items()
        for agent in watch.agents.values()
        for s in agent.streams.values()
    ]
    family("cryptosentinel_monitor_evidence_share", "gauge", "Evidence as a share of the threshold.",
           ((labels, s.detector.evidence / full) for labels, s, full in streams))  # fmt: skip
    family("cryptosentinel_monitor_alarm", "gauge", "1 while a stream's alarm is on.",
           ((labels, float(s.alarming)) for labels, s, _ in streams))  # fmt: skip
    family("cryptosentinel_monitor_alarms_total", "counter", "Alarms so far.",
           (({"watch": name}, float(watch.counts["alarms"])) for name, watch in found.items()))  # fmt: skip
    family("cryptosentinel_monitor_late_total", "counter", "Decisions older than one that came before.",
           (({"watch": name}, float(watch.counts["late"])) for name, watch in found.items()))  # fmt: skip
    family("cryptosentinel_monitor_decisions_total", "counter", "Decisions taken in.",
           (({"watch": name}, float(watch.counts["decisions"])) for name, watch in found.items()))  # fmt: skip
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    plain = text.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
