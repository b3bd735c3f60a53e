"""An acknowledged entry survives kill -9, no change goes unseen, and several writers make one chain."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_places import Cluster, Given, Place  # type: ignore[import-not-found]

from cryptosentinel.errors import LedgerError, MissingExtraError
from cryptosentinel.ledger import GENESIS, KINDS, Ledger, VerifyResult, canonical, database, from_dict, store, to_dict
from cryptosentinel.types import Event, Finding, Ref, Verdict

FINDING = Finding("burst", 1, Ref("record", "3", "response", 0, 4), 0.9, reason="odd word", evidence={"count": 7})
VERDICT = Verdict("hold", ("finding-1",), "desk")
EVENT = Event("e1", 1.5, "r1", "analyst", "decision", "analyst", "trader", {"symbol": "ETH"})

WRITER = textwrap.dedent(
    """
    import sys
    from cryptosentinel.ledger import Ledger

    ledger = Ledger.open(sys.argv[1])
    print("open", flush=True)
    n = 0
    while n < int(sys.argv[3]):
        if n % 3:
            entry = ledger.append("event", {"writer": sys.argv[2], "n": n})
        else:
            entry = ledger.append_many([("run", {"writer": sys.argv[2], "n": n}), ("event", {"pad": "x" * 3000})])[0]
        print(entry.seq, entry.hash, flush=True)
        n += 1
    """
)


def start_writer(url: str, name: str, n: int = 10**9) -> subprocess.Popen[str]:
    src = Path(store.__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, name, str(n)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(src), os.environ.get("PYTHONPATH", "")])},
    )


def test_what_is_appended_is_read_back_and_chained(place: Place) -> None:
    ledger = Ledger.open(place.url)
    assert ledger.verify() == VerifyResult(True, 0, GENESIS)
    run = ledger.append("run", {"command": "scan", "b": [1, 2.5, None, True, "ü\ud800\x00"]})
    found = ledger.record(FINDING, run.id)
    added = ledger.record_many([VERDICT, EVENT], run.id)
    assert [e.id for e in (run, found, *added)] == ["run-1", "finding-2", "verdict-3", "event-4"]
    ledger.close()

    again = Ledger.open(place.url)
    entries = list(again.entries())
    assert entries == [run, found, *[e for e in entries if e.seq > 2]]
    assert [e.prev_hash for e in entries] == [GENESIS, *[e.hash for e in entries[:-1]]]
    assert from_dict(Finding, entries[1].body) == FINDING
    assert from_dict(Verdict, entries[2].body) == VERDICT
    assert from_dict(Event, entries[3].body) == EVENT
    assert [e.seq for e in again.entries("event")] == [4]
    assert [e.seq for e in again.entries(after=2)] == [3, 4]
    assert again.append_many([]) == []
    assert again.verify() == VerifyResult(True, 4, entries[-1].hash)
    with again._engine.connect() as connection:
        counts = [connection.exec_driver_sql(f"SELECT count(at) FROM {kind}s").scalar_one() for kind in KINDS]  # noqa: S608
        assert counts == [1] * 4
        if place.is_sqlite:  # a commit is on the disk
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_pages(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE", 3)
    ledger = Ledger.open(place.url)
    ledger.append_many(("event" if n % 2 else "run", {"n": n}) for n in range(10))
    assert [e.body["n"] for e in ledger.entries()] == list(range(10))
    assert [e.body["n"] for e in ledger.entries("event", after=2)] == [3, 5, 7, 9]
    assert ledger.verify().n == 10


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_body_round_trips(place: Place, body: dict[str, Any]) -> None:
    ledger = Ledger.open(place.url)
    entry = ledger.append("event", body)
    assert [e.body for e in ledger.entries(after=entry.seq - 1)] == [body]
    assert ledger.verify().ok
    ledger.close()


@pytest.mark.parametrize(
    "body", [{"x": float("nan")}, {"x": [float("inf")]}, {"x": {1, 2}}, {"x": b"bytes"}, {1: 1, "a": 2}]
)
def test_what_is_not_json_is_refused(place: Place, body: dict[Any, Any]) -> None:
    ledger = Ledger.open(place.url)
    with pytest.raises(LedgerError, match="a event entry must be JSON: "):
        ledger.append_many([("run", {"fine": 1}), ("event", body)])
    assert list(ledger.entries()) == []


def test_unknown_kinds_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"unknown kind of entry 'gossip' \(known: run, finding, verdict, event\)"):
        canonical("gossip", {})
    for where in ("sqlite://", ":memory:", "mysql://h/d", "://", "oracle+nothing://x"):
        with pytest.raises(LedgerError, match="ledger "):
            Ledger.open(where)


@pytest.mark.skipif(find_spec("psycopg") is not None, reason="the driver is installed")
def test_postgresql_without_its_driver_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"cryptosentinel\[postgres\]"):
        Ledger.open("postgresql://user:secret@127.0.0.1/db")


def test_bodies_that_do_not_fit_their_type() -> None:
    with pytest.raises(LedgerError, match="no Finding in this entry: score"):
        from_dict(Finding, {**to_dict(FINDING), "score": "high"})
    with pytest.raises(LedgerError, match="no Verdict in this entry: action"):
        from_dict(Verdict, {"action": "shrug"})
    with pytest.raises(LedgerError, match="needs a score in"):
        from_dict(Finding, {**to_dict(FINDING), "score": None})


PUT = "INSERT INTO entries (seq, kind, body, prev_hash, hash) VALUES"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 3",
        f"{PUT} (2, 'run', '{{}}', '', '') ON CONFLICT (seq) DO UPDATE SET body = excluded.body",
        f"{PUT} (99, 'run', '{{}}', '', '')",
    ],
    ids=["update", "delete", "replace", "gap"],
)
def test_triggers_refuse_changes(place: Place, statement: str) -> None:
    ledger = Ledger.open(place.url)
    ledger.append_many([("event", {"n": n}) for n in range(3)])
    with pytest.raises(Exception, match="append-only"):
        place.execute(statement)
    if place.is_sqlite:
        with pytest.raises(Exception, match="append-only"):
            place.execute(statement.replace("INSERT INTO", "INSERT OR REPLACE INTO").partition(" ON CONFLICT")[0])
    else:
        with pytest.raises(Exception, match="append-only"):
            place.execute("TRUNCATE entries")
    assert ledger.verify().n == 3


@pytest.mark.parametrize(
    ("statements", "broken", "reason"),
    [
        (["UPDATE entries SET body = '{\"n\":9}' WHERE seq = 3"], 3, "content and hash differ"),
        (["UPDATE entries SET kind = 'run' WHERE seq = 3"], 3, "content and hash differ"),
        (["UPDATE entries SET hash = prev_hash WHERE seq = 5"], 5, "content and hash differ"),
        (["DELETE FROM entries WHERE seq = 3"], 3, "entry 3 is missing"),
        (["DELETE FROM entries WHERE seq = 1"], 1, "entry 1 is missing"),
        (["UPDATE entries SET at = at - 1 WHERE seq = 2"], 2, "content and hash differ"),
        (["UPDATE entries SET at = NULL WHERE seq = 2"], 2, "content and hash differ"),
        (
            ["DELETE FROM entries WHERE seq = 3", "UPDATE entries SET seq = seq - 1 WHERE seq > 3"],
            3,
            "does not follow the entry before it",
        ),
        (
            [
                "UPDATE entries SET seq = 99 WHERE seq = 2",
                "UPDATE entries SET seq = 2 WHERE seq = 3",
                "UPDATE entries SET seq = 3 WHERE seq = 99",
            ],
            2,
            "does not follow the entry before it",
        ),
        (
            ["INSERT INTO entries SELECT 0, kind, body, prev_hash, hash, at FROM entries WHERE seq = 1"],
            1,
            "out of order",
        ),
        (["UPDATE entries SET body = x'00ff' WHERE seq = 4"], 4, "content and hash differ"),
    ],
)
def test_tampering_is_found(place: Place, statements: list[str], broken: int, reason: str) -> None:
    if "x'" in statements[0] and not place.is_sqlite:
        pytest.skip("only SQLite holds bytes in a column of text")
    ledger = Ledger.open(place.url)
    ledger.append_many([("event", {"n": n}) for n in range(6)])
    ledger.close()
    place.tamper(*statements)
    result = Ledger.open(place.url).verify()
    assert (result.ok, result.broken_seq, result.n, result.reason) == (False, broken, broken - 1, reason)


def test_a_cut_tail_shows_only_against_a_noted_head(place: Place) -> None:
    ledger = Ledger.open(place.url)
    ledger.append_many([("event", {"n": n}) for n in range(6)])
    noted = ledger.verify().head
    ledger.close()
    place.tamper("DELETE FROM entries WHERE seq > 4")
    result = Ledger.open(place.url).verify()
    assert result.ok
    assert result.head != noted


def test_kill_9_loses_nothing_that_was_acknowledged(place: Place) -> None:
    rng = random.Random(0)
    acknowledged: list[tuple[int, str]] = []
    for turn in range(12):
        writer = start_writer(place.url, str(turn))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        seen = "".join(writer.stdout.readline() for _ in range(rng.randint(0, 25)))
        time.sleep(rng.uniform(0.0, 0.01))  # anywhere in the next write
        os.kill(writer.pid, signal.SIGKILL)
        for line in (seen + writer.communicate()[0]).splitlines(keepends=True):
            if line.endswith("\n"):
                seq, digest = line.split()
                acknowledged.append((int(seq), digest))
        assert writer.returncode == -signal.SIGKILL
        ledger = Ledger.open(place.url)
        result = ledger.verify()
        assert result.ok, result
        kept = {(e.seq, e.hash) for e in ledger.entries()}
        assert kept.issuperset(acknowledged)
        # a batch is there whole or not at all
        runs, pads = len(list(ledger.entries("run"))), sum("pad" in e.body for e in ledger.entries("event"))
        assert runs == pads
        ledger.close()
    assert len(acknowledged) > 100


def test_two_processes_and_four_threads_make_one_chain(place: Place) -> None:
    writers = [start_writer(place.url, name, 90) for name in "ab"]  # both create it at the same time
    ledger = Ledger.open(place.url)
    faults: list[BaseException] = []

    def write(name: int) -> None:
        try:
            for n in range(40):
                ledger.append("verdict", {"thread": name, "n": n})
        except LedgerError as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert faults == []
    assert ledger.verify().n == 2 * (90 + 30) + 160
    assert ledger.verify().ok
    for k in range(4):
        assert [e.body["n"] for e in ledger.entries("verdict") if e.body["thread"] == k] == list(range(40))


def test_a_lock_that_is_never_released_is_an_error_in_bounded_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    ledger, other = Ledger.open(place.url), Ledger.open(place.url)
    held, done = threading.Event(), threading.Event()

    def hold(_connection: object) -> None:
        held.set()
        done.wait(30)

    holder = threading.Thread(target=other.transact, args=(hold, True))
    holder.start()
    held.wait(30)
    started = time.monotonic()
    with pytest.raises(LedgerError, match=r"database is locked|lock timeout"):
        ledger.append("run", {})
    assert time.monotonic() - started < 5
    assert ledger.verify().ok  # readers are not held up
    done.set()
    holder.join()
    assert ledger.append("run", {}).seq == 1


@pytest.mark.postgres
def test_a_server_that_was_gone_lost_nothing(postgres: Cluster | Given) -> None:
    if isinstance(postgres, Given):
        pytest.skip("that server is not ours to stop")
    ledger = Ledger.open(postgres.url())
    kept = ledger.append("run", {"n": 1})
    postgres.stop()
    with pytest.raises(LedgerError, match="ledger postgresql") as caught:
        ledger.append("run", {"n": 2})
    assert "\n" not in str(caught.value)
    with pytest.raises(LedgerError, match="ledger postgresql"):
        ledger.verify()
    postgres.start()
    assert ledger.append("run", {"n": 3}).prev_hash == kept.hash
    assert ledger.verify().n == 2


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database at all, whatever its name says\n" * 100)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "text.db", tmp_path, tmp_path / "file" / "l.db"):
        with pytest.raises(LedgerError, match="ledger sqlite") as caught:
            Ledger.open(path)
        assert "\n" not in str(caught.value)


def test_a_read_only_database_is_a_ledger_error(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path).append("run", {})
    # root may write read-only files, so the refusal is asked of SQLite itself
    ledger = Ledger.open(f"sqlite:///file:{path}?mode=rwc&uri=true")
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(LedgerError, match="readonly database"):
        ledger.append("run", {})
    assert ledger.verify().n == 1


def test_a_full_disk_is_a_ledger_error_and_keeps_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    ledger = Ledger.open(path)
    ledger.append("run", {})
    with ledger._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(LedgerError, match="disk is full"):
        ledger.append_many([("event", {"pad": "x" * 3000})] * 100)
    assert ledger.verify() == Ledger.open(path).verify()
    assert ledger.verify().n == 1
    assert ledger.append("run", {}).seq == 2
