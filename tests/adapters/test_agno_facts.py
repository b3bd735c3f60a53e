"""What the adapter relies on in Agno 3.1, a test each: where one fails, Agno has changed and the adapter must."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from inspect import isasyncgen, iscoroutine, iscoroutinefunction, isgenerator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agno")

from agno.db.in_memory import InMemoryDb
from agno.exceptions import InputCheckError, OutputCheckError, RetryAgentRun, RunCancelledException, StopAgentRun
from agno.guardrails.base import BaseGuardrail
from agno.run.base import RunStatus
from agno.tools import tool
from agno.tools.function import Function, FunctionCall

sys.path.insert(0, str(Path(__file__).parent))
from agno_desk import Desk, agent, hand_over, read, team  # type: ignore[import-not-found]

SWAP = ("swap", {"token": "ABC", "amount": 5})
OTHER = ("swap", {"token": "XYZ", "amount": 5})


def raises(error: BaseException) -> Any:
    def hook(**anything: Any) -> None:
        raise error

    return hook


def test_1_hooks_before_and_after_a_run_fail_open_but_for_two_errors() -> None:
    for hooks in ({"pre_hooks": [raises(ValueError("x"))]}, {"post_hooks": [raises(ValueError("x"))]}):
        output = agent(["said"], [], **hooks).run("Hm?")
        assert (output.content, output.status) == ("said", RunStatus.completed)
    trader = agent(["said"], [], pre_hooks=[raises(InputCheckError("no"))])
    assert trader.run("Hm?").status == RunStatus.error
    assert trader.model.seen == []


def test_2_an_output_check_error_leaves_the_text_and_a_leader_reads_it() -> None:
    output = agent(["poison"], [], post_hooks=[raises(OutputCheckError("no"))]).run("Hm?")
    assert output.status == RunStatus.error
    liar = agent(["poison"], [], name="Liar", post_hooks=[raises(OutputCheckError("no"))])
    manager = team([hand_over("liar", "x"), "ok"], [liar])
    manager.run("Hm?")
    assert "poison" in read(manager) or "no" in read(manager)

    def overwrites(run_output: Any) -> None:
        run_output.content = "withheld"

    liar = agent(["poison"], [], name="Liar", post_hooks=[overwrites])
    manager = team([hand_over("liar", "x"), "ok"], [liar])
    manager.run("Hm?")
    assert "poison" not in read(manager)


@pytest.mark.parametrize("error", [ValueError("my reason"), RetryAgentRun("my reason"), StopAgentRun("my reason")])
@pytest.mark.parametrize("is_async", [False, True])
def test_3_tool_hooks_of_an_agent_fail_closed(error: BaseException, is_async: bool) -> None:
    desk = Desk()

    def hook(function_name: str, function_call: Any, arguments: Any) -> Any:
        raise error

    trader = agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[hook])
    output = asyncio.run(trader.arun("x")) if is_async else trader.run("x")
    assert desk.swaps == []
    assert (output.tools[0].tool_call_error, output.tools[0].result) == (True, "my reason")
    goes_on = not isinstance(error, StopAgentRun)
    assert ("my reason" in read(trader)) is goes_on
    assert len(trader.model.seen) == 1 + goes_on


def test_3_hooks_of_a_function_fail_open() -> None:
    desk = Desk()
    swap = tool(pre_hook=raises(ValueError("x")))(desk.swap_tool())
    agent([[SWAP], "ok"], [swap]).run("x")
    assert len(desk.swaps) == 1


def test_4_async_hooks_are_skipped_in_a_sync_run_and_sync_ones_are_called_in_both() -> None:
    desk, called = Desk(), []

    async def ahook(function_name: str, function_call: Any, arguments: Any) -> Any:
        called.append("async")
        return await function_call(**arguments)

    agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[ahook]).run("x")
    assert (called, len(desk.swaps)) == ([], 1)

    kinds: list[tuple[bool, bool]] = []

    def hook(function_name: str, function_call: Any, arguments: Any) -> Any:
        result = function_call(**arguments)
        kinds.append((iscoroutinefunction(function_call), iscoroutine(result)))
        return result

    agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[hook]).run("x")
    asyncio.run(agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[hook]).arun("x"))
    asyncio.run(agent([[SWAP], "ok"], [desk.aswap_tool()], tool_hooks=[hook]).arun("x"))
    assert kinds == [(False, False), (False, False), (True, True)]
    assert len(desk.swaps) == 4


def test_5_parallel_calls_do_not_stop_together_but_the_first_hook_sees_them_all() -> None:
    batches: list[list[str]] = []

    def stops(error: BaseException) -> Any:
        def hook(function_name: str, function_call: Any, arguments: Any, run_context: Any) -> Any:
            asked = next(m for m in reversed(run_context.messages) if m.role == "assistant" and m.tool_calls)
            batches.append([c["function"]["name"] for c in asked.tool_calls])
            if arguments["token"] == "ABC":  # noqa: S105  a coin
                raise error
            return function_call(**arguments)

        return hook

    for error, is_async, sibling_ran in (
        (StopAgentRun("x"), False, True),
        (StopAgentRun("x"), True, True),
        (RunCancelledException("x"), False, False),
        (RunCancelledException("x"), True, True),
    ):
        desk = Desk()
        trader = agent([[SWAP, OTHER], "ok"], [desk.swap_tool()], tool_hooks=[stops(error)])
        asyncio.run(trader.arun("x")) if is_async else trader.run("x")
        assert bool(desk.swaps) is sibling_ran, (error, is_async)
    assert all(batch == ["swap", "swap"] for batch in batches)


def test_6_new_arguments_are_ignored_and_the_first_hook_alone_can_change_them() -> None:
    desk = Desk()

    def ignored(function_name: str, function_call: Any, arguments: Any) -> Any:
        return function_call(**{**arguments, "token": "NEW"})

    def changes(function_name: str, function_call: Any, arguments: Any) -> Any:
        arguments["token"] = "NEW"  # noqa: S105  a coin
        return function_call(**arguments)

    agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[ignored]).run("x")
    agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[changes]).run("x")
    agent([[SWAP], "ok"], [desk.swap_tool()], tool_hooks=[lambda function_call, arguments: function_call(**arguments),
                                                          changes]).run("x")  # fmt: skip
    assert [token for token, _ in desk.swaps] == ["ABC", "NEW", "ABC"]


def test_6_hooks_see_arguments_before_they_are_coerced() -> None:
    desk, seen = Desk(), []

    def hook(function_name: str, function_call: Any, arguments: Any) -> Any:
        seen.append(arguments["amount"])
        return function_call(**arguments)

    agent([[("swap", {"token": "A", "amount": "5"})], "ok"], [desk.swap_tool()], tool_hooks=[hook]).run("x")
    assert seen == ["5"]
    assert desk.swaps == [("A", 5.0)]


def test_7_a_guardrail_first_used_in_an_async_run_is_skipped_in_a_sync_one() -> None:
    class Refuses(BaseGuardrail):
        def check(self, run_input: Any) -> None:
            raise InputCheckError("no")

        async def async_check(self, run_input: Any) -> None:
            raise InputCheckError("no")

    trader = agent(["said"], [], pre_hooks=[Refuses()])
    assert asyncio.run(trader.arun("x")).status == RunStatus.error
    assert trader.run("x").content == "said"


def test_8_an_agents_hooks_replace_a_tools_and_a_teams_cover_only_its_own_tools() -> None:
    desk, called = Desk(), []

    def noted(name: str) -> Any:
        def hook(function_name: str, function_call: Any, arguments: Any) -> Any:
            called.append((name, function_name))
            return function_call(**arguments)

        return hook

    swap = tool(tool_hooks=[noted("tool")])(desk.swap_tool())
    agent([[SWAP], "ok"], [swap], tool_hooks=[noted("agent")]).run("x")
    assert called == [("agent", "swap")]
    called.clear()
    trader = agent([[SWAP], "ok"], [desk.swap_tool()])
    team([hand_over("trader", "x"), "ok"], [trader], tool_hooks=[noted("team")]).run("x")
    assert called == [("team", "delegate_task_to_member")]


def test_9_hooks_before_a_run_are_not_called_when_it_goes_on() -> None:
    desk, called = Desk(), []
    swap = tool(requires_confirmation=True)(desk.swap_tool())
    db: Any = InMemoryDb()  # type: ignore[no-untyped-call]
    trader = agent([[SWAP], "ok"], [swap], db=db, pre_hooks=[lambda run_input: called.append("pre")])
    output = trader.run("x")
    for requirement in output.active_requirements:
        requirement.confirm()
    trader.continue_run(run_id=output.run_id, requirements=output.requirements)
    assert (called, len(desk.swaps)) == (["pre"], 1)


def test_9_streamed_text_is_out_before_the_hooks_after_the_run() -> None:
    order: list[str] = []
    trader = agent(["poison"], [], post_hooks=[lambda run_output: order.append("hook")])
    for part in trader.run("x", stream=True):
        if getattr(part, "content", None):
            order.append("text")
    assert order[0] == "text"


def test_9_hooks_in_the_background_stop_nothing() -> None:
    class Tasks:
        def add_task(self, *args: Any, **rest: Any) -> None:
            pass

    trader = agent(["said"], [], pre_hooks=[raises(InputCheckError("no"))])
    trader._run_hooks_in_background = True
    assert trader.run("x", background_tasks=Tasks()).content == "said"


def test_10_a_hand_over_is_a_generator_to_the_hook() -> None:
    kinds: list[tuple[bool, bool]] = []

    def hook(function_name: str, function_call: Any, arguments: Any) -> Any:
        result = function_call(**arguments)
        if iscoroutine(result):

            async def awaited() -> Any:
                inner = await result
                kinds.append((isgenerator(inner), isasyncgen(inner)))
                return "from the hook"

            return awaited()
        kinds.append((isgenerator(result), isasyncgen(result)))
        return "from the hook"

    for is_async in (False, True):
        member = agent(["from the member"], [], name="Member")
        manager = team([hand_over("member", "x"), "ok"], [member], tool_hooks=[hook])
        asyncio.run(manager.arun("x")) if is_async else manager.run("x")
        assert "from the hook" in read(manager)
        assert "from the member" not in read(manager)
        assert member.model.seen == []  # nobody consumed it, so the member did nothing
    assert len(kinds) == 2
    assert all(any(kind) for kind in kinds)


def test_members_share_the_session_and_have_runs_of_their_own() -> None:
    seen: list[tuple[str, str]] = []

    def noted(run_context: Any) -> None:
        seen.append((run_context.session_id, run_context.run_id))

    member = agent(["said"], [], name="Member", pre_hooks=[noted])
    team([hand_over("member", "x"), "ok"], [member], pre_hooks=[noted]).run("x")
    assert len({session for session, _ in seen}) == 1
    assert len({run for _, run in seen}) == 2


def test_an_agent_keeps_its_session_from_run_to_run() -> None:
    seen: list[str] = []
    trader = agent(["said"], [], pre_hooks=[lambda run_context: seen.append(run_context.session_id)])
    trader.run("x")
    trader.run("y")
    assert len(set(seen)) == 1


def test_what_the_test_call_at_attach_uses_is_there() -> None:
    from agno.agent import _tools

    assert callable(_tools.parse_tools)
    assert callable(Function._per_run_copy)
    assert callable(FunctionCall.execute)
    assert iscoroutinefunction(FunctionCall.aexecute)


def test_agent_os_says_to_agents_that_hooks_run_in_the_background() -> None:
    pytest.importorskip("fastapi")
    os = pytest.importorskip("agno.os")
    for in_background in (True, False):
        trader = agent(["said"], [])
        with suppress(ImportError, RuntimeError):  # its routes need packages that nothing here needs
            os.AgentOS(agents=[trader], run_hooks_in_background=in_background, telemetry=False).get_app()
        assert trader._run_hooks_in_background is in_background
