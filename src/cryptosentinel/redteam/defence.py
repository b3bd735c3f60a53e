"""What a defence is: it chooses rows, mends the trained model, or has a say in each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.redteam.finetune import Recipe
from cryptosentinel.redteam.split import Encoded, Split
from cryptosentinel.redteam.target import Answer, Sample
from cryptosentinel.types import Progress

NONE = "none"  # the name of no defence: the undefended model

# scan(rows) or scan(rows, trusted=rows) gives a flag for each row, and the scan's document.
Scan = Callable[..., tuple[list[bool], dict[str, Any]]]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Means:
    """What a defender has: the data as it came, a little clean data of his own, the base model. Never a label.

    `tune()` and `check()` give clean rows of the same agent after the frozen layers, to train on and to look at the
    loss; none is in the training data or the evaluation, none is about the attack. `trusted()` gives a clean file of
    the same agent, drawn with another seed. `tokens`: those of the softmax, with the ones of these rows. `prompt` and
    `parse`: how the agent asks its model and reads the answer.
    """

    split: Split
    recipe: Recipe
    seed: int
    rows: Rows
    tokens: Callable[[], Any]
    tune: Callable[[], Sequence[Encoded]]
    check: Callable[[], Sequence[Encoded]]
    trusted: Callable[[], Rows]
    scan: Scan | None
    progress: Progress
    prompt: Callable[[Sample], str]
    parse: Callable[[str], Answer | None]


class Defence:
    """Steps in at three places; what a defence does not override leaves everything as it is.

    Registered under "defence". A new object is made for each model that is defended. `notes` goes into the document.
    """

    scans = False  # does what it does depend on the scanner?

    def __init__(self) -> None:
        """Nothing to say yet."""
        self.notes: dict[str, Any] = {}

    def drop(self, means: Means) -> Sequence[bool] | None:
        """Before training: which rows must not be trained on? None: no opinion, train on all."""
        return None

    def mend(self, means: Means, model: Any) -> Any:
        """After training: the upper part to use instead of `model`, which must not be changed."""
        return model

    def answer(self, means: Means, asked: Sequence[Sample], answers: Sequence[str]) -> Sequence[str]:
        """At run time: what is let out for each of these answers; an empty text is no answer."""
        return answers
