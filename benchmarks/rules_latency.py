"""How long do 1, 10 and 100 rules take to judge an event? One process, one thread, no rule firing.

Three books of rules, all on the same tool, so that the index by event saves nothing: comparisons alone; the mix that a
desk has (half comparisons, a quarter predicates, a quarter aggregates over five windows); and aggregates that each have
a window of their own, which is the worst there is. The last table shows the mix after ever more history: a window that
grew would show here. The load average is in the result: on a machine that does something else the times mean little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import runs

from cryptosentinel.agentspec import Engine, RuleBook
from cryptosentinel.types import Event

BOUND_MS = 0.05
WINDOWS = ("10m", "30m", "1h", "6h", "1d")
ARGUMENTS = {"token_in": "USDC", "token_out": "SOL", "amount_in": "250", "recipient": "0x1"}
Doc = dict[str, Any]


def comparison(i: int) -> str:
    """No rule about another fires: the amount is 250."""
    return f"arg.amount_in > {1_000 + i}"


def mixed(i: int) -> str:
    """Half comparisons, a quarter predicates, a quarter aggregates."""
    if i % 4 == 2:
        return f'is_large_trade({1_000 + i}, amount=arg.amount_in) and arg.token_out not in ["SOL"]'
    if i % 4 == 3:
        return f"sum(arg.amount_in, within={WINDOWS[i // 4 % len(WINDOWS)]}) > 1_000_000_000_{i:03}"
    return comparison(i)


def aggregate(i: int) -> str:
    """A window for each rule."""
    return f"sum(arg.amount_in, within={10 + i}m, by=arg.recipient) > 1_000_000_000_000"


BOOKS: dict[str, Callable[[int], str]] = {"comparisons": comparison, "mixed": mixed, "own windows": aggregate}


def main() -> int:
    """Time every book, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--history", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--out", type=lambda p: runs.RESULTS / p, default=runs.RESULTS / "rules_latency.json")
    options = parser.parse_args()
    load = [round(x, 2) for x in os.getloadavg()]
    cells = [timed(book, n, options.events, 0) for book in BOOKS for n in (1, 10, 100)]
    grown = [timed("mixed", 100, min(options.events, 5_000), h) for h in options.history]
    for cell in (*cells, *grown):
        runs.say(str(cell))
    measured = next(c for c in cells if (c["book"], c["rules"]) == ("mixed", 100))["median_ms"]
    target = {"claim": "100 mixed rules, median per event", "bound": f"<= {BOUND_MS:g} ms", "measured": measured}
    made = runs.provenance("rules_latency.py", {"events": options.events, "history": options.history})
    result = {
        "benchmark": "rules_latency",
        "made": made,
        "load_before": load,
        "targets": [target | {"met": measured <= BOUND_MS}],
        "cells": cells,
        "after_history": grown,
    }
    runs.write_result(options.out, result)
    print(f"{'met   ' if measured <= BOUND_MS else 'MISSED'} {target['claim']}: {measured:.4f} ms ({target['bound']})")
    return 0


def timed(book: str, rules: int, events: int, history: int) -> Doc:
    """Milliseconds an event, after a warm-up or a history of so many."""
    check = BOOKS[book]
    text = "\n".join(f"rule @r{i} trigger execute_swap check {check(i)} enforce stop end" for i in range(rules))
    engine = Engine(RuleBook.parse(text))
    seen = max(history, 200)
    for i in range(seen):
        engine.check(event(i))
    spent: list[int] = []
    for made in [event(seen + i) for i in range(events)]:
        started = time.perf_counter_ns()
        firings = engine.check(made)
        spent.append(time.perf_counter_ns() - started)
        if firings:
            raise RuntimeError(f"a rule fired that must not: {firings[0].finding.reason}")
    spent.sort()
    return {
        "book": book,
        "rules": rules,
        "events": events,
        "history": history,
        "median_ms": statistics.median(spent) / 1e6,
        "p99_ms": spent[int(0.99 * (len(spent) - 1))] / 1e6,
    }


def event(i: int) -> Event:
    """A swap, one a second."""
    body = {"tool": "execute_swap", "arguments": ARGUMENTS}
    return Event(str(i), float(i), "run", "Trader", "tool_call", "Trader", "dex", body)


if __name__ == "__main__":
    sys.exit(main())
