"""The table behind the ledger, and what each database needs to be durable and to let one writer in at a time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cryptosentinel.errors import LedgerError, MissingExtraError

BUSY_TIMEOUT_S = 10.0
WRITE_OPTION = "ledger_write"  # marks a connection whose transaction will write
_LOCK_KEY = 7_251_905_043  # names this ledger's advisory lock in PostgreSQL

schema = sa.MetaData()
entries = sa.Table(
    "entries",
    schema,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=True),  # when it was written, microseconds since 1970; null before 0002
)
INSERT = {
    name: f"INSERT INTO entries (seq, kind, body, prev_hash, hash, at) VALUES ({', '.join([mark] * 6)})"  # noqa: S608
    for name, mark in {"sqlite": "?", "postgresql": "%s"}.items()
}


def engine_for(where: str | Path) -> sa.Engine:
    """An engine for this place, with SQLite set to be durable and to take the write lock first."""
    text = str(where)
    try:
        url = sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=text)
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {text!r}: {error}") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        try:
            return sa.create_engine(
                url.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": round(max(BUSY_TIMEOUT_S, 2.0)),  # whole seconds; a server may not answer at all
                    "options": f"-c lock_timeout={BUSY_TIMEOUT_S * 1000:.0f} -c synchronous_commit=on",
                },
            )
        except ImportError:
            raise MissingExtraError("psycopg", "postgres", "a PostgreSQL ledger") from None
    if backend != "sqlite" or not url.database or url.database == ":memory:":
        raise LedgerError(f"ledger {text!r}: a file path, sqlite:///PATH or postgresql+psycopg:// is needed")
    with suppress(OSError):  # what is wrong with the folder shows when the file is opened
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late and take no lock
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get(WRITE_OPTION)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def is_file_with_something(where: str | Path) -> bool:
    """Can a ledger be in this place? A server can have one; a file that is missing or empty has none."""
    path = str(where).removeprefix("sqlite:///")
    return "://" in path or (Path(path).is_file() and Path(path).stat().st_size > 0)


def holds_entries(connection: sa.Connection) -> bool:
    """Has this database a ledger's table?"""
    return sa.inspect(connection).has_table(entries.name)


def take_write_lock(connection: sa.Connection) -> None:
    """Let one writer in at a time; on SQLite BEGIN IMMEDIATE has done so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
