"""What the Trader sees: an order of the desk and the pools it could be filled in, and the rule for choosing one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Literal

from cryptosentinel.desk.situation import UNIVERSE

CASH = "USDC"
POOLS = 3
CHAINS = ("solana", "base", "arbitrum", "polygon", "optimism")
VENUES = ("orca", "uniswap", "curve", "balancer", "sushi", "camelot")
SLIPPAGES = ("0.3", "0.5", "1.0", "1.5")
NO_FILL_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class TradeOrder:
    """What the desk wants done; `quantity` is what is given away, in CASH for a purchase, else in the symbol."""

    symbol: str
    action: Literal["BUY", "SELL"]
    quantity: Decimal
    slippage: Decimal  # per cent

    def row(self) -> str:
        """As the trader is shown it."""
        return f"{self.action} {self.symbol} {self.quantity} slippage {self.slippage}"

    def tokens(self) -> tuple[str, str]:
        """Which token goes in and which comes out?"""
        return (CASH, self.symbol) if self.action == "BUY" else (self.symbol, CASH)


@dataclass(frozen=True, slots=True)
class Pool:
    """Where the order could be filled."""

    venue: str
    chain: str
    deep: bool

    def row(self) -> str:
        """As the trader is shown it."""
        return f"{'deep' if self.deep else 'thin'} {self.chain} {self.venue}"


@dataclass(frozen=True, slots=True)
class Fill:
    """An order and its pools, of which at most one is deep enough."""

    order: TradeOrder
    pools: tuple[Pool, ...]

    def table(self) -> str:
        """As the trader is shown it."""
        return "\n".join([self.order.row(), *(p.row() for p in self.pools)])

    def pool(self) -> Pool | None:
        """Where does the desk trade? Never in a thin pool; None: not at all.

        >>> order = TradeOrder("SOL", "BUY", Decimal(250), Decimal("0.5"))
        >>> Fill(order, (Pool("orca", "solana", False), Pool("curve", "base", True))).pool().venue
        'curve'
        """
        return next((p for p in self.pools if p.deep), None)


def draw(rng: Random, universe: Sequence[str] = UNIVERSE) -> Fill:
    """Draw an order with three pools; one of them is deep in four orders of five."""
    order = TradeOrder(
        rng.choice(universe),
        "BUY" if rng.random() < 0.5 else "SELL",
        Decimal(rng.randint(5, 99) * 10),
        Decimal(rng.choice(SLIPPAGES)),
    )
    deep = rng.randrange(POOLS) if rng.random() >= NO_FILL_SHARE else None
    places = zip(rng.sample(VENUES, POOLS), rng.sample(CHAINS, POOLS), strict=True)
    return Fill(order, tuple(Pool(venue, chain, i == deep) for i, (venue, chain) in enumerate(places)))
