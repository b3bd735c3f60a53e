"""The ledger's database away for a while, under a receiver and under a replay; then: is everything there, once?"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench import runs
from cryptosentinel.ledger import Ledger
from cryptosentinel.services.monitor_ledger import watches

sys.path.insert(0, str(runs.ROOT / "tests" / "ledger"))
from faulty_stores import FullDisk, Gone, Locked, Store, same  # type: ignore[import-not-found]
from ledger_places import Cluster, binaries  # type: ignore[import-not-found]

Doc = dict[str, Any]
REQUESTS, AGENTS = 120, 50  # requests, and agents' turns in each: a decision and a tool call
SECONDS = 1_700_000_000
AGAIN_S = 1.0


def outages(folder: Path, gap_s: float, base: Path, events: Path) -> list[Doc]:
    """Each store away once under each command."""
    bodies = [request(k) for k in range(REQUESTS)]
    whole_serve, whole_replay = folder / "whole-serve.db", folder / "whole-replay.db"
    serve(str(whole_serve), base, bodies, None, 0.0)
    takes = replay(str(whole_replay), base, events, None, 0.0, 0.0)["seconds"]
    found = []
    for name, make in stores(folder):
        for command in ("serve", "replay"):
            try:
                store = make(command)
            except (PermissionError, AssertionError) as error:
                runs.say(f"{name}: skipped: {error}")
                found.append({"store": name, "command": command, "skipped": str(error)[:200]})
                continue
            try:
                if command == "serve":
                    said, whole = serve(store.url, base, bodies, store, gap_s), whole_serve
                else:
                    said, whole = replay(store.url, base, events, store, gap_s, 0.4 * takes), whole_replay
                outcome = same(Ledger.open(whole), Ledger.open(store.url), "desk", lambda x: watches(x)["desk"].state())
            finally:
                store.close()
            found.append({"store": name, "command": command, "gap_s": gap_s} | said | {"outcome": outcome})
            runs.say(f"{name}, {command}: refused {said['refused']}, {outcome}")
    return found


class OwnServer(Gone):  # type: ignore[misc]  # the tests' modules are not installed
    """A server for this alone."""

    def close(self) -> None:
        """Nothing is left of it."""
        self.cluster.remove()


def stores(folder: Path) -> Sequence[tuple[str, Callable[[str], Any]]]:
    """What can fail here, and how it is made."""

    def gone(_command: str) -> Gone:
        if binaries() is None:
            raise PermissionError("no PostgreSQL on this machine")
        return OwnServer(Cluster())

    return [
        ("SQLite, disk full", lambda command: FullDisk(folder / f"disk-{command}", 64)),
        ("SQLite, locked by another process", lambda command: Locked(folder / f"locked-{command}.db")),
        ("PostgreSQL, server gone", gone),
    ]


def request(k: int) -> bytes:
    """Agents' turns; each one's tool call comes a request earlier, so that something always waits."""
    draw = random.Random(k)
    spans = []
    for n in range(AGENTS):
        risky = draw.random() < (0.6 if k > 0.8 * REQUESTS else 0.1)
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Trader"}
        spans.append(_span(k * AGENTS + n, 1, "", agent | {"cryptosentinel.decision.risky": risky}))
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap"}
        spans.append(_span((k + 1) * AGENTS + n, 2, f"{1:016x}", tool))
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}).encode()


def _span(trace: int, own: int, parent: str, attributes: Doc) -> Doc:
    at = str((SECONDS + trace) * 10**9)
    values = {k: {"boolValue": v} if isinstance(v, bool) else {"stringValue": v} for k, v in attributes.items()}
    return {
        "traceId": f"{trace + 1:032x}", "spanId": f"{own:016x}", "parentSpanId": parent, "name": "turn",
        "startTimeUnixNano": at, "endTimeUnixNano": at,
        "attributes": [{"key": k, "value": v} for k, v in values.items()],
    }  # fmt: skip


def environment() -> dict[str, str]:
    """The package of this repository, before whatever else is on the path."""
    path = [str(runs.ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def serve(url: str, base: Path, bodies: Sequence[bytes], store: Store | None, gap_s: float) -> Doc:
    """A receiver, one sender that sends again what was not answered with 200, and the store away in the middle."""
    command = ["serve", "--ledger", url, "--baseline", str(base), "--name", "desk", "--port", "0", "--json"]
    server = subprocess.Popen(
        [sys.executable, "-m", "cryptosentinel", *command],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(),
    )  # fmt: skip
    answers: Counter[str] = Counter()
    mender: threading.Timer | None = None
    try:
        assert server.stdout is not None  # noqa: S101  it is a pipe
        address = json.loads(server.stdout.readline())["traces"]
        with httpx.Client(timeout=5.0, headers={"Content-Type": "application/json"}) as client:
            for k, body in enumerate(bodies):
                if store is not None and k == len(bodies) // 2:
                    store.break_()
                    mender = threading.Timer(gap_s, store.mend)
                    mender.start()
                while (answer := _posted(client, address, body)) != "200":
                    answers[answer] += 1
                    time.sleep(AGAIN_S)
                answers["200"] += 1
                if mender is not None and mender.is_alive() and not sum(answers.values()) - answers["200"]:
                    time.sleep(gap_s / 600)  # still room on the disk: do not run out of requests before it is full
    finally:
        if mender is not None:
            mender.join()
        server.kill()  # what was acknowledged is there without a goodbye
        server.wait()
    return {"answers": dict(answers), "refused": sum(n for status, n in answers.items() if status != "200")}


def _posted(client: httpx.Client, url: str, body: bytes) -> str:
    try:
        return str(client.post(url, content=body).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__


def replay(url: str, base: Path, events: Path, store: Store | None, gap_s: float, at_s: float) -> Doc:
    """A replay, run again whenever it ends with 3, and the store away from `at_s` on."""
    command = ["monitor", "replay", str(events), "--baseline", str(base), "--ledger", url, "--name", "desk", "--json"]
    started = time.monotonic()
    codes: Counter[int] = Counter()
    mender: threading.Timer | None = None
    while True:
        child = subprocess.Popen(
            [sys.executable, "-m", "cryptosentinel", *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
        if store is not None and mender is None:
            time.sleep(at_s)
            store.break_()
            mender = threading.Timer(gap_s, store.mend)
            mender.start()
        codes[child.wait()] += 1
        if 3 not in codes or child.returncode != 3:
            break
        time.sleep(AGAIN_S)
    if mender is not None:
        mender.join()
    codes_said = {str(code): n for code, n in codes.items()}
    return {"exit_codes": codes_said, "refused": codes[3], "seconds": time.monotonic() - started}
