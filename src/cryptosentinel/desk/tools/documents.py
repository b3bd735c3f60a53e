"""Dev's work: tickets, and the documents that the desk runs by."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.tools.answer import Tool, answering
from cryptosentinel.errors import DataError

LONGEST = 20_000


def read_tickets(floor: Floor) -> Tool:
    """The tool over this floor."""

    def read_tickets() -> str:
        """The tickets that came in since you last looked."""
        due = [t for t in floor.tickets if t.time <= floor.now]
        floor.tickets = [t for t in floor.tickets if t.time > floor.now]
        return "\n".join(f"ticket {t.subject}: {t.text}" for t in due) or "no tickets"

    return answering(read_tickets)


def read_document(floor: Floor) -> Tool:
    """The tool over this floor."""

    def read_document(name: str) -> str:
        """One of the desk's documents."""
        if name not in floor.documents:
            raise DataError(f"no document {name[:60]!r} (there are: {', '.join(sorted(floor.documents))})")
        return floor.documents[name]

    return answering(read_document)


def write_document(floor: Floor) -> Tool:
    """The tool over this floor."""

    def write_document(name: str, text: str) -> str:
        """Replace one of the desk's documents."""
        if name not in floor.documents:
            raise DataError(f"no document {name[:60]!r} (there are: {', '.join(sorted(floor.documents))})")
        if len(text) > LONGEST:
            raise DataError(f"a document has at most {LONGEST} characters, got {len(text)}")
        floor.documents[name] = text
        return "written"

    return answering(write_document)
