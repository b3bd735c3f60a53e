"""How a sum of money went, with and without something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import label, line, picture, tag
from cryptosentinel.report.text import number

WIDTH, TOP, PLOT, LEFT, RIGHT, BOTTOM = 880, 34, 190, 84, 30, 52
LEAST_APART = 16  # of two labels
COLOURS = ("var(--defended)", "var(--undefended)", "var(--clean)")


@register("chart", "curves", version=1)
def curves(series: Mapping[str, Sequence[float | None]], marks: Sequence[int] = (), unit: str = "meeting") -> Markup:
    """How did these sums go, step by step, and how far apart did they end? One line each, on one linear axis.

    Args:
        series: name -> a value for each step, None where it is unknown; at most three.
        marks: steps (from 1) at which something was seen: ticks on the base line.
        unit: what a step is.

    >>> "guarded ends at 3; bare ends at 30" in curves({"guarded": [0.0, 3.0], "bare": [0.0, 30.0]})
    True
    """
    base, right = TOP + PLOT, WIDTH - RIGHT
    known = [v for values in series.values() for v in values if v is not None] or [0.0]
    low, high = min(0.0, *known), max(0.0, *known)
    span = (high - low) or 1.0
    last = max((len(values) for values in series.values()), default=1)

    def across(step: float) -> float:
        return LEFT + (right - LEFT) * step / max(last, 1)

    def height(value: float) -> float:
        return base - PLOT * (value - low) / span

    parts: list[str] = []
    shown = [0.0]
    for value in (high, low, (low + high) / 2):
        if all(abs(height(value) - height(other)) >= LEAST_APART for other in shown):
            shown.append(value)
    for value in shown:
        y = height(value)
        kind = "base" if value == 0 else "grid"
        parts += [line(LEFT, y, right, y, kind), label(LEFT - 8, y + 4, number(value), anchor="end")]
    told = []
    for place, (name, values) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        pieces = _pieces([(across(i), height(v)) if v is not None else None for i, v in enumerate(values, start=1)])
        parts.append(tag("path", d=pieces, fill="none", stroke=colour, stroke_width=2.2, stroke_linejoin="round"))
        x = LEFT + 250 * place
        parts += [line_of(x, 14, colour), label(x + 26, 18, name, "legend", "start")]
        ends = next((v for v in reversed(values) if v is not None), None)
        told.append(f"{name} ends at {number(ends)}" if ends is not None else f"{name} is unknown")
    for step in marks:
        parts.append(
            tag(
                "circle",
                tag("title", f"{unit} {step}"),
                cx=round(across(step), 1),
                cy=base + 7.0,
                r=3.0,
                class_="fill flagged",
            )
        )
    for quarter in range(5):
        step = round(last * quarter / 4)
        parts.append(label(across(step), base + 26, number(step)))
    parts.append(label((LEFT + right) / 2, base + 42, unit))
    return picture(WIDTH, base + BOTTOM, "Profit and loss", "; ".join(told), parts)


def line_of(x: float, y: float, colour: str) -> Markup:
    """The sample of a line in the legend."""
    return tag("path", d=f"M{x:.1f},{y:.1f}h20", fill="none", stroke=colour, stroke_width=2.2)


def _pieces(points: Sequence[tuple[float, float] | None]) -> str:
    """A path with a gap wherever a point is missing."""
    path, drawing = "", False
    for point in points:
        if point is not None:
            path += f"{'L' if drawing else 'M'}{point[0]:.1f},{point[1]:.1f}"
        drawing = point is not None
    return path
