"""How a stream's evidence grew, decision by decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import label, line, picture, tag
from cryptosentinel.report.text import number

WIDTH, TOP, PLOT, LEFT, RIGHT, BOTTOM = 880, 30, 150, 70, 30, 44
LEAST = -6  # decades below the threshold that are shown


@register("chart", "evidence", version=1)
def evidence(history: Sequence[tuple[int, float]], alarms: Sequence[int] = ()) -> Markup:
    """How near did a stream come to its threshold, and when did it reach it? Evidence on a logarithmic axis.

    Args:
        history: (decision number, evidence as a share of the threshold), in order.
        alarms: decision numbers at which it alarmed.

    >>> "alarm at decision 3" in evidence([(1, 0.001), (2, 0.1), (3, 1.2)], [3])
    True
    """
    base, right = TOP + PLOT, WIDTH - RIGHT
    last = max((at for at, _ in history), default=1)
    most = max([1.0, *(share for _, share in history)])
    top = math.ceil(math.log10(most) + 0.2)

    def across(at: float) -> float:
        return LEFT + (right - LEFT) * at / max(last, 1)

    def height(share: float) -> float:
        decades = max(math.log10(max(share, 10.0**LEAST)), LEAST)
        return base - PLOT * (decades - LEAST) / (top - LEAST)

    parts: list[str] = []
    for power in range(LEAST, top + 1, 2):
        y = height(10.0**power)
        parts += [line(LEFT, y, right, y, "grid"), label(LEFT - 8, y + 4, f"{10.0**power:g}", anchor="end")]
    y = height(1.0)
    parts += [line(LEFT, y, right, y, "threshold"), label(right, y - 6, "threshold", "value", "end")]
    if history:
        path = "M" + "L".join(f"{across(at):.1f},{height(share):.1f}" for at, share in history)
        parts.append(tag("path", d=path, class_="evidence", fill="none", stroke="currentColor", stroke_width=1.6))
    for at in alarms:
        tip = tag("title", f"alarm at decision {number(at)}")
        parts.append(
            tag("circle", tip, cx=round(across(at), 1), cy=round(height(1.0), 1), r=5.0, class_="fill flagged")
        )
    for quarter in range(5):
        at = round(last * quarter / 4)
        parts.append(label(across(at), base + 18, number(at)))
    parts.append(label((LEFT + right) / 2, base + 38, "decision"))
    told = f"highest {most:.3g} of the threshold; alarms at {', '.join(map(str, alarms)) or 'none'}"
    return picture(WIDTH, base + BOTTOM, "Evidence as a share of the threshold", told, parts)
