"""Rates side by side, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import column, label, line, picture, tag
from cryptosentinel.report.text import number, percent

Rates = Mapping[str, float]
WIDTH, TOP, PLOT, LEFT, RIGHT, BOTTOM = 880, 52, 240, 46, 8, 46


@register("chart", "intervals", version=1)
def intervals(groups: Sequence[tuple[str, str]], series: Sequence[tuple[str, str, Mapping[str, Rates]]]) -> Markup:
    """How do the rates of several series compare, and how sure are they? Grouped bars with 95% intervals.

    Args:
        groups: (key, label) of what is measured, left to right.
        series: (label, CSS class, {key: {"value", "low", "high", "n"}}); a key that is missing leaves a gap.

    >>> rate = {"value": 0.5, "low": 0.2, "high": 0.8}
    >>> chart = intervals([("asr", "success")], [("defended", "defended", {"asr": rate})])
    >>> "defended, success: 50% (20% to 80%)" in chart
    True
    """
    span = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    step = min(span * 0.82 / max(len(series), 1), 62.0)
    base = TOP + PLOT

    def height(share: float) -> float:
        return PLOT * min(max(share, 0.0), 1.0)

    parts: list[str] = []
    for tick in range(0, 101, 25):
        y = base - height(tick / 100)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "base" if tick == 0 else "grid")]
        parts += [label(LEFT - 8, y + 4, f"{tick}%", anchor="end")]
    told: list[str] = []
    for g, (key, name) in enumerate(groups):
        centre = LEFT + span * (g + 0.5)
        parts.append(label(centre, base + 26, name, "group"))
        for s, (title, class_, rates) in enumerate(series):
            rate = rates.get(key)
            if rate is None:
                continue
            x = centre + (s - (len(series) - 1) / 2) * step
            value, low, high = (float(rate.get(part, rate["value"])) for part in ("value", "low", "high"))
            tip = f"{title}, {name}: {percent(value)} ({percent(low)} to {percent(high)})"
            tip += f", n = {number(rate['n'])}" if "n" in rate else ""
            told.append(tip)
            bar = max(height(value), 1.5)
            parts.append(column(x - step * 0.36, base - bar, step * 0.72, bar, f"fill {class_}", tip))
            top, bottom = base - height(high), base - height(low)
            parts += [line(x, top, x, bottom, "whisker")]
            parts += [line(x - 5, y, x + 5, y, "whisker") for y in (top, bottom)]
            parts.append(label(x, min(top, base - bar) - 7, percent(value), "value"))
    at = float(LEFT)
    for title, class_, _ in series:
        parts.append(tag("rect", x=at, y=8.0, width=12.0, height=12.0, rx=3.0, class_=f"fill {class_}"))
        parts.append(label(at + 18, 18.5, title, "legend", "start"))
        at += 44 + 7.2 * len(title)
    return picture(WIDTH, base + BOTTOM, "Rates with 95% intervals", "; ".join(told) or "no rates", parts)
