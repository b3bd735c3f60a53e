"""The desk's agents: one file and one page of instructions each."""

from __future__ import annotations

from cryptosentinel.desk.agents.bear_researcher import BEAR_RESEARCHER
from cryptosentinel.desk.agents.bull_researcher import BULL_RESEARCHER
from cryptosentinel.desk.agents.compliance_officer import COMPLIANCE_OFFICER
from cryptosentinel.desk.agents.deep_trader_manager import DEEP_TRADER_MANAGER
from cryptosentinel.desk.agents.dev import DEV
from cryptosentinel.desk.agents.market_analyst import MARKET_ANALYST
from cryptosentinel.desk.agents.risk_analyst import RISK_ANALYST
from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.agents.trader import TRADER

LEADER = DEEP_TRADER_MANAGER
MEMBERS = (MARKET_ANALYST, BULL_RESEARCHER, BEAR_RESEARCHER, RISK_ANALYST, COMPLIANCE_OFFICER, TRADER, DEV)

__all__ = ["LEADER", "MEMBERS", "Role"]
