"""The hooks on one Agno agent or team. Each is a plain function, which Agno calls in sync and async runs alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from inspect import isasyncgen, isawaitable, iscoroutinefunction, isgenerator, signature
from typing import TYPE_CHECKING, Any

from agno.exceptions import RetryAgentRun, StopAgentRun
from agno.run.agent import RunContentEvent
from agno.run.team import RunContentEvent as TeamRunContentEvent

from cryptosentinel.adapters.agno_events import (
    asking,
    calls_of,
    digest,
    made,
    text_of,
)
from cryptosentinel.adapters.agno_run import Place, inside, place_of
from cryptosentinel.adapters.agno_speech import IDLE, WITHHELD, Speech, answer_name, passed_on
from cryptosentinel.deadline import aside
from cryptosentinel.observer import Ruling
from cryptosentinel.types import Event

if TYPE_CHECKING:
    from cryptosentinel.adapters.agno import Attached

HAND_OVER = ("delegate_task_to_member", "delegate_task_to_members")
ANSWER = "canary"
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
        self.speech = Speech(attached, self)
        self.outer, self.inner = of_known_signature(self._outer), of_known_signature(self._inner)

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        """A copy of an agent is guarded by the same hooks."""
        return self

    def _outer(
        self, function_name: str, function_call: Callable[..., Any], arguments: Any, run_context: Any,
        agent: Any = None, team: Any = None,
    ) -> Any:  # fmt: skip
        """Judge the call; if it may happen, make it and judge the result."""
        if self.attached.canaries.met(function_name):
            return ANSWER  # the canary's own function must never run
        if self.attached.is_guards_own(self.owner, function_name):
            return function_call(**arguments)  # whoever asks the guard is not judged for what he asks about
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

    def _inner(self, function_name: str, function_call: Callable[..., Any], arguments: Any, run_context: Any) -> Any:
        """Let through what was judged, once, as it was judged; anything else is judged as a call of its own."""
        if self.attached.is_guards_own(self.owner, function_name):
            return function_call(**arguments)
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
                self.speech.sync(messages, place, asked)
                calls = [c for c in calls_of(asked) if not self.attached.is_guards_own(self.owner, c[0])]
                names = [digest(tool, given) for tool, given, _ in calls]
                if name not in names:  # Agno reads "true" as a truth value: what the tool will get is judged too
                    calls, names = [*calls, (function_name, arguments, "")], [*names, name]
                events = [self._call(tool, given, place, call) for tool, given, call in calls]
                text = text_of(asked.content)
                answer = answer_name(place, text)
                is_new = text.strip() and self.attached.shown.is_new(place.session, answer)
                spoken = [self.speech.said(text, self.name, place.asked_by, place)] if is_new else []
                rulings = self.attached.observer.observe_batch([*spoken, *events])
                if spoken and not rulings[0].goes_through:
                    self.attached.shown.notice(answer, rulings[0].message or WITHHELD)
                if notice := self.attached.shown.notice(answer):
                    asked.content, asked.reasoning_content = notice, None  # nobody reads it later, in the history
                for key, of_one in zip(names, rulings[len(spoken) :], strict=True):
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
            self.attached.shown.is_new(place.session, digest("tool", tool, text))
            if tool in HAND_OVER:
                if self.attached.shown.notice(passed_on(place, text)) is not None:
                    return None  # judged as the member's answer a moment ago, in this run
                event = self.speech.said(text, self.attached.member_named(arguments), self.name, place)
            else:
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

    def _call(self, tool: str, arguments: Any, place: Place, call_id: str) -> Event:
        body = {"tool": tool, "arguments": arguments, "run": place.root} | ({"call_id": call_id} if call_id else {})
        return made("tool_call", place.session, self.name, self.name, tool, body)


def of_known_signature(method: Any) -> Callable[..., Any]:
    """This method as a function that carries its signature: Agno asks for it ten times a call, of every hook.

    `__self__` says whose it is, as it does of the method.
    """

    @wraps(method)
    def hook(*args: Any, **named: Any) -> Any:
        return method(*args, **named)

    for name, value in (("__signature__", signature(method)), ("__self__", method.__self__)):
        setattr(hook, name, value)
    return hook


def _joined(parts: Sequence[Any]) -> str:
    """What the model will read of these: texts and the content of content events; then whatever else carries text."""
    read, others = "", []
    for part in parts:
        if isinstance(part, str | RunContentEvent | TeamRunContentEvent):
            read += part if isinstance(part, str) else text_of(part.content)
        else:
            others.append(text_of(getattr(part, "content", None)))
    return "\n".join([read, *(text for text in dict.fromkeys(others) if text and text not in read)]).strip("\n")


async def _again(parts: Sequence[Any]) -> AsyncIterator[Any]:
    for part in parts:
        yield part
