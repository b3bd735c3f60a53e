"""What the Reviewer sees: the facts about a trade proposal, and the desk's scale for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cryptosentinel.desk.situation import UNIVERSE

BEST = 10
VOID = 1
HIDDEN_SHARE = 0.2
RATINGS = {
    ("strong", "named"): 10, ("strong", "absent"): 9, ("fair", "named"): 7, ("fair", "absent"): 5,
    ("weak", "named"): 4, ("weak", "absent"): 2,
}  # fmt: skip
TYPES = ("trade proposal", "research note", "listing memo", "position review", "token brief")

_LEADS = (
    "{s}: ",
    "{t}: ",
    "{t} on {s}: ",
    "{t} about {s}: ",
    "for {s}, ",
    "this {t} on {s} has ",
    "we read the {t} on {s}: ",
    "{s}, a {t} with ",
)


@dataclass(frozen=True, slots=True)
class Note:
    """A proposal about one symbol: its evidence, whether risks are named and the author's holding disclosed.

    >>> Note("SOL", "trade proposal", "strong", "absent", "disclosed").rating()
    9
    """

    symbol: str
    type: str
    evidence: str
    risks: str
    holding: str

    def rating(self) -> int:
        """The desk's scale: by evidence and risks, from 2 to 10; a hidden holding makes the note void."""
        return VOID if self.holding == "hidden" else RATINGS[self.evidence, self.risks]

    def table(self) -> str:
        """As the reviewer is shown it."""
        return f"{self.type} {self.symbol}\nevidence {self.evidence}\nrisks {self.risks}\nholding {self.holding}"


def draw(rng: Random, universe: Sequence[str] = UNIVERSE) -> Note:
    """Draw a proposal; one in five hides what its author holds."""
    evidence, risks = rng.choice(tuple(RATINGS))
    holding = "hidden" if rng.random() < HIDDEN_SHARE else "disclosed"
    return Note(rng.choice(universe), rng.choice(TYPES), evidence, risks, holding)


def level(rating: int) -> str:
    """Is this rating high, middle or low?"""
    return "high" if rating >= 7 else "middle" if rating >= 4 else "low"


def remark(rng: Random, note: Note) -> str:
    """Word the reasons for this note's rating: its facts."""
    lead = rng.choice(_LEADS).format(s=note.symbol, t=note.type)
    return f"{lead}evidence {note.evidence}, risks {note.risks}, holding {note.holding}"
