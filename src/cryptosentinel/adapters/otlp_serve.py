"""The receiver as a server: a ledger, a watch over it, and where alarms are told."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryptosentinel.adapters.otlp import check_open, receiver
from cryptosentinel.adapters.otlp_intake import Intake
from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.ledger import Kind, Ledger
from cryptosentinel.monitor import Watch
from cryptosentinel.services.alerts import RESEND_S, Alerts, Teller, metrics_text
from cryptosentinel.services.monitor_begin import begin_or_go_on
from cryptosentinel.services.monitor_ledger import LedgerWatch, Taken
from cryptosentinel.services.webhook import checked_url
from cryptosentinel.types import Event

COLLECT = (100_000, 50, 100)  # spans make no cycles; looking for some took 10% of the time


class AlertingWatch:
    """A `LedgerWatch` whose alarms are told as soon as they are kept; whoever takes does not wait for that."""

    def __init__(self, kept: LedgerWatch, webhook: str = "", every_s: float = RESEND_S) -> None:
        """Tell what was not delivered before, and again what stays on."""
        self._kept, self._teller = kept, Teller(Alerts(kept, webhook), every_s)

    @property
    def watch(self) -> Watch:
        """Its streams."""
        return self._kept.watch

    @property
    def ledger(self) -> Ledger:
        """Where it keeps what it takes."""
        return self._kept.ledger

    def take(self, events: Sequence[Event], beside: Sequence[tuple[Kind, Mapping[str, Any]]] = ()) -> Taken:
        """Take these in, then tell of the alarms that they set off; as `LedgerWatch.take`.

        Raises:
            LedgerError: nothing of them was kept.
        """
        taken = self._kept.take(events, beside)
        if taken.alarms:
            self._teller.wake()
        return taken

    def metrics(self) -> str:
        """How it stands, for Prometheus."""
        return self._kept.look(lambda watch: metrics_text({self._kept.name: watch}))

    def close(self) -> None:
        """Tell what is left."""
        self._teller.close()


def serve(
    ledger: str | Path,
    host: str,
    port: int,
    token: str = "",
    *,
    name: str = "otlp",
    baseline: Sequence[Path] = (),
    config: Path | None = None,
    webhook: str = "",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Receive OTLP until stopped: every event into the ledger, decisions into the watch of this name.

    Without a baseline each agent's first decisions are learnt; a watch that the ledger has already goes on, see
    `begin_or_go_on`.

    Args:
        ledger: a file path or database URL.
        host: the address to listen on; beyond loopback only with a token.
        port: 0: any that is free.
        token: what senders must bring.
        name: of the watch.
        baseline: events files of when all was well.
        config: the monitor's settings.
        webhook: an Alertmanager's URL.
        ready: called with the address once it listens.

    Raises:
        ConfigError: no token beyond loopback, a port out of range, a wrong setting; as `begin_or_go_on`.
        DataError, MonitorError: the baseline cannot be read or learnt.
        LedgerError: the ledger cannot be read or written.
        MissingExtraError: without the web extra.
        OSError: the address is taken.
    """
    check_open(host, token)
    if webhook:
        checked_url(webhook)
    if not 0 <= port <= 65_535:
        raise ConfigError(f"a port is between 0 and 65535, got {port}")
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "web", "cryptosentinel serve")
    import uvicorn

    class Server(uvicorn.Server):
        """A signal is how it ends, and not passed on once it has."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    def config_of(app: Any) -> uvicorn.Config:
        return uvicorn.Config(app, host, port, log_level="warning", access_log=False, lifespan="on")

    with config_of(None).bind_socket() as address:  # all that can be refused is, before a watch is begun
        kept, _ = begin_or_go_on(ledger, name, baseline, config, untrained=True)
        watch = AlertingWatch(kept, webhook)
        try:
            server = Server(config_of(receiver(Intake(kept.ledger, name, watch=watch), token, watch.metrics)))
            address.listen(server.config.backlog)  # from here on senders wait; before, they would be refused
            gc.freeze()  # what is there by now stays
            gc.set_threshold(*COLLECT)
            if ready is not None:
                ready(_address(address.getsockname()))
            server.run([address])
        finally:
            watch.close()


def _address(name: Any) -> str:
    host, port = name[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
