"""Per-text scores of a model, computed once: kept outside the repository, keyed by model and text, resumable."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.models import cache_folder

Vector = NDArray[np.float32]
Compute = Callable[[Sequence[str]], list[Vector]]
ASKED_AT_ONCE = 500  # variables in one statement


class ScoreStore:
    """One float32 vector for each (model, text); several processes may share the file.

    >>> import tempfile
    >>> store = ScoreStore(Path(tempfile.mkdtemp()) / "scores.sqlite")
    >>> lengths = lambda texts: [np.array([len(t)], np.float32) for t in texts]
    >>> [float(v[0]) for v in store.vectors("length", ["ab", "c", "ab"], lengths)]
    [2.0, 1.0, 2.0]
    >>> store.missing("length", ["c", "new"])
    ['new']
    """

    def __init__(self, path: Path | None = None) -> None:
        """Remember the file; it is made when the first score is kept."""
        self.path = path or cache_folder() / "benchmarks" / "model-scores.sqlite"

    def vectors(
        self,
        model: str,
        texts: Sequence[str],
        compute: Compute,
        batch: int = 64,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Vector]:
        """The vector of each text, in order; what is missing is computed shortest first and kept batch by batch."""
        new = sorted(self.missing(model, texts), key=lambda t: (len(t), t))
        for start in range(0, len(new), batch):
            part = new[start : start + batch]
            made = zip(part, compute(part), strict=True)
            with closing(self._open()) as db, db:
                db.executemany(
                    "INSERT OR REPLACE INTO score VALUES (?, ?)",
                    [(_key(model, text), np.ascontiguousarray(v, np.float32).tobytes()) for text, v in made],
                )
            if on_progress:
                on_progress(min(start + batch, len(new)), len(new))
        known = self._known([_key(model, text) for text in texts])
        return [np.frombuffer(known[_key(model, text)], np.float32) for text in texts]

    def missing(self, model: str, texts: Sequence[str]) -> list[str]:
        """Which of these texts have no score yet? Each once."""
        unique = list(dict.fromkeys(texts))
        known = self._known([_key(model, text) for text in unique])
        return [text for text in unique if _key(model, text) not in known]

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with closing(self._open()) as db:
            for start in range(0, len(keys), ASKED_AT_ONCE):
                part = keys[start : start + ASKED_AT_ONCE]
                marks = ",".join("?" * len(part))
                found.update(db.execute(f"SELECT key, vector FROM score WHERE key IN ({marks})", part))  # noqa: S608
        return found

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=60)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS score (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        return db


def _key(model: str, text: str) -> bytes:
    return hashlib.blake2b(f"{model}\0{text}".encode("utf-8", "replace"), digest_size=16).digest()
