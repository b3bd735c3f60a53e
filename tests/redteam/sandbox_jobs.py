"""What the tests of the sandbox run inside it: functions that try to get out, use too much, fail, or behave."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from cryptosentinel.errors import ConfigError, DataError, MissingExtraError
from cryptosentinel.redteam.sandbox import in_sandbox
from cryptosentinel.types import Progress

Job = dict[str, Any]
DEVICES = (stat.S_IFBLK, stat.S_IFCHR)


def behave(job: Job, out: Path, on_progress: Progress) -> Job:
    for done in range(3):
        on_progress("train", done + 1, 3)
    os.write(1, b"noise on standard output must not disturb the result")
    (out / "report.json").write_text('{"fine": true}')
    (out / "weights.safetensors").write_bytes(b"\x00" * 64)
    return {"echo": job, "files": ["report.json"]}


def outcome(act: Callable[[], Any]) -> str:
    """ "done", or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


def reach_out(job: Job, out: Path, on_progress: Progress) -> Job:
    def send(family: int, kind: int, address: Any) -> Callable[[], None]:
        def act() -> None:
            with socket.socket(family, kind) as s:
                s.settimeout(2)
                s.connect(address)
                s.send(b"x")

        return act

    ways: dict[str, Callable[[], Any]] = {"name lookup": lambda: socket.getaddrinfo("example.org", 80)}
    for host, port in job["targets"]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        ways[f"tcp {host}"] = send(family, socket.SOCK_STREAM, (host, port))
        ways[f"udp {host}"] = send(family, socket.SOCK_DGRAM, (host, port))
    for name, path in job["unix"].items():
        ways[name] = send(socket.AF_UNIX, socket.SOCK_STREAM, path)
    ours, theirs = socket.socketpair()  # both ends are our own
    ours.send(b"x")
    assert theirs.recv(1) == b"x"
    kinds = {
        "raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0),
        "vsock": (socket.AF_VSOCK, socket.SOCK_STREAM, 0),
        "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    }
    made = {name: outcome(lambda kind=kind: socket.socket(*kind).close()) for name, kind in kinds.items()}  # type: ignore[misc]
    child = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
    made["tcp of a new program"] = str(subprocess.run([sys.executable, "-c", child], capture_output=True).returncode)
    return {
        "reached": {name: outcome(act) for name, act in ways.items()},
        "made": made,
        "interfaces": sorted(p.name for p in Path("/proc/self/net/dev_snmp6").glob("*")),
    }


def raise_the_network(job: Job, out: Path, on_progress: Progress) -> Job:
    done = subprocess.run(
        [sys.executable, "-c", "import ctypes; print(ctypes.CDLL(None).mount(b'x', b'/', b'tmpfs', 0, None))"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    capabilities = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return {"mount": done.stdout.strip(), "capabilities": int(capabilities[0].split()[1], 16)}


def look_around(job: Job, out: Path, on_progress: Progress) -> Job:
    Path("note").write_text("its own folder can be written")
    return {
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "processes": [p.name for p in Path("/proc").iterdir() if p.name.isdigit()],
        "marked": (out / "SANDBOX_ARTEFACT").is_file() and in_sandbox(),
        "devices": [p.name for p in Path("/dev").rglob("*") if stat.S_IFMT(p.lstat().st_mode) in DEVICES],
        "random": len(Path("/dev/urandom").open("rb").read(8)),
        "quiet": subprocess.run([sys.executable, "-c", "0"], stdin=subprocess.DEVNULL).returncode,
        "run": [p.name for p in Path("/run").iterdir()],
    }


def write_everywhere(job: Job, out: Path, on_progress: Progress) -> Job:
    """In each place: something new; and to each victim, everything that can be done to a file."""
    done = []
    for place in job["places"]:
        new = Path(place, f"sandboxed-{os.getpid()}")
        acts: dict[str, Callable[[], Any]] = {
            "file": partial(new.write_text, "x"),
            "folder": partial(os.mkdir, f"{new}-folder"),
            "link": partial(os.symlink, "x", f"{new}-link"),
            "pipe": partial(os.mkfifo, f"{new}-pipe"),
        }
        done += [f"{name} in {place}" for name, act in acts.items() if outcome(act) == "done"]
    for victim in job["victims"]:
        os.symlink(victim, "way-out")
        handle = os.open(victim, os.O_RDONLY)
        acts = {
            "append": partial(os.open, victim, os.O_WRONLY | os.O_APPEND),
            "through a link": partial(os.open, "way-out", os.O_WRONLY | os.O_TRUNC),
            "through a handle": partial(os.open, f"/proc/self/fd/{handle}", os.O_WRONLY),
            "length": partial(os.truncate, victim, 0),
            "hard link": partial(os.link, victim, "same"),
            "rename": partial(os.rename, victim, f"{victim}-moved"),
            "replace": partial(os.replace, "way-out", victim),
            "mode": partial(os.chmod, handle, 0o700),
            "time": partial(os.utime, victim),
            "owner": partial(os.chown, victim, os.getuid(), os.getgid()),
            "attribute": partial(os.setxattr, victim, "user.sandboxed", b"x"),
            "remove": partial(os.unlink, victim),
        }
        done += [f"{name}: {victim}" for name, act in acts.items() if outcome(act) == "done"]
        os.unlink("way-out")
    for path in job["opened"]:
        done += [f"open {path}"] if outcome(partial(os.open, path, os.O_WRONLY)) == "done" else []
    shared = Path("/dev/shm/sandboxed")
    outcome(lambda: shared.write_text("its own, gone with it"))
    return {"done": done}


def look_at_mounts(job: Job, out: Path, on_progress: Progress) -> Job:
    """Which mounts, of all that are there, can be written?"""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "folder": str(out.parent),
        "count": len(mounts),
        "writable": sorted({point for *_, point, options in (m[:6] for m in mounts) if "ro" not in options.split(",")}),
    }


def spy(job: Job, out: Path, on_progress: Progress) -> Job:
    """Where is this text, which the parent has in its environment, to be read?"""
    found = [name for name, value in os.environ.items() if job["secret"] in value]
    for pid in {*(p.name for p in Path("/proc").iterdir() if p.name.isdigit()), str(job["parent"]), str(os.getppid())}:
        for name in ("environ", "cmdline", "mem", "root/proc/self/environ"):
            path = Path("/proc", pid, name)
            try:
                if job["secret"].encode() in path.open("rb").read(1 << 20):
                    found.append(str(path))
            except OSError:
                pass
    return {"found": found, "signalled": outcome(lambda: os.kill(job["parent"], 0))}


def eat_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


def eat_shared_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    """What is shared counts for no limit of a process."""
    eaten: list[mmap.mmap] = []
    while len(eaten) < 64:
        eaten.append(mmap.mmap(-1, 64 << 20))
        eaten[-1].write(b"x" * (64 << 20))
    time.sleep(600)
    return {}


def eat_files_in_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    """What is not mapped is in no process's count: here the half of it, or more than fits."""
    eaten = bytearray(os.urandom(1 << 20) * 140)
    for number in range(job["files"]):
        Path(f"/dev/shm/{number}").write_bytes(eaten)
    time.sleep(600)
    return {}


NUMBERS = {  # by machine: clone, add_key, request_key, keyctl
    "x86_64": (56, 248, 249, 250),
    "aarch64": (220, 217, 218, 219),
}
libc = ctypes.CDLL(None, use_errno=True)


def call(function: Callable[..., int], *arguments: Any) -> str:
    """ "done", or the name of the error, of a function of the C library."""

    def act() -> None:
        if function(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    return outcome(act)


def hide_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    """Which memory can be had that no process maps?"""
    private, secret = 0, 447
    made = {
        "memfd_create": outcome(partial(os.memfd_create, "hidden")),
        "memfd_secret": call(libc.syscall, secret, 0),
        "shmget": call(libc.shmget, private, 1 << 20, 0o1600),
    }
    found = os.statvfs("/dev/shm")
    return {"made": made, "shm": found.f_blocks * found.f_frsize}


def use_keys(job: Job, out: Path, on_progress: Progress) -> Job:
    """Can a key of the parent be found, or one be left behind? In the keyring of the session, number -3."""
    _, add, request, control = NUMBERS[platform.machine()]
    name = job["name"].encode()
    return {
        "add": call(libc.syscall, add, b"user", b"left-behind", b"x", 1, -3),
        "request": call(libc.syscall, request, b"user", name, None, 0),
        "search": call(libc.syscall, control, 10, -3, b"user", name, 0),
    }


def enter_namespaces(job: Job, out: Path, on_progress: Progress) -> Job:
    """Does any call make a namespace of users, which would give back every capability?"""
    users, clone3 = 0x10000000, 435
    arguments = struct.pack("11Q", users, *[0] * 3, signal.SIGCHLD, *[0] * 6)

    def clone(*numbers: Any) -> int:
        if (child := int(libc.syscall(*numbers))) == 0:
            os._exit(0)
        return child

    threads = [Thread(target=print) for _ in range(3)]  # those still start
    for thread in threads:
        thread.start()
        thread.join()
    return {
        "unshare": call(libc.unshare, users),
        "setns": call(libc.setns, os.open("/proc/self/ns/user", os.O_RDONLY), 0),
        "clone": call(clone, NUMBERS[platform.machine()][0], users | signal.SIGCHLD, 0, 0, 0, 0),
        "clone3": call(clone, clone3, arguments, len(arguments)),
    }


def eat_together(job: Job, out: Path, on_progress: Progress) -> Job:
    """Each stays within the limit of a process."""
    for _ in range(8):
        if os.fork() == 0:
            eaten = bytearray(os.urandom(1 << 20) * 100)
            time.sleep(600 + len(eaten))
    time.sleep(600)
    return {}


def share_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    """Children that only read what their parent has take no memory of their own."""
    eaten = bytearray(120 << 20)
    for page in range(0, len(eaten), 4096):
        eaten[page] = 1
    for _ in range(8):
        if os.fork() == 0:
            time.sleep(1.0)
            os._exit(len(eaten) % 2)
    time.sleep(1.0)
    return {"kept": len(eaten)}


def fork_bomb(job: Job, out: Path, on_progress: Progress) -> Job:
    for _ in range(job["most"]):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(600)
    return {}


def grow_a_file(job: Job, out: Path, on_progress: Progress) -> Job:
    with Path("large").open("wb") as file:
        for _ in range(1024):
            file.write(b"x" * (1 << 20))
    return {}


def litter(job: Job, out: Path, on_progress: Progress) -> Job:
    """Ends at once, and takes a while to be wiped."""
    for folder in range(20):
        Path(f"f{folder}").mkdir()
        for name in range(100):
            Path(f"f{folder}", str(name)).write_bytes(b"x")
    on_progress(os.getcwd(), 1, 1)
    return {}


def spin(job: Job, out: Path, on_progress: Progress) -> Job:
    while True:
        pass


def sleep(job: Job, out: Path, on_progress: Progress) -> Job:
    Path("adapter.safetensors").write_bytes(b"\x00" * 1024)
    subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=not job.get("same_session")
    )
    on_progress(f"{os.getcwd()}", 0, 1)
    time.sleep(600)
    return {}


def fail(job: Job, out: Path, on_progress: Progress) -> Job:
    match job["kind"]:
        case "config":
            raise ConfigError("rows must be at least 10, got 3")
        case "data":
            raise DataError("row 7 has no answer")
        case "extra":
            raise MissingExtraError("torch", extra="redteam", purpose="fine-tuning a model")
        case "other":
            raise KeyError("no such thing")
        case "die":
            os._exit(7)
        case "bad-result":
            return []  # type: ignore[return-value]
        case _:
            sys.exit("left early")


def smuggle(job: Job, out: Path, on_progress: Progress) -> Job:
    (out / "weights.safetensors").write_bytes(b"\x00" * 64)
    (out / "weights.json").write_bytes(b"\x00\x01\x02" * 64)
    (out / "weights.parquet").write_bytes(b"\x00" * 64)
    (out / "link.json").symlink_to("/etc/hostname")
    return {"files": [job["name"]]}


def lock_up(job: Job, out: Path, on_progress: Progress) -> Job:
    for folder in (Path("a/b"), Path("c")):
        folder.mkdir(parents=True)
        (folder / "adapter.safetensors").write_bytes(b"\x00")
    for path in (Path("a/b"), Path("a"), Path("c")):
        path.chmod(0)
    return {}
