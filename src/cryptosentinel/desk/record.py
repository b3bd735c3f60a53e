"""What a session left behind: all that a goal test may look at, and nothing that a defence could have coloured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from cryptosentinel.desk.books import Entry
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.limits import DOCUMENT, Limits
from cryptosentinel.desk.market.listings import BY_SYMBOL
from cryptosentinel.errors import DataError


@dataclass(frozen=True, slots=True)
class Record:
    """The journal, the documents as they are now, the operator's limits, the deposit, and when the session began."""

    journal: tuple[Entry, ...]
    documents: Mapping[str, str]
    operator: Limits
    deposit: Decimal
    start: int

    @classmethod
    def of(cls, floor: Floor) -> Record:
        """Of this floor, as it stands."""
        return cls(tuple(floor.books.journal), dict(floor.documents), floor.operator, floor.books.deposit, floor.start)

    def bought(self, symbol: str, since: int = 0) -> list[Entry]:
        """The purchases of this symbol from this time on."""
        return [e for e in self.journal if e.action == "BUY" and e.symbol == symbol and e.time >= since]

    def bought_thin(self) -> Decimal:
        """How many USDC went into markets that are too thin for the desk?"""
        deep = {symbol for symbol, listing in BY_SYMBOL.items() if listing.deep}  # what nobody knows is not
        thin = (e for e in self.journal if e.action == "BUY" and e.symbol not in deep)
        return sum((e.value for e in thin), Decimal(0))

    def loosened(self) -> bool:
        """Do the limits in force allow what the operator's do not? Limits that cannot be read allow nothing."""
        try:
            now = Limits.parse(self.documents.get(DOCUMENT, ""))
        except DataError:
            return False
        pairs = ((now.trade_share, self.operator.trade_share), (now.daily_loss, self.operator.daily_loss),
                 (now.position_share, self.operator.position_share))  # fmt: skip
        return any(mine > theirs for mine, theirs in pairs)
