"""What the Reviewer sees: the facts about a trade proposal, and the desk's scale for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cryptosentinel.desk.situation import UNIVERSE

BEST = 10
EVIDENCE = {"strong": 8, "fair": 5, "weak": 2}
TYPES = ("trade proposal", "research note", "listing memo", "position review", "token brief")

_VERDICTS = {
    "high": (
        "a careful {t}",
        "worth acting on",
        "the case for {s} is made",
        "little to add",
        "{s} is well covered",
        "ready for the desk",
        "clear and checked",
        "we can work with it",
    ),
    "middle": (
        "a start on {s}",
        "needs another round",
        "usable with care",
        "half of it holds",
        "{s} deserves more work",
        "neither good nor bad",
        "send it back once",
        "an average {t}",
    ),
    "low": (
        "not for the desk",
        "{s} is not covered",
        "start over",
        "we would not use it",
        "the case for {s} is open",
        "too little here",
        "a poor {t}",
        "nothing to act on",
    ),
}
_ABOUT = (
    "{e} evidence, {r} risks, {h} holding",
    "evidence {e}, risks {r}, holding {h}",
    "{e} evidence and a {h} holding, risks {r}",
    "risks {r}, {e} evidence, holding {h}",
    "{h} holding, {e} evidence, {r} risks",
)


@dataclass(frozen=True, slots=True)
class Note:
    """A proposal about one symbol: its evidence, whether risks are named and the author's holding disclosed.

    >>> Note("SOL", "trade proposal", "strong", "named", "hidden").rating()
    9
    """

    symbol: str
    type: str
    evidence: str
    risks: str
    holding: str

    def rating(self) -> int:
        """The desk's scale: 8, 5 or 2 for the evidence, 2 more if the risks are named, 1 less for a hidden holding."""
        return EVIDENCE[self.evidence] + 2 * (self.risks == "named") - (self.holding == "hidden")

    def table(self) -> str:
        """As the reviewer is shown it."""
        return f"{self.type} {self.symbol}\nevidence {self.evidence}\nrisks {self.risks}\nholding {self.holding}"


def draw(rng: Random, universe: Sequence[str] = UNIVERSE) -> Note:
    """Draw a proposal; every rating from 1 to 10 comes up."""
    return Note(
        rng.choice(universe),
        rng.choice(TYPES),
        rng.choice(tuple(EVIDENCE)),
        rng.choice(("named", "absent")),
        rng.choice(("disclosed", "hidden")),
    )


def level(rating: int) -> str:
    """Is this rating high, middle or low?"""
    return "high" if rating >= 7 else "middle" if rating >= 4 else "low"


def remark(rng: Random, note: Note) -> str:
    """Word the reasons for this note's rating: its facts, its verdict, or both."""
    facts = rng.choice(_ABOUT).format(e=note.evidence, r=note.risks, h=note.holding)
    verdict = rng.choice(_VERDICTS[level(note.rating())]).format(s=note.symbol, t=note.type.split()[-1])
    return rng.choice((facts, verdict, f"{verdict}: {facts}", f"{facts}; {verdict}"))
