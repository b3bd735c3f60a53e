"""Alembic's scripts: how a ledger's schema came to be what it is."""
