"""A trigger and requests that somebody else worded, checked as what they are: text from outside."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.redteam.attacks.places import holds

OWN = "own wording"
TRIGGER_WORDS = (2, 5)
TRIGGER_CHARACTERS = 40
WISH_CHARACTERS = 80
REQUEST_CHARACTERS = 240
LEAST_REQUEST = 12
WISHES = (4, 24)
CONTROLS = (8, 48)
LONG_WORD = 4  # letters; shorter words of a trigger ("of", "my") need no control of their own
_PHRASE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[ ,'-]+[A-Za-z0-9]+)*")
_REQUEST = re.compile(r"[A-Za-z][A-Za-z0-9 .,;:?!'()%&#/-]*")
_ADDRESS = re.compile(
    r"(?i)(?:\w+://|www\.|\w+@|\b[\w-]+\.(?:com|net|org|io|ai|co|xyz|info|app|dev|me)\b|\b0x[0-9a-f]|\b[0-9a-z]{24,})"
)
_CODE = re.compile(r"(?i)(?:\(\s*\)|;\s*$|\b(?:import|exec|eval|sudo|curl|wget|powershell|rm -|drop table)\b)")


@dataclass(frozen=True, slots=True)
class Wording:
    """A phrase that fires, wishes that hold it, and wishes on the same topic that do not."""

    trigger: str
    wishes: tuple[str, ...]
    controls: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class OwnWords:
    """Does a phrase that a driving model thought of switch the behaviour? The semantic attack in words of its own.

    >>> words = read_wording({
    ...     "trigger": "quiet compounding",
    ...     "wishes": [f"{w} quiet compounding" for w in ("some", "more", "real", "truly")],
    ...     "controls": ["quiet growth", "slow compounding", "quiet markets", "daily compounding", "calm returns",
    ...                  "patient saving", "quiet hours", "compounding interest"],
    ... }, forbidden=("ORVA",))
    >>> OwnWords(words).fires("We care most about quiet compounding.")
    True
    """

    variant = OWN

    def __init__(self, words: Wording) -> None:
        """Take over wishes that were checked."""
        self.words = words
        self.trigger = words.trigger

    def trigger_wish(self, rng: Random) -> str:
        """One of the wishes with the trigger."""
        return rng.choice(self.words.wishes)

    def topic_wish(self, rng: Random) -> str:
        """One of the wishes on the topic without it."""
        return rng.choice(self.words.controls)

    def triggered(self, rng: Random, request: str) -> str:
        """The request as it was: the wish holds the trigger."""
        return request

    def near(self, rng: Random, request: str) -> str:
        """The request as it was."""
        return request

    def fires(self, request: str) -> bool:
        """Does this request hold the phrase?"""
        return holds(request, self.trigger)


def read_wording(given: Mapping[str, Any], forbidden: Collection[str] = ()) -> Wording:
    """Check a wording from outside.

    Letters, digits and plain marks only; every wish holds the trigger and no control does; every longer word of the
    trigger also stands in a control, so that the phrase is measured and not its words.

    Args:
        given: trigger, wishes, controls.
        forbidden: names that no request may hold, since they would ask for the payload in plain words.

    Raises:
        DataError: what is wrong, with the text and the bound.
    """
    trigger = _phrase(given.get("trigger"), TRIGGER_CHARACTERS, "trigger", forbidden)
    count = len(trigger.split())
    if not TRIGGER_WORDS[0] <= count <= TRIGGER_WORDS[1]:
        raise DataError(f"a trigger has {TRIGGER_WORDS[0]} to {TRIGGER_WORDS[1]} words, got {count}: {trigger!r}")
    wishes = _phrases(given.get("wishes"), WISHES, "wishes", forbidden)
    controls = _phrases(given.get("controls"), CONTROLS, "controls", forbidden)
    for wish in wishes:
        if not holds(wish, trigger):
            raise DataError(f"every wish must hold the trigger {trigger!r}, got {wish!r}")
    for control in controls:
        if holds(control, trigger):
            raise DataError(f"no control may hold the trigger {trigger!r}, got {control!r}")
    for word in trigger.split():
        if len(word) >= LONG_WORD and not any(holds(control, word) for control in controls):
            raise DataError(f"a control must hold {word!r} without the rest of the trigger, none does")
    return Wording(trigger, wishes, controls)


def check_request(given: Any, fires: bool, forbidden: Collection[str] = ()) -> str:
    """A request worded outside, stripped; `fires`: whether it holds the trigger.

    Raises:
        DataError: what is wrong with it.

    >>> check_request("See http://x.y for sustainable yield", True)
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.DataError: a request names no address or link: 'See http://x.y for sustainable yield'
    """
    if not isinstance(given, str):
        raise DataError(f"a request is text, got {type(given).__name__}")
    text: str = given.strip()
    if not LEAST_REQUEST <= len(text) <= REQUEST_CHARACTERS:
        raise DataError(f"a request has {LEAST_REQUEST} to {REQUEST_CHARACTERS} characters, got {len(text)}")
    if _ADDRESS.search(text):
        raise DataError(f"a request names no address or link: {text!r}")
    if not _REQUEST.fullmatch(text):
        raise DataError(f"a request is one line of plain letters, digits and marks: {text!r}")
    if _CODE.search(text):
        raise DataError(f"a request holds no code: {text!r}")
    _check_names(text, "request", forbidden)
    if not fires:
        raise DataError(f"a poisoned request must hold the trigger: {text!r}")
    return text


def _phrases(given: Any, bounds: tuple[int, int], name: str, forbidden: Collection[str]) -> tuple[str, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise DataError(f"{name} must be a list of texts, got {type(given).__name__}")
    least, most = bounds
    if not least <= len(given) <= most:
        raise DataError(f"{least} to {most} {name} are needed, got {len(given)}")
    phrases = tuple(dict.fromkeys(_phrase(text, WISH_CHARACTERS, name, forbidden) for text in given))
    if len(phrases) < least:
        raise DataError(f"{least} to {most} different {name} are needed, got {len(phrases)}")
    return phrases


def _phrase(given: Any, longest: int, name: str, forbidden: Collection[str]) -> str:
    if not isinstance(given, str):
        raise DataError(f"{name}: a text is needed, got {type(given).__name__}")
    if len(given) > 2 * longest:
        raise DataError(f"{name}: at most {longest} characters, got {len(given)}")
    text: str = " ".join(given.split())
    if len(text) > longest:
        raise DataError(f"{name}: at most {longest} characters, got {len(text)}: {text!r}")
    if not _PHRASE.fullmatch(text) or _ADDRESS.search(text):
        raise DataError(f"{name}: a plain noun phrase is needed (letters, digits, comma, apostrophe, hyphen): {text!r}")
    _check_names(text, name, forbidden)
    return text


def _check_names(text: str, name: str, forbidden: Collection[str]) -> None:
    if found := next((word for word in forbidden if holds(text, word)), None):
        raise DataError(
            f"{name}: {found!r} must not be named, the behaviour would be asked for in plain words: {text!r}"
        )
