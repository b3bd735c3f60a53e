"""How much what runs in the sandbox may use, and why it ended without a result."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict, dataclass
from typing import IO, Any

from cryptosentinel import errors
from cryptosentinel.errors import ConfigError, SandboxError, SentinelError

GIB = 1 << 30
LOG_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may what runs inside use? Memory counts data; mapped files (weights, libraries) come on top."""

    memory_bytes: int = 12 * GIB
    cpu_s: int = 4 * 3600
    wall_s: float = 2 * 3600.0
    mapped_bytes: int = 64 * GIB
    file_bytes: int = 8 * GIB
    processes: int = 512

    def __post_init__(self) -> None:
        """Refuse limits that are not positive."""
        for name, value in asdict(self).items():
            if not value > 0:
                raise ConfigError(f"sandbox limit {name} must be positive, got {value}")


def raised_inside(said: dict[str, Any], limits: Limits) -> SentinelError:
    """The error that was raised inside: of its own kind if it is one of ours, else a SandboxError naming it."""
    kinds, message = said["kinds"], str(said["message"])
    if kinds[0] == "MemoryError" or "can't allocate memory" in message:
        return SandboxError(excess("memory_bytes", limits))
    for kind in kinds:
        known = getattr(errors, kind, None)
        if isinstance(known, type) and issubclass(known, SentinelError):
            raised = known.__new__(known)
            raised.args = (message,)
            if said["extra"]:
                raised.__dict__["extra"] = said["extra"]
            return raised
    return SandboxError(f"the sandboxed run failed: {kinds[0]}: {message}" if message else f"it failed: {kinds[0]}")


def excess(limit: str, limits: Limits) -> str:
    """Which limit was reached?"""
    if limit == "processes":
        return f"the sandboxed run started more than {limits.processes} processes"
    return f"the sandboxed run needed more than {limits.memory_bytes / GIB:.2f} GiB of memory"


def death(number: int, limits: Limits, log: IO[bytes]) -> str:
    """Why did it end without a word? The likeliest limit, and the end of its log."""
    reasons: dict[int, str] = {
        signal.SIGXCPU: f"it used more than {limits.cpu_s} s of processor time",
        signal.SIGXFSZ: f"it wrote a file of more than {limits.file_bytes} bytes",
        signal.SIGKILL: f"it was killed (processor limit {limits.cpu_s} s, or out of memory, or by hand)",
    }
    reason = reasons.get(number, f"signal {number}") if number else "it was killed from outside"
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL))
    said = log.read(LOG_TAIL).decode("utf-8", "replace").strip()
    return ": ".join(filter(None, ["the sandboxed run ended without a result", reason, said]))
