"""Tasks on a Ray cluster, or on a Ray started here. The data and the output folder must be visible to every node."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from cryptosentinel.errors import MissingExtraError
from cryptosentinel.sanitize.engines.base import ENVIRONMENT

T = TypeVar("T")
R = TypeVar("R")


class RayEngine:
    """Uses the cluster that is connected or that RAY_ADDRESS names, and starts one here where there is none."""

    name = "ray"

    def __init__(self, workers: int | None = None) -> None:
        """Ask for Ray.

        Raises:
            MissingExtraError: it is not installed.
        """
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", extra="ray", purpose="--engine ray") from None
        self._ray: Any = ray
        self._workers = workers
        self._started = False

    def __enter__(self) -> Self:
        """Connect."""
        if not self._ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            here: dict[str, Any] = {"num_cpus": self._workers or len(os.sched_getaffinity(0))}
            self._ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                runtime_env={"env_vars": ENVIRONMENT | _path()},
                **({} if address else here),
            )
            self._started = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop or leave what was started or joined here."""
        if self._started:
            self._ray.shutdown()

    def start(self) -> None:
        """Ray's own workers are started by Ray."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """See `Engine`; at most four items for each core are under way."""

        def call(item: T) -> R:  # Ray takes no builtin
            return function(item)

        task = self._ray.remote(num_cpus=1, max_retries=2)(call)
        bound = 4 * (self._workers or max(1, int(self._ray.cluster_resources().get("CPU", 1))))
        waiting: deque[Any] = deque()
        for item in items:
            if len(waiting) >= bound:
                yield self._ray.get(waiting.popleft())
            waiting.append(task.remote(item))
        while waiting:
            yield self._ray.get(waiting.popleft())


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
