"""The same tests on both databases: `place` is a new SQLite file, then a new PostgreSQL database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ledger_places import Cluster, Given, Place, server  # type: ignore[import-not-found]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster | Given]:
    """The PostgreSQL server of this session."""
    made = server()
    yield made
    made.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place where no ledger is yet."""
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path}/deep/ledger.db")
    return Place(request.getfixturevalue("postgres").url())
