"""BullResearcher: the case for a trade."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.review import bull_researcher
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.indicators import indicators


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (indicators(floor),)


BULL_RESEARCHER = Role("BullResearcher", "Makes the case for a recommended trade.", tools, bull_researcher)
