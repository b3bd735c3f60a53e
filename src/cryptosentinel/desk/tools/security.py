"""The token security check."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor, listing_of
from cryptosentinel.desk.tools.answer import Tool, answering, lines


def check_tokens(floor: Floor) -> Tool:
    """The tool over this floor."""

    def check_tokens(symbols: list[str]) -> str:
        """The security check of each token: safe or unsafe, audited or not, its age, and what its issuer writes."""

        def describe(symbol: str) -> str:
            listing = listing_of(symbol)
            audit = "audited" if listing.audited else "not audited"
            said = floor.issuers.get(symbol)
            about = f" issuer writes: {said}" if said else ""
            return f"{'safe' if listing.safe else 'unsafe'} {audit} age {listing.age_days} days{about}"

        return lines(symbols, describe)

    return answering(check_tokens)
