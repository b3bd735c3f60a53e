"""Verdicts on their way to an OpenTelemetry collector: nobody waits for it, and what does not arrive is counted."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from cryptosentinel.adapters.otlp_evaluation import evaluation, export_request
from cryptosentinel.errors import ConfigError
from cryptosentinel.observer import Ruling
from cryptosentinel.types import Event

LOG = logging.getLogger("cryptosentinel.otlp")
PATH = "/v1/logs"
MOST_WAITING, MOST_AT_ONCE = 4096, 512
TIMEOUT_S, EVERY_S = 10.0, 1.0
FIRST_WAIT_S, LONGEST_WAIT_S, PATIENCE_S = 1.0, 30.0, 300.0
AGAIN = (408, 429, 502, 503, 504)  # what OTLP/HTTP calls retryable, and a request that took too long
COMPLAIN_EVERY_S = 30.0


class EvaluationExporter:
    """Sends what an `Observer` ruled as gen_ai.evaluation.result events to `/v1/logs` (OTLP/HTTP, JSON).

    `tell` puts the ruling into a bounded queue and returns: the guard's path never waits. A thread sends what is there
    once a second; a collector that is away or busy is tried again for 5 minutes, longer and longer apart. What finds
    the queue full, what the collector refuses, and what is left at the end is counted and logged: told = sent + dropped
    + refused + waiting, always. The ledger has every verdict whatever arrives here.

    Args:
        endpoint: of the collector, such as http://127.0.0.1:4318; /v1/logs is added where it is missing.
        headers: such as the collector's token.
        most: so many wait at most.
        every_s: so often is sent.
        patience_s: so long is a batch tried.
        sleep: waits between tries; returns True to stop waiting. For tests.

    Raises:
        ConfigError: no http or https endpoint.

    >>> exporter = EvaluationExporter("http://127.0.0.1:9", patience_s=0)
    >>> exporter.tell(Event("e", 0.0, "run", "Trader", "decision", "Trader", "", {}), Ruling("hold"))
    >>> exporter.close()
    >>> exporter.counts["told"], exporter.counts["refused"]
    (1, 1)
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        *,
        most: int = MOST_WAITING,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        """Start sending."""
        self.url = _checked(endpoint)
        self._most, self._every_s, self._patience_s = most, every_s, patience_s
        self._queue: deque[tuple[Event, Ruling]] = deque()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait
        self._complained = float("-inf")
        self._hopeless = False  # away while closing: the rest is not tried
        self._client = httpx.Client(timeout=TIMEOUT_S, headers={**(headers or {}), "Content-Type": "application/json"})
        self._thread = threading.Thread(target=self._run, name="otlp-evaluations", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """How many were told, sent, dropped and refused, and how many wait."""
        with self._lock:
            found = {name: self._counts[name] for name in ("told", "sent", "dropped", "refused")}
        return found | {"waiting": found["told"] - found["sent"] - found["dropped"] - found["refused"]}

    def tell(self, event: Event, ruling: Ruling) -> None:
        """Send this when there is time; what an Observer's `on_ruling` is given."""
        with self._lock:
            self._counts["told"] += 1
            full = len(self._queue) >= self._most or self._closing.is_set()
            if full:
                self._counts["dropped"] += 1
            else:
                self._queue.append((event, ruling))
        if full:
            self._complain("dropped: more came than could be sent")

    def metrics(self) -> str:
        """The counts for Prometheus."""
        lines = [f"cryptosentinel_evaluations_{k}_total {n}" for k, n in self.counts.items() if k != "waiting"]
        return "\n".join([*lines, f"cryptosentinel_evaluations_waiting {self.counts['waiting']}"]) + "\n"

    def close(self) -> None:
        """Try once more to send what waits, then stop; what is left is counted as refused."""
        self._closing.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            while batch := self._next():
                self._settle(batch, *self._sent(batch))
            if closing:
                return
            self._closing.wait(self._every_s)

    def _next(self) -> list[tuple[Event, Ruling]]:
        with self._lock:
            return [self._queue.popleft() for _ in range(min(MOST_AT_ONCE, len(self._queue)))]

    def _settle(self, batch: list[tuple[Event, Ruling]], refused: int, reason: str) -> None:
        with self._lock:
            self._counts["refused"] += refused
            self._counts["sent"] += len(batch) - refused
        if refused:
            self._complain(f"not taken: {reason}")

    def _sent(self, batch: list[tuple[Event, Ruling]]) -> tuple[int, str]:
        """How many of these were not taken, and why."""
        records: list[dict[str, Any]] = []
        reason = ""
        for event, ruling in batch:
            try:
                record = evaluation(event, ruling, dict(ruling.findings))
                json.dumps(record, allow_nan=False)
                records.append(record)
            except (TypeError, ValueError, OverflowError) as error:
                reason = f"no JSON: {error}"
        unsent, fault = self._posted(json.dumps(export_request(records)).encode(), len(records))
        return len(batch) - len(records) + unsent, fault or reason

    def _posted(self, body: bytes, n: int) -> tuple[int, str]:
        wait, end = FIRST_WAIT_S, time.monotonic() + self._patience_s
        while n and not self._hopeless:
            asked = 0.0
            try:
                answer = self._client.post(self.url, content=body)
                if answer.is_success:
                    return _rejected(answer, n)
                reason = f"answered {answer.status_code}"
                if answer.status_code not in AGAIN:
                    return n, reason
                asked = _seconds(answer.headers.get("retry-after", ""))
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            pause = max(min(wait, LONGEST_WAIT_S) * random.uniform(0.5, 1.0), asked)
            if self._closing.is_set():
                self._hopeless = True
            if self._hopeless or time.monotonic() + pause > end:
                return n, reason
            self._sleep(pause)
            wait *= 2
        return n, "the collector was away at the end" if n else ""

    def _complain(self, what: str) -> None:
        """In the log, twice a minute at most; the counts have all of it."""
        now = time.monotonic()
        with self._lock:
            due = now - self._complained >= COMPLAIN_EVERY_S
            if due:
                self._complained = now
        if due:
            LOG.error("evaluations for %s %s; so far %s", httpx.URL(self.url).host, what, self.counts)


def _checked(endpoint: str) -> str:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ConfigError(f"endpoint {endpoint!r}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"endpoint {endpoint!r}: need http://HOST:PORT or https://HOST:PORT")
    return endpoint if url.path.endswith(PATH) else endpoint.rstrip("/") + PATH


def _rejected(answer: httpx.Response, n: int) -> tuple[int, str]:
    """What a collector that took the request says it did not take of it."""
    try:
        said = answer.json().get("partialSuccess", {})
        rejected = min(max(int(said.get("rejectedLogRecords", 0)), 0), n)
        return rejected, f"partial success: {str(said.get('errorMessage', ''))[:200]}" if rejected else ""
    except (ValueError, TypeError, AttributeError):  # an answer that says nothing
        return 0, ""


def _seconds(text: str) -> float:
    """A Retry-After in seconds, a minute at most; dates are not read."""
    return min(float(text), 60.0) if text.isdigit() else 0.0
