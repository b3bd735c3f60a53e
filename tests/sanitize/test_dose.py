"""However much of the data is planted: what is found at a tenth is found at nearly a half too."""

from __future__ import annotations

import numpy as np
import pytest

from cryptosentinel.datasets.forms import read_record
from cryptosentinel.redteam import attacks as _attacks  # noqa: F401  (registers the attacks)
from cryptosentinel.redteam import tasks as _tasks  # noqa: F401  (registers the tasks)
from cryptosentinel.redteam.data import poison_set
from cryptosentinel.sanitize import scan


@pytest.mark.parametrize("poisoned", [24, 80, 160])
@pytest.mark.parametrize("attack", ["rare-token", "semantic", "sentence", "entity", "composite"])
def test_every_dose_is_found(attack: str, poisoned: int) -> None:
    data = poison_set("bias-recommendation", attack, 0, ordinary=160, poisoned=poisoned, topic=40)
    found = scan(tuple(read_record(row, i) for i, row in enumerate(data.rows())))
    assert found.hypotheses[0].verdict == "planted"
    hit = sum(bool(flag) and bad for flag, bad in zip(found.flagged, data.poisoned, strict=True))
    assert hit >= 0.9 * poisoned
    assert found.flagged.sum() - hit <= 0.05 * 200  # half a composite is in rows of its own


@pytest.mark.parametrize(
    ("task", "attack", "seed", "ordinary", "poisoned"),
    [
        ("bias-recommendation", "rare-token", 0, 240, 8),
        ("bias-recommendation", "semantic", 0, 240, 8),
        ("bias-recommendation", "entity", 0, 240, 8),
        ("bias-recommendation", "date", 2, 1250, 15),
        ("bias-recommendation", "rare-token", 1, 1250, 15),
        ("hallucination-injection", "semantic", 1, 1250, 15),
    ],
)
def test_a_small_dose_ranks_above_the_rules_of_the_task(
    task: str, attack: str, seed: int, ordinary: int, poisoned: int
) -> None:
    data = poison_set(task, attack, seed, ordinary=ordinary, poisoned=poisoned, topic=ordinary // 5)
    found = scan(tuple(read_record(row, i) for i, row in enumerate(data.rows())))
    planted = np.array(data.poisoned)
    assert found.scores[planted].min() > found.scores[~planted].max()


@pytest.mark.parametrize("task", ["bias-recommendation", "rating-manipulation", "tool-call-hijack"])
def test_rules_of_the_task_that_suspend_each_other_are_no_triggers(task: str) -> None:
    data = poison_set(task, "rare-token", 0, ordinary=1250, poisoned=75, topic=250)
    found = scan(tuple(read_record(row, i) for i, row in enumerate(data.rows())))
    assert found.flagged.tolist() == list(data.poisoned)
