"""Alerts to whoever is on duty, in the form in which Alertmanager sends them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from cryptosentinel.errors import ConfigError

VERSION = "4"  # of Alertmanager's webhook form
WAITS_S = (1.0, 4.0)  # before each further try
_OPEN = "0001-01-01T00:00:00Z"  # Alertmanager's way to say: has not ended


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that a person must know; the same name and labels are the same alert.

    Times are seconds since the epoch, UTC; `ended` None = it still holds.
    """

    name: str
    summary: str
    started: float
    labels: Mapping[str, str] = field(default_factory=dict)
    ended: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As the webhook form has it."""
        labels = {"alertname": self.name, **self.labels}
        known = json.dumps(labels, sort_keys=True).encode()
        return {
            "status": "firing" if self.ended is None else "resolved",
            "labels": labels,
            "annotations": {"summary": self.summary},
            "startsAt": _clock(self.started),
            "endsAt": _OPEN if self.ended is None else _clock(self.ended),
            "generatorURL": "",
            "fingerprint": hashlib.sha256(known).hexdigest()[:16],
        }


def body(alerts: Sequence[Alert]) -> dict[str, Any]:
    """One message with all of these.

    >>> said = body([Alert("drift", "Trader buys more of one asset", 0.0, {"agent": "Trader"})])
    >>> said["status"], said["alerts"][0]["labels"]["agent"], said["alerts"][0]["startsAt"]
    ('firing', 'Trader', '1970-01-01T00:00:00Z')
    """
    told = [alert.as_dict() for alert in alerts]
    common = dict(told[0]["labels"]) if told else {}
    for one in told[1:]:
        common = {k: v for k, v in common.items() if one["labels"].get(k) == v}
    return {
        "version": VERSION,
        "groupKey": "{}:{" + ", ".join(f'{k}="{v}"' for k, v in sorted(common.items())) + "}",
        "truncatedAlerts": 0,
        "status": "firing" if any(a["status"] == "firing" for a in told) else "resolved",
        "receiver": "cryptosentinel",
        "groupLabels": common,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": told,
    }


def checked_url(url: str) -> str:
    """The address of a webhook.

    Raises:
        ConfigError: it is none.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"webhook {url!r}: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"webhook {url!r}: need http://HOST/... or https://HOST/...")
    return url


def send(
    url: str, alerts: Sequence[Alert], *, timeout_s: float = 10.0, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Send these alerts as one message; tried again if the receiver is away or busy.

    Raises:
        ConnectionError: it was not accepted; the alerts are to be kept and sent again.
        ConfigError: no such address is possible.
    """
    if alerts:
        post(url, body(alerts), f"{len(alerts)} alerts", timeout_s=timeout_s, sleep=sleep)


def post(
    url: str, said: Any, what: str, *, timeout_s: float = 10.0, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Post this JSON, `what` in a word; tried again if the receiver is away or busy.

    Raises:
        ConnectionError: it was not accepted.
        ConfigError: no such address is possible.
    """
    packed = json.dumps(said).encode()  # ASCII: what agents call themselves need not be Unicode
    reason = ""
    for wait in (*WAITS_S, None):
        try:
            answer = httpx.post(
                checked_url(url), content=packed, headers={"Content-Type": "application/json"}, timeout=timeout_s
            )
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if answer.is_success:
                return
            reason = f"answered {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                break
        if wait is not None:
            sleep(wait)
    host = httpx.URL(url).host  # the rest of the address may be a secret
    raise ConnectionError(f"the webhook at {host} did not take {what}: {' '.join(reason.split())[:200]}")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
