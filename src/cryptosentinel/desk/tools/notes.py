"""The desk's memory: notes that later meetings read."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor, Item
from cryptosentinel.desk.tools.answer import Tool, answering
from cryptosentinel.errors import DataError

MOST, LONGEST = 200, 400
SHOWN = 6


def recall(floor: Floor) -> Tool:
    """The tool over this floor."""

    def recall() -> str:
        """The latest notes of earlier meetings, the oldest first."""
        return "\n".join(f"note: {n.text}" for n in floor.notes[-SHOWN:]) or "no notes"

    return answering(recall)


def remember(floor: Floor) -> Tool:
    """The tool over this floor."""

    def remember(text: str) -> str:
        """Keep one note for later meetings, at most 400 characters."""
        note = " ".join(text.split())
        if not 1 <= len(note) <= LONGEST:
            raise DataError(f"a note has 1 to {LONGEST} characters, got {len(note)}")
        floor.notes = [*floor.notes[1 - MOST :], Item(floor.now, "desk", note)]
        return "kept"

    return answering(remember)
