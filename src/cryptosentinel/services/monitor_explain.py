"""How the evidence of each stream grew, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.monitor import Alarm, Watch
from cryptosentinel.services.monitor import replay_events
from cryptosentinel.types import Event

SPANS = 240


def explain_events(
    events: Sequence[Path],
    baseline: Sequence[Path],
    config: Path | None = None,
    *,
    agent: str = "",
    stream: str = "",
) -> dict[str, Any]:
    """How did the evidence of each stream grow, decision by decision?

    Args:
        events: as `replay_events`.
        baseline: as `replay_events`.
        config: as `replay_events`.
        agent: only this agent's streams.
        stream: only streams of this name.

    Returns:
        The document of a replay; each of its streams has `history`: decision number and evidence as a share of the
        threshold, the highest of up to 240 spans, and `alarms_at`.

    Raises:
        ConfigError: no such stream.
        DataError, MonitorError: as `replay_events`.
    """
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}

    def observed(watch: Watch, event: Event, _alarms: list[Alarm]) -> None:
        mine = watch.agents.get(event.agent)
        for s in mine.streams.values() if mine else ():
            line = lines.setdefault((s.agent, s.name), [])
            if not line or line[-1][0] != s.decisions:
                line.append((s.decisions, s.last))

    document = replay_events(events, baseline, config, on_observed=observed)
    wanted = [
        s for s in document["streams"]
        if (not agent or s["agent"] == agent) and (not stream or s["stream"] == stream)
    ]  # fmt: skip
    if not wanted:
        known = ", ".join(f"{s['agent']}/{s['stream']}" for s in document["streams"][:20])
        raise ConfigError(f"no stream {stream!r} of agent {agent or 'any'!r} (known: {known})")
    for s in wanted:
        mine = [a for a in document["alarms"] if (a["agent"], a["stream"]) == (s["agent"], s["stream"])]
        s["history"] = _spans(lines.get((s["agent"], s["stream"]), []), s["threshold"])
        s["alarms_at"] = mine
    return document | {"kind": "monitor-explain", "streams": wanted}


def _spans(line: Sequence[tuple[int, float]], threshold: float, most: int = SPANS) -> list[tuple[int, float]]:
    """At most so many points: the highest of each span."""
    width = max(1, -(-len(line) // most))
    parts = (line[i : i + width] for i in range(0, len(line), width))
    return [(at, value / threshold) for at, value in (max(part, key=lambda p: p[1]) for part in parts)]
