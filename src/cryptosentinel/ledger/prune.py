"""Taking away what is older than it has to be, so that the rest can still be verified."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger.chain import Entry, canonical, link
from cryptosentinel.ledger.database import entries
from cryptosentinel.ledger.store import Ledger
from cryptosentinel.ledger.tombstone import Tombstone

DELETE_TRIGGER = "entries_no_delete"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a prune: entries `first` to `last` are gone, `tombstone` says so; it is None if none may go."""

    removed: int
    first: int
    last: int
    tombstone: Entry | None


def prune(ledger: Ledger, before: float, keep_from: int | None = None) -> Pruned:
    """Remove the entries before the first that was written at or after `before`; leave a tombstone in the chain.

    One transaction: the tombstone is appended and the entries go, or nothing happens. What is left is verified from the
    hash that the tombstone names. Entries from before the ledger noted times are as old as the first that has one. The
    chain is verified first: what does not hold is evidence, and stays.

    Args:
        ledger: what is pruned; its owner's rights are needed, for the triggers stand aside meanwhile.
        before: seconds since 1970.
        keep_from: this entry and all after it stay, whatever their time.

    Raises:
        LedgerError: the chain does not hold, or the database refused.
    """
    checked = ledger.verify()
    if not checked.ok:
        raise LedgerError(f"nothing is pruned: the chain is broken at entry {checked.broken_seq}: {checked.reason}")
    limit = round(before * 1_000_000)
    when = dt.datetime.fromtimestamp(before, dt.UTC).isoformat()

    def cut(connection: sa.Connection) -> Pruned:
        seq, at = entries.c.seq, entries.c.at
        first, newest = connection.execute(sa.select(sa.func.min(seq), sa.func.max(seq))).one()
        dated = connection.execute(sa.select(sa.func.min(seq)).where(at.is_not(None))).scalar()
        stays = connection.execute(sa.select(sa.func.min(seq)).where(at >= limit)).scalar()
        if first is None or dated is None:
            return Pruned(0, 0, 0, None)
        if stays is None:
            stays = newest + 1
        elif stays == dated:  # what has no time is as old as this
            stays = first
        last = min(stays, keep_from if keep_from is not None else stays) - 1
        if last < first:
            return Pruned(0, first, first - 1, None)
        ends = connection.execute(sa.select(entries.c.hash).where(seq == last)).scalar_one()
        head = connection.execute(sa.select(entries.c.hash).where(seq == newest)).scalar_one()
        body = Tombstone(last, ends, last - first + 1, when).body()
        text, now = canonical("run", body), _now()
        stone = Entry(newest + 1, "run", body, head, link(head, "run", text, now), now)
        row = {"seq": stone.seq, "kind": "run", "body": text, "prev_hash": head, "hash": stone.hash, "at": now}
        connection.execute(entries.insert(), row)
        _delete(connection, last)
        return Pruned(last - first + 1, first, last, stone)

    return ledger.transact(cut, write=True)


def _delete(connection: sa.Connection, last: int) -> None:
    """Delete up to this entry; the triggers stand aside for it within the transaction, and for nobody else."""
    statement = sa.delete(entries).where(entries.c.seq <= last)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE entries DISABLE TRIGGER entries_no_change")
        connection.execute(statement)
        connection.exec_driver_sql("ALTER TABLE entries ENABLE TRIGGER entries_no_change")
        return
    query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    trigger = connection.execute(query, {"name": DELETE_TRIGGER}).scalar()
    if trigger is not None:
        connection.exec_driver_sql(f"DROP TRIGGER {DELETE_TRIGGER}")
    connection.execute(statement)
    if trigger is not None:
        connection.exec_driver_sql(trigger)


def _now() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1_000_000)
