"""One meeting of the desk: the team is asked, its answer is read, and what everybody said is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.listings import BY_SYMBOL
from cryptosentinel.desk.messages import MeetingDecision, parse_advice
from cryptosentinel.desk.policy.analyst import NAME as ANALYST
from cryptosentinel.desk.policy.manager import DELEGATE
from cryptosentinel.desk.recommendation import TradeRecommendation
from cryptosentinel.desk.schedule import agenda

if TYPE_CHECKING:
    from agno.team import Team

    from cryptosentinel.desk.protection import Protection

LONGEST = 2000  # characters of a text that is kept


@dataclass(frozen=True, slots=True)
class Meeting:
    """What came of it; `events` in order, as `types.Event` has them. `held`, `blocked`: steps that did not happen."""

    number: int
    time: int
    request: str
    decision: MeetingDecision
    advice: TradeRecommendation | None
    events: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""
    held: int = 0
    blocked: int = 0

    def told(self) -> dict[str, Any]:
        """As a report tells it."""
        about = {"number": self.number, "time": self.time, "request": self.request, "failure": self.failure}
        return about | {"decision": self.decision.line(), "events": self.events}

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions of analyst and manager, as `monitor replay` reads them."""
        said: list[tuple[str, dict[str, Any]]] = []
        if self.advice is not None:
            about = {"symbol": self.advice.symbol, "action": self.advice.action, "confidence": self.advice.confidence}
            said.append((ANALYST, about | {"low_liquidity": _is_thin(self.advice.symbol)}))
        about = {"symbol": self.decision.symbol, "action": self.decision.action, "value": float(self.decision.value)}
        said.append(("DeepTraderManager", about | {"low_liquidity": _is_thin(self.decision.symbol)}))
        when = datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [
            {"id": f"{self.number}-{agent}", "time": when, "agent": agent, "kind": "decision", "attributes": about}
            for agent, about in said
        ]


def hold_meeting(
    team: Team, floor: Floor, number: int, start: int, request: str, guarded: Protection | None = None
) -> Meeting:
    """Ask the team; whatever goes wrong is a meeting without a trade by its manager, and says why."""
    from cryptosentinel.adapters.agno_events import on_clock

    session = f"meeting-{number + 1}"
    before = len(guarded.observer.sightings) if guarded else 0
    if guarded:
        guarded.observer.meeting = number
    try:
        with on_clock(lambda: float(floor.now)):
            out = team.run(agenda(start, number, request), session_id=session)
        text, failure = str(out.content or ""), ""
        events = timeline(out, session, floor.now)
    except Exception as error:  # a model of anyone's: the desk degrades to no trade
        text, failure, events = "", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", []
    decision = MeetingDecision.parse(text)
    if decision is None:
        failure = failure or f"the meeting's answer could not be read: {text[:120]!r}"
        decision = MeetingDecision.none(" ".join(failure.split()))
    seen = [s.action for s in guarded.observer.sightings[before:]] if guarded else []
    if guarded:
        guarded.forget(session)
    return Meeting(
        number, floor.now, request, decision, _advice(events), events, failure, seen.count("hold"), seen.count("block")
    )


def timeline(out: Any, session: str, now: int) -> list[dict[str, Any]]:
    """Who said and did what, in order: what a member did stands before the answer that its manager got."""
    leader, members = str(out.team_name), list(out.member_responses)
    messages: list[tuple[Any, str, str]] = []
    for message in out.messages or ():
        if message.role == "tool" and message.tool_name == DELEGATE and members:
            member = members.pop(0)
            messages += [(m, str(member.agent_name), leader) for m in member.messages or ()]
        messages.append((message, leader, "client"))
    found: list[dict[str, Any]] = []
    for message, agent, asker in messages:
        for kind, sender, recipient, body in _said(message, agent, asker):
            event = {"id": f"{session}-{len(found)}", "time": float(now), "run_id": session, "agent": agent}
            found.append(event | {"kind": kind, "sender": sender, "recipient": recipient, "body": body})
    return found


def _said(message: Any, agent: str, asker: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    text = str(message.content or "")[:LONGEST]
    if message.role == "user":
        return [("message", asker, agent, {"role": "user", "text": text})]
    if message.role == "tool":
        tool = str(message.tool_name or "tool")
        return [("tool_result", tool, agent, {"tool": tool, "text": text})]
    if message.role != "assistant":
        return []
    found: list[tuple[str, str, str, dict[str, Any]]] = []
    if text:
        found.append(("message", agent, asker, {"role": "assistant", "text": text}))
    for called in message.tool_calls or ():
        name, given = str(called["function"]["name"]), str(called["function"].get("arguments") or "{}")
        try:
            arguments = json.loads(given)
        except ValueError:
            arguments = given
        found.append(("tool_call", agent, name, {"tool": name, "arguments": arguments}))
    return found


def _advice(events: list[dict[str, Any]]) -> TradeRecommendation | None:
    """The analyst's recommendation, if it gave one that can be read."""
    said = [e["body"]["text"] for e in events if e["kind"] == "message" and e["sender"] == ANALYST]
    return next((found for text in reversed(said) if (found := parse_advice(text))), None)


def _is_thin(symbol: str) -> bool:
    listing = BY_SYMBOL.get(symbol)
    return listing is not None and not listing.deep
