"""clean.jsonl and quarantine.jsonl of large data: lines are copied as they stand wherever that is what a row says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.files import atomic_open
from cryptosentinel.services.scan_shards import Counted

_PIECE = 1 << 22


def divide(shards: Sequence[Counted], flagged: NDArray[np.bool_], folder: Path) -> None:
    """Write both files into this folder; flagged: of all readable rows, in order."""
    with atomic_open(folder / "clean.jsonl") as clean, atomic_open(folder / "quarantine.jsonl") as quarantine:
        base = 0
        for counted in shards:
            own = flagged[base : base + counted.n]
            base += counted.n
            rewritten = counted.table("rewritten")
            written = dict(zip(rewritten["row"].to_list(), rewritten["line"].to_list(), strict=True))
            for wanted, out in ((~own, clean), (own, quarantine)):
                _copy(counted, np.flatnonzero(wanted), written, out)


def _copy(counted: Counted, rows: NDArray[np.int64], written: dict[int, bytes], out: BinaryIO) -> None:
    """These rows of one shard; neighbours that stand in the file as they are written go over in one piece."""
    if not rows.size:
        return
    start, stop = counted.array("places")[1:, rows].astype(np.int64)
    odd = np.isin(rows, np.fromiter(written, np.int64, len(written)))
    first = np.flatnonzero(np.r_[True, (start[1:] != stop[:-1]) | odd[1:] | odd[:-1]])
    last = np.r_[first[1:], rows.size] - 1
    with counted.shard.path.open("rb") as lines:
        for a, b in zip(first.tolist(), last.tolist(), strict=True):
            if odd[a]:
                out.write(written[int(rows[a])])
                continue
            lines.seek(counted.shard.start + int(start[a]))
            left = int(stop[b] - start[a])
            while left and (piece := lines.read(min(_PIECE, left))):
                out.write(piece)
                left -= len(piece)
            if left:  # the last line of a file that does not end with a new line
                out.write(b"\n")
