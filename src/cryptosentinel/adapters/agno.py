"""Guard an Agno agent or team: every message, tool call, answer and hand-over goes through an observer.

    attached = attach(team, Observer(RuleBook.desk(), Guard(), ledger=Ledger.open("ledger.db")))
    team.run("What should we buy?")

What is held or blocked does not happen, and the model reads why. `docs/observer.md` says how it works and what it
does not see.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from cryptosentinel.errors import ConfigError, MissingExtraError

try:
    from agno.agent import Agent
    from agno.team import Team
    from agno.tools import Toolkit
    from agno.tools.function import Function
    from agno.utils.team import get_member_id
except ImportError:
    raise MissingExtraError("agno", extra="agno", purpose="guarding Agno agents") from None

from cryptosentinel.adapters.agno_canary import Canaries
from cryptosentinel.adapters.agno_guard import SemanticGuardToolkit
from cryptosentinel.adapters.agno_hooks import Hooks
from cryptosentinel.adapters.agno_own_hooks import calling, own_hooks
from cryptosentinel.adapters.agno_run import Shown
from cryptosentinel.adapters.agno_speech import IDLE
from cryptosentinel.adapters.agno_stream import wrap
from cryptosentinel.observer import Observer

__all__ = ["Attached", "SemanticGuardToolkit", "attach"]
RUN_TIME = "run-time tools"
UNHOOKED = "the guard's tool hook"


def attach(
    entity: Agent | Team, observer: Observer, *, buffers_streams: bool = True, accepts_off_path: Collection[str] = ()
) -> Attached:
    """Put this agent, or this team with all its members and theirs, behind the observer.

    Hooks that are there stay and are called as before. Each agent is tried with a call that must not happen; if it
    would, nothing is attached.

    Args:
        entity: the agent or team that the user talks to. Members may also be talked to directly.
        observer: who judges.
        buffers_streams: hold streamed text back until it is complete and judged. Without it a client reads text that
            may be withheld later.
        accepts_off_path: names of tools that run where no hook is (at the model's provider, at the client, inside a
            code kernel) and are to be let be, or "run-time tools" for a function that chooses them; others are refused.

    Raises:
        ConfigError: it is no Agno agent or team, a part of it cannot be guarded, or it is guarded already.
    """
    attached = Attached(entity, observer, buffers_streams, accepts_off_path)
    for owner in attached.owners:
        attached.require_guardable(owner)
    try:
        for owner in attached.owners:
            attached._install(owner)
        attached.check()
    except BaseException:
        attached.detach()
        raise
    return attached


class Attached:
    """An agent or team behind an observer; `owners` are all agents and teams in it, those that reason for it too."""

    def __init__(
        self, entity: Any, observer: Observer, buffers_streams: bool = True, accepts_off_path: Collection[str] = ()
    ) -> None:
        """Find all members; nothing is changed yet."""
        self.entity, self.observer = entity, observer
        self._buffers, self._accepted = buffers_streams, frozenset(accepts_off_path)
        self.canaries, self.shown = Canaries(), Shown()
        self.owners: list[Any] = []
        self._known: list[tuple[Any, ...]] = []  # the tools as they were when they were last described
        self._described: list[dict[str, Any]] = []
        self._hooks: dict[int, Hooks] = {}
        self._before: dict[int, dict[str, Any]] = {}
        self._collect(entity)

    def check(self) -> None:
        """Does every call of every agent still go through the hooks?

        Raises:
            ConfigError: one does not.
        """
        for owner in self.owners:
            self.canaries.sing(owner, name_of(owner))
            if fault := self.fault(owner):
                raise ConfigError(f"{name_of(owner)} cannot be guarded: {fault}")

    def detach(self) -> None:
        """Put everything back as it was before."""
        for owner in self.owners:
            for name, value in self._before.pop(id(owner), {}).items():
                setattr(owner, name, value)
            self._hooks.pop(id(owner), None)

    def forget(self, session_id: str) -> None:
        """Drop what is kept of a session that is over."""
        self.shown.forget(session_id)
        self.observer.forget(session_id)

    def fault(self, owner: Any, more_tools: Any = None) -> str:
        """What is wrong with this agent, so that nothing of it may go through? Empty if nothing is.

        more_tools: what a run brings along.
        """
        if self.is_idle(owner):
            return IDLE
        for tools in (owner.tools, more_tools):
            if off := next((f for f in off_path(tools) if f[1] not in self._accepted), None):
                where, what = off
                return f"tool {what!r} runs {where}, where no hook is; accepts_off_path=[{what!r}] would let it be"
        hooks = self._hooks.get(id(owner))
        tool_hooks = list(owner.tool_hooks or ())
        if hooks is None or hooks.outer not in tool_hooks[:1] or hooks.inner not in tool_hooks[-1:]:
            return f"{UNHOOKED}s are not the first and the last"
        if hooks.speech.pre not in (owner.pre_hooks or ()) or hooks.speech.post not in (owner.post_hooks or ()):
            return "the guard's hooks before and after a run are gone"
        if isinstance(owner, Team) and not isinstance(owner.members, list | tuple):
            return "its members are decided at run time"
        strangers = [name_of(part) for part in parts_of(owner) if id(part) not in self._hooks]
        return f"its members {', '.join(strangers)} are not guarded: attach again" if strangers else ""

    def member_named(self, arguments: Any) -> str:
        """Who is handed over to? The member's name, if the arguments say which."""
        wanted = str(arguments.get("member_id") or "members") if isinstance(arguments, dict) else "members"
        return next((name_of(owner) for owner in self.owners if get_member_id(owner) == wanted), wanted)

    def begin(self, session: str) -> None:
        """Tell the guard, once a session, which tools the agents have."""
        if self.shown.is_new(session, "tools"):
            tools = [function for owner in self.owners for function in functions_of(owner.tools)]
            known = [(f, getattr(f, "name", ""), getattr(f, "description", ""), f.__doc__) for f in tools]
            if known != self._known:  # to describe them takes longer than to judge a step; they change once in a while
                found = {tool["function"]["name"]: tool for tool in map(described, tools) if tool}
                self._known, self._described = known, list(found.values())
            self.observer.open(session, self._described)

    def is_guards_own(self, owner: Any, name: str) -> bool:
        """Is this one of the three tools of a `SemanticGuardToolkit`? Of tools with one name Agno takes the first."""
        for tool in owner.tools if isinstance(owner.tools, list) else ():
            if isinstance(tool, SemanticGuardToolkit) and tool.is_own(name):
                return True
            names = [*tool.functions, *tool.async_functions] if isinstance(tool, Toolkit) else [name_of_tool(tool)]
            if name in names:
                return False
        return False

    def follow(self, hooks: Hooks) -> None:
        """Follow the agent's models. Agno gives an agent without one a model when it runs: that one is followed too."""
        for name, model in wrap(hooks, self._buffers).items():
            self._before[id(hooks.owner)].setdefault(name, model)

    def is_idle(self, entity: Any) -> bool:
        """Do the hooks of this agent, or of this copy of it, run where they can stop nothing?"""
        return getattr(entity, "_run_hooks_in_background", None) is True

    def _collect(self, entity: Any) -> None:
        if not isinstance(entity, Agent | Team):
            raise ConfigError(
                f"{name_of(entity)} is a {type(entity).__name__}, not an Agno agent or team in this process"
            )
        if any(entity is known for known in self.owners):
            return
        self.owners.append(entity)
        if isinstance(entity, Team) and not isinstance(entity.members, list):
            raise ConfigError(f"{name_of(entity)}: members that are decided at run time cannot be guarded")
        for part in parts_of(entity):
            self._collect(part)

    def require_guardable(self, owner: Any) -> None:
        """Can this agent be guarded?

        Raises:
            ConfigError: it is guarded already, or something that it does passes no hook.
        """
        if any(isinstance(getattr(hook, "__self__", None), Hooks) for hook in owner.tool_hooks or ()):
            raise ConfigError(f"{name_of(owner)} is guarded already: detach it first")
        fault = self.fault(owner)
        if fault and not fault.startswith(UNHOOKED):
            raise ConfigError(f"{name_of(owner)} cannot be guarded: {fault}")

    def _install(self, owner: Any) -> None:
        hooks = Hooks(self, owner, name_of(owner))
        self._hooks[id(owner)] = hooks
        names = ("tool_hooks", "pre_hooks", "post_hooks")
        self._before[id(owner)] = {name: getattr(owner, name) for name in names}
        there = list(owner.tool_hooks or ())
        dropped = {} if there or (owner.tool_hooks is not None and isinstance(owner, Agent)) else own_hooks(owner.tools)
        owner.tool_hooks = [hooks.outer, *there, *([calling(dropped)] if dropped else []), hooks.inner]
        owner.pre_hooks = [*(owner.pre_hooks or ()), hooks.speech.pre]
        owner.post_hooks = [*(owner.post_hooks or ()), hooks.speech.post]
        self.follow(hooks)


