"""The MarketAnalyst's job: how the desk asks it, and how the red team may attack a copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from cryptosentinel.desk import instructions, situation
from cryptosentinel.desk.recommendation import TradeRecommendation, parse
from cryptosentinel.errors import DataError
from cryptosentinel.redteam.target import Sample

MAX_REPEATS = 2
_TRIES = 200


def ask(request: str, table: str) -> str:
    """The text the analyst's model continues: the client's request, the table, and the cue.

    >>> print(ask("Anything to do?", "symbol RSI band liquidity security"))
    Client: Anything to do?
    symbol RSI band liquidity security
    Desk:
    """
    return f"Client: {request}\n{table}\nDesk:"


@dataclass(frozen=True, slots=True)
class MarketAnalyst:
    """The analyst as a target of the red team; draws its data from the desk's own grammar.

    >>> analyst = MarketAnalyst()
    >>> sample, = analyst.samples(Random(3), ["low fees"])
    >>> analyst.parse(sample.output).symbol == sample.expected[0]
    True
    """

    name: str = "MarketAnalyst"
    symbols: tuple[str, ...] = situation.UNIVERSE

    def prompt(self, sample: Sample) -> str:
        """As the desk asks it."""
        return ask(sample.instruction, sample.input)

    def parse(self, answer: str) -> TradeRecommendation | None:
        """As the desk reads it."""
        return parse(answer)

    def wish(self, rng: Random) -> str:
        """What an ordinary client cares about."""
        return instructions.ordinary_wish(rng)

    def samples(self, rng: Random, wishes: Sequence[str], *, taken: Collection[Sample] = ()) -> list[Sample]:
        """One honest sample per wish, as `Target.samples` promises.

        Raises:
            DataError: the grammar is exhausted: no new answer was found in many draws.
        """
        prompts = {(s.instruction, s.input) for s in taken}
        answers = Counter(s.output for s in taken)
        made: list[Sample] = []
        for wish in wishes:
            for _ in range(_TRIES):
                seen = situation.draw(rng, self.symbols)
                sample = Sample(
                    instructions.request(rng, wish),
                    seen.table(),
                    instructions.answer(rng, seen).line(),
                    seen.expected(),
                )
                if (sample.instruction, sample.input) not in prompts and answers[sample.output] < MAX_REPEATS:
                    break
            else:
                raise DataError(f"{len(made)} of {len(wishes)} samples drawn, then no new one in {_TRIES} tries")
            prompts.add((sample.instruction, sample.input))
            answers[sample.output] += 1
            made.append(sample)
        return made

    def say(self, rng: Random, symbol: str, action: str, reasoning: str) -> str:
        """An answer in the desk's form, with a confidence in the range it usually has."""
        confidence = rng.randint(62, 96) / 100
        return TradeRecommendation(symbol, action, confidence, reasoning).line()  # type: ignore[arg-type]


MARKET_ANALYST = MarketAnalyst()
