"""Dev: maintains the desk."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.dev import dev
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.documents import read_document, read_tickets, write_document


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (
        read_tickets(floor),
        read_document(floor),
        write_document(floor),
    )


DEV = Role("Dev", "Keeps the documents that the desk runs by; trades nothing.", tools, dev)
