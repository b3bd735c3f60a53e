"""Trader: fills orders."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.trader import trader
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.liquidity import find_pools
from cryptosentinel.desk.tools.mail import read_mail
from cryptosentinel.desk.tools.trading import decline_order, execute_swap


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (
        read_mail(floor, "Trader"),
        find_pools(floor),
        execute_swap(floor),
        decline_order(floor),
    )


TRADER = Role("Trader", "Fills orders, each in the deepest pool.", tools, trader)
