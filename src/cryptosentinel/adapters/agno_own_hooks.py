"""Hooks of single tools: Agno drops them as soon as the agent has hooks of its own, so they are called from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable, iscoroutinefunction, signature
from typing import Any

from agno.tools import Toolkit
from agno.tools.function import Function

Hook = Callable[..., Any]


def own_hooks(tools: Any) -> dict[str, list[Hook]]:
    """Which tools have hooks of their own? By the tool's name."""
    found: dict[str, list[Hook]] = {}
    for tool in tools if isinstance(tools, list) else ():
        functions: Sequence[Any] = [tool]
        if isinstance(tool, Toolkit):
            functions = [*tool.functions.values(), *tool.async_functions.values()]
        for function in functions:
            if isinstance(function, Function) and function.tool_hooks:
                found[function.name] = list(function.tool_hooks)
    return found


def calling(own: Mapping[str, Sequence[Hook]]) -> Hook:
    """One hook that calls those of the tool at hand, as Agno would have: by the names of their parameters."""

    def own_tool_hooks(
        function_name: str, function_call: Hook, arguments: Any, run_context: Any, agent: Any, team: Any
    ) -> Any:
        hooks = own.get(function_name, ())
        given = {"run_context": run_context, "agent": agent, "team": team}
        if iscoroutinefunction(function_call):
            return _acall(hooks, function_name, function_call, arguments, given)
        usable = [hook for hook in hooks if not iscoroutinefunction(hook)]  # as Agno: no async hook in a sync run
        if not usable:
            return function_call(**arguments)
        first, *rest = usable

        def following(**given_on: Any) -> Any:
            return calling({function_name: rest})(function_name, function_call, given_on, run_context, agent, team)

        return first(**_by_name(first, function_name, following, arguments, given))

    return own_tool_hooks


async def _acall(hooks: Sequence[Hook], name: str, function_call: Hook, arguments: Any, given: dict[str, Any]) -> Any:
    if not hooks:
        return await function_call(**arguments)
    first, *rest = hooks

    async def following(**given_on: Any) -> Any:
        return await _acall(rest, name, function_call, given_on, given)

    result = first(**_by_name(first, name, following, arguments, given))
    return await result if isawaitable(result) else result


def _by_name(hook: Hook, name: str, function: Hook, arguments: Any, given: dict[str, Any]) -> dict[str, Any]:
    known = {
        **given,
        **dict.fromkeys(("name", "function_name"), name),
        **dict.fromkeys(("function", "func", "function_call"), function),
        **dict.fromkeys(("args", "arguments"), arguments),
    }
    return {key: known[key] for key in signature(hook).parameters if key in known}
