"""The table of entries, a view for each kind, and SQLite's triggers: the schema from before revisions were noted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
KINDS = ("run", "finding", "verdict", "event")


def upgrade() -> None:
    """Make what is not there yet."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    if not sa.inspect(connection).has_table("entries"):
        op.create_table(
            "entries",
            sa.Column("seq", sa.Integer() if sqlite else sa.BigInteger(), primary_key=True, autoincrement=False),
            sa.Column("kind", sa.String(16), nullable=False, index=True),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("prev_hash", sa.String(64), nullable=False),
            sa.Column("hash", sa.String(64), nullable=False),
        )
    for kind in KINDS:
        verb = "CREATE VIEW IF NOT EXISTS" if sqlite else "CREATE OR REPLACE VIEW"
        op.execute(f"{verb} {kind}s AS SELECT seq, body, hash FROM entries WHERE kind = '{kind}'")  # noqa: S608
    # REPLACE deletes without firing the delete trigger: the insert trigger closes that way
    for name, event in {
        "no_update": "UPDATE ON entries",
        "no_delete": "DELETE ON entries",
        "in_order": "INSERT ON entries WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries)",
    }.items():
        if sqlite:
            op.execute(
                f"CREATE TRIGGER IF NOT EXISTS entries_{name} BEFORE {event} "
                f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
