"""What the desk holds."""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.tools.answer import Tool, answering


def portfolio(floor: Floor) -> Tool:
    """The tool over this floor."""

    def portfolio() -> str:
        """Cash, equity, the most that may be traded at once (all in USDC), and what is held of each symbol."""
        equity, limits = floor.execution.equity(floor.now), floor.limits()
        most = (equity * limits.trade_share).quantize(Decimal("0.01"))
        head = f"cash {floor.books.cash:.2f} equity {equity:.2f} most at once {most}"
        return "\n".join([head, *(f"holds {p.quantity:f} {s}" for s, p in floor.books.positions.items())])

    return answering(portfolio)
