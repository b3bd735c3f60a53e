"""From the schema that a ledger has to the one that this version writes: Alembic's revisions, in one transaction."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from cryptosentinel.errors import LedgerError

HEAD = "0002"  # of migrations/versions
_VERSIONS = sa.table("alembic_version", sa.column("version_num"))
_LOCK = threading.Lock()  # Alembic's `op` and `context` are one for the whole process


def is_current(connection: sa.Connection) -> bool:
    """Does this ledger have the newest schema already?

    Raises:
        LedgerError: it has one that this version does not know.
    """
    return revision_of(connection) == HEAD


def revision_of(connection: sa.Connection) -> str:
    """Which revision is this ledger at? Empty: none, it is new or from before revisions were noted.

    Raises:
        LedgerError: it has one that this version does not know.
    """
    if not sa.inspect(connection).has_table(_VERSIONS.name):
        return ""
    found = connection.execute(sa.select(_VERSIONS.c.version_num)).scalars().all()
    known = known_revisions()
    if len(found) > 1 or any(revision not in known for revision in found):
        raise LedgerError(
            f"the ledger's schema is {', '.join(map(repr, sorted(found)))}, this version of CryptoSentinel knows "
            f"{known[-1]!r} at most: update CryptoSentinel"
        )
    return str(found[0]) if found else ""


def known_revisions() -> list[str]:
    """Every revision there is, oldest first.

    >>> known_revisions()
    ['0001', '0002']
    """
    return sorted(path.stem[1:5] for path in (_folder() / "versions").glob("r[0-9]*.py"))


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to the newest revision within the transaction that is open: all of it or nothing.

    Raises:
        LedgerError: the ledger is newer than this version.
    """
    if is_current(connection):  # another process was first
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _LOCK:
        command.upgrade(config, HEAD)


def _folder() -> Path:
    return Path(__file__).parent / "migrations"
