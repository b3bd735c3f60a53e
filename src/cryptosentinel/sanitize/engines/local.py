"""Processes of this machine, one for each core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from cryptosentinel.sanitize.engines.base import ENVIRONMENT

T = TypeVar("T")
R = TypeVar("R")
_WATCH_S = 1.0


class LocalEngine:
    """A pool of processes, started when there is more than one item or worker.

    The processes are spawned, not forked: polars' threads do not survive a fork. Each uses one thread.
    """

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        """Start nothing yet."""
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Nothing to do before there is work."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the processes; after an error at once, whatever they are at."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        if error is not None:
            for process in processes:
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def start(self) -> None:
        """Start the processes now, so that they are ready when the first item is."""
        if self._pool is None and self.workers > 1:
            with _environment(), _nameless_main():
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self.workers, context, _begin, (os.getpid(),))
                for _ in range(self.workers):
                    self._pool.submit(time.sleep, 0)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """See `Engine`; one item alone is done here."""
        if len(items) == 1 or self.workers == 1:
            yield from map(function, items)
            return
        self.start()
        assert self._pool is not None  # noqa: S101  for the type checker
        with _environment(), _nameless_main():  # a process that was not needed before starts here
            results = self._pool.map(function, items)
        yield from results


@contextmanager
def _environment() -> Iterator[None]:
    """What is started meanwhile has the environment of a worker."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _nameless_main() -> Iterator[None]:
    """What is started meanwhile does not run the caller's script again, which may have no guard against it."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
    }
    main.__dict__["__spec__"] = None
    try:
        yield
    finally:
        main.__dict__.pop("__spec__")
        main.__dict__.update(hidden)


def _begin(parent: int) -> None:
    """A worker leaves Ctrl-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
