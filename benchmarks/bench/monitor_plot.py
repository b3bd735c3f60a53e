"""The plot of delays: ours, the oracle, and River's detectors, all at about the same run length."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from bench.plot import page
from bench.tables import Row
from cryptosentinel.report.svg import label, line, tag

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 420, 70, 190, 64, 56
LOW, HIGH = 5.0, 5000.0
MARKS = ("#1f9a78", "#3b6fd4", "#566074", "#c2512f", "#a05fc0", "#b98900")


def delay_plot(result: Row) -> str:
    """Mean delay by shift, both axes as they are met: three shifts, decisions on a logarithmic axis."""
    series = _series(result)
    shifts = sorted({r["shift"] for r in result["delays"]})
    parts = [
        label(16, 26, "Decisions until a change of a rate from 0.05 is seen", "title", "start"),
        label(16, 46, "Every detector at about the same run length without a change; mean delay", "axis", "start"),
    ]
    for power in (10, 100, 1000):
        y = _height(power)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "grid"), label(LEFT - 8, y + 4, f"{power:,}", anchor="end")]
    step = (WIDTH - LEFT - RIGHT) / len(shifts)
    at = {s: LEFT + step * (i + 0.5) for i, s in enumerate(shifts)}
    for shift, x in at.items():
        parts.append(label(x, HEIGHT - BOTTOM + 24, f"0.05 to {shift:.2f}", "head"))
    ends = []
    for i, (name, values) in enumerate(series.items()):
        colour = MARKS[i % len(MARKS)]
        points = [(at[s], _height(values[s])) for s in shifts if s in values]
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = {"stroke_dasharray": "5 4"} if name == "oracle" else {}
        parts.append(tag("path", d=path, fill="none", stroke=colour, stroke_width=2.0, **dashes))
        for (x, y), value in zip(points, values.values(), strict=False):
            parts.append(tag("circle", tag("title", f"{name}: {value:.0f}"), cx=x, cy=y, r=4.0, fill=colour))
        ends.append([points[-1][1], name, colour, points[-1][0]])
    low = -math.inf
    for y, name, colour, x in sorted(ends, key=lambda e: e[0]):
        low = max(y + 4, low + 16)
        parts.append(tag("text", name, x=x + 12, y=round(low, 1), class_="key", fill=colour, text_anchor="start"))
    return page(
        "Delay after a change, by detector",
        "; ".join(f"{n}: {', '.join(f'{s:g} {v:.0f}' for s, v in d.items())}" for n, d in series.items()),
        parts,
        WIDTH,
        HEIGHT,
    )


def _series(result: Row) -> dict[str, dict[float, float]]:
    found: dict[str, dict[float, float]] = {}
    for baseline, name in (("known", "e-SR, rate known"), ("bound from 500", "e-SR, bound from 500")):
        rows = [r for r in result["delays"]
                if (r["baseline"], r["recursion"], r["direction"]) == (baseline, "e-sr", "both")]  # fmt: skip
        found[name] = {r["shift"]: r["mean"] for r in rows}
        if baseline == "known":
            found["oracle"] = {r["shift"]: r["oracle_mean"] for r in rows}
    for r in result["river"]:
        found.setdefault(f"River {r['detector']}", {})[r["shift"]] = r["mean"]
    return found


def _height(value: Any) -> float:
    share = (math.log(min(max(value, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


PANEL, TALL, GAP, HEAD, EDGE, FLOOR = 300, 118, 56, 66, 58, -5.0


def evidence_plot(plan: Row) -> str:
    """One panel a run, one row a model: its streams' highest evidence as a share of the threshold, by decision."""
    models = list(dict.fromkeys(r["model"] for r in plan["runs"]))
    rows = {m: [r for r in plan["runs"] if r["model"] == m] for m in models}
    columns = max(len(r) for r in rows.values())
    width = EDGE + columns * (PANEL + GAP)
    height = HEAD + len(models) * (TALL + 48)
    parts = [
        label(16, 26, "Evidence that a trading agent has changed, by decision", "title", "start"),
        label(
            16,
            46,
            f"Share of the threshold, {plan['says']}; one false alarm in {plan['a']:,.0f} decisions",
            "axis",
            "start",
        ),
    ]
    for i, model in enumerate(models):
        for j, run in enumerate(rows[model]):
            parts += _panel(run, EDGE + j * (PANEL + GAP), HEAD + i * (TALL + 48) + 20)
    return page(
        "Evidence by decision, each run",
        "; ".join(f"{r['run']}: {r['first'] or 'no alarm'}" for r in plan["runs"]),
        parts,
        width,
        height,
    )


def _panel(run: Row, left: float, top: float) -> list[Markup]:
    decades, last = run["decades"], max(len(run["decades"]), 1)
    above = 1.0

    def y(decade: float) -> float:
        return top + TALL - TALL * (max(min(decade, above), FLOOR) - FLOOR) / (above - FLOOR)

    colour = MARKS[3] if run["label"] == "attacked" else MARKS[0]
    name = (
        run["run"].rpartition("/")[2].removeprefix("agent_").removeprefix(run["model"]).strip("-") or "other benign run"
    )
    parts = [label(left, top - 8, f"{run['model']}: {name} ({run['label']})", "name", "start")]
    for decade in (-4, -2, 0):
        parts.append(line(left, y(decade), left + PANEL, y(decade), "edge" if decade == 0 else "grid"))
        parts.append(label(left - 6, y(decade) + 4, f"{10.0**decade:g}", anchor="end"))
    points = "L".join(f"{left + PANEL * i / last:.1f},{y(d):.1f}" for i, d in enumerate(decades, start=1))
    parts.append(tag("path", d=f"M{points}", fill="none", stroke=colour, stroke_width=1.5))
    if run["first"]:
        x = left + PANEL * run["first"] / last
        parts.append(tag("circle", cx=round(x, 1), cy=round(y(0), 1), r=4.5, fill=colour))
        parts.append(label(x + 8, y(0) - 6, f"alarm at {run['first']}", "key", "start"))
    parts.append(label(left + PANEL, top + TALL + 14, f"{last}", anchor="end"))
    return parts
