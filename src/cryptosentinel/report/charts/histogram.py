"""How the scores of kept and flagged rows are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from cryptosentinel.registry import register
from cryptosentinel.report.svg import column, label, line, picture, tag
from cryptosentinel.report.text import number

WIDTH, TOP, PLOT, LEFT, RIGHT, BOTTOM = 880, 44, 190, 56, 16, 48


@register("chart", "histogram", version=1)
def histogram(
    edges: Sequence[float], kept: Sequence[int], flagged: Sequence[int], threshold: float | None = None
) -> Markup:
    """Which scores do rows have, and which of them were flagged? Counts per bin on a logarithmic axis.

    The axis is logarithmic because a handful of planted rows stands beside thousands of clean ones; a bin with both
    shows two columns.

    Args:
        edges: n + 1 rising bin edges.
        kept: n counts of rows below the threshold.
        flagged: n counts of rows above it.
        threshold: the score from which on rows are flagged; None draws none.

    Raises:
        ValueError: the lengths do not fit.

    >>> "score 0.5 to 1: 3 rows flagged" in histogram([0, 0.5, 1], [900, 0], [0, 3], 0.5)
    True
    """
    if not (len(kept) == len(flagged) == max(len(edges) - 1, 0)):
        raise ValueError(f"need n + 1 edges and n counts, got {len(edges)}, {len(kept)} and {len(flagged)}")
    base = TOP + PLOT
    low, high = (float(edges[0]), float(edges[-1])) if edges else (0.0, 1.0)
    decades = max(1, math.ceil(math.log10(max([*kept, *flagged, 1]) + 1e-9)))

    def across(score: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (score - low) / ((high - low) or 1.0)

    def height(count: int) -> float:
        # One row still stands 6% high; each further decade is as tall as the last.
        return 0.0 if count <= 0 else PLOT * (0.06 + 0.94 * math.log10(count) / decades)

    parts: list[str] = [line(LEFT, base, WIDTH - RIGHT, base, "base")]
    for power in range(decades + 1):
        y = base - height(10**power)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "grid"), label(LEFT - 8, y + 4, f"{10**power:,}", anchor="end")]
    for fifth in range(6):
        score = low + (high - low) * fifth / 5
        parts.append(label(across(score), base + 18, number(round(score, 3))))
    for i, counts in enumerate(zip(kept, flagged, strict=True)):
        left, right = across(float(edges[i])), across(float(edges[i + 1]))
        shown = [(count, word) for count, word in zip(counts, ("kept", "flagged"), strict=True) if count > 0]
        width = (right - left - 2) / max(len(shown), 1)
        for k, (count, word) in enumerate(shown):
            tip = f"score {number(edges[i])} to {number(edges[i + 1])}: {number(count)} rows {word}"
            bar = height(count)
            parts.append(column(left + 1 + k * width, base - bar, max(width, 1.0), bar, f"fill {word}", tip, 2.0))
    if threshold is not None and low <= threshold <= high:
        x = across(threshold)
        anchor, shift = ("end", -6) if x > WIDTH * 0.8 else ("start", 6)
        parts += [line(x, TOP - 8, x, base, "threshold")]
        parts += [label(x + shift, TOP - 10, f"threshold {number(threshold)}", "value", anchor)]
    at = float(LEFT)
    for word in ("kept", "flagged"):
        parts.append(tag("rect", x=at, y=4.0, width=12.0, height=12.0, rx=3.0, class_=f"fill {word}"))
        parts.append(label(at + 18, 14.5, word, "legend", "start"))
        at += 44 + 7.2 * len(word)
    parts.append(label((LEFT + WIDTH - RIGHT) / 2, base + 40, "suspicion score (rows per bin, logarithmic)", "axis"))
    told = f"{sum(kept):,} rows kept, {sum(flagged):,} flagged"
    return picture(WIDTH, base + BOTTOM, "Distribution of row scores", told, parts)
