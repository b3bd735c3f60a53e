"""The Trader's hands: a paper trade, or a refusal."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.messages import TradeResult
from cryptosentinel.desk.tools.answer import Tool


def execute_swap(floor: Floor) -> Tool:
    """The tool over this floor."""

    def execute_swap(token_in: str, token_out: str, amount_in: str, slippage: str, chain: str, dex: str) -> str:
        """Give amount_in of token_in for token_out; one of the two is USDC. slippage: the most accepted, per cent.

        Answers with a TradeResult: filled, or declined with its reason.
        """
        return floor.execution.swap(token_in, token_out, amount_in, slippage, floor.now).json()

    return execute_swap


def decline_order(floor: Floor) -> Tool:
    """The tool over this floor."""

    def decline_order(action: str, symbol: str, amount_in: str) -> str:
        """Decline an order that cannot be filled soundly."""
        return TradeResult.declined(symbol, action, f"the Trader declined {amount_in[:40]}").json()

    return decline_order
