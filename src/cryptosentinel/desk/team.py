"""The desk as an Agno team: new agents for every session, offline unless a model is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from cryptosentinel.desk.agents import LEADER, MEMBERS, Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from agno.models.base import Model
    from agno.team import Team

    from cryptosentinel.adapters.agno_offline import Policy

NAMES = (LEADER.name, *(role.name for role in MEMBERS))
MOST_CALLS = 40  # of tools, by one agent in one run


def build_desk(floor: Floor, models: Mapping[str, Model | Policy] | None = None) -> Team:
    """The whole team over this floor.

    Args:
        floor: what it works on.
        models: by the agent's name, an Agno model or a policy (a function from messages to the next one). Agents not
            named run on their own offline policy.

    Raises:
        ConfigError: no such agent.
        MissingExtraError: Agno is not installed.

    >>> from cryptosentinel.desk.market.paper import PaperMarket
    >>> [m.name for m in build_desk(Floor(PaperMarket(days=1))).members][:2]
    ['MarketAnalyst', 'BullResearcher']
    """
    given = dict(models or {})
    if strangers := sorted(set(given) - set(NAMES)):
        raise ConfigError(f"no agent {strangers[0]!r} at the desk (known: {', '.join(NAMES)})")
    try:
        from agno.agent import Agent
        from agno.team import Team
    except ImportError:
        raise MissingExtraError("agno", extra="agno", purpose="running the desk") from None
    members: list[Any] = [
        Agent(
            id=role.id,
            name=role.name,
            role=role.purpose,
            model=model_of(role, given),
            tools=[*role.tools(floor)],
            instructions=role.instructions,
            tool_call_limit=MOST_CALLS,
            telemetry=False,
        )
        for role in MEMBERS
    ]
    return Team(
        id=LEADER.id,
        name=LEADER.name,
        role=LEADER.purpose,
        model=model_of(LEADER, given),
        members=members,
        tools=[*LEADER.tools(floor)],
        instructions=LEADER.instructions,
        tool_call_limit=MOST_CALLS,
        store_member_responses=True,
        telemetry=False,
    )


def named_models(entries: Sequence[str]) -> dict[str, Any]:
    """The models that "AGENT=package.module:NAME" name: an Agno model, a policy, or a function that makes either.

    Raises:
        ConfigError: another form, no such agent, module or name, or nothing that could be a model.

    >>> list(named_models(["Dev=cryptosentinel.desk.policy.dev:dev"]))
    ['Dev']
    """
    found: dict[str, Any] = {}
    for entry in entries:
        agent, _, place = entry.partition("=")
        module, _, name = place.partition(":")
        if agent not in NAMES or not module or not name:
            raise ConfigError(f"a model is named AGENT=package.module:NAME (agents: {', '.join(NAMES)}), got {entry!r}")
        try:
            model = getattr(import_module(module), name)
            takes_nothing = callable(model) and not hasattr(model, "invoke") and not signature(model).parameters
            model = model() if takes_nothing else model
        except Exception as error:  # somebody else's code
            raise ConfigError(f"{entry}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
        if not callable(model) and not hasattr(model, "invoke"):
            raise ConfigError(f"{entry}: a {type(model).__name__} is no Agno model and no policy")
        found[agent] = model
    return found


def model_of(role: Role, given: Mapping[str, Any]) -> Any:
    """The model of this agent: as given, or its own policy."""
    from cryptosentinel.adapters.agno_offline import OfflineModel

    chosen: Any = given.get(role.name, role.policy)
    is_policy = callable(chosen) and not hasattr(chosen, "invoke")
    return OfflineModel(id=name_of(chosen, role), policy=chosen) if is_policy else chosen


def name_of(policy: Callable[..., Any], role: Role) -> str:
    """What a policy is called in reports: its own `model_name`, else that of its role."""
    return str(getattr(policy, "model_name", "") or f"policy:{role.id}")
