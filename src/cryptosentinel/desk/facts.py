"""What the desk's own systems say about a call, for the rules: nothing of it is an agent's word."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptosentinel.agentspec.context import tool_of
from cryptosentinel.desk.agents import LEADER
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import read
from cryptosentinel.desk.market.listings import BY_SYMBOL
from cryptosentinel.desk.messages import amount, parse_order
from cryptosentinel.desk.order import CASH, TradeOrder
from cryptosentinel.desk.policy.manager import DELEGATE
from cryptosentinel.errors import DataError
from cryptosentinel.types import Event


class Facts:
    """Facts of a swap: side, value in USDC, liquidity, safe, and whether the manager ordered it at this meeting.

    Asked once for each event, in order. An order is good for one swap.
    """

    def __init__(self, floor: Floor) -> None:
        """Look things up on this floor."""
        self.floor = floor
        self._orders: dict[str, list[TradeOrder]] = {}

    def __call__(self, event: Event) -> Mapping[str, Any]:
        """The facts of this event; none unless it is a swap."""
        if event.kind != "tool_call":
            return {}
        arguments = event.body.get("arguments")
        given: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}
        if tool_of(event) == DELEGATE and event.agent == LEADER.name:
            self._note(event.run_id, str(given.get("task", "")))
        return self._swap(event.run_id, given) if tool_of(event) == "execute_swap" else {}

    def forget(self, run_id: str) -> None:
        """Drop the orders of a meeting that is over."""
        self._orders.pop(run_id, None)

    def _note(self, run_id: str, task: str) -> None:
        found = (parse_order(line.partition("order: ")[2]) for line in task.splitlines())
        self._orders.setdefault(run_id, []).extend(order for order in found if order)

    def _swap(self, run_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        side = "BUY" if given.get("token_in") == CASH else "SELL"
        symbol = str(given.get("token_out" if side == "BUY" else "token_in"))
        size = amount(given.get("amount_in"))
        price = Decimal(1) if side == "BUY" else read(self.floor.market, symbol, self.floor.now, 1).price
        listing = BY_SYMBOL.get(symbol)
        return {
            "side": side,
            "value": str((size * price).quantize(Decimal("0.01"))),
            "liquidity": str(listing.depth if listing else 0),
            "safe": "yes" if listing and listing.safe else "no",
            "ordered": "yes" if self._take(run_id, side, symbol, size) else "no",
        }

    def _take(self, run_id: str, side: str, symbol: str, size: Decimal) -> bool:
        waiting = self._orders.get(run_id, [])
        for order in waiting:
            if (order.action, order.symbol) == (side, symbol) and size <= order.quantity:
                waiting.remove(order)
                return True
        return False


def sold(event: Event) -> str:
    """Which symbol does this call give away?"""
    given = event.body.get("arguments")
    return str(given.get("token_in")) if isinstance(given, Mapping) else ""


def traded(event: Event) -> str:
    """Which symbol does this call buy? Empty: it is no purchase.

    Raises:
        DataError: the arguments are no object.
    """
    given = event.body.get("arguments")
    if not isinstance(given, Mapping):
        raise DataError("the arguments of a swap are no object")
    return str(given.get("token_out")) if given.get("token_in") == CASH else ""
