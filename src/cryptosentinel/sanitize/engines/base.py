"""The contract of an engine: a pure function over items, results in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from cryptosentinel.errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")
ENGINES = ("local", "ray")
# Of a worker: one thread, and memory that is kept for the next shard rather than given back and asked for again.
ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 31),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class Engine(Protocol):
    """Applies functions of modules to items that pickle; what a function returns depends on nothing but its item."""

    name: str

    def start(self) -> None:
        """Get ready while there is something else to do."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """The results in the order of the items; an error of one is raised when its turn comes."""


def open_engine(name: str, workers: int | None = None) -> AbstractContextManager[Engine]:
    """The engine of this name; leaving the context stops what it started.

    Args:
        name: one of `ENGINES`.
        workers: how many items at once; by default as many as there are cores.

    Raises:
        ConfigError: no such engine, or fewer than one worker.
        MissingExtraError: Ray is not installed.

    >>> with open_engine("local", workers=1) as engine:
    ...     list(engine.map(abs, [-1, 2]))
    [1, 2]
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"an engine needs 1 worker or more, got {workers}")
    if name == "local":
        from cryptosentinel.sanitize.engines.local import LocalEngine

        return LocalEngine(workers)
    if name == "ray":
        from cryptosentinel.sanitize.engines.ray import RayEngine

        return RayEngine(workers)
    raise ConfigError(f"unknown engine {name!r} (known: {', '.join(ENGINES)})")
