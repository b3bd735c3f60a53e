"""The only place where something poisoned is trained: no network, read-only files, bounded, wiped in every case.

What the walls are, on Linux: own user, network, IPC, PID and mount namespaces. The network namespace holds nothing
but a loopback that is down, so neither the outside nor the host's own ports can be reached; that is tried from inside
before anything runs. After that no system call makes a socket or a namespace, or touches one of the kernel's keys. The
file system is read-only except for one temporary folder; the host's devices, processes and /run are hidden where the
kernel allows it. Limits bound memory and processes, of each and of all together, processor and wall time, and the size
of a file. The environment is a whitelist. Results come back over a pipe; of the files only plain reports are taken,
never weights.

What they are not: a defence against an attack on the kernel, against reading what this user may read, or against a disk
filled with many files. The code that runs inside is ours; the walls are there for the day that it is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Literal

from cryptosentinel.errors import ConfigError, SandboxError
from cryptosentinel.models import ARTEFACT_MARKER, cache_folder
from cryptosentinel.redteam.retrieval import take_reports
from cryptosentinel.redteam.sandbox_child import wipe
from cryptosentinel.redteam.sandbox_limits import Limits, death, excess, raised_inside
from cryptosentinel.types import Progress

Isolation = Literal["namespace", "process"]

CHILD = Path(__file__).with_name("sandbox_child.py")
PREFIX = "cryptosentinel-sandbox-"
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
LARGEST_LINE = 64 << 20
STALE_S = 10.0
GRACE_S = 10.0
MARKED = "Made by the red team inside its sandbox. Must not be deployed.\n"

__all__ = ["Isolation", "Limits", "in_sandbox", "mark_artefact", "run_sandboxed", "wipe_stale"]


def run_sandboxed(
    entry: str,
    job: dict[str, Any],
    *,
    folder_out: Path | None = None,
    limits: Limits | None = None,
    isolation: Isolation = "namespace",
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Run `entry(job, out, on_progress) -> dict` inside the sandbox and return its dict.

    Args:
        entry: "module:function". The function writes into the folder `out` and may name the reports worth keeping,
            relative to it, under the key "files" of its dict.
        job: what it is given; must survive JSON.
        folder_out: where the named reports go (.json, .jsonl, .html, .parquet), each complete or not at all.
        limits: bounds on resources.
        isolation: "process" runs without namespaces, for machines that forbid them: the network and the files of this
            user are then open, and a process that leaves the session outlives the run.
        on_progress: receives (stage, done, total).

    Returns:
        The dict, with "sandbox" (the isolation), "walls" (what else was reached) and "files" (what was moved).

    Raises:
        SandboxError: it cannot isolate, or what ran inside failed, died, or hit a limit.
        SentinelError: of the kind that was raised inside (ConfigError, DataError, ModelIntegrityError, ...).
        ConfigError: an isolation or limit that does not exist.
        OSError: folder_out cannot be written.
    """
    if isolation not in ("namespace", "process"):
        raise ConfigError(f"unknown isolation {isolation!r} (known: namespace, process)")
    limits = limits or Limits()
    settings = {"entry": entry, "job": job, "limits": asdict(limits), "marker": [ARTEFACT_MARKER, MARKED]}
    line = json.dumps(settings).encode() + b"\n"
    wipe_stale()
    folder = Path(tempfile.gettempdir()).resolve() / f"{PREFIX}{secrets.token_hex(8)}"
    with _started(folder, isolation) as (child, pipe, log):
        _hand_over(child, line)
        result = _follow(pipe, log, limits, on_progress)
        result["sandbox"] = isolation
        if folder_out is not None:
            result["files"] = take_reports(folder / "out", result.get("files", []), folder_out)
        return result


def mark_artefact(folder: Path) -> None:
    """Mark a folder that holds what the red team made, so that every loader of ours refuses it."""
    (folder / ARTEFACT_MARKER).write_text(MARKED, "utf-8")


def in_sandbox() -> bool:
    """Does this process run where poisoned data may be trained on? Its working folder is a marked one, to be wiped."""
    return Path(ARTEFACT_MARKER).is_file()


