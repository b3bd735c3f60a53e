"""Digests hold for what was read: a file that changes meanwhile has none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import DataError
from cryptosentinel.services.digests import digest


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def of_the_same_length(path: Path) -> None:
    path.write_bytes(b"other")
    os.utime(path, (10, 10))


@pytest.mark.parametrize("change", [longer, of_the_same_length])
def test_a_file_that_changes_while_it_is_read_is_refused(
    change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"first")
    os.utime(path, (0, 0))
    assert digest(path).bytes == 5
    read = hashlib.file_digest

    def read_and_change(*arguments: Any) -> Any:
        found = read(*arguments)
        change(path)
        return found

    monkeypatch.setattr(hashlib, "file_digest", read_and_change)
    with pytest.raises(DataError, match=r"rows\.jsonl: changed while it was being read$"):
        digest(path)
