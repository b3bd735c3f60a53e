"""`cryptosentinel serve`: agents of any framework that traces with OpenTelemetry, under watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    ledger: Annotated[str, typer.Option(metavar="WHERE", help="Where events go: a file (SQLite) or a URL.")],
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 4318,
    token: Annotated[
        str,
        typer.Option(
            envvar="CRYPTOSENTINEL_TOKEN",
            help="What senders must bring, 16 characters or more; better in the variable.",
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="Which watch of the ledger this is.")] = "otlp",
    baseline: Annotated[
        list[Path] | None, typer.Option(metavar="EVENTS", help="How the agents decide when all is well; repeatable.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML: the budget of false alarms, and the features.")
    ] = None,
    webhook: Annotated[
        str, typer.Option(metavar="URL", help="An Alertmanager told of alarms that go on and off.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens as JSON.")] = False,
) -> None:
    """Receive OTLP/HTTP traces: every act of an agent into the ledger, its decisions under watch.

    POST /v1/traces takes protobuf and JSON, also in gzip, in the dialects gen_ai.*, OpenInference and gen_ai as it was
    before. GET /metrics is text for Prometheus, GET /healthz says whether the ledger can be read. Without --baseline
    each agent's first 500 decisions are learnt. Stopped at any time and started again, it goes on where it was; another
    baseline or config than the watch was begun with is refused.

    \b
      cryptosentinel serve --ledger desk.db --baseline last-month.jsonl
      OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python my_agents.py

    Exit code 0: stopped by a signal. 2: a wrong setting, or no token beyond loopback. 3: it cannot listen or write.
    """  # noqa: D301  a real backspace keeps the example's lines apart
    from cryptosentinel.adapters.otlp_serve import serve as run
    from cryptosentinel.cli.output import emit, emit_json

    def ready(address: str) -> None:
        if as_json:
            emit_json({"kind": "serve", "traces": f"{address}/v1/traces", "metrics": f"{address}/metrics"})
        else:
            emit([f"listening: {address}/v1/traces"])

    run(
        ledger, host, port, token, name=name, baseline=baseline or [], config=config, webhook=webhook, ready=ready
    )  # fmt: skip
