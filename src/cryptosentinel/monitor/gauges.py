"""From decisions to numbers, as a feature says: one gauge for each agent and feature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cryptosentinel.monitor.attributes import MISSING, finite, number_of, value_at
from cryptosentinel.monitor.detectors.base import LEAST_BASELINE
from cryptosentinel.monitor.infer import MOSTLY
from cryptosentinel.monitor.plan import Feature
from cryptosentinel.monitor.recent import Change
from cryptosentinel.monitor.wording import Wording
from cryptosentinel.types import Event

Reading = tuple[str, Any]  # the stratum ("" without strata), and the number or category


class Gauge:
    """Measures one feature of one agent's decisions.

    What a mean's range or a text's usual wording is comes from the baseline (`learn`). `counts` says how often a value
    was clipped to the range, could not be read, or was not there. Of the baseline's decisions, `share` had a value, and
    `gap` in a row had none.

    >>> gauge = Gauge(Feature(name="size", kind="mean", attribute="size", low=0.0, high=10.0))
    >>> event = Event("1", 0.0, "", "Trader", "decision", "Trader", "", {"attributes": {"size": 25}})
    >>> gauge.read(event), gauge.counts["clipped"]
    (('', 1.0), 1)
    """

    def __init__(self, feature: Feature) -> None:
        """Measure this; nothing is learnt yet."""
        self.feature = feature
        self.low, self.high = feature.low, feature.high
        self.wording: Wording | None = None
        self.counts: Counter[str] = Counter()
        self.share, self.gap = 1.0, 0
        self._absent = 0  # decisions in a row without a value, up to now
        self._group: Any = MISSING
        self._stratum = ""
        self._sum = 0.0

    def learn(self, events: Sequence[Event]) -> list[Reading]:
        """What do these decisions read, once range and wording are learnt from them? Counts begin anew afterwards."""
        feature = self.feature
        if feature.kind == "text":  # learnt from one half and measured on the other: no text is its own yardstick
            half = len(events) // 2
            found = (value_at(e, feature.attribute) for e in events[:half] if self._applies(e))
            self.wording = Wording.learn([text for text in found if isinstance(text, str)])
            events = events[half:]
        if feature.kind == "mean" and self.low is None:
            raw = [value for _, value in filter(None, map(self._raw, events)) if isinstance(value, float)]
            if raw:
                self.low, self.high = min(raw), max(raw)
        self._forget()
        self.gap = 0
        readings = []
        for event in events:
            if (reading := self.read(event)) is not None:
                readings.append(reading)
            self.gap = max(self.gap, self._absent)
        absent = self.counts["missing"] + self.counts["unreadable"]
        self.share = len(readings) / (len(readings) + absent) if absent else 1.0
        self._forget()
        return readings

    @property
    def optional(self) -> bool:
        """Did decisions of the baseline often come without it?"""
        return self.share < MOSTLY

    @property
    def lost(self) -> bool:
        """Have so many decisions in a row had no value that the baseline's own gaps do not explain it?"""
        return self._absent >= LEAST_BASELINE + 2 * self.gap

    def read(self, event: Event) -> Reading | None:
        """The stratum and the number, category or score of this decision; None where it says nothing."""
        found = self._raw(event)
        if found is not None:
            self._absent = 0
        if found is None or self.feature.kind != "mean":
            return found
        stratum, value = found
        if self.low is None or self.high is None or self.high <= self.low:
            return stratum, 0.0
        if not self.low <= value <= self.high:
            self.counts["clipped"] += 1
        return stratum, min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def in_units(self, change: Change) -> Change:
        """The change of a mean in the feature's own units instead of parts of its range."""
        if self.feature.kind != "mean" or self.low is None or self.high is None:
            return change
        low, span = self.low, self.high - self.low
        observed, least, most = (low + span * x for x in (change.observed, change.low, change.high))
        return replace(change, observed=observed, low=least, high=most)

    def _raw(self, event: Event) -> Reading | None:
        """Before a mean is brought to its range."""
        if self.feature.per:
            return self._grouped(event)
        if self.feature.where and not self._applies(event):
            return None
        value = self._measured(event)
        if value is None:
            return None
        return (self._stratum_of(event) if self.feature.by else ""), value

    def _grouped(self, event: Event) -> Reading | None:
        """The sum over the group that has just ended, when another begins."""
        named = value_at(event, self.feature.per)
        group = _plain(named)
        ended = None
        if self._group is not MISSING and group != self._group:
            ended = (self._stratum, self._sum)
            self._sum = 0.0
        if group != self._group:
            self._group, self._stratum = group, self._stratum_of(event)
        if self._applies(event):
            value = self._measured(event) if self.feature.attribute else 1.0
            if named is MISSING and value is not None:
                self._lacks("missing")
            self._sum = number_of(self._sum + (value or 0.0)) or 0.0
        return ended

    def _measured(self, event: Event) -> Any:
        feature = self.feature
        value = value_at(event, feature.attribute)
        if value is MISSING:
            return self._lacks("missing")
        if feature.kind == "categories":
            return value
        if feature.kind == "text":
            found = self.wording.distance(value) if isinstance(value, str) and self.wording is not None else None
        elif feature.kind == "rate":
            happened = _happened(feature, value)
            found = None if happened is None else float(happened)
        else:
            found = number_of(value)
        return self._lacks("unreadable") if found is None else found

    def _lacks(self, what: str) -> None:
        self.counts[what] += 1
        self._absent += 1

    def _forget(self) -> None:
        self.counts.clear()
        self._group, self._sum, self._absent = MISSING, 0.0, 0

    def _applies(self, event: Event) -> bool:
        return all(_matches(value_at(event, path), wanted) for path, wanted in self.feature.where.items())

    def _stratum_of(self, event: Event) -> str:
        return ", ".join(f"{path}={_plain(value_at(event, path))}" for path in self.feature.by)

    def state(self) -> dict[str, Any]:
        """All of it but the feature, as JSON."""
        return {
            "low": self.low, "high": self.high, "counts": dict(self.counts), "sum": self._sum,
            "stratum": self._stratum, "group": None if self._group is MISSING else [self._group],
            "wording": self.wording.state() if self.wording else None,
            "share": self.share, "gap": self.gap, "absent": self._absent,
        }  # fmt: skip

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.low, self.high = state["low"], state["high"]
        self.counts = Counter(state["counts"])
        self._sum, self._stratum = state["sum"], state["stratum"]
        self.share, self.gap, self._absent = state.get("share", 1.0), state.get("gap", 0), state.get("absent", 0)
        self._group = MISSING if state["group"] is None else state["group"][0]
        self.wording = Wording.restored(state["wording"]) if state["wording"] else None


def _happened(feature: Feature, value: Any) -> bool | None:
    """Is it what the rate counts? None: it cannot be told."""
    if feature.equals is not None:
        return _matches(value, feature.equals)
    if feature.above is None and feature.below is None:
        return value if isinstance(value, bool) else None
    number = number_of(value)
    if number is None:
        return None
    return (feature.above is None or number > feature.above) and (feature.below is None or number < feature.below)


def _matches(value: Any, wanted: Any) -> bool:
    """Is it this value, or one of these? 1 is not true."""
    choices = wanted if isinstance(wanted, list) else [wanted]
    return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices)


def _plain(value: Any) -> Any:
    """A value that JSON keeps and that can be compared."""
    if value is MISSING:
        return "(missing)"
    value = finite(value)
    return value if isinstance(value, str | int | float | None) else repr(value)[:200]
