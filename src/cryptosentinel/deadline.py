"""What somebody else's code does with our time is bounded."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
MOST_STUCK = 64  # threads that never came back; beyond them nothing more is started
MOST_IDLE = 16  # threads that wait to be used again


class Late(Generic[T]):
    """A piece of work that may be given up on; `given_up` says to whoever does it that nobody waits any more."""

    def __init__(self, act: Callable[[Late[T]], T]) -> None:
        """Nothing runs yet."""
        self.given_up = False
        self._act = act
        self._lock = threading.Lock()
        self._done = False
        self._result: T | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Do it, and keep what became of it."""
        try:
            result = self._act(self)
        except BaseException as error:  # handed over to whoever waits; no exit of a worker ends the program
            self._error = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
        else:
            self._result = result
        with self._lock:
            self._done = True
            stuck = self.given_up
        if stuck:
            _count(-1)

    def outcome(self, timeout_s: float) -> T:
        """The result, or the error.

        Raises:
            TimeoutError: it is not done, and is given up.
        """
        with self._lock:
            self.given_up = not self._done
        if self.given_up:
            _count(1)
            raise TimeoutError(f"no end in {timeout_s:g} s")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


_stuck = 0
_stuck_lock = threading.Lock()


def _count(change: int) -> int:
    global _stuck
    with _stuck_lock:
        _stuck += change
        return _stuck


class _Worker:
    """A thread that does one piece of work after another, each in a context of its own, as a new thread would."""

    def __init__(self) -> None:
        """Wait for work."""
        self._given: SimpleQueue[tuple[Late[Any], threading.Lock]] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def give(self, work: Late[Any]) -> threading.Lock:
        """Do this next; the lock is released when it is done."""
        done = threading.Lock()
        done.acquire()
        self._given.put((work, done))
        return done

    def _serve(self) -> None:
        while True:
            work, done = self._given.get()
            contextvars.Context().run(work.run)
            del work  # nothing of it outlives it
            if len(_idle) >= MOST_IDLE:
                done.release()
                return
            _idle.append(self)
            done.release()


_idle: list[_Worker] = []
os.register_at_fork(after_in_child=_idle.clear)  # no thread of a parent's lives in its child


def within(timeout_s: float, act: Callable[[Late[T]], T]) -> T:
    """Do this in another thread, and wait at most so long.

    A thread that has come back is used again: to start one costs more than most of what is judged. One that is stuck
    is left to itself.

    Raises:
        TimeoutError: no end in time; or so many before it never ended that this was not begun.

    >>> within(5.0, lambda late: 1 + 1)
    2
    """
    if _count(0) >= MOST_STUCK:
        raise TimeoutError(f"{MOST_STUCK} earlier ones never ended")
    work = Late(act)
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.give(work).acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX))
    return work.outcome(timeout_s)


async def aside(act: Callable[[], T]) -> T:
    """Do this in a thread of its own, while the event loop goes on; it sees the caller's context variables.

    A pool would not do: what waits for a person in it would keep others from being judged.

    >>> asyncio.run(aside(lambda: 1 + 1))
    2
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = context.run(act)
        except BaseException as error:  # handed over to whoever waits
            failed = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, daemon=True).start()
    return await done
