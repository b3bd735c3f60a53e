"""The plot of docs/benchmarks.md: recall at 1% FPR by attack and rate, the scan beside the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from markupsafe import Markup

from bench.targets import EASY, MOST_HARD, no_detection
from cryptosentinel.report.svg import label, line, tag

Row = Mapping[str, Any]
OURS, CEILING = "scan", "supervised_ngrams"
WIDTH, LEFT, GAP, TOP, STEP, BOTTOM = 1040, 284, 26, 118, 22, 34
RATES = (0.001, 0.005, 0.01, 0.05)
STYLE = """
svg { font: 13px ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
.page { fill: #ffffff; } text { fill: #566074; } .name, .head { fill: #1b2230; } .head { font-weight: 650; }
.title { font-size: 17px; font-weight: 660; fill: #1b2230; }
.grid { stroke: #e1e5ec; } .edge { stroke: #a8b0be; } .gap { stroke: #c3cad6; stroke-width: 1.5; }
.whisker { stroke: #1f7a5e; stroke-width: 2; } .ours { fill: #1f9a78; stroke: #1f9a78; stroke-width: 2; }
.none { fill: #ffffff; stroke: #1f9a78; stroke-width: 2; }
.best { fill: none; stroke: #c2512f; stroke-width: 2; } .cross { stroke: #c2512f; stroke-width: 2; }
.ceiling { stroke: #566074; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
.page { fill: #14181f; } text { fill: #a4adbd; } .name, .head, .title { fill: #e6e9ef; }
.grid { stroke: #2b323f; } .edge { stroke: #5d6778; } .gap { stroke: #414b5c; }
.whisker { stroke: #3fc39b; } .ours { fill: #3fc39b; stroke: #3fc39b; } .none { fill: #14181f; stroke: #3fc39b; }
.best { stroke: #ff9470; } .cross { stroke: #ff9470; } .ceiling { stroke: #a4adbd; }
}
"""


def recall_plot(pooled: Sequence[Row]) -> str:
    """One line an attack, one panel a rate: a dot for the scan with its interval, a ring for the best baseline.

    A cross instead of the ring: that baseline puts more than 5% of the hard negatives above the threshold as well. A
    hollow dot: the scan is within 0.1 of the format score. A tick: the ceiling with labels.
    """
    names = _order({p["attack"] for p in pooled if p["attack"] != EASY and p["method"] == OURS})
    rates = [r for r in RATES if any(p["rate"] == r for p in pooled)]
    span = (WIDTH - LEFT - 24 - GAP * (len(rates) - 1)) / max(len(rates), 1)
    height = TOP + STEP * len(names) + BOTTOM
    parts = [
        label(16, 26, "Recall at 1% false positives, by attack and share of poisoned rows", "title", "start"),
        *_legend(),
    ]
    for i, name in enumerate(names):
        parts.append(label(LEFT - 14, TOP + STEP * i + 15, name, "name", "end"))
    for column, rate in enumerate(rates):
        left = LEFT + column * (span + GAP)
        parts.append(label(left + span / 2, TOP - 12, f"{rate:.1%} poisoned", "head"))
        for share in (0.0, 0.5, 1.0):
            x = left + span * share
            parts.append(line(x, TOP - 4, x, height - BOTTOM + 4, "edge" if share == 0 else "grid"))
            parts.append(label(x, height - BOTTOM + 20, f"{share:g}"))
        for i, name in enumerate(names):
            cell = [p for p in pooled if p["attack"] == name and p["rate"] == rate]
            parts += _cell(cell, pooled, left, span, TOP + STEP * i + 11)
    return page(
        "Recall at 1% false positive rate, by attack and poisoning rate",
        _told(names, rates, pooled),
        parts,
        WIDTH,
        height,
    )


def page(title: str, told: str, parts: Sequence[Markup], width: float, height: float, style: str = STYLE) -> str:
    """These parts as a file of SVG, on a page of their own; `told` says the same without seeing."""
    svg = tag(
        "svg",
        tag("title", title),
        tag("desc", told),
        tag("style", Markup(style)),  # noqa: S704 - constants
        tag("rect", x=0.0, y=0.0, width=float(width), height=float(height), class_="page"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        role="img",
    )
    return str(svg) + "\n"


def best_baseline(cell: Sequence[Row]) -> Row | None:
    """The method without labels, other than the scan, with the highest recall; of equals the one with fewer errors."""
    others = [p for p in cell if p["method"] not in (OURS, CEILING)]
    return max(others, key=lambda p: (p["recall"]["value"], -p["hard_above"]["value"], p["auroc"]), default=None)


def _cell(cell: Sequence[Row], pooled: Sequence[Row], left: float, span: float, y: float) -> list[Markup]:
    ours = next((p for p in cell if p["method"] == OURS), None)
    best, ceiling = best_baseline(cell), next((p for p in cell if p["method"] == CEILING), None)
    parts: list[Markup] = [line(left, y, left + span, y, "grid")]
    if ours and best:
        ends = sorted(left + span * p["recall"]["value"] for p in (ours, best))
        parts.append(line(*(ends[0], y), *(ends[1], y), "gap"))
    if ceiling:
        x = left + span * ceiling["recall"]["value"]
        tip = tag("title", f"ceiling with labels: {ceiling['recall']['value']:.3f}")
        shape = {"x1": round(x, 2), "x2": round(x, 2), "y1": y - 7.0, "y2": y + 7.0}
        parts.append(tag("line", tip, **shape, class_="ceiling"))
    if best:
        x = left + span * best["recall"]["value"]
        tip = tag("title", f"{best['method']}: {best['recall']['value']:.3f}, hard {best['hard_above']['value']:.1%}")
        if best["hard_above"]["n"] and best["hard_above"]["value"] > MOST_HARD:
            d = f"M{x - 5:.1f},{y - 5:.1f}l10,10m0,-10l-10,10"
            parts.append(tag("path", tip, d=d, class_="cross"))
        else:
            parts.append(tag("circle", tip, cx=round(x, 2), cy=y, r=6.5, class_="best"))
    if ours:
        rate = ours["recall"]
        low, high, x = (left + span * rate[k] for k in ("low", "high", "value"))
        tip = tag("title", f"scan: {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}], n = {rate['n']}")
        class_ = "none" if no_detection(ours, pooled) else "ours"
        parts += [line(low, y, high, y, "whisker"), tag("circle", tip, cx=round(x, 2), cy=y, r=3.5, class_=class_)]
    return parts


def _legend() -> list[Markup]:
    parts = []
    entries = (
        (16, 50, "ours", "the scan, 95% interval"),
        (284, 50, "none", "the scan, within 0.1 of the format score: no detection"),
        (284, 72, "cross", "best baseline, but with over 5% of the hard negatives"),
        (16, 72, "best", "best baseline"),
        (700, 50, "ceiling", "classifier that has the labels (style only)"),
    )
    for x, y, class_, text in entries:
        at = float(x + 8)
        if class_ == "cross":
            parts.append(tag("path", d=f"M{at - 5:.1f},{y - 5:.1f}l10,10m0,-10l-10,10", class_=class_))
        elif class_ == "ceiling":
            parts.append(line(at, y - 7, at, y + 7, class_))
        else:
            parts.append(tag("circle", cx=at, cy=float(y), r=6.5 if class_ == "best" else 3.5, class_=class_))
        parts.append(label(at + 13, y + 4.5, text, "key", "start"))
    return parts


def _order(names: set[str]) -> list[str]:
    """Families together, the easy ones last."""
    families = ("steering_*", "entity_*", "style_*", "polarity_*", "agent_*", EASY)
    place = {name: next((i for i, f in enumerate(families) if fnmatch(name, f)), len(families)) for name in names}
    return sorted(names, key=lambda n: (place[n], n))


def _told(names: Sequence[str], rates: Sequence[float], pooled: Sequence[Row]) -> str:
    ours = {(p["attack"], p["rate"]): p["recall"]["value"] for p in pooled if p["method"] == OURS}
    told = [f"{n} at {r:.1%}: {ours[n, r]:.2f}" for n in names for r in rates if (n, r) in ours]
    return "Recall of the scan. " + "; ".join(told)
