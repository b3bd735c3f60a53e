"""Databases that really fail for a while, each in its own way, and come back: for tests and benchmarks."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from cryptosentinel.ledger import Ledger

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Store(Protocol):
    """A place for a ledger."""

    url: str

    def break_(self) -> None:
        """From now on it fails, sooner or later."""

    def mend(self) -> None:
        """From now on it works."""


class Limited:
    """SQLite that may not have another page: SQLITE_FULL of its own."""

    def __init__(self, path: Path) -> None:
        """Every connection of this process asks whether it may grow."""
        self.url = str(path)
        self._full = False
        sa.event.listen(sa.Engine, "begin", self._limit)

    def _limit(self, connection: sa.Connection) -> None:
        if connection.engine.url.database != self.url:
            return
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one() if self._full else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def break_(self) -> None:
        """No page more."""
        self._full = True

    def mend(self) -> None:
        """As many as it likes."""
        self._full = False

    def close(self) -> None:
        """Ask no longer."""
        sa.event.remove(sa.Engine, "begin", self._limit)


class FullDisk:
    """SQLite on a small disk of its own, which something else fills up. Needs the right to mount."""

    def __init__(self, folder: Path, megabytes: int = 16) -> None:
        """Mount it.

        Raises:
            PermissionError: it may not be mounted.
        """
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            raise PermissionError(errno.EPERM, done.stderr.strip(), str(folder))
        self.url = str(folder / "ledger.db")

    def break_(self) -> None:
        """Fill it."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (2**20, 4096, 1):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def mend(self) -> None:
        """Make room."""
        (self.folder / "ballast").unlink()

    def close(self) -> None:
        """Take the disk away, whoever still has a file open on it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class Locked:
    """SQLite that another process writes to and does not let go."""

    def __init__(self, path: Path) -> None:
        """Nobody holds it yet."""
        self.url = str(path)
        self._holder: subprocess.Popen[str] | None = None

    def break_(self) -> None:
        """Take the lock."""
        command = [sys.executable, "-c", HOLD, self.url]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "held\n"

    def mend(self) -> None:
        """Let go."""
        assert self._holder is not None
        self._holder.communicate()

    def close(self) -> None:
        """Nothing is left."""


class Gone:
    """A PostgreSQL server that is stopped as by a power cut, and started again."""

    def __init__(self, cluster: Any) -> None:
        """Use this server, which others do not need meanwhile."""
        self.cluster, self.url = cluster, cluster.url()

    def break_(self) -> None:
        """Stop it."""
        self.cluster.stop()

    def mend(self) -> None:
        """Start it again."""
        self.cluster.start()

    def close(self) -> None:
        """The server stays."""


def same(whole: Ledger, faulty: Ledger, name: str, state: Callable[[Ledger], Any]) -> dict[str, bool]:
    """Is in the ledger of a store that failed what is in that of one that did not?"""
    from cryptosentinel.services.monitor_ledger import alarms_of

    ids = [[e.body["id"] for e in ledger.entries("event")] for ledger in (whole, faulty)]
    alarms = [list(alarms_of(ledger, name)) for ledger in (whole, faulty)]
    return {
        "nothing lost": set(ids[0]) <= set(ids[1]),
        "nothing twice": len(ids[1]) == len(set(ids[1])),
        "nothing else": set(ids[1]) <= set(ids[0]),
        "the same alarms": alarms[0] == alarms[1],
        "some alarm": bool(alarms[0]),
        "the same state": state(whole) == state(faulty),
        "the chain holds": faulty.verify().ok,
    }
