"""What do the limits say of a trade?"""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import read
from cryptosentinel.desk.messages import amount
from cryptosentinel.desk.tools.answer import Tool, answering
from cryptosentinel.errors import DataError


def check_risk(floor: Floor) -> Tool:
    """The tool over this floor."""

    def check_risk(action: str, symbol: str, quantity: str) -> str:
        """Hold a trade against the limits. quantity: USDC for BUY, coins for SELL. Answers with its share."""
        if action not in ("BUY", "SELL"):
            raise DataError(f"action must be BUY or SELL, got {action[:20]!r}")
        price = read(floor.market, symbol, floor.now, 1).price
        given = amount(quantity, "quantity")
        value = given if action == "BUY" else given * price
        equity = floor.execution.equity(floor.now)
        reasons = floor.execution.against(symbol, value, floor.now, purchase=action == "BUY")
        share = (100 * value / equity).quantize(Decimal("0.01"))
        return f"share {share}% " + (f"objections: {'; '.join(reasons)}" if reasons else "no objections")

    return answering(check_risk)
