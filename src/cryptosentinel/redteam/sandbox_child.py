"""Run one function with no network, a read-only file system and bounded resources; started by `sandbox` only.

Imports nothing but the standard library before the walls stand: a user namespace can only be entered by a process
with one thread, and numpy starts several.

Three processes. The *keeper* stays outside the PID namespace; it makes the folder, and when whoever started it closes
its stdin or dies, it ends what runs inside and has the folder wiped. The *first* process of the PID namespace takes all
its descendants with it, and watches what they use together. The *worker* gives up every capability and runs the
function. So whichever one process is killed, and when, another one is left that cleans up.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from cryptosentinel.redteam import sandbox_walls as walls
from cryptosentinel.redteam.sandbox_calls import forbid_calls

PR_SET_PDEATHSIG = 1
POLL_S = 0.1
WIPE_ATTEMPTS = 40


class Line:
    """The pipe to whoever started the sandbox: one JSON object a line."""

    def __init__(self, descriptor: int) -> None:
        """Take over an inherited descriptor."""
        self.descriptor = descriptor
        self._whole = Lock()

    def say(self, event: str, **fields: Any) -> None:
        """Write one line, whole."""
        rest = memoryview(json.dumps({"event": event, **fields}).encode() + b"\n")
        with self._whole:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass progress on."""
        self.say("progress", stage=stage, done=done, total=total)


def work(line: Line, folder: Path, job: dict[str, Any], namespace: bool, reached: dict[str, bool]) -> None:
    """Check the walls, then run the entry and send back what it returns or raises."""
    try:
        walls.set_limits(job["limits"], namespace)
        if namespace:
            walls.drop_capabilities()
            if not reached["read_only"]:
                raise RuntimeError("the file system cannot be made read-only")
            if ways := list(walls.open_ways()):
                raise RuntimeError(f"the network namespace is not empty: {', '.join(ways)}")
            reached |= forbid_calls()
        line.say("isolated", **reached)
    except (OSError, RuntimeError, ValueError) as error:
        line.say("refused", message=str(error))
        return
    try:
        module, _, name = job["entry"].partition(":")
        entry = getattr(importlib.import_module(module), name)
        value = entry(job["job"], folder / "out", line.progress)
        line.say("result", value=value)
    except BaseException as error:  # the sandbox boundary: everything becomes a message
        if not isinstance(error, MemoryError):
            import traceback

            traceback.print_exc()
        kinds = [kind.__name__ for kind in type(error).__mro__]
        line.say("error", kinds=kinds, message=str(error), extra=str(getattr(error, "extra", "")))


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies; end it now if that one, where told, is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(0)


def first_process(line: Line, folder: Path, job: dict[str, Any], namespace: bool, kept: int) -> NoReturn:
    """Live as the first process of the PID namespace until the worker ends, and report how it ended.

    `kept` is a pipe that the keeper alone can write to: its end is the keeper's, also if that died before it could be
    asked to take us along.
    """
    die_with_parent()
    reached = walls.close_file_system(str(folder), job["limits"]["memory_bytes"]) if namespace else {}
    first = os.getpid()
    worker = os.fork()
    if worker == 0:
        die_with_parent(first)
        work(line, folder, job, namespace, reached)
        os._exit(0)
    while True:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == worker:
            break
        if child:
            continue
        if select.select([kept], [], [], POLL_S)[0]:
            os._exit(0)
        if reached.get("own_proc") and (limit := walls.exceeded(job["limits"], own_shm=reached["own_shm"])):
            line.say("exceeded", limit=limit)
            os._exit(0)
    if os.WIFSIGNALED(status):
        line.say("died", signal=os.WTERMSIG(status))
    os._exit(0)


def furnish(folder: Path, marker: str, text: str) -> None:
    """Make the folder, locked for as long as one of our processes lives, and everything in it marked; go there."""
    folder.mkdir(mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    for part in (folder, folder / "work", folder / "out"):
        part.mkdir(exist_ok=True)
        (part / marker).write_text(text, "utf-8")
    os.chdir(folder / "work")


def wipe(folder: Path) -> None:
    """Remove a folder even if what ran in it took its own permissions away.

    Raises:
        OSError: something is left.
    """
    for attempt in reversed(range(WIPE_ATTEMPTS)):
        try:
            for path, folders, _ in os.walk(folder):  # from the top: a folder is listed only after it was opened up
                for name in folders:
                    if not os.path.islink(inner := os.path.join(path, name)):
                        os.chmod(inner, 0o700)
            shutil.rmtree(folder)
            return
        except OSError:
            if not folder.exists():
                return
            if attempt == 0:
                raise
            time.sleep(0.05)  # the kernel may still be finishing the last system call of a killed process


def keep(line: Line, first: int, folder: Path, namespace: bool) -> NoReturn:
    """Wait until whoever started us wants no more or is gone; then end everything inside and wipe the folder."""
    os.close(line.descriptor)
    running = True
    while not (select.select([0], [], [], POLL_S)[0] and not os.read(0, 4096)):
        running = running and os.waitpid(first, os.WNOHANG)[0] == 0
    if running:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
    clear(folder, namespace)


def clear(folder: Path, namespace: bool) -> NoReturn:
    """Wipe the folder; before that, without a PID namespace, end what is left in our process group, ourselves too."""
    if not namespace:
        group = os.getpgid(0)
        if os.fork():
            signal.pause()
        os.setsid()
        os.killpg(group, signal.SIGKILL)
    wipe(folder)
    os._exit(0)


def main() -> None:
    """Build the walls and start what runs inside; arguments: descriptor, isolation, folder; the job on stdin."""
    line, namespace, folder = Line(int(sys.argv[1])), sys.argv[2] == "namespace", Path(sys.argv[3])
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            return
        text += part
    job = json.loads(text)
    if namespace:
        try:
            walls.enter_namespaces()
        except OSError as error:
            line.say("refused", message=str(error))
            return
    try:
        furnish(folder, *job["marker"])
        kept, keeping = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(keeping)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            first_process(line, folder, job, namespace, kept)
    except OSError as error:
        line.say("unfurnished", message=str(error))
        clear(folder, namespace)
    keep(line, first, folder, namespace)


if __name__ == "__main__":
    main()