def wipe_stale(root: Path | None = None) -> list[Path]:
    """Remove the folders of sandboxes that died with everyone who would have wiped them; returns which."""
    wiped = []
    for folder in (root or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            try:
                held = os.open(folder / "lock", os.O_RDWR)
            except FileNotFoundError:
                if time.time() - found.st_mtime < STALE_S:  # its owner may be just about to make the lock
                    continue
                held = -1
            try:
                if held >= 0:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                wipe(folder)
                wiped.append(folder)
            finally:
                if held >= 0:
                    os.close(held)
    return wiped


def _environment(folder: Path) -> dict[str, str]:
    """The whitelist: no token, key, proxy or home of the user gets in."""
    work = str(folder / "work")
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HOME": work,
        "TMPDIR": work,
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "CRYPTOSENTINEL_CACHE": str(cache_folder().absolute()),
        "HF_HOME": os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Threads that wait for each other by spinning take the core from the one they wait for, if others use it too.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


@contextlib.contextmanager
def _started(folder: Path, isolation: str) -> Iterator[tuple[subprocess.Popen[bytes], int, IO[bytes]]]:
    """The keeper, in a session of its own, the pipe that it speaks through, and its log; on leaving, all is gone.

    The keeper makes the folder, not we: so there is none that nobody would wipe, whenever we are killed.
    """
    receive, send = os.pipe()
    try:
        with tempfile.TemporaryFile() as log:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-P", "-s", str(CHILD), str(send), isolation, str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(folder),
                pass_fds=(send,),
                start_new_session=True,
            )
            os.close(send)
            send = -1
            try:
                yield child, receive, log
            finally:
                _end(child, folder)
    finally:
        for descriptor in (receive, send):
            if descriptor >= 0:
                os.close(descriptor)


def _end(child: subprocess.Popen[bytes], folder: Path) -> None:
    """Have the keeper clear up, and do what it left undone, should it have been killed.

    Raises:
        OSError: something of the folder is left.
    """
    if child.stdin:
        with contextlib.suppress(OSError):
            child.stdin.close()
    if hasattr(os, "waitid"):  # until it is reaped, its id, which is that of its group too, is its own
        end = time.monotonic() + GRACE_S
        while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and time.monotonic() < end:
            time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    wipe(folder)


def _hand_over(child: subprocess.Popen[bytes], line: bytes) -> None:
    """Send the job; stdin then stays open, and its end tells the child that we are gone."""
    if child.stdin is None:
        raise SandboxError("the sandbox has no standard input")
    with contextlib.suppress(BrokenPipeError):  # it died at once: the pipe's end says so, with the log's reason
        child.stdin.write(line)
        child.stdin.flush()


def _lines(pipe: int, deadline: float, wall_s: float) -> Iterator[dict[str, Any]]:
    """What the child says, line by line, until it is gone."""
    buffer = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise SandboxError(f"the sandboxed run took longer than {wall_s:g} s and was stopped")
        if not select.select([pipe], [], [], min(left, 1.0))[0]:
            continue
        part = os.read(pipe, 1 << 20)
        if not part:
            return
        buffer += part
        *whole, buffer = buffer.split(b"\n")
        if len(buffer) > LARGEST_LINE:
            raise SandboxError(f"the sandboxed run sent a line of more than {LARGEST_LINE} bytes")
        for text in whole:
            try:
                said = json.loads(text)
            except ValueError:
                raise SandboxError("the sandboxed run sent a line that is not JSON") from None
            if isinstance(said, dict):
                yield said


def _follow(pipe: int, log: IO[bytes], limits: Limits, on_progress: Progress | None) -> dict[str, Any]:
    """Listen until the result or the reason why there is none."""
    walls: dict[str, Any] = {}
    for said in _lines(pipe, time.monotonic() + limits.wall_s, limits.wall_s):
        match said.pop("event", ""):
            case "progress":
                if on_progress is not None:
                    on_progress(str(said["stage"]), int(said["done"]), int(said["total"]))
            case "isolated":
                walls = said
            case "refused":
                raise SandboxError(
                    f"cannot isolate ({said['message']}); this machine forbids namespaces: --sandbox process runs "
                    "without them, with the network open"
                )
            case "unfurnished":
                raise SandboxError(f"the sandbox cannot make its folder ({said['message']})")
            case "error":
                raise raised_inside(said, limits)
            case "exceeded":
                raise SandboxError(excess(str(said["limit"]), limits))
            case "died":
                raise SandboxError(death(int(said["signal"]), limits, log))
            case "result" if isinstance(said.get("value"), dict):
                return {**said["value"], "walls": walls}
            case "result":
                raise SandboxError("the sandboxed function must return a dict")
    raise SandboxError(death(0, limits, log))
