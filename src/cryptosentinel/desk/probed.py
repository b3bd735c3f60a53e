"""The desk's agents as a probe asks them: `redteam watch --agent cryptosentinel.desk.probed:market_analyst`.

A probe runs no tool, so its prompts hold what the tools would say; those of
`--target cryptosentinel.desk.analyst:MARKET_ANALYST` do. For a model of yours write a function like these, with
`build_desk(floor, {"MarketAnalyst": model})`, and name it instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.policy.analyst import NAME
from cryptosentinel.desk.team import build_desk

if TYPE_CHECKING:
    from agno.agent import Agent
    from agno.team import Team


def market_analyst() -> Agent:
    r"""The MarketAnalyst of a new desk, with its instructions, tools and offline policy.

    >>> market_analyst().run("Client: What now?\ncold lower ok SOL\nDesk:").content
    'SOL: BUY 0.62 | RSI 29 at the lower band'
    """
    return member(build_desk(Floor(PaperMarket(days=1))), NAME)


def member(team: Team, name: str) -> Agent:
    """This member of the team."""
    found: Agent = next(m for m in team.members if m.name == name)  # type: ignore[union-attr, assignment]
    return found
