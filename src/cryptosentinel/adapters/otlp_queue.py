"""Many senders, one writer: what arrives while a transaction is written goes into the next, all of it at once."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from cryptosentinel.adapters.otlp_intake import Intake, Taken
from cryptosentinel.adapters.otlp_spans import Span
from cryptosentinel.adapters.otlp_wire import RefusedError

LOG = logging.getLogger("cryptosentinel.otlp")
MOST_QUEUED = 100_000  # spans that wait to be written
MOST_AT_ONCE = 8_192
SETTLE_EVERY_S = 1.0


class SpanQueue:
    """Hands spans to an `Intake`; what it has taken is written before it is acknowledged.

    >>> import tempfile; from pathlib import Path; from cryptosentinel.ledger import Ledger
    >>> with SpanQueue(Intake(Ledger.open(Path(tempfile.mkdtemp()) / "l.db"))) as spans:
    ...     spans.submit([]).result()
    Taken(duplicates=0, waiting=0, refused=())
    """

    def __init__(self, intake: Intake, most: int = MOST_QUEUED) -> None:
        """Start the writer."""
        self.intake, self._most = intake, most
        self._queue: queue.SimpleQueue[tuple[Sequence[Span], Future[Taken]] | None] = queue.SimpleQueue()
        self._queued = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="otlp-writer", daemon=True)
        self._thread.start()

    def submit(self, spans: Sequence[Span]) -> Future[Taken]:
        """What will become of these; its exception is why they were not kept.

        Raises:
            RefusedError: 429 where too many wait already, 503 after `close`.
        """
        with self._lock:
            if self._closed:
                raise RefusedError(503, "the receiver is shutting down: send again")
            if self._queued and self._queued + len(spans) > self._most:
                raise RefusedError(429, f"{self._queued} spans wait to be written, at most {self._most}: send later")
            self._queued += len(spans)
            done: Future[Taken] = Future()
            self._queue.put((spans, done))
        return done

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> SpanQueue:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is queued, then stop."""
        self.close()

    def _write(self) -> None:
        open_ = True
        while open_:
            batch: list[tuple[Sequence[Span], Future[Taken]]] = []
            try:
                item = self._queue.get(timeout=SETTLE_EVERY_S)
                while item is not None:
                    batch.append(item)
                    if sum(len(spans) for spans, _ in batch) >= MOST_AT_ONCE:
                        break
                    item = self._queue.get_nowait()
                open_ = item is not None
            except queue.Empty:
                pass
            self._take(batch)

    def _take(self, batch: Sequence[tuple[Sequence[Span], Future[Taken]]]) -> None:
        try:
            taken = self.intake.take_all([spans for spans, _ in batch]) if batch else []
            if not batch:
                self.intake.settle()
        except Exception as error:  # each sender is told, and sends again
            if not batch:
                LOG.error("spans that wait for their parents not kept, will be tried again: %s", error)
            for _, done in batch:
                done.set_exception(error)
        else:
            for (_, done), what in zip(batch, taken, strict=True):
                done.set_result(what)
        with self._lock:
            self._queued -= sum(len(spans) for spans, _ in batch)