def parts_of(owner: Any) -> list[Any]:
    """The agents that this agent or team runs by itself: its members, and the one that reasons for it."""
    members = owner.members if isinstance(owner, Team) and isinstance(owner.members, list | tuple) else ()
    return [part for part in (*members, owner.reasoning_agent) if part is not None]


def name_of(owner: Any) -> str:
    """The agent's name, or what else it can be called by."""
    return str(getattr(owner, "name", None) or getattr(owner, "id", None) or type(owner).__name__)


def name_of_tool(tool: Any) -> str:
    """What a model calls this function by."""
    return str(getattr(tool, "__name__", None) or name_of(tool))


def functions_of(tools: Any) -> list[Any]:
    """Every function among these tools, those of toolkits included."""
    found: list[Any] = []
    for tool in tools if isinstance(tools, list | tuple) else ():
        found += {**tool.async_functions, **tool.functions}.values() if isinstance(tool, Toolkit) else [tool]
    return found


def described(function: Any) -> dict[str, Any] | None:
    """Name and description of a function, as a model is told of it; None if it is no function."""
    if callable(function) and not isinstance(function, Function):
        function = Function.from_callable(function)
    if not isinstance(function, Function):
        return None
    text = function.description or inspect.getdoc(function.entrypoint) or ""
    return {"type": "function", "function": {"name": function.name, "description": text}}


def off_path(tools: Any) -> list[tuple[str, str]]:
    """(where, name) of whatever of these tools runs where no hook of ours is called."""
    if tools is None:
        return []
    if not isinstance(tools, list | tuple):
        return [("as is decided at run time", RUN_TIME)]
    return [found for tool in tools for found in _off_path(tool)]


def _off_path(tool: Any) -> list[tuple[str, str]]:
    if isinstance(tool, dict):
        return [("at the model's provider", str(tool.get("name") or tool.get("type") or "tool"))]
    if isinstance(tool, Toolkit):
        if any(c.__name__ == "CodeMode" for c in type(tool).__mro__):
            return [("inside a code kernel", str(tool.name))]
        functions = [*tool.functions.values(), *tool.async_functions.values()]
        return [found for function in functions for found in _off_path(function)]
    if isinstance(tool, Function) and tool.external_execution:
        return [("at the client", tool.name)]
    return []
