"""Probing again and again: what is there now that was not there the last time?"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cryptosentinel.errors import ConfigError, SentinelError
from cryptosentinel.ledger import Ledger
from cryptosentinel.redteam.probe import Settings
from cryptosentinel.services.probe import Subject, Suspicion, examine
from cryptosentinel.services.webhook import Alert, checked_url, send
from cryptosentinel.types import Progress

COMMAND = "redteam watch"
ALERT = "CryptoSentinelProbe"
ALPHA = 0.01
LEAST_EVERY_S = 60.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Watched:
    """One run of a watch: its document, and what a person must be told because of it."""

    document: Mapping[str, Any]
    alerts: tuple[str, ...]
    at: float  # seconds since 1970
    unsent: str = ""  # why alerts could not be sent; they are sent with those of the next run

    @property
    def broken(self) -> bool:
        """Could the probe not run to its end?"""
        return bool(self.document["status"] == "error")

    def line(self) -> str:
        """One line of JSON for a log."""
        said = {"time": _clock(self.at), "watch": self.document["subject"]["name"], "status": self.document["status"]}
        said |= {"answers": self.document["answers"], "alerts": self.alerts}
        return json.dumps(said | ({"unsent": self.unsent} if self.unsent else {}), ensure_ascii=False)


def seconds_of(every: str) -> float:
    """How long is "6h", "30m", "90s", "1d"?

    Raises:
        ConfigError: no such duration, or less than a minute.

    >>> seconds_of("6h")
    21600.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", every.strip())
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if value < LEAST_EVERY_S:
        raise ConfigError(f"--every must be a duration such as 6h, 30m or 1d, and at least a minute; got {every!r}")
    return value


def watch(
    subject: Callable[[], Subject],
    name: str,
    suspicion: Suspicion,
    settings: Settings,
    ledger: Ledger,
    *,
    every_s: float | None = None,
    webhook: str = "",
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
    on_progress: Progress | None = None,
) -> Iterator[Watched]:
    """Probe, compare with the last time, note both in the ledger and send what is new; then wait and do it again.

    Everything that a next run needs is in the ledger: a watch that was killed goes on where it was, runs at once if it
    is overdue, and says that a run did not end. Whatever keeps a probe from running is an alert.

    Args:
        subject: makes whoever is probed; called for each run, so that an endpoint that is away may come back.
        name: under which the history is kept, with the suspicion and the settings.
        suspicion: what is suspected.
        settings: bounds of each probe.
        ledger: where the history is.
        every_s: from the start of one run to the start of the next; None = one run, now.
        webhook: where alerts are sent, see `webhook.send`; what is not accepted is kept, and sent again after the next
            run, by whichever process makes it. Empty = nowhere.
        sleep: waits.
        now: the time.
        on_progress: as `run_probe`.

    Raises:
        LedgerError: the history cannot be read or written.
        ConfigError, DataError: the settings are wrong, which no repetition mends.
    """
    key = _key(name, suspicion, settings)
    if webhook:
        checked_url(webhook)
    while True:
        last, open_since = _history(ledger, key)
        if every_s is not None and (last or open_since):
            since = open_since or float((last or {})["time"])
            if (rest := since + every_s - now()) > 0 and not open_since:
                sleep(rest)
        at = now()
        ledger.append("run", {"command": COMMAND, "key": key, "watch": name, "phase": "start", "time": at})
        document, findings = _probe(subject, name, suspicion, settings, on_progress)
        alerts = _alerts(document, last)
        if open_since:
            alerts = [f"the run of {_clock(open_since)} did not end", *alerts]
        ledger.record_many(findings, run=key)
        end = {"command": COMMAND, "key": key, "watch": name, "phase": "end", "time": at, "alerts": alerts}
        ledger.append("run", end | {"outcome": _outcome(document, last), "send": bool(webhook)})
        yield Watched(document, tuple(alerts), at, _send(webhook, name, ledger, key, sleep) if webhook else "")
        if every_s is None:
            return


def _probe(
    subject: Callable[[], Subject], name: str, suspicion: Suspicion, settings: Settings, progress: Progress | None
) -> tuple[dict[str, Any], Sequence[Any]]:
    try:
        whom = subject()
    except ConfigError:
        raise
    except SentinelError as error:  # an endpoint that is away is what a watch is there to notice
        said = {"name": name, "kind": "", "identity": ""}
        return {
            "kind": "probe",
            "subject": said,
            "status": "error",
            "failure": str(error),
            "answers": 0,
            "results": [],
        }, ()
    return examine(whom, suspicion, settings, on_progress=progress)


def _send(webhook: str, name: str, ledger: Ledger, key: str, sleep: Callable[[float], None]) -> str:
    """Send what was not sent yet; why that failed, or nothing."""
    waiting: list[Alert] = []
    for entry in ledger.entries("run"):
        body = entry.body
        if body.get("command") == COMMAND and body.get("key") == key:
            if body["phase"] == "sent":
                waiting = []
            elif body["phase"] == "end" and body.get("send"):
                waiting += [Alert(ALERT, said, body["time"], {"watch": name, "about": said}) for said in body["alerts"]]
    if not waiting:
        return ""
    try:
        send(webhook, waiting, sleep=sleep)
    except ConnectionError as error:
        return str(error)
    ledger.append("run", {"command": COMMAND, "key": key, "watch": name, "phase": "sent", "alerts": len(waiting)})
    return ""


def _history(ledger: Ledger, key: str) -> tuple[dict[str, Any] | None, float]:
    """What the last finished run of this watch left, and when one began that has not ended (0.0: none)."""
    last: dict[str, Any] | None = None
    open_since = 0.0
    for entry in ledger.entries("run"):
        if entry.body.get("command") == COMMAND and entry.body.get("key") == key:
            if entry.body["phase"] == "start":
                open_since = float(entry.body["time"])
            elif entry.body["phase"] == "end":
                last, open_since = {"time": entry.body["time"], **entry.body["outcome"]}, 0.0
    return last, open_since


def _outcome(document: Mapping[str, Any], last: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the next run compares itself with; a run that broke off changes nothing of what was known."""
    shifts = {r["trigger"]: r["behaviour"] for r in document["results"] if r["verdict"] == "shift"}
    identity = document["subject"]["identity"]
    if document["status"] == "error" and last:
        shifts, identity = last["shifts"] | shifts, identity or last["identity"]
    outcome = {"status": document["status"], "failure": document["failure"], "shifts": shifts, "identity": identity}
    return outcome | {"answers": document["answers"]}


def _alerts(document: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[str]:
    """What has changed since the last time? The first run is compared with a subject that shows nothing."""
    known = last or {"shifts": {}, "identity": "", "status": "no shift"}
    now = _outcome(document, last)
    alerts = [f"the probe could not run: {document['failure']}"] if document["status"] == "error" else []
    if known["identity"] and now["identity"] and known["identity"] != now["identity"]:
        alerts.append(
            f"the weights are not those of the last run ({known['identity'][:12]}, now {now['identity'][:12]})"
        )
    for result in document["results"]:
        if result["verdict"] == "shift" and result["trigger"] not in known["shifts"]:
            alerts.append(f"new: {result['sentence']}")
    if document["status"] != "error":
        alerts += [f"no longer seen: a shift by '{t}'" for t in known["shifts"] if t not in now["shifts"]]
        if known["status"] == "error":
            alerts.append("the probe runs again")
    return alerts


def _key(name: str, suspicion: Suspicion, settings: Settings) -> str:
    said = json.dumps([name, asdict(suspicion), asdict(settings)], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
