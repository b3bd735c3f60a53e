"""Where the tests keep ledgers: files, and a real PostgreSQL server on loopback, its cluster in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

REQUIRED = "CRYPTOSENTINEL_TEST_POSTGRES_REQUIRED"
MEMORY = "/dev/shm"
GIVEN = "CRYPTOSENTINEL_TEST_POSTGRES"  # URL of a database of a server that is there already


def binaries() -> Path | None:
    """The folder with initdb and postgres, in the PATH or where Debian puts it."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "postgres").exists() and (f / "initdb").exists()), None)


class Cluster:
    """One server; `url()` makes a new, empty database in it."""

    def __init__(self) -> None:
        """Make the cluster and start it."""
        folder = binaries()
        assert folder is not None
        self.bin, self.port = folder, free_port()
        self.home = Path(tempfile.mkdtemp(prefix="pg-", dir=MEMORY if os.access(MEMORY, os.W_OK) else "/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")
        self.names = count(1)
        auth = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"]
        self.run("initdb", "-D", str(self.home / "data"), "--no-sync", *auth)
        self.start()

    def run(self, program: str, *words: str) -> None:
        """Run one of the server's programs as a user who may: PostgreSQL refuses root."""
        command = [str(self.bin / program), *words]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            done = subprocess.run(command, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120)
        assert done.returncode == 0, Path(log.name).read_text("utf-8", "replace")[-3000:]

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-F -p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        self.run("pg_ctl", "-D", str(self.home / "data"), "-w", "-o", options, "-l", str(self.home / "log"), "start")

    def stop(self) -> None:
        """Stop it as a power cut would: no process says goodbye."""
        self.run("pg_ctl", "-D", str(self.home / "data"), "-w", "-m", "immediate", "stop")

    def url(self) -> str:
        """A new database."""
        name = f"ledger{next(self.names)}"
        admin(self.at("postgres"), f"CREATE DATABASE {name}")
        return self.at(name)

    def at(self, name: str) -> str:
        """The URL of this database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """Stop it and leave nothing."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home.parent / f"{self.home.name}.log").unlink(missing_ok=True)


class Given:
    """A server that is there already; each test gets a database of its own."""

    def __init__(self, url: str) -> None:
        """Databases are made beside the one that this URL names."""
        self.base, self.names = url.rpartition("/")[0], count(1)

    def url(self) -> str:
        """A new database."""
        name = f"ledger_{os.getpid()}_{next(self.names)}"
        admin(f"{self.base}/postgres", f"CREATE DATABASE {name}")
        return f"{self.base}/{name}"

    def remove(self) -> None:
        """The server stays."""


def admin(url: str, *statements: str) -> None:
    """Run these as they are, each for itself."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def server() -> Cluster | Given:
    """The server of this run; skips where there is none, unless one is required."""
    if os.environ.get(GIVEN):
        return Given(os.environ[GIVEN])
    missing: Sequence[str] = []
    try:
        import psycopg  # noqa: F401  the question is whether it is there
    except ImportError:
        missing = ["psycopg"]
    if binaries() is None:
        missing = [*missing, "initdb and postgres"]
    if missing:
        reason = f"no PostgreSQL: {' and '.join(missing)} not found"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, but {REQUIRED} is set", pytrace=False)
        pytest.skip(reason)
    return Cluster()


@dataclass(frozen=True)
class Place:
    """Where a ledger is, and what somebody with the database's password can do to it."""

    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def execute(self, *statements: str) -> None:
        """As a client of the database would."""
        if not self.is_sqlite:
            admin(self.url, *statements)
            return
        with sqlite3.connect(self.path) as db:
            for statement in statements:
                db.execute(statement)
        db.close()

    def tamper(self, *statements: str) -> None:
        """As the database's owner could: without the triggers."""
        if not self.is_sqlite:
            admin(self.url, "SET session_replication_role = replica", *statements)
            return
        with sqlite3.connect(self.path) as db:
            for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {trigger}")
        db.close()
        self.execute(*statements)
