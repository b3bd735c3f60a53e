"""The report of `monitor explain`: each stream's evidence over time, and what its alarms say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.report.charts.evidence import evidence
from cryptosentinel.report.page import render
from cryptosentinel.report.text import plural

MOST_STREAMS = 60
STYLE = """svg { font: 13px sans-serif; background: #fff; color: #1b2230; } text { fill: #566074; }
.grid { stroke: #e1e5ec; } .threshold { stroke: #1b2230; stroke-dasharray: 4 3; } .flagged { fill: #d4572f; }"""
BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 60


def render_monitor(doc: Mapping[str, Any]) -> str:
    """A self-contained HTML page from the document of `explain_events`; every text of an event escaped."""
    streams = [_stream(s) for s in doc["streams"]]
    streams.sort(key=lambda s: (-len(s["alarms_at"]), -s["peak_share"]))
    n = sum(len(s["alarms_at"]) for s in streams)
    headline = f"{plural(n, 'alarm')} in {doc['decisions']:,} decisions" if n else "No alarm"
    return render(
        "monitor.html.j2",
        run={
            "headline": headline, "state": "bad" if n else "good", "streams": streams[:MOST_STREAMS],
            "hidden": max(0, len(streams) - MOST_STREAMS), "decisions": doc["decisions"],
            "guarantee": f"At most one false alarm in {doc['run_length_guarantee']:,.0f} decisions on average over all "
            f"streams, where the baselines' {doc['confidence']:.0%} bounds hold.",
        },
    )  # fmt: skip


def svg_of(doc: Mapping[str, Any]) -> str:
    """The chart of one stream as a file of its own.

    Raises:
        ConfigError: the document has several streams.
    """
    if len(doc["streams"]) != 1:
        raise ConfigError(f"an SVG shows one stream, not {len(doc['streams'])}: name it with --agent and --stream")
    stream = _stream(doc["streams"][0])
    chart = str(evidence(stream["history"], stream["at"]))
    return chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        "<title>", f"<style>{STYLE}</style><title>", 1
    )


def text_of(doc: Mapping[str, Any]) -> list[str]:
    """The same for a terminal: bars for each stream, log evidence from 1e-6 of the threshold to all of it."""
    lines = []
    for s in map(_stream, doc["streams"]):
        step = max(1, -(-len(s["history"]) // COLUMNS))
        parts = [max(v for _, v in s["history"][i : i + step]) for i in range(0, len(s["history"]), step)]
        bars = "".join(BARS[_level(v)] for v in parts)
        lines.append(f"{s['agent']}: {s['stream']} ({s['detector']})  highest {s['peak_share']:.2g} of the threshold")
        lines.append(f"  |{bars}|")
        lines += [f"  decision {at}: {a['change']['sentence']}" for at, a in zip(s["at"], s["alarms_at"], strict=True)]
    return lines


def _stream(given: Mapping[str, Any]) -> dict[str, Any]:
    alarms = list(given["alarms_at"])
    share = given["peak_evidence"] / given["threshold"]
    return dict(given) | {"peak_share": share, "alarms_at": alarms, "at": [a["decision"] for a in alarms]}


def _level(share: float) -> int:
    decades = (math.log10(max(share, 1e-6)) + 6) / 6
    return min(len(BARS) - 1, max(0, round(decades * (len(BARS) - 1))))
