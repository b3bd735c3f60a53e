"""Run one function with no network, a read-only file system and bounded resources; started by `sandbox` only.

Imports nothing but the standard library before the walls stand: a user namespace can only be entered by a process
with one thread, and numpy starts several.

Three processes. The *keeper* stays outside the PID namespace, sees when whoever started it dies (end of file on its
stdin) and wipes the folder then. The *first* process of the PID namespace takes all its descendants with it. The
*worker* gives up every capability and runs the function.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
CAPABILITY_VERSION_3 = 0x20080522
SIOCGIFFLAGS, IFF_UP = 0x8913, 1
NOBODY = 65534
POLL_S = 0.1

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    """Raise OSError if a C call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def enter_namespaces() -> None:
    """Leave the network, the users and (for children) the processes of the host."""
    uid, gid = os.getuid(), os.getgid()
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid or NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid or NOBODY} {gid} 1")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount something; the arguments of the system call, empty text for none."""
    arguments = [text.encode() or None for text in (source, target, kind)]
    checked(libc.mount(*arguments, flags, options.encode() or None), f"mount {target}")


def set_read_only(target: str, *, read_only: bool, recursive: bool) -> None:
    """Set or clear one attribute of a mount; see mount_setattr(2)."""
    on, off = (MOUNT_ATTR_RDONLY, 0) if read_only else (0, MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", on, off, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    checked(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), flags, attributes, len(attributes)), target)


def close_file_system(folder: str) -> dict[str, bool]:
    """Make everything but the folder read-only, and hide the host's processes and sockets where that is possible.

    Best effort on old kernels and inside containers: what was reached is returned, and is reported with the result.
    """
    reached = {"read_only": False, "own_proc": False, "no_run": False}
    try:
        checked(libc.unshare(CLONE_NEWNS), "unshare")
        mount("", "/", "", MS_REC | MS_PRIVATE)
        mount(folder, folder, "", MS_BIND)
        set_read_only("/", read_only=True, recursive=True)
        set_read_only(folder, read_only=False, recursive=False)
        reached["read_only"] = True
    except OSError:
        return reached
    with contextlib.suppress(OSError):
        mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=1g")  # noqa: S108 - its own, for semaphores
    with contextlib.suppress(OSError):
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
        reached["own_proc"] = True
    needed = [folder, sys.prefix, sys.base_prefix, os.environ.get("CRYPTOSENTINEL_CACHE", ""), *sys.path]
    if not any(os.path.realpath(path).startswith("/run/") for path in needed if path):
        with contextlib.suppress(OSError):
            mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m")
            reached["no_run"] = True
    os.chdir(os.getcwd())  # step onto the new mount: the old handle is the read-only one
    return reached


def drop_capabilities() -> None:
    """Give up what the user namespace granted, so that the walls cannot be taken down from inside."""
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    checked(libc.capset(struct.pack("Ii", CAPABILITY_VERSION_3, 0), bytes(24)), "capset")


def open_ways() -> Iterator[str]:
    """Which ways to a network are open? Yields none in a sound sandbox."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            answer = fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
            if name != "lo" or struct.unpack("16sH14x", answer)[1] & IFF_UP:
                yield f"interface {name}"
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:  # connecting a datagram socket sends nothing
                probe.connect((host, 9))
            yield f"a route to {host}"
        except OSError as error:
            if error.errno not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EHOSTUNREACH):
                yield f"{host}: {error}"


def set_limits(limits: dict[str, int], namespace: bool) -> None:
    """Bound memory, processor time, file size and processes."""
    memory = limits["memory_bytes"]
    bounds = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_AS: memory + limits["mapped_bytes"],
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CORE: 0,
    }
    if namespace:  # outside, the count would include everything else this user runs
        bounds[resource.RLIMIT_NPROC] = limits["processes"]
    for kind, bound in bounds.items():
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        # Past the soft limit of processor time comes SIGXCPU, which says why; at the hard one comes SIGKILL.
        resource.setrlimit(kind, (bound, bound + 5 if kind == resource.RLIMIT_CPU and hard < 0 else bound))


class Line:
    """The pipe to whoever started the sandbox: one JSON object a line."""

    def __init__(self, descriptor: int) -> None:
        """Take over an inherited descriptor."""
        self.descriptor = descriptor

    def say(self, event: str, **fields: Any) -> None:
        """Write one line, whole."""
        rest = memoryview(json.dumps({"event": event, **fields}).encode() + b"\n")
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass progress on."""
        self.say("progress", stage=stage, done=done, total=total)


def work(line: Line, folder: Path, job: dict[str, Any], namespace: bool, reached: dict[str, bool]) -> None:
    """Check the walls, then run the entry and send back what it returns or raises."""
    try:
        set_limits(job["limits"], namespace)
        if namespace:
            drop_capabilities()
            if ways := list(open_ways()):
                raise RuntimeError(f"the network namespace is not empty: {', '.join(ways)}")
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


def first_process(line: Line, folder: Path, job: dict[str, Any], namespace: bool) -> NoReturn:
    """Live as the first process of the PID namespace until the worker ends, and report how it ended."""
    reached: dict[str, bool] = {}
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if namespace:
        reached = close_file_system(str(folder))
    worker = os.fork()
    if worker == 0:
        work(line, folder, job, namespace, reached)
        os._exit(0)
    while True:
        child, status = os.wait()
        if child == worker:
            break
    if os.WIFSIGNALED(status):
        line.say("died", signal=os.WTERMSIG(status))
    os._exit(0)


def keep(first: int, folder: Path) -> None:
    """Wait for the first process; if whoever started us is gone before it, end it and wipe the folder."""
    while os.waitpid(first, os.WNOHANG)[0] == 0:
        if select.select([0], [], [], POLL_S)[0] and not os.read(0, 4096):
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            shutil.rmtree(folder, ignore_errors=True)
            os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Build the walls and start what runs inside; arguments: descriptor, isolation, folder; the job on stdin."""
    line, namespace, folder = Line(int(sys.argv[1])), sys.argv[2] == "namespace", Path(sys.argv[3])
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            return
        text += part
    if namespace:
        try:
            enter_namespaces()
        except OSError as error:
            line.say("refused", message=str(error))
            return
    first = os.fork()
    if first == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        first_process(line, folder, json.loads(text), namespace)
    keep(first, folder)


if __name__ == "__main__":
    main()
