"""What is said to and by one Agno agent: shown to the observer, and withheld where it may not be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agno.exceptions import CheckTrigger, InputCheckError

from cryptosentinel.adapters.agno_events import SYSTEM, USER, decision_of, digest, inputs_of, made, text_of
from cryptosentinel.adapters.agno_run import Place, place_of
from cryptosentinel.types import Event

if TYPE_CHECKING:
    from cryptosentinel.adapters.agno import Attached
    from cryptosentinel.adapters.agno_hooks import Hooks

IDLE = "hooks run in the background (run_hooks_in_background=True), where they can stop nothing"
WITHHELD = "The answer is withheld."


class Speech:
    """The hooks before and after a run of one agent, and what was said in between."""

    def __init__(self, attached: Attached, hooks: Hooks) -> None:
        """Belong to the same agent as these hooks."""
        self.attached, self.hooks, self.name = attached, hooks, hooks.name

    def __deepcopy__(self, memo: dict[int, Any]) -> Speech:
        """A copy of an agent is guarded by the same hooks."""
        return self

    def pre(self, run_input: Any, run_context: Any, agent: Any = None, team: Any = None) -> None:
        """Show what the agent is asked.

        Raises:
            InputCheckError: it is not allowed, or something failed: no other error stops a run.
        """
        try:
            fault = self.attached.fault(self.hooks.owner, getattr(run_context, "client_tools", None))
            fault = fault or (IDLE if self.attached.is_idle(agent or team) else "")
            self.attached.follow(self.hooks)
            place = place_of(run_context)
            self.attached.begin(place.session)
            events = []
            for role, text in inputs_of(run_input.input_content):
                sender = place.asked_by if role == USER else SYSTEM if role in (SYSTEM, "developer") else self.name
                self.attached.shown.is_new(place.session, digest("said", text))
                self.attached.shown.asked(place.run, text)
                events.append(self.said(text, sender, self.name, place, role if role != "tool" else "assistant"))
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
        attributes, text, name = decision_of(content), text_of(content), answer_name(place, content)
        if not text.strip() or not self.attached.shown.is_new(place.session, name):
            return self.attached.shown.notice(name)
        self.attached.shown.is_new(place.session, digest("said", text))
        if attributes is not None:
            body: dict[str, Any] = {"attributes": attributes, "run": place.root}
            event = made("decision", place.session, self.name, self.name, place.asked_by, body)
        else:
            event = self.said(text, self.name, place.asked_by, place)
        if is_final and place.run == place.root:
            event = made(
                event.kind, event.run_id, event.agent, event.sender, event.recipient, {**event.body, "final": True}
            )
        ruling = self.attached.observer.observe(event)
        if ruling.goes_through:
            self.attached.shown.notice(passed_on(place, text), "")
            return None
        notice = ruling.message or WITHHELD
        self.attached.shown.notice(name, notice)
        self.attached.shown.is_new(place.session, answer_name(place, notice))
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
                if self.attached.is_guards_own(self.hooks.owner, tool):
                    continue
                if self.attached.shown.is_new(place.session, digest("tool", tool, text)):
                    body = {"tool": tool, "result": text, "run": place.root}
                    self.attached.observer.observe(made("tool_result", place.session, self.name, tool, self.name, body))
            elif self.attached.shown.is_new(place.session, digest("said", text)):
                self.attached.observer.observe(self._from_history(message, text, place))

    def _from_history(self, message: Any, text: str, place: Place) -> Event:
        if message.role in (SYSTEM, "developer"):
            return self.said(text, SYSTEM, self.name, place, SYSTEM)
        if message.role != USER:
            return self.said(text, self.name, place.asked_by, place)
        mine = [] if message.from_history else [part for part in self.attached.shown.asked(place.run) if part]
        held = next((part for part in mine if part in text), None)
        if held is None and message.references is None:
            return self.said(text, place.asked_by, self.name, place)
        # more than was asked: what Agno looked up stands in the same message, and nobody trusted has said it
        body = {"text": text.replace(held or "", ""), "role": USER, "trusted": False, "run": place.root}
        return made("message", place.session, self.name, "retrieved", self.name, body)

    def said(self, text: str, sender: str, recipient: str, place: Place, role: str = "") -> Event:
        """The event of these words. Only the user's and the system's words are theirs."""
        role = role or ("user" if sender == USER else "assistant")
        if sender not in (USER, SYSTEM):
            role = "assistant"  # an agent's words are not the user's, whatever place they stand in
        body = {"text": text, "role": role, "run": place.root}
        return made("message", place.session, self.name, sender, recipient, body)


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


def answer_name(place: Place, content: Any) -> str:
    """The name of an answer of this run: the same for a text and for what is read from it."""
    attributes = decision_of(content)
    return digest("answer", place.run, text_of(content) if attributes is None else attributes)


def passed_on(place: Place, text: str) -> str:
    """The name of an answer that a member may give to its leader."""
    return digest("passed on", place.session, place.root, text)
