"""What happened, in an order that nobody can change unseen: runs, findings, verdicts and events in one hash chain.

One table holds every entry; the views `runs`, `findings`, `verdicts` and `events` show it by kind. What the chain
cannot show by itself is that its last entries were cut off: note `verify().head` somewhere else to see that too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cryptosentinel.errors import ConfigError, LedgerError
from cryptosentinel.ledger.chain import GENESIS, Entry, Kind, VerifyResult, canonical, link
from cryptosentinel.ledger.database import (
    INSERT,
    WRITE_OPTION,
    engine_for,
    entries,
    holds_entries,
    is_file_with_something,
    take_write_lock,
)
from cryptosentinel.ledger.items import kind_of, to_dict
from cryptosentinel.ledger.migrate import is_current, upgrade
from cryptosentinel.ledger.tombstone import Tombstone
from cryptosentinel.types import Event, Finding, Verdict

ATTEMPTS = 3
PAGE = 1000
LAST = sa.select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)  # made once: that takes time
T = TypeVar("T")


class Ledger:
    """An append-only record that several processes and threads may write at once.

    A returned append is on disk. Triggers refuse changes; who owns the database can still drop them, and `verify`
    finds what was changed. On PostgreSQL give the writers' role no more than SELECT and INSERT.

    >>> import tempfile
    >>> ledger = Ledger.open(Path(tempfile.mkdtemp()) / "ledger.db")
    >>> ledger.append("run", {"command": "scan"}).id
    'run-1'
    >>> ledger.verify().ok
    True
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine that `open` has prepared."""
        self._engine = engine
        self._name = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, where: str | Path, create: bool = True) -> Ledger:
        """Open, create or upgrade a ledger: a file path (SQLite) or a URL (`sqlite:///...`, `postgresql+psycopg://...`).

        Raises:
            ConfigError: no ledger is there, and none may be created.
            LedgerError: it cannot be opened, was made by a newer version, or the URL names another kind of database.
            MissingExtraError: PostgreSQL without its driver.
        """
        if not create and not is_file_with_something(where):
            raise ConfigError(f"{where}: no such ledger")
        ledger = cls(engine_for(where))
        if not create and not ledger.transact(holds_entries, write=False):
            raise ConfigError(f"{ledger._name}: no ledger in it")
        if not ledger.transact(is_current, write=False):
            ledger.transact(upgrade, write=True)
        return ledger

    def append(self, kind: Kind, body: Mapping[str, Any]) -> Entry:
        """Add one entry; when this returns it is durable.

        Raises:
            LedgerError: unknown kind, a body that is not JSON (NaN included), or the database refused.
        """
        return self.append_many([(kind, body)])[0]

    def append_many(self, items: Iterable[tuple[Kind, Mapping[str, Any]]]) -> list[Entry]:
        """Add several entries in one transaction: all of them or none.

        Raises:
            LedgerError: as `append`.
        """
        prepared = [(kind, body, canonical(kind, body)) for kind, body in items]
        if not prepared:
            return []

        def write(connection: sa.Connection) -> list[Entry]:
            seq, head = connection.execute(LAST).one_or_none() or (0, GENESIS)
            at = time.time_ns() // 1000
            added: list[Entry] = []
            rows: list[tuple[Any, ...]] = []
            for kind, body, text in prepared:
                seq, previous, head = seq + 1, head, link(head, kind, text, at)
                added.append(Entry(seq, kind, body, previous, head, at))
                rows.append((seq, kind, text, previous, head, at))
            connection.exec_driver_sql(INSERT[connection.dialect.name], rows)  # half of what a statement object costs
            return added

        return self.transact(write, write=True)

    def record(self, item: Finding | Verdict | Event, run: str = "") -> Entry:
        """Add a finding, verdict or event, with the id of the run it belongs to.

        Raises:
            LedgerError: as `append`.
        """
        return self.append(kind_of(item), {**to_dict(item), "run": run})

    def record_many(self, items: Iterable[Finding | Verdict | Event], run: str = "") -> list[Entry]:
        """Add several in one transaction; as `record`."""
        return self.append_many((kind_of(item), {**to_dict(item), "run": run}) for item in items)

    def entries(self, kind: Kind | None = None, after: int = 0) -> Iterator[Entry]:
        """Which entries follow this seq, in order? Read page by page, so that writers are not held up.

        Raises:
            LedgerError: the database cannot be read, or holds a body that is not JSON.
        """
        for row in self._rows(kind, after):
            try:
                body = json.loads(row.body)
            except ValueError as error:
                raise LedgerError(f"ledger {self._name}: entry {row.seq} is not JSON: {error}") from None
            yield Entry(row.seq, row.kind, body, row.prev_hash, row.hash, row.at)

    def last_seq(self) -> int:
        """How many entries were ever written?

        Raises:
            LedgerError: the database cannot be read.
        """
        query = sa.select(sa.func.coalesce(sa.func.max(entries.c.seq), 0))
        return int(self.transact(lambda c: c.execute(query).scalar_one(), write=False))

    def verify(self) -> VerifyResult:
        """Is every entry where it was put, as it was put?

        Raises:
            LedgerError: the database cannot be read.
        """
        head, n, pruned = GENESIS, 0, 0
        cut: Tombstone | None = None
        for row in self._rows(None, None):
            if n == 0 and isinstance(row.seq, int) and row.seq > 1:  # a later tombstone has to account for this
                pruned, head = row.seq - 1, str(row.prev_hash)
            due = pruned + n + 1
            fault = ""
            if row.seq != due:
                fault = f"entry {due} is missing" if isinstance(row.seq, int) and row.seq > due else "out of order"
            elif row.prev_hash != head:
                fault = "does not follow the entry before it"
            elif row.hash != link(head, str(row.kind), str(row.body), row.at):
                fault = "content and hash differ"
            if fault:
                return VerifyResult(False, n, head, due, fault, pruned)
            if n == 0:
                first = head
            cut = Tombstone.read(str(row.kind), str(row.body)) or cut
            head, n = row.hash, n + 1
        if pruned and (cut is None or (cut.last, cut.last_hash) != (pruned, first)):
            return VerifyResult(False, 0, GENESIS, 1, "entry 1 is missing")
        return VerifyResult(True, n, head, pruned=pruned)

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def _rows(self, kind: Kind | None, after: int | None) -> Iterator[Any]:
        """The raw rows, page by page."""
        while True:
            query = sa.select(entries).order_by(entries.c.seq).limit(PAGE)
            if after is not None:
                query = query.where(entries.c.seq > after)
            if kind is not None:
                query = query.where(entries.c.kind == kind)
            page = self.transact(lambda c, q=query: c.execute(q).all(), write=False)  # type: ignore[misc]
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].seq

    def transact(self, act: Callable[[sa.Connection], T], write: bool) -> T:
        """Do this in one transaction; a database that is busy is asked a bounded number of times.

        Raises:
            LedgerError: the database refused.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with (
                    self._engine.connect().execution_options(**{WRITE_OPTION: write}) as connection,
                    connection.begin(),
                ):
                    if write:
                        take_write_lock(connection)
                    return act(connection)
            except SQLAlchemyError as error:
                cause = str(getattr(error, "orig", None) or error)
                busy = isinstance(error, DBAPIError) and ("locked" in cause or "busy" in cause)
                if not busy or attempt == ATTEMPTS:
                    raise LedgerError(f"ledger {self._name}: {' '.join(cause.split())[:200]}") from error
                time.sleep(0.05 * attempt)
        raise AssertionError("unreachable")
