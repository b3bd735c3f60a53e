"""How many spans a second does the receiver take, end to end into SQLite, and is each of them there afterwards?

A server process (`cryptosentinel serve`) and this process, which sends prepared requests over loopback from several
threads, share the machine's cores. Counted are spans that were acknowledged, by the time from the first request to the
last answer: an acknowledged span's events are in the ledger. Then the server is killed, the ledger is verified, and
every event that must be in it is looked for, once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from bench.runs import parser, provenance, say, write_result

from cryptosentinel.ledger import Ledger

ANSWER = '[{"role":"assistant","parts":[{"type":"text","content":"ETH looks strong; I buy 5."}]}]'
ARGUMENTS = '{"token":"ETH","amount":5,"venue":"dex"}'
MODEL = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": 512, "gen_ai.usage.output_tokens": 64, "gen_ai.output.messages": ANSWER,
}  # fmt: skip
TOOL = {
    "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap", "gen_ai.tool.call.id": "call-1",
    "gen_ai.tool.call.arguments": ARGUMENTS,
}  # fmt: skip
HTTP = {"http.request.method": "POST", "server.address": "models.example", "http.response.status_code": 200}
CHILDREN = (MODEL, TOOL, HTTP, MODEL, TOOL, HTTP, HTTP)  # of each agent span, which comes last as tracers send it


def request(rng: random.Random, spans: int) -> tuple[bytes, list[str]]:
    """One request of whole traces, and the events that must come of it."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "desk"
    scope = group.scope_spans.add()
    expected: list[str] = []
    now = time.time_ns()
    for _ in range(spans // (len(CHILDREN) + 1)):
        trace, root = rng.randbytes(16), rng.randbytes(8)
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Trader"}
        agent["gen_ai.conversation.id"] = trace.hex()
        agent["cryptosentinel.decision.asset"] = rng.choice(["ETH", "BTC", "SOL"])
        for attributes in (*CHILDREN, agent):
            own = root if attributes is agent else rng.randbytes(8)
            span = scope.spans.add(trace_id=trace, span_id=own, parent_span_id=b"" if attributes is agent else root)
            span.start_time_unix_nano, span.end_time_unix_nano = now, now + 10**6
            for key, given in attributes.items():
                value = span.attributes.add(key=key).value
                if isinstance(given, int):
                    value.int_value = given
                else:
                    value.string_value = given
            if part := _part(attributes, agent):
                expected.append(f"{trace.hex()}-{own.hex()}/{part}")
    return made.SerializeToString(), expected


def _part(attributes: Any, agent: Any) -> str:
    return (
        "decision" if attributes is agent else "said0" if attributes is MODEL else "call" if attributes is TOOL else ""
    )


def start(ledger: Path) -> tuple[subprocess.Popen[str], str]:
    """The server, and where it listens."""
    command = [sys.executable, "-m", "cryptosentinel", "serve", "--ledger", str(ledger), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert server.stdout is not None  # noqa: S101  it is a pipe
    return server, json.loads(server.stdout.readline())["traces"]


def send(url: str, bodies: Sequence[bytes], senders: int) -> tuple[float, Counter[int]]:
    """Send all; a request that is refused for now is sent again. Seconds, and how often each status was answered."""
    waiting = list(reversed(bodies))
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(timeout=120, headers={"Content-Type": "application/x-protobuf"}) as client:
            while True:
                with lock:
                    if not waiting:
                        return
                    body = waiting.pop()
                status = 0
                while status != 200:
                    answer = client.post(url, content=body)
                    status = answer.status_code
                    with lock:
                        statuses[status] += 1
                    if status != 200:
                        time.sleep(0.1)
                if answer.content:
                    raise RuntimeError(f"spans were rejected: {answer.content!r}")

    threads = [threading.Thread(target=work) for _ in range(senders)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began, statuses


def cpu_seconds(pid: int) -> float:
    """What this process has used so far."""
    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")


def measure(spans: int, batch: int, senders: int) -> dict[str, Any]:
    """One run on a new ledger."""
    rng = random.Random(0)
    made = [request(rng, batch) for _ in range(spans // batch)]
    expected = [id for _, ids in made for id in ids]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger.db"
        server, url = start(ledger)
        try:
            before = cpu_seconds(server.pid)
            seconds, statuses = send(url, [body for body, _ in made], senders)
            cpu = cpu_seconds(server.pid) - before
        finally:
            server.send_signal(signal.SIGKILL)  # what was acknowledged is there without a goodbye
            server.wait()
        with sqlite3.connect(ledger) as db:
            found = Counter(id for (id,) in db.execute("SELECT json_extract(body, '$.id') FROM events"))
        verified = Ledger.open(ledger).verify()
    sent = len(made) * batch
    return {
        "spans": sent, "spans_per_request": batch, "senders": senders, "seconds": seconds,
        "spans_per_s": sent / seconds, "server_cpu_s": cpu, "spans_per_cpu_s": sent / cpu, "events": len(expected),
        "lost": sum(found[id] == 0 for id in expected), "twice": sum(n > 1 for n in found.values()),
        "unexpected": len(found.keys() - set(expected)), "chain_holds": verified.ok,
        "statuses": {str(k): v for k, v in statuses.items()}, "load_average": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    """Measure and write the result."""
    options = parser(__doc__ or "", "otlp.json")
    options.add_argument("--spans", type=int, default=200_000)
    chosen = options.parse_args()
    runs = []
    for batch, senders in ((512, 4), (512, 1), (4096, 2)):
        runs.append(measure(chosen.spans, batch, senders))
        run = runs[-1]
        say(
            f"{batch} a request, {senders} senders: {run['spans_per_s']:,.0f} spans/s, {run['spans_per_cpu_s']:,.0f} a "
            f"CPU second, lost {run['lost']}, twice {run['twice']}, load {run['load_average']:.1f}"
        )
    write_result(chosen.out, provenance("otlp.py", {"spans": chosen.spans}, ("SQLAlchemy", "uvicorn")) | {"runs": runs})


if __name__ == "__main__":
    main()
