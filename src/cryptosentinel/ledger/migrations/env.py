"""What Alembic runs before the revisions: it works on the connection, and in the transaction, that it is handed."""

from __future__ import annotations

from alembic import context

from cryptosentinel.ledger.database import schema

if "config" in dir(context):  # only while Alembic runs; the file can be imported without it
    context.configure(connection=context.config.attributes["connection"], target_metadata=schema)
    with context.begin_transaction():
        context.run_migrations()
