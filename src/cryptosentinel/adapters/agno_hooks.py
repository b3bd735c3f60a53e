"""The hooks on one Agno agent or team. Each is a plain function, which Agno calls in sync and async runs alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from inspect import isasyncgen, isawaitable, iscoroutinefunction, isgenerator
from typing import TYPE_CHECKING, Any

from agno.exceptions import CheckTrigger, InputCheckError, RetryAgentRun, StopAgentRun

from cryptosentinel.adapters.agno_events import (
    SYSTEM,
    USER,
    asking,
    calls_of,
    decision_of,
    digest,
    inputs_of,
    made,
    text_of,
)
from cryptosentinel.adapters.agno_run import Place, inside, place_of
from cryptosentinel.deadline import aside
from cryptosentinel.observer import Ruling
from cryptosentinel.types import Event

if TYPE_CHECKING:
    from cryptosentinel.adapters.agno import Attached

HAND_OVER = ("delegate_task_to_member", "delegate_task_to_members")
ANSWER = "canary"
IDLE = "hooks run in the background (run_hooks_in_background=True), where they can stop nothing"
FAILED = "Held. The tool was not run. Reason: the guard failed."
_passed: ContextVar[tuple[str, str] | None] = ContextVar("passed", default=None)  # (hooks, call) let through


class Hooks:
    """What happens to the runs, calls and answers of one agent.

    `outer` is the first of its tool hooks: it sees the arguments that the tool will get, judges the calls of the turn
    together and sees the result last. `inner` is the last: it lets only through what `outer` has judged, unchanged.
    """

    def __init__(self, attached: Attached, owner: Any, name: str) -> None:
        """Belong to this agent."""
        self.attached, self.owner, self.name = attached, owner, name

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        """A copy of an agent is guarded by the same hooks."""
        return self

    # -- tool calls ------------------------------------------------------------------------------------------------

    def outer(
        self, function_name: str, function_call: Callable[..., Any], arguments: Any, run_context: Any,
        agent: Any = None, team: Any = None,
    ) -> Any:  # fmt: skip
        """Judge the call; if it may happen, make it and judge the result."""
        if self.attached.canaries.met(function_name):
            return ANSWER  # the canary's own function must never run
        place = place_of(run_context)
        if self.attached.is_idle(agent or team):
            self._carry_out(Ruling("hold", (), "agno", f"Held. The tool was not run. Reason: {IDLE}."))
        if iscoroutinefunction(function_call):
            return self._aouter(function_name, function_call, arguments, run_context, place)
        self._carry_out(self._judge(function_name, arguments, run_context, place))
        token = _passed.set(self._pass(function_name, arguments))
        try:
            with inside(place, self.name):
                result = function_call(**arguments)
                if isgenerator(result):
                    parts = list(result)  # what a member does, it does now
                    said = self._result(function_name, arguments, _joined(parts), place)
                    return (part for part in ([said] if said is not None else parts))
        finally:
            _passed.reset(token)
        said = self._result(function_name, arguments, text_of(result), place)
        return result if said is None else said

    async def _aouter(
        self, function_name: str, function_call: Callable[..., Any], arguments: Any, run_context: Any, place: Place
    ) -> Any:
        self._carry_out(await aside(lambda: self._judge(function_name, arguments, run_context, place)))
        token = _passed.set(self._pass(function_name, arguments))
        parts: list[Any] | None = None
        try:
            with inside(place, self.name):
                result = await function_call(**arguments)
                if isawaitable(result):
                    result = await result
                if isasyncgen(result):
                    parts = [part async for part in result]
                elif isgenerator(result):
                    parts = list(result)
        finally:
            _passed.reset(token)
        text = text_of(result) if parts is None else _joined(parts)
        said = await aside(lambda: self._result(function_name, arguments, text, place))
        if parts is None:
            return result if said is None else said
        return _again([said] if said is not None else parts)

    def inner(self, function_name: str, function_call: Callable[..., Any], arguments: Any, run_context: Any) -> Any:
        """Let through what was judged, once, as it was judged; anything else is judged as a call of its own."""
        if _passed.get() == self._pass(function_name, arguments):
            _passed.set(None)
            return function_call(**arguments)
        place = place_of(run_context)
        if iscoroutinefunction(function_call):

            async def judged() -> Any:
                self._carry_out(await aside(lambda: self._alone(function_name, arguments, place)))
                return await function_call(**arguments)

            return judged()
        self._carry_out(self._alone(function_name, arguments, place))
        return function_call(**arguments)

    def _pass(self, function_name: str, arguments: Any) -> tuple[str, str]:
        return str(id(self)), digest(function_name, arguments)

    def _judge(self, function_name: str, arguments: Any, run_context: Any, place: Place) -> Ruling:
        """What is said of this call, judged with the others of its turn."""
        if fault := self.attached.fault(self.owner):
            return Ruling("hold", (), "agno", f"Held. The tool was not run. Reason: {fault}.")
        try:
            return self._judged(function_name, arguments, run_context, place)
        except Exception as error:  # whatever goes wrong between Agno and the observer, the tool does not run
            return Ruling("hold", (), "agno", f"{FAILED} ({type(error).__name__})")

    def _judged(self, function_name: str, arguments: Any, run_context: Any, place: Place) -> Ruling:
        self.attached.begin(place.session)
        noted, given = self.attached.shown.live(place.run), getattr(run_context, "messages", None) or ()
        messages = list(noted if len(noted) >= len(given) else given)
        asked = asking(messages)
        name = digest(function_name, arguments)
        if asked is None:
            return self._alone(function_name, arguments, place)
        turn = self.attached.shown.turn(place.run, str(asked.id))
        with turn.lock:
            if not turn.is_judged:
                self.sync(messages, place, asked)
                calls = [(tool, given, call) for tool, given, call in calls_of(asked)]
                names = [digest(tool, given) for tool, given, _ in calls]
                if name not in names:  # Agno reads "true" as a truth value: what the tool will get is judged too
                    calls, names = [*calls, (function_name, arguments, "")], [*names, name]
                events = [self._call(tool, given, place, call) for tool, given, call in calls]
                text = text_of(asked.content)
                is_new = text.strip() and self.attached.shown.is_new(place.session, _answer(place, text))
                spoken = [self._said(text, self.name, place.asked_by, place)] if is_new else []
                rulings = self.attached.observer.observe_batch([*spoken, *events])[len(spoken) :]
                for key, of_one in zip(names, rulings, strict=True):
                    turn.rulings.setdefault(key, []).append(of_one)
                turn.is_judged = True
            waiting = turn.rulings.get(name)
            if waiting:
                ruling: Ruling = waiting.pop(0)
                if not ruling.goes_through or not self.attached.observer.is_stopped(place.session, place.root):
                    return ruling
        return self._alone(function_name, arguments, place)

    def _alone(self, function_name: str, arguments: Any, place: Place) -> Ruling:
        return self.attached.observer.observe(self._call(function_name, arguments, place, ""))

    def _result(self, tool: str, arguments: Any, text: str, place: Place) -> str | None:
        """Judge what came back; the text to read in its place, or None if it may be read."""
        try:
            if tool in HAND_OVER:
                if self.attached.shown.notice(_passed_on(place, text)) is not None:
                    return None  # judged as the member's answer a moment ago, in this run
                event = self._said(text, self.attached.member_named(arguments), self.name, place)
                self.attached.shown.is_new(place.session, digest("tool", tool, text))
            else:
                self.attached.shown.is_new(place.session, digest("tool", tool, text))
                body = {"tool": tool, "result": text, "run": place.root}
                event = made("tool_result", place.session, self.name, tool, self.name, body)
            ruling = self.attached.observer.observe(event)
        except Exception as error:  # the call has been made: what it brought is not read
            return f"The result is withheld: the guard failed ({type(error).__name__})."
        return None if ruling.goes_through else ruling.message or "The result is withheld."

    def _carry_out(self, ruling: Ruling) -> None:
        """Go on, or do not: the model reads why, and a stop ends the run.

        Raises:
            StopAgentRun, RetryAgentRun: Agno gives the text to the model as the failure of the call.
        """
        if ruling.goes_through:
            return
        if ruling.stops:
            raise StopAgentRun(ruling.message)
        raise RetryAgentRun(ruling.message or FAILED)

    # -- messages --------------------------------------------------------------------------------------------------

    def pre(self, run_input: Any, run_context: Any, agent: Any = None, team: Any = None) -> None:
        """Show what the agent is asked.

        Raises:
            InputCheckError: it is not allowed, or something failed: no other error stops a run.
        """
        try:
            fault = self.attached.fault(self.owner, getattr(run_context, "client_tools", None))
            fault = fault or (IDLE if self.attached.is_idle(agent or team) else "")
            self.attached.follow(self)
            place = place_of(run_context)
            self.attached.begin(place.session)
            events = []
            for role, text in inputs_of(run_input.input_content):
                sender = place.asked_by if role == USER else SYSTEM if role in (SYSTEM, "developer") else self.name
                self.attached.shown.is_new(place.session, digest("said", text))
                self.attached.shown.asked(place.run, text)
                events.append(self._said(text, sender, self.name, place, role if role != "tool" else "assistant"))
            rulings = [self.attached.observer.observe(event) for event in events]
        except Exception as error:  # Agno would log any other error and go on
            raise InputCheckError(f"Held: the guard failed ({type(error).__name__}: {error}).") from error
        refused = next((r for r in rulings if not r.goes_through), None)
        if fault or refused is not None:
            said = f"Held: {fault}." if fault else refused.message if refused else ""
            raise InputCheckError(said, check_trigger=CheckTrigger.INPUT_NOT_ALLOWED)

    def post(self, run_output: Any, run_context: Any) -> None:
        """Show the answer; one that is not allowed is overwritten, wherever it would be read."""
        try:
            place = place_of(run_context)
            notice = self.answered(run_output.content, place, is_final=True)
        except Exception as error:  # Agno would log it and give the answer out
            notice = f"The answer is withheld: the guard failed ({type(error).__name__})."
        if notice is not None:
            withhold(run_output, notice)

    def answered(self, content: Any, place: Place, is_final: bool) -> str | None:
        """Judge an answer: what to say in its place, or None if it may be given."""
        attributes, text, name = decision_of(content), text_of(content), _answer(place, content)
        if not text.strip() or not self.attached.shown.is_new(place.session, name):
            return self.attached.shown.notice(name)
        self.attached.shown.is_new(place.session, digest("said", text))
        if attributes is not None:
            body: dict[str, Any] = {"attributes": attributes, "run": place.root}
            event = made("decision", place.session, self.name, self.name, place.asked_by, body)
        else:
            event = self._said(text, self.name, place.asked_by, place)
        if is_final and place.run == place.root:
            event = made(
                event.kind, event.run_id, event.agent, event.sender, event.recipient, {**event.body, "final": True}
            )
        ruling = self.attached.observer.observe(event)
        if ruling.goes_through:
            self.attached.shown.notice(_passed_on(place, text), "")
            return None
        notice = ruling.message or "The answer is withheld."
        self.attached.shown.notice(name, notice)
        self.attached.shown.is_new(place.session, _answer(place, notice))
        return notice

    def sync(self, messages: Sequence[Any], place: Place, until: Any) -> None:
        """Show every message before this one that was not shown yet: history, instructions, what was retrieved."""
        for message in messages:
            if message is until:
                return
            text = text_of(message.content)
            if not text.strip():
                continue
            if message.role == "tool":
                tool = str(message.tool_name or "tool")
                if self.attached.shown.is_new(place.session, digest("tool", tool, text)):
                    body = {"tool": tool, "result": text, "run": place.root}
                    self.attached.observer.observe(made("tool_result", place.session, self.name, tool, self.name, body))
            elif self.attached.shown.is_new(place.session, digest("said", text)):
                self.attached.observer.observe(self._from_history(message, text, place))

    def _from_history(self, message: Any, text: str, place: Place) -> Event:
        if message.role in (SYSTEM, "developer"):
            return self._said(text, SYSTEM, self.name, place, SYSTEM)
        if message.role != USER:
            return self._said(text, self.name, place.asked_by, place)
        mine = [] if message.from_history else [part for part in self.attached.shown.asked(place.run) if part]
        held = next((part for part in mine if part in text), None)
        if held is None and message.references is None:
            return self._said(text, place.asked_by, self.name, place)
        # more than was asked: what Agno looked up stands in the same message, and nobody trusted has said it
        body = {"text": text.replace(held or "", ""), "role": USER, "trusted": False, "run": place.root}
        return made("message", place.session, self.name, "retrieved", self.name, body)

    def _said(self, text: str, sender: str, recipient: str, place: Place, role: str = "") -> Event:
        role = role or ("user" if sender == USER else "assistant")
        if sender not in (USER, SYSTEM):
            role = "assistant"  # an agent's words are not the user's, whatever place they stand in
        body = {"text": text, "role": role, "run": place.root}
        return made("message", place.session, self.name, sender, recipient, body)

    def _call(self, tool: str, arguments: Any, place: Place, call_id: str) -> Event:
        body = {"tool": tool, "arguments": arguments, "run": place.root} | ({"call_id": call_id} if call_id else {})
        return made("tool_call", place.session, self.name, self.name, tool, body)


def withhold(run_output: Any, notice: str) -> None:
    """Put the notice where the answer stands: in the output, its messages, and what a leader or the next run reads."""
    text = text_of(run_output.content)
    run_output.content, run_output.content_type = notice, "str"
    run_output.reasoning_content = None
    for message in reversed(run_output.messages or []):
        if message.role == "assistant" and not message.tool_calls and text_of(message.content):
            if text_of(message.content).strip() == text.strip() or message is run_output.messages[-1]:
                message.content = notice
                message.reasoning_content = None
            break


def _answer(place: Place, content: Any) -> str:
    """The name of an answer of this run: the same for a text and for what is read from it."""
    attributes = decision_of(content)
    return digest("answer", place.run, text_of(content) if attributes is None else attributes)


def _passed_on(place: Place, text: str) -> str:
    """The name of an answer that a member may give to its leader."""
    return digest("passed on", place.session, place.root, text)


def _joined(parts: Sequence[Any]) -> str:
    """What the model would read of these: texts, and the content of the events that carry any, each once."""
    said = [part if isinstance(part, str) else text_of(getattr(part, "content", None)) for part in parts]
    return "".join(text for text in said if text)


async def _again(parts: Sequence[Any]) -> AsyncIterator[Any]:
    for part in parts:
        yield part
