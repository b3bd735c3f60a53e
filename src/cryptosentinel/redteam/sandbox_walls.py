"""The sandbox's walls, one function each; the standard library only, for they are built before anything is imported.

A user namespace can only be entered by a process with one thread, and numpy starts several.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1, 2, 4, 0x1000, 0x2000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_NO_NEW_PRIVS = 38
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
CAPABILITY_VERSION_3 = 0x20080522
SHARED, SHARED_BYTES = "/dev/shm", 1 << 30  # noqa: S108 - where the kernel's users have it
SIOCGIFFLAGS, IFF_UP = 0x8913, 1
NOBODY = 65534
DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "dri/*", "kfd")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}

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


def close_file_system(folder: str, memory_bytes: int) -> dict[str, bool]:
    """Make everything but the folder read-only; hide the host's devices, processes and sockets where that is possible.

    What was reached is returned. Without `read_only` nothing may be run; the rest is best effort, on old kernels and
    inside containers, and is reported with the result. Files in shared memory are memory: they have its bound.
    """
    reached = dict.fromkeys(("read_only", "own_devices", "own_shm", "own_proc", "no_run"), False)
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
        own_devices(f"{folder}/dev")
        reached["own_devices"] = True
    with contextlib.suppress(OSError):
        size = f"size={min(SHARED_BYTES, memory_bytes)}"
        mount("tmpfs", SHARED, "tmpfs", MS_NOSUID | MS_NODEV, size)  # its own, for semaphores
        reached["own_shm"] = True
    with contextlib.suppress(OSError):
        mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV)  # root writes settings of the machine there
        reached["own_proc"] = True
    needed = [folder, sys.prefix, sys.base_prefix, os.environ.get("CRYPTOSENTINEL_CACHE", ""), *sys.path]
    if not any(os.path.realpath(path).startswith("/run/") for path in needed if path):
        with contextlib.suppress(OSError):
            mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m")
            reached["no_run"] = True
    os.chdir(os.getcwd())  # step onto the new mount: the old handle is the read-only one
    return reached


def own_devices(scratch: str) -> None:
    """A /dev with nothing in it but what computes: no disk and no terminal, even if root started the sandbox.

    Raises:
        OSError: it was not possible, and /dev is as it was.
    """
    os.mkdir(scratch)
    mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    try:
        for path in [path for name in DEVICES for path in Path("/dev").glob(name) if path.is_char_device()]:
            own = Path(scratch, *path.parts[2:])
            own.parent.mkdir(exist_ok=True)
            own.touch()
            mount(str(path), str(own), "", MS_BIND)
        for name, target in LINKS.items():
            os.symlink(target, f"{scratch}/{name}")
        os.mkdir(f"{scratch}/shm", 0o1777)
        set_read_only(scratch, read_only=True, recursive=False)
        mount(scratch, "/dev", "", MS_MOVE)
    except OSError:
        libc.umount2(scratch.encode(), MNT_DETACH)
        raise


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
    """Bound memory, processor time, file size and processes of this process and, each for itself, its descendants."""
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


def exceeded(limits: dict[str, int], *, own_shm: bool) -> str:
    """Which limit do all processes of this PID namespace exceed together? To be asked where /proc is its own.

    The limits of a process hold for each one by itself, and neither count what it shares; for root, the number of
    processes is no limit at all. A file in shared memory that is mapped counts twice.
    """
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    if len(processes) > limits["processes"]:
        return "processes"
    memory = limits["memory_bytes"] - (_used(SHARED) if own_shm else 0)
    if sum(_kib(f"/proc/{p}/status", ("RssAnon:", "RssShmem:")) for p in processes) * 1024 <= memory:
        return ""
    # What processes share was counted for each of them: now count it once, which takes longer.
    shared = sum(_kib(f"/proc/{p}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) for p in processes) * 1024
    return "memory_bytes" if shared > memory else ""


def _used(path: str) -> int:
    """How many bytes are in use on the file system at this path?"""
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _kib(path: str, fields: tuple[str, ...]) -> int:
    """The sum of these fields of a file in /proc; 0 where the process is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(fields))
    except (OSError, ValueError):
        return 0
