"""A scan of data that fits into memory: every row is read, and examined, at once."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptosentinel.datasets import Reject, no_readable_row, read_rows
from cryptosentinel.datasets.streams import COMPRESSIONS, format_of, locate
from cryptosentinel.sanitize.scan import Scan
from cryptosentinel.services.scan_document import ScanReport
from cryptosentinel.services.scan_files import divide_rows
from cryptosentinel.types import Progress, Record

MOST_BYTES = 24 << 20  # of text; about 50,000 rows
PACKED = 6  # how much larger compressed or columnar text may be than its file


@dataclass(frozen=True)
class MemoryScan:
    """See `scan.Found`."""

    data: Sequence[Path]
    scan: Scan
    records: Sequence[Record]
    index: tuple[int, ...]
    rejects: tuple[Reject, ...]
    seconds: Mapping[str, float]

    @property
    def ids(self) -> Iterator[str]:
        """One a row."""
        return (r.id for r in self.records)

    @property
    def rows_of(self) -> Mapping[str, int]:
        """Rows by input, rejected ones included."""
        return Counter([*(r.source for r in self.records), *(r.source for r in self.rejects)])

    def divide(self, folder: Path, report: ScanReport) -> None:
        """Write clean.jsonl and quarantine.jsonl."""
        divide_rows(folder, self.data, report, self.records)


def fits(paths: Sequence[Path]) -> bool:
    """Is this little enough to be read at once?

    Raises:
        DataError: as `locate`.
    """
    total = 0
    for file in locate(paths):
        packed = file.suffix.lower() in COMPRESSIONS or format_of(file) in (".parquet", ".arrow")
        total += file.stat().st_size * (PACKED if packed else 1)
    return total <= MOST_BYTES


def scan_in_memory(data: Sequence[Path], examine: Callable[[Sequence[Record]], Scan], report: Progress) -> MemoryScan:
    """Read everything and examine it.

    Raises:
        DataError: as `read_rows`, or no row is readable.
    """
    started = time.perf_counter()
    index, records, rejects = read_all(data)
    report("read", 1, 1)
    seconds = {"read": time.perf_counter() - started}
    return MemoryScan(data, examine(records), records, tuple(index), tuple(rejects), seconds)


def read_all(paths: Sequence[Path]) -> tuple[list[int], list[Record], list[Reject]]:
    """Every readable row without its raw form, and the rejects.

    Raises:
        DataError: as `read_rows`, or no row is readable.
    """
    index: list[int] = []
    records: list[Record] = []
    rejects: list[Reject] = []
    collecting = gc.isenabled()
    gc.disable()  # millions of live objects make the collector quadratic, and none of them is garbage
    try:
        for i, row in read_rows(paths):
            if isinstance(row, Reject):
                rejects.append(row)
            else:
                index.append(i)
                records.append(Record(row.id, row.messages, row.source, tools=row.tools))
    finally:
        if collecting:
            gc.enable()
    if not records:
        raise no_readable_row(paths, rejects)
    return index, records, rejects
