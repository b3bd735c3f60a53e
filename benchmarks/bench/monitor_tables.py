"""From the monitor's results to the tables of docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from bench.tables import Row, origin, table, targets_table


def monitor_tables(result: Row) -> str:
    """All tables of `benchmarks/monitor.py`."""
    return "\n\n".join(
        [
            origin(result["made"]),
            targets_table(result["targets"]),
            "**Decisions to a false alarm on average, streams that have not changed** (promised: A)",
            _lengths(result["run_lengths"]),
            "**Share of streams alarmed within 1,000 decisions** at A = 10,000, baseline of 500 decisions, rate 0.05",
            table(
                ("baseline enters as", "due at most", "alarmed", "95% interval", "n"),
                [
                    (r["way"], f"{r['due']:.2f}", f"{r['value']:.4f}", f"{r['low']:.4f} to {r['high']:.4f}", r["n"])
                    for r in result["alarmed"]
                ],
            ),
            "**Delay in decisions after a rate of 0.05 changes**, 500 decisions into the stream: mean (median)",
            _delays(result["delays"], result["river"]),
            "![Delay by shift, each detector at the same run length](../benchmarks/results/monitor_delays.svg)",
            "**Delay in decisions after seven categories change**, A = 10,000, baseline of 500, 500 decisions into the "
            "stream: mean (median)",
            table(
                ("change", "ours", "a bet on this very change, begun with it", "n"),
                [
                    (
                        r["change"],
                        *(f"{r[f'{who}mean']:.0f} ({r[f'{who}median']:.0f})" for who in ("", "told_")),
                        r["n"],
                    )
                    for r in result["category_delays"]
                ],
            ),
            "**Cost**",
            _cost(result["speed"]),
        ]
    )


def tradetrap_tables(result: Row) -> str:
    """All tables of `benchmarks/monitor_tradetrap.py`."""
    parts = [origin(result["made"]), targets_table(result["targets"])]
    for name, plan in result["plans"].items():
        rows = [
            (r["model"], r["run"], r["label"], r["decisions"], r["first"] or "none", r["streams"] or "-",
             f"{r['closest']}: {r['share']:.2g}")
            for r in plan["runs"]
        ]  # fmt: skip
        head = ("model", "run", "", "decisions", "first alarm at", "by", "closest stream: evidence / A K")
        if name == "money moved":
            parts.append("![Evidence by decision, each run](../benchmarks/results/monitor_tradetrap.svg)")
        parts += [f"**{name}**: {plan['says']}, A = {plan['a']:,.0f}", table(head, rows)]
    return "\n\n".join(parts)


def faults_table(result: Row) -> str:
    """What was left after the kills."""
    said = {
        "killed while running": result["outcome"]["kills"],
        "decisions": f"{result['outcome']['decisions']:,}",
        "lost": result["outcome"]["lost"],
        "counted twice": result["outcome"]["twice"],
        "the same alarms as an uninterrupted run": "yes" if result["outcome"]["same_alarms"] else "**no**",
        "the same state, to the last bit": "yes" if result["outcome"]["same_state"] else "**no**",
        "the ledger's chain holds": "yes" if result["outcome"]["chain_holds"] else "**no**",
    }
    parts = [origin(result["made"]), table(("", ""), said.items())]
    if away := result.get("outages"):
        parts += [origin(away["made"]), _outages(away["rows"])]
    return "\n\n".join(parts)


def _outages(rows: list[Row]) -> str:
    """One line for each store and command."""
    lines = []
    for r in rows:
        if "skipped" in r:
            lines.append((r["store"], r["command"], "-", "-", f"not measured: {r['skipped']}"))
            continue
        refused = (
            f"{r['refused']} requests"
            if r["command"] == "serve"
            else f"{r['refused']} run{'s' if r['refused'] != 1 else ''}"
        )
        wrong = [what for what, holds in r["outcome"].items() if not holds]
        met = f"**not: {', '.join(wrong)}**" if wrong else "all of it, once; the same alarms and state; the chain holds"
        lines.append((r["store"], r["command"], f"{r['gap_s']:.0f} s", refused, met))
    return table(("database", "command", "away for", "refused meanwhile", "afterwards"), lines)


def _lengths(rows: list[Row]) -> str:
    found: dict[tuple[str, bool], dict[tuple[str, float], Row]] = {}
    for r in rows:
        found.setdefault((r["stream"], r["holds"]), {})[r["recursion"], r["a"]] = r

    def cell(r: Row | None) -> str:
        if r is None:
            return "-"
        return f"{'> ' if not r['alarms'] else ''}{r['run_length']:,.0f} ({r['alarms']})"

    keys = [(recursion, a) for recursion in ("e-sr", "e-cusum") for a in (1e3, 1e4)]
    head = ("stream", "null holds", *(f"{recursion}, A = {a:,.0f} (alarms)" for recursion, a in keys))
    order = sorted(found.items(), key=lambda item: not item[0][1])
    return table(head, [(n, "yes" if h else "**no**", *(cell(c.get(k)) for k in keys)) for (n, h), c in order])


def _delays(rows: list[Row], river: list[Row]) -> str:
    shifts = sorted({r["shift"] for r in rows})
    lines: list[tuple[Any, ...]] = []
    keys = dict.fromkeys((r["baseline"], r["recursion"], r["direction"]) for r in rows)
    for key in keys:
        mine = {r["shift"]: r for r in rows if (r["baseline"], r["recursion"], r["direction"]) == key}
        baseline, recursion, direction = key
        length = next(iter(mine.values()))["run_length_at_bound"]
        name = f"{recursion}, {'both directions' if direction == 'both' else 'upwards'}, {baseline}"
        ours = (f"{mine[s]['mean']:.0f} ({mine[s]['median']:.0f}), {mine[s]['ratio']:.2f} x" for s in shifts)
        lines.append((name, f"{length:,.0f}", *ours))
    for name in dict.fromkeys(r["detector"] for r in river):
        mine = {r["shift"]: r for r in river if r["detector"] == name}
        first = next(iter(mine.values()))
        lines.append((
            f"River {name} ({first['setting']:g})",
            f"{'' if first['run_length_alarms'] else '> '}{first['run_length']:,.0f}",
            *(_river(mine[s]) for s in shifts),
        ))  # fmt: skip
    head = ("detector", "run length, no change", *(f"to {s:.2f}" for s in shifts))
    return table(head, lines) + "\n\nx: beside an oracle with the same bound and the same run length."


def _river(r: Row) -> str:
    missed = f", {r['missed']} of {r['n']} missed" if r["missed"] else ""
    return f"{r['mean']:.0f} ({r['median']:.0f}){missed}"


def _cost(speed: Row) -> str:
    memory = speed["bytes_per_stream"]
    rows = [
        (n, f"{v:,.0f}", f"{memory[n]:,.0f}" if n in memory else "-") for n, v in speed["updates_per_second"].items()
    ]
    return table(("detector", "updates a second", "bytes a stream"), rows)
