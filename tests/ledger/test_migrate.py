"""A ledger of an earlier version goes on, one of a later version is refused, an upgrade is whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger import GENESIS, Ledger, canonical, migrate
from cryptosentinel.ledger.chain import link
from cryptosentinel.ledger.database import engine_for, schema

sys.path.insert(0, str(Path(__file__).parent))
from ledger_places import Place  # type: ignore[import-not-found]

BEFORE = [  # what versions without revisions made
    "CREATE TABLE entries (seq BIGINT NOT NULL PRIMARY KEY, kind VARCHAR(16) NOT NULL, body TEXT NOT NULL, "
    "prev_hash VARCHAR(64) NOT NULL, hash VARCHAR(64) NOT NULL)",
    "CREATE INDEX ix_entries_kind ON entries (kind)",
    *(
        f"CREATE VIEW {kind}s AS SELECT seq, body, hash FROM entries WHERE kind = '{kind}'"  # noqa: S608
        for kind in ("run", "finding", "verdict", "event")
    ),
]
TRIGGERS = [
    f"CREATE TRIGGER entries_{name} BEFORE {event} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for name, event in {
        "no_update": "UPDATE ON entries",
        "no_delete": "DELETE ON entries",
        "in_order": "INSERT ON entries WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries)",
    }.items()
]


def made_before(place: Place, n: int) -> None:
    """A ledger with n entries as earlier versions wrote it."""
    if place.is_sqlite:
        place.path.parent.mkdir(parents=True, exist_ok=True)
    place.execute(*BEFORE, *(TRIGGERS if place.is_sqlite else ()))
    head = GENESIS
    for seq in range(1, n + 1):
        head = put_as_before(place, seq, head)


def put_as_before(place: Place, seq: int, previous: str) -> str:
    """One entry as earlier versions wrote it; returns its hash."""
    text = canonical("event", {"n": seq})
    head = link(previous, "event", text)
    columns = "seq, kind, body, prev_hash, hash"
    place.execute(f"INSERT INTO entries ({columns}) VALUES ({seq}, 'event', '{text}', '{previous}', '{head}')")  # noqa: S608
    return head


def test_a_ledger_from_before_revisions_goes_on(place: Place) -> None:
    made_before(place, 4)
    ledger = Ledger.open(place.url)
    assert ledger.verify().n == 4
    assert [e.at for e in ledger.entries()] == [None] * 4
    added = ledger.append("run", {"n": 5})
    assert added.seq == 5
    assert isinstance(added.at, int)
    assert Ledger.open(place.url).verify().n == 5
    with pytest.raises(Exception, match="append-only"):
        place.execute("DELETE FROM entries WHERE seq = 1")
    place.tamper("UPDATE entries SET body = '{}' WHERE seq = 2")
    assert Ledger.open(place.url).verify().broken_seq == 2


def test_an_earlier_version_may_go_on_writing(place: Place) -> None:
    ledger = Ledger.open(place.url)
    first = ledger.append("run", {"n": 1})
    put_as_before(place, 2, first.hash)
    ledger.append("run", {"n": 3})
    assert ledger.verify().n == 3


def test_a_ledger_of_a_later_version_is_refused(place: Place) -> None:
    ledger = Ledger.open(place.url)
    ledger.append("run", {})
    place.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match=r"schema is '9999', this version of CryptoSentinel knows '0002' at most"):
        Ledger.open(place.url)
    assert ledger.verify().n == 1


def test_the_revisions_make_what_the_code_reads(place: Place) -> None:
    Ledger.open(place.url).close()
    assert migrate.known_revisions()[-1] == migrate.HEAD
    engine = engine_for(place.url)
    found = {c["name"]: c["nullable"] for c in sa.inspect(engine).get_columns("entries")}
    assert found == {c.name: c.nullable for c in schema.tables["entries"].columns}
    engine.dispose()


def test_an_upgrade_that_breaks_off_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made_before(place, 2)
    upgrade = migrate.upgrade

    def breaks_off(connection: sa.Connection) -> None:
        upgrade(connection)
        raise RuntimeError("killed")

    monkeypatch.setattr("cryptosentinel.ledger.store.upgrade", breaks_off)
    with pytest.raises(RuntimeError, match="killed"):
        Ledger.open(place.url)
    monkeypatch.undo()
    engine = engine_for(place.url)
    assert "at" not in {c["name"] for c in sa.inspect(engine).get_columns("entries")}
    engine.dispose()
    assert Ledger.open(place.url).verify().n == 2


def test_many_open_an_old_ledger_at_once(place: Place) -> None:
    made_before(place, 1)
    faults: list[BaseException] = []

    def write(name: int) -> None:
        try:
            Ledger.open(place.url).append("event", {"thread": name})
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert Ledger.open(place.url).verify().n == 7


def test_another_application_s_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        db.execute("INSERT INTO alembic_version VALUES (?)", (json.dumps("ab12"),))
    db.close()
    with pytest.raises(LedgerError, match="knows '0002' at most"):
        Ledger.open(path)
