"""Events as an agent framework hands them over."""

from __future__ import annotations

from typing import Any

from cryptosentinel.agentspec import Engine, RuleBook
from cryptosentinel.types import Event, EventKind


def event(
    kind: EventKind = "message", time: float = 0.0, run: str = "run", agent: str = "Trader", **body: Any
) -> Event:
    return Event("e", time, run, agent, kind, agent, "desk", body)


def call(tool: str = "swap", time: float = 0.0, run: str = "run", agent: str = "Trader", **arguments: Any) -> Event:
    return event("tool_call", time, run, agent, tool=tool, arguments=arguments)


def engine(check: str, trigger: str = "swap", enforce: str = "stop") -> Engine:
    return Engine(RuleBook.parse(f"rule @r trigger {trigger} check {check} enforce {enforce} end"))
