"""Is no decision lost or counted twice, and no alarm lost, where process or database fail again and again?

`monitor replay --ledger` takes a file of decisions in and is killed (SIGKILL) at a random moment, again and again;
then it runs to its end. The ledger's decisions and alarms and the watch's state are compared with those of a run that
nobody killed: they must be the same, to the last bit.

Outages: the database is away for a minute (disk full, file locked by another process, PostgreSQL's server stopped as by
a power cut) under a receiver, whose sender sends again what was not acknowledged, and under a replay, which is run
again. The ledger must hold what that of a run without an outage holds. `--only` measures one of both anew.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import outages, runs, tables
from bench.monitor_tables import faults_table

from cryptosentinel.ledger import Ledger
from cryptosentinel.services.monitor_ledger import alarms_of, watches


def main() -> int:
    """Measure, write the result, fill the page."""
    parser = runs.parser(__doc__ or "", "monitor_faults.json")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--decisions", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gap", type=float, default=60.0, help="seconds that the database is away")
    parser.add_argument("--only", choices=("kills", "outages"), help="the other part stays as it was measured")
    parser.add_argument("--render", action="store_true", help="only fill the page from the result file")
    options = parser.parse_args()
    if options.render:
        return render(json.loads(options.out.read_text("utf-8")))
    result = json.loads(options.out.read_text("utf-8")) if options.only and options.out.exists() else {}
    if options.only != "outages":
        result |= kills(options)
    if options.only != "kills":
        result["outages"] = outages_of(options)
    runs.write_result(options.out, result)
    return render(result) if options.out == runs.RESULTS / "monitor_faults.json" else 0


def outages_of(options: Any) -> dict[str, Any]:
    """The database away, under each command."""
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, events = folder / "base.jsonl", folder / "events.jsonl"
        write(base, 500, draw, changed=False)
        write(events, options.decisions, draw, changed=True)
        rows = outages.outages(folder, options.gap, base, events)
    given = {"only": "outages", "gap": options.gap, "decisions": options.decisions, "seed": options.seed}
    return {"made": runs.provenance("monitor_faults.py", given, ("SQLAlchemy", "psycopg")), "rows": rows}


def kills(options: Any) -> dict[str, Any]:
    """Kill again and again, finish, compare."""
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, events = folder / "base.jsonl", folder / "events.jsonl"
        write(base, 500, draw, changed=False)
        write(events, options.decisions, draw, changed=True)
        command = [sys.executable, "-m", "cryptosentinel", "monitor", "replay", str(events), "--baseline", str(base),
                   "--out", str(folder / "alarms.jsonl"), "--ledger"]  # fmt: skip
        started = time.monotonic()
        subprocess.run(
            [*command, str(folder / "whole.db")], check=False, stdout=subprocess.DEVNULL, env=outages.environment()
        )
        takes = time.monotonic() - started
        killed, ended = 0, 0
        while killed < options.kills:
            child = subprocess.Popen(
                [*command, str(folder / "killed.db")], stdout=subprocess.DEVNULL, env=outages.environment()
            )
            try:
                child.wait(timeout=draw.uniform(0.2, 0.7) * min(takes, 12.0))
                ended += 1
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
                killed += 1
            if killed % 10 == 0:
                runs.say(f"{killed} kills")
        subprocess.run(
            [*command, str(folder / "killed.db")], check=False, stdout=subprocess.DEVNULL, env=outages.environment()
        )
        result = compared(folder, options, killed, ended)
    runs.say(json.dumps(result["outcome"]))
    return result


def render(result: dict[str, Any]) -> int:
    """Fill the page."""
    tables.fill(runs.ROOT / "docs" / "benchmarks.md", "monitor-faults", faults_table(result))
    return 0


def write(path: Path, n: int, draw: random.Random, *, changed: bool) -> None:
    """Decisions; in the last fifth the agent takes risks five times as often."""
    with path.open("w", encoding="utf-8") as out:
        for i in range(n):
            often = 0.5 if changed and i > 0.8 * n else 0.1
            attributes = {"risky": draw.random() < often, "size": draw.random()}
            event = {"id": f"{path.stem}-{i}", "time": i, "agent": "Trader", "kind": "decision"}
            out.write(json.dumps(event | {"attributes": attributes}) + "\n")


def compared(folder: Path, options: Any, killed: int, ended: int) -> dict[str, Any]:
    """What is in both ledgers."""
    whole, other = (Ledger.open(folder / f"{name}.db") for name in ("whole", "killed"))
    ids = [[e.body["id"] for e in ledger.entries("event")] for ledger in (whole, other)]
    alarms = [list(alarms_of(ledger, "monitor")) for ledger in (whole, other)]
    states = [watches(ledger)["monitor"].state() for ledger in (whole, other)]
    return {
        "made": runs.provenance("monitor_faults.py", {"kills": options.kills, "decisions": options.decisions,
                                                      "seed": options.seed}, ("numpy", "SQLAlchemy")),
        "outcome": {
            "kills": killed, "runs_that_ended_before": ended, "decisions": len(ids[0]),
            "lost": len(set(ids[0]) - set(ids[1])), "twice": len(ids[1]) - len(set(ids[1])),
            "same_order": ids[0] == ids[1], "alarms": len(alarms[0]), "same_alarms": alarms[0] == alarms[1],
            "same_state": states[0] == states[1], "chain_holds": other.verify().ok,
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
