"""RiskAnalyst: holds orders against the limits."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.review import risk_analyst
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.portfolio import portfolio
from cryptosentinel.desk.tools.risk import check_risk


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (
        check_risk(floor),
        portfolio(floor),
    )


RISK_ANALYST = Role("RiskAnalyst", "Holds an order against the operator's limits.", tools, risk_analyst)
