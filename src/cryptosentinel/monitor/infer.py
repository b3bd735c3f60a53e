"""Which streams does a baseline have, if nobody says? One for each attribute, by its type."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cryptosentinel.monitor.attributes import attributes_of, flat, number_of
from cryptosentinel.monitor.detectors.categories import category
from cryptosentinel.monitor.plan import Feature
from cryptosentinel.types import Event

MOSTLY = 0.95  # of the values have the type that the attribute is taken to have
LEAST = 20
MOST_STREAMS = 50


def features_of(events: Sequence[Event]) -> tuple[list[Feature], dict[str, str]]:
    """A feature for each attribute of these decisions, and why the others make none.

    True and false: a rate. Numbers: a mean on the baseline's range. Anything else: categories. No stream: an attribute
    that never changes, that is there too rarely, that counts up or down all the time, or that is new nearly each time
    (a name of its own for every decision, free text): such a stream would spend budget and see nothing.

    >>> made = [Event(str(i), i, "", "a", "decision", "a", "", {"attributes": {"asset": "AB"[i % 2], "n": i, "k": 1}})
    ...         for i in range(40)]
    >>> features, left_out = features_of(made)
    >>> [(f.name, f.kind) for f in features], sorted(left_out)
    ([('asset', 'categories')], ['k', 'n'])
    """
    values: dict[str, list[object]] = {}
    for event in events:
        for path, value in flat(attributes_of(event)):
            values.setdefault(path, []).append(value)
    features: list[Feature] = []
    left_out: dict[str, str] = {}
    for path, found in sorted(values.items()):
        kind, reason = _kind(found)
        if not reason and len(features) == MOST_STREAMS:
            reason = f"more than {MOST_STREAMS} attributes; name what is to be watched in a config"
        if reason:
            left_out[path[:100]] = reason
        else:
            features.append(Feature.model_validate({"name": path[:100], "kind": kind, "attribute": path}))
    return features, left_out


def _kind(values: Sequence[object]) -> tuple[str, str]:
    """Rate, mean or categories, and why it makes no stream."""
    n = len(values)
    if n < LEAST:
        return "", f"only {n} values in the baseline (at least {LEAST})"
    if sum(isinstance(v, bool) for v in values) >= MOSTLY * n:
        flags = {v for v in values if isinstance(v, bool)}
        return "rate", "never changes" if len(flags) < 2 else ""
    numbers = [x for x in map(number_of, values) if x is not None]
    if len(numbers) >= MOSTLY * n:
        if min(numbers) == max(numbers):
            return "mean", "never changes"
        steps = [b - a for a, b in pairwise(numbers)]
        if min(steps) > 0 or max(steps) < 0:
            return "mean", "counts up or down all the time"
        return "mean", ""
    names = [category(v) for v in values]
    if len(set(names)) < 2:
        return "categories", "never changes"
    known = set(names[: n // 2])
    new = sum(name not in known for name in names[n // 2 :])
    if new > (n - n // 2) / 2:
        return "categories", "new nearly each time; declare it as text in a config"
    return "categories", ""
