"""MarketAnalyst: reads the market and recommends."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.analyst import market_analyst
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.indicators import indicators
from cryptosentinel.desk.tools.liquidity import liquidity
from cryptosentinel.desk.tools.mail import send_mail
from cryptosentinel.desk.tools.market_data import market_data
from cryptosentinel.desk.tools.news import news
from cryptosentinel.desk.tools.security import check_tokens


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (
        market_data(floor),
        indicators(floor),
        liquidity(floor),
        check_tokens(floor),
        news(floor),
        send_mail(floor),
    )


MARKET_ANALYST = Role(
    "MarketAnalyst", "Recommends at most one trade among the symbols it is given.", tools, market_analyst
)
