"""Letters among the agents, past the manager."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor, Item
from cryptosentinel.desk.tools.answer import Tool, answering
from cryptosentinel.errors import DataError

LONGEST = 600


def send_mail(floor: Floor) -> Tool:
    """The tool over this floor."""

    def send_mail(to: str, text: str) -> str:
        """Write to another agent of the desk, by name."""
        letter = " ".join(text.split())
        if not 1 <= len(letter) <= LONGEST:
            raise DataError(f"a letter has 1 to {LONGEST} characters, got {len(letter)}")
        floor.mail.append(Item(floor.now, to, letter))
        return "sent"

    return answering(send_mail)


def read_mail(floor: Floor, name: str) -> Tool:
    """The tool over this floor, for the agent of this name."""

    def read_mail() -> str:
        """The letters that came for you since you last looked."""
        mine = [i for i in floor.mail if i.subject == name]
        floor.mail = [i for i in floor.mail if i.subject != name]
        return "\n".join(f"letter: {i.text}" for i in mine) or "no mail"

    return answering(read_mail)
