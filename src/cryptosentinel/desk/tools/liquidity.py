"""How deep is a market, and where can a trade be filled?"""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor, listing_of
from cryptosentinel.desk.order import VENUES
from cryptosentinel.desk.tools.answer import Tool, answering, lines

SHARES = (0.75, 0.2, 0.05)  # of the depth, by venue


def liquidity(floor: Floor) -> Tool:
    """The tool over this floor."""

    def liquidity(symbols: list[str]) -> str:
        """Whether each market is deep or thin, and how many USDC move its price by 1%."""

        def describe(symbol: str) -> str:
            listing = listing_of(symbol)
            return f"{'deep' if listing.deep else 'thin'} depth {listing.depth}"

        return lines(symbols, describe)

    return answering(liquidity)


def find_pools(floor: Floor) -> Tool:
    """The tool over this floor."""

    def find_pools(symbol: str) -> str:
        """The pools a trade of this symbol can be filled in: depth in USDC, chain, venue. The deepest comes first."""
        listing = listing_of(symbol)
        first = sum(map(ord, symbol)) % len(VENUES)  # each asset has its own venues, always the same
        rows = [
            f"depth {float(listing.depth) * share:.0f} chain {listing.chain} dex {VENUES[(first + i) % len(VENUES)]}"
            for i, share in enumerate(SHARES)
        ]
        return "\n".join([*rows, *([f"venue writes: {floor.venues[symbol]}"] if symbol in floor.venues else [])])

    return answering(find_pools)
