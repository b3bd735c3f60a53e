"""DeepTraderManager: leads the desk."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.manager import manager
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.market_data import screen_market
from cryptosentinel.desk.tools.notes import recall, remember
from cryptosentinel.desk.tools.portfolio import portfolio


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (
        screen_market(floor),
        recall(floor),
        remember(floor),
        portfolio(floor),
    )


DEEP_TRADER_MANAGER = Role("DeepTraderManager", "Leads the meetings and decides.", tools, manager)
