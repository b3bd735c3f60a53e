"""A grid of rates, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import label, line, picture, tag
from cryptosentinel.report.text import number, percent

WIDTH, LEFT, TOP, ROW, GAP, RIGHT = 880, 168, 34, 62, 6, 4
PAD = 12  # from a cell's edge to its scale
STRONGEST = 0.6  # how much of the colour a rate of 1 gets, so that text on it can be read


@register("chart", "heatmap", version=1)
def heatmap(columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[Mapping[str, Any] | None]]) -> Markup:
    """Where in this grid is a rate high, and how sure is that? Colour, number, and a scale from 0 to 100% in each cell.

    On the scale, a dot is the rate, the line through it its 95% interval, and a tick the rate that it is held against.

    Args:
        columns: names, left to right.
        rows: names, top to bottom.
        cells: by row, by column: {"value", "low", "high", "n"} with "against" (a rate, may be missing) and "mark" (a
            word in the corner, may be missing); {"error": why} for one that failed; None for none.

    >>> rate = {"value": 0.98, "low": 0.95, "high": 0.99, "n": 200, "against": 0.0}
    >>> "semantic, none: 98% (95% to 99%), n = 200, held against 0%" in heatmap(["none"], ["semantic"], [[rate]])
    True
    """
    width = (WIDTH - LEFT - RIGHT) / max(len(columns), 1)
    parts: list[str] = [label(LEFT + width * (i + 0.5), 20, _short(c, 24), "group") for i, c in enumerate(columns)]
    told: list[str] = []
    for r, (name, row) in enumerate(zip(rows, cells, strict=True)):
        top = TOP + r * ROW
        parts.append(label(LEFT - 14, top + (ROW - GAP) / 2 + 5, _short(name, 22), "group", "end"))
        for c, (column, cell) in enumerate(zip(columns, row, strict=True)):
            drawn, said = _cell(LEFT + c * width, top, width - GAP, ROW - GAP, cell)
            tip = f"{name}, {column}: {said}"
            told.append(tip)
            parts.append(tag("g", tag("title", tip), *drawn))
    return picture(WIDTH, TOP + ROW * len(rows), "Rates with 95% intervals", "; ".join(told) or "no rates", parts)


def _cell(x: float, y: float, width: float, height: float, cell: Mapping[str, Any] | None) -> tuple[list[Markup], str]:
    """The drawing of one cell, and what it says."""
    box = {"x": round(x, 2), "y": round(y, 2), "width": round(width, 2), "height": round(height, 2), "rx": 5.0}
    middle = x + width / 2
    if cell is None or "value" not in cell:
        said = "not measured" if cell is None else f"failed: {cell.get('error', '')}"
        word = label(middle, y + height / 2 + 5, "–" if cell is None else "failed", "axis")
        return [tag("rect", **box, class_="cell empty"), word], said
    value, low, high = (min(max(float(cell.get(key, cell["value"])), 0.0), 1.0) for key in ("value", "low", "high"))

    def at(share: float) -> float:
        return x + PAD + (width - 2 * PAD) * share

    scale = y + height - 12
    said = f"{percent(value)} ({percent(low)} to {percent(high)})"
    said += f", n = {number(cell['n'])}" if "n" in cell else ""
    parts = [
        tag("rect", **box, class_="cell"),
        tag("rect", **box, class_="fill heat", fill_opacity=round(STRONGEST * value, 3)),
        label(middle, y + 22, percent(value), "rate"),
        label(middle, y + 36, f"{percent(low)} to {percent(high)}", "axis"),
        line(at(0), scale, at(1), scale, "base"),
    ]
    if (against := cell.get("against")) is not None:
        said += f", held against {percent(against)}"
        parts.append(line(at(against), scale - 5, at(against), scale + 5, "threshold"))
    parts += [
        line(at(low), scale, at(high), scale, "interval"),
        tag("circle", cx=round(at(value), 2), cy=round(scale, 2), r=3.6, class_="dot"),
    ]
    if mark := str(cell.get("mark") or ""):
        said += f", {mark}"
        parts += [tag("rect", **box, class_="worse"), label(x + width - 8, y + 15, mark, "value", "end")]
    return parts, said


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
