"""When each entry was written, in the table and its views; PostgreSQL refuses changes as SQLite does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
KINDS = ("run", "finding", "verdict", "event")
REFUSE = """
CREATE FUNCTION entries_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.seq = (SELECT coalesce(max(seq), 0) + 1 FROM entries) THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only';
END $$
"""


def upgrade() -> None:
    """Add the column, which stays empty for older entries, and the triggers."""
    op.add_column("entries", sa.Column("at", sa.BigInteger(), nullable=True))
    for kind in KINDS:
        op.execute(f"DROP VIEW {kind}s")
        op.execute(f"CREATE VIEW {kind}s AS SELECT seq, at, body, hash FROM entries WHERE kind = '{kind}'")  # noqa: S608
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSE)
        for name, event in {
            "in_order": "INSERT ON entries FOR EACH ROW",
            "no_change": "UPDATE OR DELETE OR TRUNCATE ON entries FOR EACH STATEMENT",
        }.items():
            op.execute(f"CREATE TRIGGER entries_{name} BEFORE {event} EXECUTE FUNCTION entries_refuse()")
