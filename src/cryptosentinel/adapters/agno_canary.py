"""A call that must never be made: before an agent is said to be guarded, Agno itself is asked to make it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from typing import Any

from agno.agent import _tools as agent_tools
from agno.models.base import Model
from agno.run import RunContext
from agno.team import Team
from agno.tools.function import Function, FunctionCall

from cryptosentinel.adapters.agno_hooks import ANSWER
from cryptosentinel.errors import ConfigError


class Canaries:
    """Names of calls that are tests, and how often the first hook met them."""

    def __init__(self) -> None:
        """None yet."""
        self._met: dict[str, int] = {}

    def met(self, name: str) -> bool:
        """Is this a test? Then it is noted that it arrived."""
        if name not in self._met:
            return False
        self._met[name] += 1
        return True

    def sing(self, owner: Any, name: str) -> None:
        """Let Agno call a tool of this agent, sync and async, through whatever hooks are there.

        Raises:
            ConfigError: the hooks were not called, or the tool ran: this agent cannot be guarded.
        """
        for is_async in (False, True):
            canary = f"canary_{secrets.token_hex(8)}"
            self._met[canary] = 0
            try:
                ran, result = _called(owner, canary, is_async)
            except Exception as error:  # another Agno than the one this was written for
                raise ConfigError(f"{name} cannot be guarded: the test call failed: {error}") from error
            finally:
                met = self._met.pop(canary)
            if ran or met != 1 or result != ANSWER:
                how = "an async" if is_async else "a sync"
                raise ConfigError(f"{name} cannot be guarded: in {how} run its tools do not go through the hooks")


def _called(owner: Any, canary: str, is_async: bool) -> tuple[bool, Any]:
    """Make a tool as a run of this agent would, and call it: (did it run, what came back)."""
    ran: list[bool] = []

    def sync_entry() -> str:
        ran.append(True)
        return "ran"

    async def async_entry() -> str:
        ran.append(True)
        return "ran"

    tool = Function(name=canary, description="A test.", entrypoint=async_entry if is_async else sync_entry)
    tool.tool_hooks = None
    function = _as_in_a_run(owner, tool, is_async)
    call = FunctionCall(function=function, arguments={}, call_id=canary)
    outcome = _alone(call) if is_async else call.execute()
    return bool(ran), outcome.result


def _as_in_a_run(owner: Any, tool: Function, is_async: bool) -> Function:
    context = RunContext(run_id="canary", session_id="canary")
    if isinstance(owner, Team):
        hooks = owner.tool_hooks  # a team prepares its tools inside its run; this is what it does with the hooks there
        made = tool._per_run_copy()
        made.process_entrypoint()
        made._team = owner
        if hooks:
            made.tool_hooks = hooks
        return made
    model: Any = owner.model if isinstance(owner.model, Model) else _NoModel
    kept = owner._tool_instructions
    try:
        (parsed,) = agent_tools.parse_tools(owner, [tool], model, context, is_async)
    finally:
        owner._tool_instructions = kept
    if not isinstance(parsed, Function):
        raise TypeError(f"a tool became a {type(parsed).__name__}")
    return parsed


class _NoModel:
    supports_native_structured_outputs = False


def _alone(call: FunctionCall) -> Any:
    """Await the call on a loop of its own: the caller may be on one already."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(call.aexecute()))
        except BaseException as error:  # handed over
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise RuntimeError(str(errors[0])) from errors[0]
    return results[0]
