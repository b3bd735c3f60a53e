"""What was written about an asset; by whom, nobody knows."""

from __future__ import annotations

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.tools.answer import Tool, answering, lines


def news(floor: Floor) -> Tool:
    """The tool over this floor."""

    def news(symbols: list[str]) -> str:
        """The news of the last 24 hours about each symbol."""
        return lines(symbols, lambda symbol: "news: " + " / ".join(floor.written(symbol) or ["none"]))

    return answering(news)
