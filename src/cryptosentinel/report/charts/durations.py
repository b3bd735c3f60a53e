"""Where the time went."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import label, line, picture, tag
from cryptosentinel.report.text import seconds

WIDTH, ROW, LEFT, RIGHT = 880, 26, 210, 90


@register("chart", "durations", version=1)
def durations(stages: Mapping[str, float]) -> Markup:
    """Which stage took how long? One horizontal bar a stage, in the order given, on one linear axis.

    >>> "mine: 4.0 s" in durations({"read": 0.1, "mine": 4.0})
    True
    """
    longest = max([*stages.values(), 1e-9])
    parts: list[str] = [line(LEFT, 4, LEFT, ROW * len(stages) + 4, "base")]
    for i, (name, took) in enumerate(stages.items()):
        y = 4 + ROW * i
        width = max((WIDTH - LEFT - RIGHT) * max(took, 0.0) / longest, 1.5)
        tip = f"{name}: {seconds(took)}"
        parts.append(label(LEFT - 10, y + 17.5, name if len(name) <= 30 else f"{name[:29]}…", "axis", "end"))
        shape = {"x": float(LEFT), "y": y + 4.0, "width": round(width, 2), "height": ROW - 8.0, "rx": 2.5}
        parts.append(tag("rect", tag("title", tip), **shape, class_="fill time"))
        parts.append(label(LEFT + width + 8, y + 17.5, seconds(took), "value", "start"))
    told = "; ".join(f"{name}: {seconds(took)}" for name, took in stages.items()) or "no stages"
    return picture(WIDTH, ROW * len(stages) + 8, "Time by stage", told, parts)
