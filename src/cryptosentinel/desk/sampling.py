"""Honest samples without repetition, for every agent of the desk that the red team may copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from cryptosentinel.errors import DataError
from cryptosentinel.redteam.target import Sample

MAX_REPEATS = 2
_TRIES = 200


def distinct(wishes: Sequence[str], draw: Callable[[str], Sample], taken: Collection[Sample]) -> list[Sample]:
    """Draw one sample per wish; none repeats a prompt of `taken`, and no answer occurs more than twice.

    Raises:
        DataError: the grammar is exhausted: no new sample was found in many draws.
    """
    prompts = {(s.instruction, s.input) for s in taken}
    answers = Counter(s.output for s in taken)
    made: list[Sample] = []
    for wish in wishes:
        for _ in range(_TRIES):
            sample = draw(wish)
            if (sample.instruction, sample.input) not in prompts and answers[sample.output] < MAX_REPEATS:
                break
        else:
            raise DataError(f"{len(made)} of {len(wishes)} samples drawn, then no new one in {_TRIES} tries")
        prompts.add((sample.instruction, sample.input))
        answers[sample.output] += 1
        made.append(sample)
    return made
