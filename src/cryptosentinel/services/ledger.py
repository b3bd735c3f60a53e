"""What an operator does with a ledger: is it whole, keep a copy of it elsewhere, keep no more than has to be kept."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.files import require_folder
from cryptosentinel.ledger import KINDS, Entry, Kind, Ledger, canonical, prune
from cryptosentinel.services.events import seconds_of
from cryptosentinel.types import Progress

ROWS = 10_000  # of a Parquet row group
COLUMNS: Mapping[Kind, Mapping[str, str]] = {  # fields of the body that get a column of their own
    "run": {"command": "text", "phase": "text"},
    "finding": {"source": "text", "version": "int", "status": "text", "score": "real", "reason": "text", "run": "text"},
    "verdict": {"action": "text", "policy": "text", "event": "text", "run": "text"},
    "event": {
        "id": "text", "time": "real", "run_id": "text", "agent": "text", "kind": "text", "sender": "text",
        "recipient": "text", "run": "text",
    },
}  # fmt: skip


def verify_ledger(where: str | Path) -> dict[str, Any]:
    """Is every entry where it was put, as it was put? `head` is what to note elsewhere, so that a cut end shows too.

    Raises:
        ConfigError: no such ledger.
        LedgerError: it cannot be read.
    """
    result = opened(where).verify()
    return {
        "kind": "ledger-verification", "ok": result.ok, "entries": result.n, "pruned": result.pruned,
        "head": result.head, "broken_at": result.broken_seq, "reason": result.reason,
    }  # fmt: skip


def export_ledger(where: str | Path, to: Path, on_progress: Progress | None = None) -> dict[str, Any]:
    """Write all entries to Parquet (zstd), a file for each kind, and say what was written.

    Each row has `seq`, `at`, `prev_hash`, `hash` and the `body` as it was hashed, so that the chain can be verified
    from the files alone; the body's main fields have columns of their own. The files appear only when complete.

    Raises:
        ConfigError: no such ledger, or `to` is a file.
        LedgerError: it cannot be read.
        OSError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ledger = opened(where)
    require_folder(to)
    counts: dict[str, int] = {}
    head = ""
    last = ledger.last_seq()  # what is written meanwhile is the next export's, in all files alike
    for kind in KINDS:
        types = {"text": pa.string(), "int": pa.int64(), "real": pa.float64()}
        own = {name: types[of] for name, of in COLUMNS[kind].items()}
        fixed = {"seq": pa.int64(), "at": pa.timestamp("us", tz="UTC"), "prev_hash": pa.string(), "hash": pa.string()}
        schema = pa.schema({**fixed, **{f"body_{n}": of for n, of in own.items()}, "body": pa.string()})
        part = to / f".{kind}s.parquet.part-{os.getpid()}"
        try:
            with pq.ParquetWriter(part, schema, compression="zstd") as writer:
                rows: list[dict[str, Any]] = []
                n = 0
                for entry in ledger.entries(kind):
                    if entry.seq > last:
                        break
                    rows.append(_row(entry))
                    n += 1
                    if len(rows) == ROWS:
                        writer.write_table(pa.Table.from_pylist(rows, schema))
                        rows = []
                        if on_progress is not None:
                            on_progress(f"{kind}s", n, 0)
                    if entry.seq == last:
                        head = entry.hash
                writer.write_table(pa.Table.from_pylist(rows, schema))
            part.replace(to / f"{kind}s.parquet")
        finally:
            part.unlink(missing_ok=True)
        counts[f"{kind}s"] = n
    return {"kind": "ledger-export", "to": str(to), "entries": counts, "last": last, "head": head}


def prune_ledger(
    where: str | Path, before: str, *, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
) -> dict[str, Any]:
    """Remove the entries that were written before this time; what watches need to go on stays.

    Args:
        where: the ledger.
        before: in ISO form, or an age such as 90d or 12h.
        now: the time.

    Raises:
        ConfigError: no such ledger, or no time.
        LedgerError: the chain is broken, or the database refused.
    """
    moment = moment_of(before, now())
    ledger = opened(where)
    needed, by = _needed(ledger)
    done = prune(ledger, moment, needed)
    held = needed is not None and done.last + 1 >= needed
    return {
        "kind": "ledger-prune", "before": dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(),
        "removed": done.removed, "first": done.first, "last": done.last,
        "tombstone": done.tombstone.seq if done.tombstone else None, "held_by": by if held else "",
    }  # fmt: skip


def moment_of(text: str, now: dt.datetime) -> float:
    """The time that is meant, in seconds since 1970: ISO, or an age in days or hours.

    Raises:
        ConfigError: neither, or in the future.

    >>> moment_of("2d", dt.datetime(1970, 1, 4, tzinfo=dt.UTC)), moment_of("1970-01-02", dt.datetime.now(dt.UTC))
    (86400.0, 86400.0)
    """
    unit = {"d": 86_400.0, "h": 3_600.0}.get(text[-1:])
    try:
        moment = now.timestamp() - float(text[:-1]) * unit if unit else seconds_of(text)
        dt.datetime.fromtimestamp(moment, dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--before must be a time in ISO form or an age such as 90d or 12h, got {text[:60]!r}"
        ) from None
    if moment > now.timestamp():
        raise ConfigError(f"--before must not be in the future, got {text[:60]!r}")
    return moment


def opened(where: str | Path) -> Ledger:
    """The ledger that is there.

    Raises:
        ConfigError: there is none.
        LedgerError: it cannot be opened.
    """
    return Ledger.open(where, create=False)


def _needed(ledger: Ledger) -> tuple[int | None, str]:
    """From which entry on does somebody need the ledger to go on, and who? The latest of each thing a watch noted."""
    latest: dict[tuple[str, ...], int] = {}
    for entry in ledger.entries("run"):
        if "watch" in entry.body:
            latest[tuple(str(entry.body.get(k, "")) for k in ("command", "watch", "key", "phase"))] = entry.seq
    if not latest:
        return None, ""
    who, seq = min(latest.items(), key=lambda item: item[1])
    return seq, f"{who[0]} {who[1]!r} ({who[3]}, entry {seq})"


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "seq": entry.seq, "at": entry.at, "prev_hash": entry.prev_hash, "hash": entry.hash,
        "body": canonical(entry.kind, entry.body),
    }  # fmt: skip
    for name, of in COLUMNS[entry.kind].items():
        value = entry.body.get(name)
        fits = (
            isinstance(value, str) if of == "text" else isinstance(value, int | float) and not isinstance(value, bool)
        )
        if of == "int":
            fits = fits and isinstance(value, int) and abs(value) < 2**63
        elif of == "real" and fits:
            try:
                value = float(value)  # type: ignore[arg-type]
            except OverflowError:
                fits = False
        row[f"body_{name}"] = _clean(value) if fits else None
    return row


def _clean(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
