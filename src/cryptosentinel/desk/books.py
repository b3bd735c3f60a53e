"""The desk's money: every change is an entry, and the sums must agree to the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Literal

from cryptosentinel.errors import DataError

MONEY = Decimal("0.000001")  # USDC has six decimals
COINS = Decimal("0.00000001")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One trade as booked; `value` is in USDC without the fee, `cost` what the coins sold had cost."""

    number: int
    time: int
    action: Literal["BUY", "SELL"]
    symbol: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    cost: Decimal = ZERO


@dataclass(slots=True)
class Position:
    """Coins of one symbol, and what they cost in all, fees apart."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(slots=True)
class Books:
    """Cash, positions and the journal. Nothing is booked that is not covered.

    Always: cash + positions at cost = deposit + profit realised - fees, exactly; nothing is below zero.

    >>> books = Books(Decimal(1000))
    >>> _ = books.buy(0, "SOL", spend=Decimal(100), price=Decimal(50), fee_rate=Decimal("0.001"))
    >>> books.cash, books.positions["SOL"].quantity, books.balanced()
    (Decimal('900.000000'), Decimal('1.99800000'), True)
    """

    deposit: Decimal
    cash: Decimal = field(init=False)
    positions: dict[str, Position] = field(default_factory=dict)
    journal: list[Entry] = field(default_factory=list)
    fees: Decimal = ZERO
    realised: Decimal = ZERO

    def __post_init__(self) -> None:
        """Begin with the deposit in cash."""
        if not self.deposit.is_finite() or self.deposit <= 0:
            raise DataError(f"a deposit must be above 0, got {self.deposit}")
        self.cash = self.deposit

    def buy(self, time: int, symbol: str, spend: Decimal, price: Decimal, fee_rate: Decimal) -> Entry:
        """Spend so much USDC, the fee included.

        Raises:
            DataError: not that much cash, no positive amount or price, or too little for one unit of the coin.
        """
        _require_positive(spend=spend, price=price)
        spend = spend.quantize(MONEY, ROUND_DOWN)
        if spend > self.cash:
            raise DataError(
                f"{spend} USDC are to be spent, {self.cash.quantize(Decimal('0.01'), ROUND_DOWN)} are there"
            )
        fee = (spend * fee_rate).quantize(MONEY, ROUND_UP)
        value = spend - fee
        quantity = (value / price).quantize(COINS, ROUND_DOWN) if value > 0 else ZERO
        if quantity <= 0:
            raise DataError(f"{spend} USDC buy no {symbol} at {price}")
        position = self.positions.setdefault(symbol, Position())
        position.quantity += quantity
        position.cost += value
        self.cash -= spend
        self.fees += fee
        return self._book(time, "BUY", symbol, quantity, price, value, fee)

    def sell(self, time: int, symbol: str, quantity: Decimal, price: Decimal, fee_rate: Decimal) -> Entry:
        """Give so many coins.

        Raises:
            DataError: not that many coins, no positive amount or price, or worth less than the fee.
        """
        _require_positive(quantity=quantity, price=price)
        quantity = quantity.quantize(COINS, ROUND_DOWN)
        held = self.positions.get(symbol, Position())
        if quantity <= 0 or quantity > held.quantity:
            raise DataError(f"{quantity} {symbol} are to be sold, {held.quantity} are there")
        value = (quantity * price).quantize(MONEY, ROUND_DOWN)
        fee = (value * fee_rate).quantize(MONEY, ROUND_UP)
        if value <= fee:
            raise DataError(f"{quantity} {symbol} are worth {value} USDC, no more than the fee of {fee}")
        cost = held.cost if quantity == held.quantity else (held.cost * quantity / held.quantity).quantize(MONEY)
        held.quantity -= quantity
        held.cost -= cost
        if not held.quantity:
            del self.positions[symbol]
        self.cash += value - fee
        self.fees += fee
        self.realised += value - cost
        return self._book(time, "SELL", symbol, quantity, price, value, fee, cost)

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Cash and positions at these prices.

        Raises:
            DataError: a price is missing.
        """
        if missing := [s for s in self.positions if s not in prices]:
            raise DataError(f"no price for {missing[0]}, which is held")
        return self.cash + sum((p.quantity * prices[s] for s, p in self.positions.items()), ZERO).quantize(MONEY)

    def balanced(self) -> bool:
        """Do the sums agree exactly, with each other and with the journal, and is nothing below zero?"""
        at_cost = sum((p.cost for p in self.positions.values()), ZERO)
        spent = sum((e.value + e.fee for e in self.journal if e.action == "BUY"), ZERO)
        taken = sum((e.value - e.fee for e in self.journal if e.action == "SELL"), ZERO)
        nothing_below = self.cash >= 0 and all(p.quantity > 0 and p.cost >= 0 for p in self.positions.values())
        return (
            nothing_below
            and self.cash + at_cost == self.deposit + self.realised - self.fees
            and self.cash == self.deposit - spent + taken
        )

    def _book(
        self, time: int, action: Literal["BUY", "SELL"], symbol: str, quantity: Decimal, price: Decimal,
        value: Decimal, fee: Decimal, cost: Decimal = ZERO,
    ) -> Entry:  # fmt: skip
        entry = Entry(len(self.journal) + 1, time, action, symbol, quantity, price, value, fee, cost)
        self.journal.append(entry)
        return entry


def _require_positive(**values: Decimal) -> None:
    for name, value in values.items():
        if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
            raise DataError(f"{name} must be above 0, got {value}")
