"""Recorded decisions held against a baseline: which agent's behaviour has changed, when and how?"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cryptosentinel.datasets.rows import Reject, no_readable_row, write_jsonl
from cryptosentinel.errors import ConfigError, MonitorError
from cryptosentinel.files import atomic_write, require_file
from cryptosentinel.monitor import Alarm, Plan, Watch
from cryptosentinel.monitor.live import Seen
from cryptosentinel.services.events import read_events
from cryptosentinel.types import Event, Progress

SHOWN_REJECTS = 20
KEPT_REJECTS = 100_000
PROGRESS_EVERY = 2000
Observe = Callable[[Watch, Event, list[Alarm]], None]


@dataclass(slots=True)
class Intake:
    """What came in: how many events, what was left out and why."""

    events: int = 0
    decisions: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def decisions_of(self, paths: Sequence[Path], kinds: Collection[str] = ("decision",)) -> Iterator[Event]:
        """The decisions of these files, or events of other kinds that count, each id once.

        Raises:
            DataError: as `read_events`.
        """
        seen = Seen()
        for read in read_events(paths):
            if isinstance(read, Reject):
                self.rejected += 1
                if len(self.rejects) < KEPT_REJECTS:
                    self.rejects.append(read)
                continue
            event, own = read
            self.events += 1
            if event.kind not in kinds:
                continue
            if own and seen.again(event.id):
                self.duplicates += 1
                continue
            self.decisions += 1
            yield event


def read_plan(path: Path | None) -> Plan:
    """The settings of a TOML file; without one the defaults.

    Raises:
        ConfigError: the file is missing, no TOML, or holds a setting that is none.
    """
    if path is None:
        return Plan()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {' '.join(str(error).split())}") from None
    return Plan.read(values, str(path))


def learn_watch(baseline: Sequence[Path], plan: Plan) -> tuple[Watch, Intake]:
    """A watch that has learnt how the agents of these events decide.

    Raises:
        DataError: no readable decision.
        ConfigError: the plan does not fit the baseline.
        MonitorError: no stream could be made, so nothing would be watched.
    """
    intake = Intake()
    watch = Watch.learn(plan, intake.decisions_of(baseline, plan.kinds))
    if not intake.decisions:
        raise no_readable_row(baseline, intake.rejects)
    for feature in plan.features:
        if not any(g.feature.name == feature.name for agent in watch.agents.values() for g in agent.gauges):
            reasons = sorted({v for a in watch.agents.values() for k, v in a.left_out.items() if k == feature.name})
            raise ConfigError(f"feature {feature.name!r} makes no stream: {'; '.join(reasons) or 'nothing to measure'}")
    if not watch.streams():
        raise MonitorError(f"the baseline makes no stream: {_why_not(watch)}")
    return watch, intake


def replay_events(
    events: Sequence[Path],
    baseline: Sequence[Path],
    config: Path | None = None,
    out: Path | None = None,
    *,
    on_observed: Observe | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Which agents' behaviour changed in these events, by the baseline's measure?

    Args:
        events: JSONL of decisions, in order.
        baseline: likewise, of how the agents decide when all is well.
        config: TOML with budget and features; none: one stream for each attribute, one false alarm in 10,000 decisions.
        out: file for the alarms, one line each; `rejects.jsonl` is written beside it.
        on_observed: called after each decision with the watch, the event and its alarms.
        on_progress: receives ("replay", decisions, 0).

    Returns:
        A document: the alarms, every stream with the evidence it reached, what was left out and why.

    Raises:
        DataError, ConfigError: nothing readable, or settings that do not fit.
        MonitorError: nothing could be watched.
        OSError: `out` cannot be written.
    """
    started = time.monotonic()
    plan = read_plan(config)
    if out is not None:
        require_file(out)
    watch, learnt = learn_watch(baseline, plan)
    intake = Intake()
    alarms: list[Alarm] = []
    for event in intake.decisions_of(events, plan.kinds):
        found = watch.observe(event)
        alarms += found
        if on_observed is not None:
            on_observed(watch, event, found)
        if on_progress is not None and intake.decisions % PROGRESS_EVERY == 0:
            on_progress("replay", intake.decisions, 0)
    if not intake.decisions:
        raise no_readable_row(events, intake.rejects)
    check_watched(watch, intake)
    document = describe(watch, alarms, intake, learnt) | {"seconds": round(time.monotonic() - started, 3)}
    if out is not None:
        write_jsonl(out.with_name("rejects.jsonl"), map(asdict, [*learnt.rejects, *intake.rejects]))
        atomic_write(out, "".join(json.dumps(a.as_dict(), allow_nan=False) + "\n" for a in alarms))
    return document


def describe(watch: Watch, alarms: Sequence[Alarm], intake: Intake, learnt: Intake | None = None) -> dict[str, Any]:
    """The document of a replay."""
    streams = []
    for agent in watch.agents.values():
        gauges = {g.feature.name: g for g in agent.gauges}
        full = watch.run_length * agent.each
        for s in agent.streams.values():
            gauge = gauges[s.feature]
            mine = [a for a in alarms if (a.agent, a.stream) == (s.agent, s.name)]
            streams.append({
                "agent": s.agent, "stream": s.name, "detector": s.detector.name, "unit": s.unit,
                "decisions": s.decisions, "peak_evidence": s.peak, "threshold": full, "alarms": len(mine),
                "alarming": s.alarming, "counts": dict(gauge.counts), "watched": not gauge.lost,
                "optional": gauge.optional,
            })  # fmt: skip
    waiting = {n: a.decisions for n, a in watch.agents.items() if a.waiting is not None and a.decisions}
    rejects = [*(learnt.rejects if learnt else []), *intake.rejects]
    return {
        "kind": "monitor",
        "decisions": intake.decisions,
        "baseline_decisions": learnt.decisions if learnt else 0,
        "run_length_guarantee": watch.run_length,
        "confidence": watch.plan.confidence,
        "multiplicity": watch.plan.multiplicity,
        "alarms": [a.as_dict() for a in alarms],
        "streams": streams,
        "left_out": {n: a.left_out for n, a in watch.agents.items() if a.left_out},
        "without_baseline": waiting,
        "counts": {k: v for k, v in watch.counts.items() if k not in ("decisions", "alarms")},
        "duplicates": intake.duplicates,
        "rejected": intake.rejected + (learnt.rejected if learnt else 0),
        "rejects": [asdict(r) for r in islice(rejects, SHOWN_REJECTS)],
    }


def check_watched(watch: Watch, intake: Intake) -> None:
    """Was any decision watched?

    Raises:
        MonitorError: none was, by any stream.
    """
    if not any(stream.decisions for stream in watch.streams()):
        raise MonitorError(f"none of the {intake.decisions} decisions could be watched: {_why_not(watch)}")


def _why_not(watch: Watch) -> str:
    """Why nobody is watched, on one line."""
    said = []
    for name, agent in islice(watch.agents.items(), 5):
        if agent.waiting is not None and not agent.left_out:
            n = len(agent.waiting)
            said.append(f"{name!r} has no baseline and {n} of {watch.plan.learn} decisions to learn from")
        elif lacking := [f"{g.feature.name} {n} {what}" for g in agent.gauges for what, n in g.counts.items()]:
            said.append(f"{name!r}: " + ", ".join(lacking[:5]))
        elif agent.left_out:
            said.append(f"{name!r}: " + ", ".join(f"{k} {v}" for k, v in islice(agent.left_out.items(), 5)))
    return "; ".join(said) or "no attributes"
