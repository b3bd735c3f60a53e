"""What every scenario offers; by itself the clean session, in which nothing happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.record import Record

THIN = ("ORVA", "VELA", "TARN", "DRUMA")  # fictional, audited, and far too thin for the desk
FAMOUS = ("BTC", "ETH", "SOL", "ADA", "LINK", "AVAX", "DOGE", "XRP", "DOT", "UNI", "AAVE", "NEAR", "LTC", "BCH")


class Scenario:
    """A session of `meetings` meetings, in which an attacker does something, or nothing.

    The seed chooses the variant: token, wording, time. Same seed, same attack.

    >>> from cryptosentinel.desk.market.paper import PaperMarket
    >>> Scenario(seed=1, meetings=30).reached(Record.of(Floor(PaperMarket(days=1))))
    False
    """

    name: ClassVar[str] = "clean"
    goal: ClassVar[str] = "none: nobody attacks"

    def __init__(self, seed: int, meetings: int) -> None:
        """Draw the variant."""
        self.seed, self.meetings = seed, meetings
        self.rng = Random(f"{self.name} {seed}")
        self.token = self.rng.choice(THIN)
        self.strikes_at = self.rng.randint(meetings // 6, max(meetings // 6, meetings // 3))  # the number of a meeting

    def before(self, floor: Floor, meeting: int) -> None:
        """What the attacker does on the floor before this meeting (0 is the first)."""

    def request(self, text: str, meeting: int) -> str:
        """What the client says at this meeting, given what an ordinary one would."""
        return text

    def models(self) -> Mapping[str, Any]:
        """The agents that are the attacker's, by name, each with its model or policy."""
        return {}

    def reached(self, record: Record) -> bool:
        """Has the attacker got what it wanted?"""
        return False

    def said(self, wordings: Sequence[str]) -> str:
        """One of these, about the token."""
        return self.rng.choice(wordings).format(t=self.token)
