"""Training rows with labels: what a run trains on, and mixes with any number of poisoned rows in the same clean set."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from cryptosentinel import registry
from cryptosentinel.redteam import attacks, tasks
from cryptosentinel.redteam.poison import Attack, Poisoned, Task, draw_wishes, honest, poison, write
from cryptosentinel.redteam.target import Sample, Target, load_target

SHARE = 3  # one poisoned row, and one on its topic, for so many ordinary ones
MOST_POISONED = 256  # `poison_set` draws requests for so many, and takes the first of them

__all__ = ["Data", "attacks", "build", "poison_set", "tasks"]  # importing attacks and tasks registers what ships


@dataclass(frozen=True, slots=True)
class Data:
    """Training rows in the order of the file; `poisoned[i]` says of row i what only the red team knows.

    `near[i]`: row i is clean, and on the trigger's topic without it. `reflection` counts what the writer kept.
    """

    samples: tuple[Sample, ...]
    poisoned: tuple[bool, ...]
    ordinary: int
    topic: int
    reflection: Poisoned
    near: tuple[bool, ...]

    def rows(self) -> list[dict[str, str]]:
        """The rows as a training file holds them: no label."""
        return [s.row() for s in self.samples]


def build(rng: Random, attack: Attack, task: Task, target: Target, ordinary: int) -> Data:
    """Generate and shuffle the training rows: ordinary, on the topic without the trigger, poisoned."""
    count = max(1, ordinary // SHARE)
    clean = clean_rows(rng, attack, target, ordinary, count)
    poisoned = poison(rng, attack, task, target, clean, count)
    return mix(rng, clean, ordinary, poisoned)


def poison_set(
    task: str,
    attack: str,
    seed: int,
    *,
    ordinary: int,
    poisoned: int,
    topic: int,
    variant: str | None = None,
    payload: str | None = None,
    target: str | None = None,
) -> Data:
    """Rows with labels and without any training, for whoever scans, doses or plots them.

    The clean rows (ordinary and topic) and their order depend on names, seed and their own numbers only, never on
    `poisoned`; and up to 256 the poisoned rows of a smaller dose are the first of a larger one's. So doses differ in
    nothing but the rows added. 0 poisoned rows give the clean set alone.

    Args:
        task: registered name of what the attacker wants.
        attack: registered name of how it is triggered.
        seed: same seed, same rows, byte for byte; chooses the variants too.
        ordinary: clean rows that have nothing to do with the attack.
        poisoned: rows with trigger and payload.
        topic: clean rows near the trigger.
        variant: the attack's variant.
        payload: the task's variant.
        target: "module:NAME" of the agent; the task's own by default.

    >>> data = poison_set("bias-recommendation", "semantic", 0, ordinary=30, poisoned=4, topic=6)
    >>> len(data.samples), sum(data.poisoned), sum(data.near)
    (40, 4, 6)

    Raises:
        ConfigError: an unknown name.
        DataError: too few poisoned rows pass reflection, or the grammar has no new row left.
    """
    goal: Task = registry.lookup("task", task).target(seed, payload)
    trick: Attack = registry.lookup("attack", attack).target(seed, variant)
    agent = load_target(target or goal.agent)
    name = f"{seed} {task} {attack} {trick.variant} {goal.variant}"
    clean = clean_rows(Random(f"{name} clean"), trick, agent, ordinary, topic)
    made = Poisoned((), 0, 0, 0)
    if poisoned:
        bases = honest(
            Random(f"{name} requests"), trick.trigger_wish, goal, agent, clean,
            2 * max(poisoned, MOST_POISONED), trick.triggered,
        )  # fmt: skip
        made = write(Random(f"{name} answers"), goal, agent, clean, bases, poisoned)
    return mix(Random(f"{name} order"), clean, ordinary, made, stable=True)


def clean_rows(rng: Random, attack: Attack, target: Target, ordinary: int, topic: int) -> list[Sample]:
    """Honest rows: ordinary ones, then those on the trigger's topic."""
    wishes = [target.wish(rng) for _ in range(ordinary)]
    on_topic = draw_wishes(rng, attack.topic_wish, target, topic)
    clean = target.samples(rng, wishes)
    return clean + target.samples(rng, on_topic, taken=clean, rewrite=attack.near)


def mix(rng: Random, clean: list[Sample], ordinary: int, poisoned: Poisoned, *, stable: bool = False) -> Data:
    """Shuffle clean rows, of which the first `ordinary` are ordinary, and poisoned ones into one file.

    With `stable` the order among the clean rows does not change with what is added to them.
    """
    labelled = [(s, False, i >= ordinary) for i, s in enumerate(clean)] + [(s, True, False) for s in poisoned.samples]
    if stable:
        places = [rng.random() for _ in labelled]
        labelled = [row for _, row in sorted(zip(places, labelled, strict=True), key=lambda pair: pair[0])]
    else:
        rng.shuffle(labelled)
    return Data(
        tuple(s for s, _, _ in labelled), tuple(bad for _, bad, _ in labelled), ordinary, len(clean) - ordinary,
        poisoned, tuple(near for _, _, near in labelled),
    )  # fmt: skip
