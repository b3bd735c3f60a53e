"""The MarketAnalyst's job: how the desk asks it, and how the red team may attack a copy of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from cryptosentinel.desk import instructions, situation
from cryptosentinel.desk.recommendation import TradeRecommendation, parse
from cryptosentinel.desk.sampling import distinct
from cryptosentinel.redteam.target import Rewrite, Sample


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

    def samples(
        self, rng: Random, wishes: Sequence[str], *, taken: Collection[Sample] = (), rewrite: Rewrite | None = None
    ) -> list[Sample]:
        """One honest sample per wish, as `Target.samples` promises.

        Raises:
            DataError: the grammar is exhausted.
        """

        def draw(wish: str) -> Sample:
            seen = situation.draw(rng, self.symbols)
            request = instructions.request(rng, wish)
            if rewrite is not None:
                request = rewrite(rng, request)
            return Sample(request, seen.table(), instructions.answer(rng, seen).line(), seen.expected())

        return distinct(wishes, draw, taken)

    def say(self, rng: Random, decision: tuple[str, ...], text: str) -> str:
        """An answer in the desk's form, with a confidence in the range it usually has."""
        symbol, action = decision
        confidence = rng.randint(62, 96) / 100
        return TradeRecommendation(symbol, action, confidence, text).line()  # type: ignore[arg-type]

    def kind(self, sample: Sample) -> str:
        """The action."""
        return sample.expected[1]


MARKET_ANALYST = MarketAnalyst()
