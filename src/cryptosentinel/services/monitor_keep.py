"""A replay that lasts: into the ledger, resumed where it was stopped; and how its watches stand."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from cryptosentinel.datasets.rows import no_readable_row, write_jsonl
from cryptosentinel.errors import ConfigError
from cryptosentinel.files import atomic_write, require_file
from cryptosentinel.ledger import Ledger
from cryptosentinel.services.alerts import Alerts, metrics_text
from cryptosentinel.services.monitor import Intake, check_watched, describe
from cryptosentinel.services.monitor_begin import begin_or_go_on
from cryptosentinel.services.monitor_ledger import alarms_of, watches
from cryptosentinel.services.webhook import checked_url
from cryptosentinel.types import Progress

BATCH = 500


def keep_events(
    events: Sequence[Path],
    baseline: Sequence[Path],
    config: Path | None,
    ledger: str | Path,
    name: str,
    *,
    out: Path | None = None,
    webhook: str = "",
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """As `replay_events`, with every decision, alarm and state in a ledger: a run that was stopped goes on.

    A watch of this name that is in the ledger goes on, see `begin_or_go_on`. Decisions that are in the ledger are not
    taken again. Its alarms are those that these events set off, now or before.

    Args:
        events: JSONL of decisions, in order; those without an id go by their file, line and content.
        baseline: as `replay_events`; none: the watch is in the ledger.
        config: as `replay_events`; None: the watch's own.
        ledger: a file path or database URL.
        name: of the watch.
        out: as `replay_events`; the alarms are all that the watch has raised.
        webhook: an Alertmanager's URL, told of alarms that go on and off.
        on_progress: as `replay_events`.

    Raises:
        LedgerError: the ledger cannot be read or written.
        ConfigError: as `begin_or_go_on`.
        DataError, MonitorError, OSError: as `replay_events`.
    """
    started = time.monotonic()
    if out is not None:
        require_file(out)
    if webhook:
        checked_url(webhook)
    kept, learnt = begin_or_go_on(ledger, name, baseline, config)
    alerts = Alerts(kept, webhook)
    intake, came = Intake(), set[str]()
    refused: list[str] = []
    told = alerts.sync()
    decisions = intake.decisions_of(events, kept.watch.plan.kinds)
    while batch := list(islice(decisions, BATCH)):
        taken = kept.take(batch)
        came.update(event.id for event in batch)
        refused += taken.refused
        intake.duplicates += taken.duplicates
        told = alerts.sync()
        if on_progress is not None:
            on_progress("replay", intake.decisions, 0)
    if not intake.decisions:
        raise no_readable_row(events, intake.rejects)
    intake.rejected += len(refused)
    if not any(agent.waiting for agent in kept.watch.agents.values()):  # who waits is learnt from, run by run
        check_watched(kept.watch, intake)
    alarms = [a for a in alarms_of(kept.ledger, name) if a.event in came]
    document = describe(kept.watch, alarms, intake, learnt) | {
        "ledger": name, "alerts_delivered": told, "seconds": round(time.monotonic() - started, 3),
    }  # fmt: skip
    if out is not None:
        write_jsonl(out.with_name("rejects.jsonl"), map(asdict, [*learnt.rejects, *intake.rejects]))
        lines = (json.dumps(a.as_dict(), allow_nan=False) + "\n" for a in alarms_of(kept.ledger, name))
        atomic_write(out, "".join(lines))
    return document


def status_of(ledger: str | Path, name: str = "") -> dict[str, Any]:
    """How do the watches of a ledger stand: evidence of each stream, alarms that are on?

    Raises:
        LedgerError: the ledger cannot be read.
        ConfigError: no such ledger, or no watch of this name in it.
    """
    found = watches(Ledger.open(ledger, create=False))
    if name and name not in found:
        raise ConfigError(f"no watch {name!r} in this ledger (known: {', '.join(found) or 'none'})")
    shown = {n: w for n, w in found.items() if not name or n == name}
    return {
        "kind": "monitor-status",
        "watches": {
            n: describe(w, [], Intake(decisions=w.counts["decisions"])) | {"alarms": w.counts["alarms"]}
            for n, w in shown.items()
        },
        "metrics": metrics_text(shown),
    }
