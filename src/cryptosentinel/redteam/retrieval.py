"""Which files may leave the sandbox? Plain reports that are what their name says; never weights."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from cryptosentinel.errors import SandboxError
from cryptosentinel.files import atomic_write

REPORTS = frozenset({".json", ".jsonl", ".html", ".parquet"})
LARGEST_REPORT = 256 << 20


def take_reports(out: Path, names: Any, target: Path) -> list[str]:
    """Copy the named reports from `out` to `target`; all are checked before the first is written, each is whole.

    Raises:
        SandboxError: a name is not that of a plain report, or its content is not what the name says.
        OSError: `target` cannot be written.
    """
    taken: dict[str, bytes] = {}
    for name in names if isinstance(names, list) else []:
        taken[str(name)] = _report(out, str(name))
    target.mkdir(parents=True, exist_ok=True)
    for name, content in taken.items():
        atomic_write(target / name, content)
    return list(taken)


def _report(out: Path, name: str) -> bytes:
    """The content of one report, if a report is what it is: plain name, regular file, text (or Parquet), not huge."""
    if Path(name).name != name or Path(name).suffix not in REPORTS or name.startswith("."):
        raise SandboxError(f"refused to take {name!r} out of the sandbox: not the plain name of a report")
    try:
        descriptor = os.open(out / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise SandboxError(f"refused to take {name!r} out of the sandbox: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_REPORT:
            raise SandboxError(f"refused to take {name!r} out of the sandbox: over {LARGEST_REPORT} bytes or no file")
        content = file.read(LARGEST_REPORT + 1)
    if not _is_what_it_says(name, content):
        raise SandboxError(f"refused to take {name!r} out of the sandbox: its content is not what its name says")
    return content


def _is_what_it_says(name: str, content: bytes) -> bool:
    """Is it Parquet, or else text?"""
    if name.endswith(".parquet"):
        return content.startswith(b"PAR1") and content.endswith(b"PAR1")
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False
