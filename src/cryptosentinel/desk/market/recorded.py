"""Prices from files: one CSV a symbol, as most exchanges offer them for download."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cryptosentinel.desk.market.candles import SYMBOL, Candles
from cryptosentinel.errors import DataError

COLUMNS = ("time", "open", "high", "low", "close", "volume")


class RecordedMarket:
    """A folder of `SYMBOL.csv` files with the columns time, open, high, low, close, volume.

    `time` is the end of the hour: seconds or milliseconds since the epoch, or ISO 8601 (UTC where nothing is said).
    Rows may be in any order; of several for one hour the last counts. Files are read when they are first asked for.

    Raises:
        DataError: no such folder, or no file in it.
    """

    def __init__(self, folder: Path) -> None:
        """Find the files; nothing is read yet."""
        self.name = f"recorded prices in {folder.name!r}"
        if not folder.is_dir():
            raise DataError(f"no folder {folder}")
        self._files = {p.stem.upper(): p for p in sorted(folder.glob("*.csv")) if SYMBOL.fullmatch(p.stem.upper())}
        if not self._files:
            raise DataError(f"no SYMBOL.csv in {folder}")
        self._read: dict[str, Candles] = {}

    def symbols(self) -> tuple[str, ...]:
        """What is recorded here?"""
        return tuple(self._files)

    def candles(self, symbol: str, until: int, count: int) -> Candles:
        """The last `count` hours that ended at `until` or before.

        Raises:
            DataError: no file of this symbol, or one that cannot be read.
        """
        if symbol not in self._files:
            raise DataError(f"{symbol!r} is not among the {self.name}")
        if symbol not in self._read:
            self._read[symbol] = _load(symbol, self._files[symbol])
        all_ = self._read[symbol]
        end = int(np.searchsorted(all_.time, until, side="right"))
        rows = slice(max(0, end - count), end)
        fields = (all_.open, all_.high, all_.low, all_.close, all_.volume)
        return Candles(symbol, all_.time[rows], *(field[rows] for field in fields))

    def first_day(self, history: int) -> int:
        """The first midnight (UTC) that has so many hours before it, in the file that begins last.

        Raises:
            DataError: a file cannot be read, or is too short.
        """
        begins = []
        for symbol in self._files:
            times = self.candles(symbol, 1 << 62, 1 << 62).time
            if len(times) <= history:
                raise DataError(f"{symbol}: {len(times)} hours are recorded, more than {history} are needed")
            begins.append(int(times[history]))
        return -(-max(begins) // 86_400) * 86_400


def _load(symbol: str, path: Path) -> Candles:
    hours: dict[int, tuple[float, ...]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [c for c in COLUMNS if c not in (reader.fieldnames or ())]:
                raise DataError(f"{path.name}: no column {missing[0]!r} (columns: {', '.join(COLUMNS)})")
            for row in reader:
                hours[_seconds(row["time"])] = tuple(float(row[c] or "nan") for c in COLUMNS[1:])
    except (ValueError, TypeError, OverflowError, csv.Error, OSError) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from None
    table = np.array([hours[t] for t in sorted(hours)], dtype=np.float64).reshape(-1, 5)
    return Candles(symbol, np.array(sorted(hours), dtype=np.int64), *table.T)


def _seconds(text: str) -> int:
    """Seconds since the epoch, from seconds, milliseconds or ISO 8601.

    >>> _seconds("1767571200000") == _seconds("2026-01-05T00:00:00Z") == _seconds("1767571200")
    True
    """
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        number = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return int(number / 1000 if number > 1e11 else number)
