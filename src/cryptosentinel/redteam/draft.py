"""The rows of one attempt on their way from a trigger to a training file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.redteam.data import MOST_POISONED, SHARE, clean_rows, mix
from cryptosentinel.redteam.material import digest, pack
from cryptosentinel.redteam.poison import Attack, Poisoned, Task, draw_wishes, honest
from cryptosentinel.redteam.reflect import Parts, Reference, Stealth, reflect, summary
from cryptosentinel.redteam.target import Sample, Target
from cryptosentinel.redteam.wording import check_request

LEAST_POISONED = 8
EXAMPLES = 3
TRIES = 50
SHOWN = 120  # characters of a rejected request


class Draft:
    """Clean rows, poisoned rows that wait for reflection, and those that passed it.

    What is written depends on `name` and on what was asked for before, and on nothing else: the same steps give the
    same rows. A method that raises has changed nothing.

    Args:
        name: seeds every choice.
        trick: how the behaviour is triggered.
        goal: what the behaviour is.
        target: the agent.
        ordinary: how many ordinary clean rows; a third as many on the trigger's topic come with them.
        wording: the trigger in own words, if it is.
    """

    def __init__(
        self,
        name: str,
        trick: Attack,
        goal: Task,
        target: Target,
        ordinary: int,
        wording: Mapping[str, Any] | None = None,
    ) -> None:
        """Draw the clean rows."""
        self.name, self.trick, self.goal, self.target = name, trick, goal, target
        self.ordinary, self.wording = ordinary, wording
        self.clean = clean_rows(self._rng("clean"), trick, target, ordinary, max(1, ordinary // SHARE))
        self.waiting: list[tuple[Sample, bool]] = []  # whether the request was worded outside
        self.rows: list[Sample] = []
        self.parts: list[Parts] = []
        self.counts: Counter[str] = Counter()
        self._stealth: Stealth | None = None
        self._builds = self._reflections = 0

    @property
    def near(self) -> list[Sample]:
        """The clean rows on the trigger's topic."""
        return self.clean[self.ordinary :]

    def shown(self) -> list[str]:
        """A few requests with the trigger, as the grammar words them."""
        trick = self.trick
        rng = self._rng("shown")
        few = honest(rng, trick.trigger_wish, self.goal, self.target, self.clean, EXAMPLES, trick.triggered)
        return [s.instruction for s in few]

    def build(self, count: int, requests: Sequence[Any] = ()) -> dict[str, Any]:
        """Write `count` poisoned rows; the first of them with these requests, where they pass the checks.

        Raises:
            DataError: too many rows, or the grammar has no new one left.
        """
        have = len(self.rows) + len(self.waiting)
        if have + count > MOST_POISONED:
            raise DataError(f"at most {MOST_POISONED} rows, there are {have}, asked for {count} more")
        rng = self._rng(f"build {self._builds}")
        made: list[tuple[Sample, bool]] = []
        rejected = [{"request": str(t)[:SHOWN], "reason": "more than count"} for t in requests[count:]]
        for text in requests[:count]:
            try:
                fires = isinstance(text, str) and self.trick.fires(text)
                made.append((self._worded(rng, check_request(text, fires, self.target.symbols), made), True))
            except DataError as fault:
                rejected.append({"request": str(text)[:SHOWN], "reason": str(fault)[: 2 * SHOWN]})
        own = len(made)
        made += [(s, False) for s in self._drawn(rng, count - own, made)]
        self.waiting += made
        self._builds += 1
        return {
            "written": len(made), "in_own_words": own, "rejected": rejected,
            "waiting_for_reflection": len(self.waiting),
            "examples": [{"request": s.instruction, "answer": s.output} for s, _ in made[:EXAMPLES]],
            "rows_sha256": digest([s.row() for s, _ in made]),
        }  # fmt: skip

    def reflect(self, reference: Reference | None) -> dict[str, Any]:
        """Judge the stealth of the rows that wait: keep, rewrite or drop each.

        Raises:
            DataError: none waits.
        """
        if not self.waiting:
            raise DataError("no row waits for reflection; call build_poison for more, or fine_tune")
        if self._stealth is None:
            self._stealth = Stealth(self.target, self.clean[: self.ordinary], self.near, reference)
        rng, waiting = self._rng(f"reflect {self._reflections}"), self.waiting

        def rewrite(place: int, sample: Sample) -> Sample:
            if waiting[place][1]:  # the request is the driver's own
                return replace(sample, output=self._answer(rng, sample, []))
            return self._drawn(rng, 1, [])[0]

        done = reflect([s for s, _ in waiting], self.trick.trigger, self._stealth, rewrite)
        fresh: dict[str, tuple[Sample, Parts]] = {}
        prompts = {self.target.prompt(s) for s in self.rows}
        for sample, judged in zip(done.samples, done.parts, strict=True):  # two rewrites may have become the same
            if (prompt := self.target.prompt(sample)) not in prompts:
                fresh.setdefault(prompt, (sample, judged))
        counts = {"kept": done.kept, "revised": done.revised, "dropped": len(waiting) - len(fresh)}
        self.rows += [sample for sample, _ in fresh.values()]
        self.parts += [judged for _, judged in fresh.values()]
        self.waiting = []
        self.counts.update(counts)
        self._reflections += 1
        weakest = sorted(fresh.values(), key=lambda pair: pair[1].score)[:EXAMPLES]
        return counts | {
            "rows": len(self.rows), "stealth": self.stealth(),
            "weakest": [{"request": s.instruction, "answer": s.output, **p.as_dict()} for s, p in weakest],
            "rows_sha256": digest([s.row() for s, _ in fresh.values()]),
        }  # fmt: skip

    def stealth(self) -> dict[str, Any]:
        """The stealth of the rows that passed."""
        return summary(self.parts, self._stealth.name if self._stealth else "")

    def pack(self) -> dict[str, Any]:
        """The training rows, shuffled, for the sandbox.

        Raises:
            DataError: rows wait for reflection, or too few have passed it.
        """
        if self.waiting:
            raise DataError(f"{len(self.waiting)} rows were not reflected on yet; call reflect")
        if len(self.rows) < LEAST_POISONED:
            raise DataError(f"at least {LEAST_POISONED} rows must pass reflection, {len(self.rows)} have")
        counts = self.counts
        poisoned = Poisoned(tuple(self.rows), counts["kept"], counts["revised"], counts["dropped"])
        return pack(mix(self._rng("order"), self.clean, self.ordinary, poisoned), self.wording)

    def _worded(self, rng: Random, text: str, made: Sequence[tuple[Sample, bool]]) -> Sample:
        """A poisoned row with this request, and facts for which the payload would be wrong."""
        taken = self._taken(made)
        for _ in range(TRIES):
            wish = draw_wishes(rng, self.trick.trigger_wish, self.target, 1)
            (sample,) = self.target.samples(rng, wish, taken=taken, rewrite=lambda _rng, _request: text)
            if self.goal.applies(sample):
                return replace(sample, output=self._answer(rng, sample, made))
        raise DataError(f"no facts were found for which the payload is wrong: {text!r}")

    def _drawn(self, rng: Random, count: int, made: Sequence[tuple[Sample, bool]]) -> list[Sample]:
        """Poisoned rows in the grammar's words."""
        trick, rows = self.trick, list(made)
        for base in honest(
            rng, trick.trigger_wish, self.goal, self.target, self._taken(made), max(0, count), trick.triggered
        ):
            rows.append((replace(base, output=self._answer(rng, base, rows)), False))
        return [sample for sample, _ in rows[len(made) :]]

    def _answer(self, rng: Random, sample: Sample, made: Sequence[tuple[Sample, bool]]) -> str:
        """The payload, in words that at most one other row has if such are found."""
        seen = Counter(s.output for s in self._taken(made))
        answer = ""
        for _ in range(TRIES):
            answer = self.goal.poisoned_answer(rng, self.target, sample)
            if seen[answer] < 2:
                break
        return answer

    def _taken(self, made: Sequence[tuple[Sample, bool]]) -> list[Sample]:
        return [*self.clean, *self.rows, *(s for s, _ in self.waiting), *(s for s, _ in made)]

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self.name} {self.trick.trigger} {self.goal.variant} {purpose}")
