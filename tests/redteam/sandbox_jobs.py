"""What the tests of the sandbox run inside it: functions that try to get out, use too much, fail, or behave."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError, DataError, MissingExtraError
from cryptosentinel.redteam.sandbox import in_sandbox
from cryptosentinel.types import Progress

Job = dict[str, Any]


def behave(job: Job, out: Path, on_progress: Progress) -> Job:
    for done in range(3):
        on_progress("train", done + 1, 3)
    os.write(1, b"noise on standard output must not disturb the result")
    (out / "report.json").write_text('{"fine": true}')
    (out / "weights.safetensors").write_bytes(b"\x00" * 64)
    return {"echo": job, "files": ["report.json"]}


def reach_out(job: Job, out: Path, on_progress: Progress) -> Job:
    reached = {}
    for host, port in job["targets"]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            with socket.socket(family, kind) as s:
                s.settimeout(2)
                try:
                    s.connect((host, port))
                    s.send(b"x")
                    reached[f"{name} {host}"] = "reached"
                except OSError as error:
                    reached[f"{name} {host}"] = errno.errorcode.get(error.errno or 0, type(error).__name__)
    try:
        socket.getaddrinfo("example.org", 80)
        reached["name lookup"] = "reached"
    except OSError:
        reached["name lookup"] = "failed"
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect("\0" + job["abstract"])
            reached["abstract unix socket"] = "reached"
        except OSError as error:
            reached["abstract unix socket"] = errno.errorcode[error.errno or 0]
    return {"reached": reached, "interfaces": [name for _, name in socket.if_nameindex()]}


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
    writable = []
    for place in job["places"]:
        path = Path(place) / f"written-{os.getpid()}"
        try:
            path.write_text("x")
            writable.append(place)
            path.unlink()
        except OSError:
            pass
    Path("note").write_text("its own folder can be written")
    return {
        "environment": dict(os.environ),
        "writable": writable,
        "cwd": os.getcwd(),
        "processes": [p.name for p in Path("/proc").iterdir() if p.name.isdigit()],
        "marked": (out / "SANDBOX_ARTEFACT").is_file() and in_sandbox(),
    }


def eat_memory(job: Job, out: Path, on_progress: Progress) -> Job:
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


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
