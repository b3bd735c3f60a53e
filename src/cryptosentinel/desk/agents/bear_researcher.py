"""BearResearcher: the case against a trade."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.review import bear_researcher
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.indicators import indicators


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (indicators(floor),)


BEAR_RESEARCHER = Role("BearResearcher", "Makes the case against a recommended trade.", tools, bear_researcher)
