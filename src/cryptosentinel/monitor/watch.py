"""Has any agent's behaviour changed? Many streams, one budget of false alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.monitor.alarm import Alarm
from cryptosentinel.monitor.attributes import attributes_of, finite
from cryptosentinel.monitor.budget import RULES
from cryptosentinel.monitor.fingerprint import fingerprint
from cryptosentinel.monitor.gauges import Gauge
from cryptosentinel.monitor.infer import features_of
from cryptosentinel.monitor.plan import Feature, Plan
from cryptosentinel.monitor.streams import Stream, detector_for
from cryptosentinel.types import Event

STATE_VERSION = 1
MOST_AGENTS = 10_000  # further ones are counted, not watched: names are made up by agents


class _Agent:
    """What is measured of one agent."""

    def __init__(self) -> None:
        self.gauges: list[Gauge] = []
        self.streams: dict[tuple[str, str], Stream] = {}  # by feature and stratum
        self.left_out: dict[str, str] = {}
        self.waiting: list[Event] | None = []  # learnt from when there are enough; None: has been learnt
        self.decisions = 0
        self.newest = float("-inf")
        self.each = 1  # so many streams does one decision update, at most

    def count(self) -> None:
        """Take note of the streams that were made."""
        self.each = max(len({feature for feature, _ in self.streams}), 1)


class Watch:
    """Watches decisions of many agents; state in, alarms out, no clock and no disk.

    An agent with a baseline is held against it. One without is taken as it is in its first decisions (`plan.learn`).
    Events are taken in the order in which they come; those that are older than an earlier
    one of the same agent, whose clock may differ from others', are counted as late.

    `baseline` is the fingerprint of the one that it was begun with: "" without one, None where the state of an earlier
    version does not say.

    >>> import random
    >>> draw = random.Random(0).random
    >>> def decided(i, often):
    ...     return Event(str(i), i, "", "Trader", "decision", "Trader", "", {"attributes": {"risky": draw() < often}})
    >>> watch = Watch.learn(Plan(), [decided(i, 0.05) for i in range(500)])
    >>> alarms = [a for i in range(300) for a in watch.observe(decided(i, 0.05 if i < 200 else 0.4))]
    >>> [(a.stream, a.change.direction) for a in alarms]
    [('risky', 'up')]
    >>> watch.alarms(decided(300, 0.4))
    {'risky': True}
    """

    def __init__(self, plan: Plan, run_length: float | None = None) -> None:
        """Watch nobody yet."""
        self.plan = plan
        self.run_length = run_length if run_length is not None else plan.run_length()
        self.agents: dict[str, _Agent] = {}
        self.counts: Counter[str] = Counter()
        self.baseline: str | None = ""

    @classmethod
    def learn(cls, plan: Plan, baseline: Iterable[Event]) -> Watch:
        """Learn how these agents decide; each needs 20 decisions at least, and more tell more.

        Raises:
            ConfigError: a budget by the month where the baseline has no times.
        """
        learnt = [event for event in baseline if event.kind in plan.kinds]
        decided: dict[str, list[Event]] = {}
        for event in learnt:
            decided.setdefault(event.agent, []).append(event)
        times = [event.time for event in learnt]
        made = cls(plan, plan.run_length(len(learnt), max(times) - min(times) if times else 0.0))
        made.baseline = fingerprint(learnt) if learnt else ""
        for name, events in decided.items():
            made.agents[name] = agent = _Agent()
            made._settle(name, agent, events)
            if not agent.streams and len(events) < plan.learn:
                agent.waiting = [_kept(e) for e in events]  # too few for now: it is learnt from these and what comes
        return made

    def observe(self, event: Event) -> list[Alarm]:
        """Take an event in; returns the alarms that it set off, most often none. Events of other kinds do not count."""
        if event.kind not in self.plan.kinds:
            return []
        self.counts["decisions"] += 1
        agent = self.agents.get(event.agent)
        if agent is None:
            if len(self.agents) >= MOST_AGENTS:
                self.counts["beyond the most agents"] += 1
                return []
            agent = self.agents[event.agent] = _Agent()
        agent.decisions += 1
        if event.time < agent.newest:
            self.counts["late"] += 1
        else:
            agent.newest = event.time
        if agent.waiting is not None:
            agent.waiting.append(_kept(event))
            if len(agent.waiting) >= self.plan.learn:
                self._settle(event.agent, agent, agent.waiting)
            return []
        crossed = False
        full = self.run_length * agent.each
        for gauge in agent.gauges:
            reading = gauge.read(event)
            if reading is None:
                continue
            stream = agent.streams.get((gauge.feature.name, reading[0]))
            if stream is None:
                gauge.counts["no baseline"] += 1
            elif stream.update(reading[1]) >= full / len(agent.streams):
                crossed = True
        return self._alarms(event, agent, full) if crossed else []

    def alarms(self, event: Event) -> dict[str, bool]:
        """Which streams of this event's agent have their alarm on? What the rules' `drift_alarm` asks.

        Empty for an agent that is not watched, so that a rule about one of its streams cannot be decided, and holds.
        """
        agent = self.agents.get(event.agent)
        found: dict[str, bool] = {}
        for stream in agent.streams.values() if agent else ():
            found[stream.feature] = found.get(stream.feature, False) or stream.alarming
        return found

    def streams(self) -> list[Stream]:
        """All streams, agent by agent."""
        return [stream for agent in self.agents.values() for stream in agent.streams.values()]

    def _alarms(self, event: Event, agent: _Agent, full: float) -> list[Alarm]:
        shares = {key: stream.detector.evidence / full for key, stream in agent.streams.items()}
        found = []
        for key, share in RULES[self.plan.multiplicity](shares).items():
            stream = agent.streams[key]
            evidence = stream.detector.evidence
            if (change := stream.alarm()) is not None:
                clock = event.body.get("time", event.time)
                shown = (clock, event.agent, stream.name, stream.detector.name, evidence, full * share)
                gauge = next(g for g in agent.gauges if g.feature.name == stream.feature)
                change = gauge.in_units(change)
                found.append(
                    Alarm(
                        *shown,
                        self.run_length,
                        event.id,
                        change,
                        stream.unit,
                        stream.decisions,
                        gauge.feature.per or "decision",
                    )
                )
        self.counts["alarms"] += len(found)
        return found

    def _settle(self, name: str, agent: _Agent, events: Sequence[Event]) -> None:
        """From what was seen to streams."""
        agent.waiting = None
        agent.left_out = {}
        declared = bool(self.plan.features)
        features = list(self.plan.features)
        if not declared:
            features, agent.left_out = features_of(events)
        for feature in features:
            gauge = Gauge(feature)
            values: dict[str, list[Any]] = {}
            for stratum, value in gauge.learn(events):
                values.setdefault(stratum, []).append(value)
            made = False
            for stratum, found in values.items():
                shown = f"{feature.name} [{stratum}]" if stratum else feature.name
                detector, reason = detector_for(feature, found, self.plan, declared)
                if detector is None:
                    agent.left_out[shown] = reason
                else:
                    agent.streams[feature.name, stratum] = Stream(name, shown, feature.unit, feature.name, detector)
                    made = True
            if made:
                agent.gauges.append(gauge)
            elif not values:
                agent.left_out[feature.name] = "no decision of the baseline has it"
        agent.count()

    def state(self) -> dict[str, Any]:
        """All of it, as JSON; floats come back as they were."""
        return {
            "version": STATE_VERSION, "plan": self.plan.model_dump(mode="json"), "run_length": self.run_length,
            "baseline": self.baseline, "counts": dict(self.counts),
            "agents": {
                name: {
                    "decisions": agent.decisions, "left_out": agent.left_out,
                    "newest": None if agent.newest == float("-inf") else agent.newest,
                    "waiting": None if agent.waiting is None else [asdict(e) for e in agent.waiting],
                    "gauges": [{"feature": g.feature.model_dump(mode="json")} | g.state() for g in agent.gauges],
                    "streams": [[*key, stream.state()] for key, stream in agent.streams.items()],
                }
                for name, agent in self.agents.items()
            },
        }  # fmt: skip

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Watch:
        """The watch whose `state` this is; it goes on as if it had never stopped.

        Raises:
            DataError: a state that is none, or of another version.
        """
        if not isinstance(state, Mapping) or state.get("version") != STATE_VERSION:
            raise DataError(f"no state of a watch of version {STATE_VERSION}")
        try:
            made = cls(Plan.model_validate(state["plan"]), float(state["run_length"]))
            made.baseline = state.get("baseline")
            made.counts = Counter(state["counts"])
            for name, kept in state["agents"].items():
                agent = made.agents[name] = _Agent()
                agent.decisions, agent.left_out = kept["decisions"], dict(kept["left_out"])
                newest = kept.get("newest")
                agent.newest = float("-inf") if newest is None else newest
                agent.waiting = None if kept["waiting"] is None else [Event(**e) for e in kept["waiting"]]
                for saved in kept["gauges"]:
                    gauge = Gauge(Feature.model_validate(saved["feature"]))
                    gauge.resume(saved)
                    agent.gauges.append(gauge)
                agent.streams = {(feature, stratum): Stream.restored(s) for feature, stratum, s in kept["streams"]}
                agent.count()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"no state of a watch: {type(error).__name__}: {error}") from None
        return made


def _kept(event: Event) -> Event:
    """An event that waits, with nothing in it that JSON cannot keep."""
    found = finite(attributes_of(event))
    return replace(event, body={"attributes": found} if event.kind == "decision" else found)
