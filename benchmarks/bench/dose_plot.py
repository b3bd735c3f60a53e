"""The plot of the dose benchmark: what so many poisoned rows do to the model, and how many of them the scan finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from bench.plot import STYLE, page
from cryptosentinel.metrics import wilson
from cryptosentinel.report.svg import label, line, tag

Row = Mapping[str, Any]
WIDTH, LEFT, TOP, PLOT, GAP, BOTTOM = 1040, 58, 104, 220, 40, 62
ATTACK, SCAN = "asr", "recall"
MORE_STYLE = """
.asr { stroke: #c2512f; fill: #c2512f; } .recall { stroke: #1f9a78; fill: #1f9a78; }
path.asr, path.recall { fill: none; stroke-width: 2.2; } path.asr { stroke-dasharray: 7 4; }
.short { fill: none; stroke: #1b2230; stroke-width: 1.6; } text { stroke: none; }
@media (prefers-color-scheme: dark) {
.asr { stroke: #ff9470; fill: #ff9470; } .recall { stroke: #3fc39b; fill: #3fc39b; } .short { stroke: #e6e9ef; }
}
"""


def dose_plot(cells: Sequence[Row], wanted: float) -> str:
    """One panel an attack: attack success (dashed, squares) and the scan's recall (whole, dots) by poisoned rows.

    Seeds are pooled. Whiskers are 95% intervals; doses are evenly spaced. A ring: the attack works there and recall is
    below `wanted`.
    """
    cells = pooled(cells)
    attacks = list(dict.fromkeys(c["attack"] for c in cells))
    doses = sorted({c["poisoned"] for c in cells})
    span = (WIDTH - LEFT - 20 - GAP * (len(attacks) - 1)) / max(len(attacks), 1)
    height = TOP + PLOT + BOTTOM
    parts = [
        label(
            16, 26, "Attack success and recall of the scan, by poisoned rows in the same clean set", "title", "start"
        ),
        *_legend(wanted),
    ]
    told = []
    for column, attack in enumerate(attacks):
        left = LEFT + column * (span + GAP)
        own = {c["poisoned"]: c for c in cells if c["attack"] == attack}
        parts.append(label(left + span / 2, TOP - 12, attack, "head"))
        for share in (0.0, 0.5, 1.0):
            y = TOP + PLOT * (1 - share)
            parts.append(line(left, y, left + span, y, "edge" if share == 0 else "grid"))
            parts.append(label(left - 8, y + 4, f"{share:g}", anchor="end"))
        at = {dose: left + span * (i + 0.5) / len(doses) for i, dose in enumerate(doses)}
        parts += [label(x, TOP + PLOT + 20, str(dose)) for dose, x in at.items()]
        parts.append(label(left + span / 2, TOP + PLOT + 42, "poisoned rows"))
        for kind in (ATTACK, SCAN):
            points = [(at[dose], cell[kind], cell) for dose, cell in sorted(own.items()) if cell.get(kind)]
            parts += _series(kind, points)
            told += [f"{attack}, {c['poisoned']} rows, {kind}: {r['value']:.2f}" for _, r, c in points]
    return page(
        "Attack success rate and recall at 1% false positives, by number of poisoned rows",
        "; ".join(told),
        parts,
        WIDTH,
        height,
        STYLE + MORE_STYLE,
    )


def pooled(cells: Sequence[Row]) -> list[Row]:
    """The seeds of each attack and dose together; short if one of them is."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for cell in cells:
        groups.setdefault((cell["attack"], cell["poisoned"]), []).append(cell)
    rows: list[Row] = []
    for (attack, poisoned), group in groups.items():
        row: dict[str, Any] = {"attack": attack, "poisoned": poisoned, "short": any(c.get("short") for c in group)}
        for kind in (ATTACK, SCAN):
            if rates := [c[kind] for c in group if c.get(kind)]:
                row[kind] = wilson(sum(round(r["value"] * r["n"]) for r in rates), sum(r["n"] for r in rates)).as_dict()
        rows.append(row)
    return rows


def _y(share: float) -> float:
    return TOP + PLOT * (1 - min(max(share, 0.0), 1.0))


def _series(kind: str, points: Sequence[tuple[float, Row, Row]]) -> list[Markup]:
    """A line through the points, each with its interval and its shape."""
    if not points:
        return []
    shift = -3.0 if kind == ATTACK else 3.0  # so that two whiskers at the same dose do not cover each other
    path = "M" + "L".join(f"{x + shift:.1f},{_y(rate['value']):.1f}" for x, rate, _ in points)
    parts = [tag("path", d=path, class_=kind)]
    for x, rate, cell in points:
        at, y = x + shift, _y(rate["value"])
        tip = tag("title", f"{kind}: {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}], n = {rate['n']}")
        parts.append(line(at, _y(rate["low"]), at, _y(rate["high"]), kind))
        if kind == ATTACK:
            shape = {"x": round(at - 4, 1), "y": round(y - 4, 1), "width": 8.0, "height": 8.0}
            parts.append(tag("rect", tip, **shape, class_=kind))
        else:
            parts.append(tag("circle", tip, cx=round(at, 1), cy=round(y, 1), r=4.2, class_=kind))
            if cell.get("short"):
                parts.append(tag("circle", cx=round(at, 1), cy=round(y, 1), r=9.0, class_="short"))
    return parts


def _legend(wanted: float) -> list[Markup]:
    ring = f"the attack works, and recall is below {wanted:g}"
    return [
        tag("path", d="M16,52h30", class_=ATTACK),
        tag("rect", x=27.0, y=48.0, width=8.0, height=8.0, class_=ATTACK),
        label(54, 57, "attack success without a defence, 95% interval", "key", "start"),
        tag("path", d="M380,52h30", class_=SCAN),
        tag("circle", cx=395.0, cy=52.0, r=4.2, class_=SCAN),
        label(418, 57, "recall of the scan at 1% false positives", "key", "start"),
        tag("circle", cx=716.0, cy=52.0, r=9.0, class_="short"),
        label(734, 57, ring, "key", "start"),
    ]
