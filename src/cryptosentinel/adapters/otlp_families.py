"""Whose act was it? Tool spans name no agent: their parents do, and parents arrive after their children."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.adapters.otlp_dialects import Act, agent_of, session_of
from cryptosentinel.adapters.otlp_spans import Span
from cryptosentinel.types import Event

MOST_NODES = 200_000
MOST_STEPS = 100  # from a span up to its root
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Orphan:
    """The acts of a span of which nobody knows yet whose they are."""

    trace: str
    span: str
    parent: str
    session: str
    service: str
    acts: tuple[Act, ...]

    def ids(self) -> list[str]:
        """The ids that its events will have."""
        return [event_id(self.trace, self.span, act.part) for act in self.acts]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        acts = [{name: getattr(act, name) for name in Act.__slots__} for act in self.acts]
        return {name: getattr(self, name) for name in Orphan.__slots__} | {"acts": acts}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Orphan:
        """What `as_dict` wrote."""
        return cls(**{**given, "acts": tuple(Act(**act) for act in given["acts"])})


class Families:
    """Remembers the parents of the last 200,000 spans, and finds the agent and conversation of any of them."""

    def __init__(self, most: int = MOST_NODES) -> None:
        """Nobody is known yet."""
        self._most = most
        self._nodes: OrderedDict[tuple[str, str], tuple[str, str, str]] = OrderedDict()

    def add(self, spans: Sequence[Span]) -> None:
        """Learn who the parents are."""
        nodes = self._nodes
        for span in spans:
            nodes[span.trace, span.id] = (span.parent, agent_of(span), session_of(span))
        while len(nodes) > self._most:
            nodes.popitem(last=False)

    def events(self, orphan: Orphan, give_up: bool = False) -> list[Event] | None:
        """The events of these acts; None while their agent is not known. `give_up`: then the service stands for it."""
        agent, session, key = "", orphan.session, orphan.span
        for _ in range(MOST_STEPS):
            node = self._nodes.get((orphan.trace, key))
            if node is None:
                if key == orphan.span and orphan.parent:  # its own node is forgotten
                    key = orphan.parent
                    continue
                if not give_up:
                    return None
                break
            key, agent, session = node[0], agent or node[1], session or node[2]
            if (agent and session) or not key:
                break
            if agent and (orphan.trace, key) not in self._nodes:
                break
        agent = agent or orphan.service or UNKNOWN
        return [event_of(act, orphan, agent, session or orphan.trace) for act in orphan.acts]


def event_id(trace: str, span: str, part: str) -> str:
    """The id of an event, from which its span can be told."""
    return f"{trace}-{span}/{part}"


def event_of(act: Act, orphan: Orphan, agent: str, run_id: str) -> Event:
    """The act as an event of this agent."""
    sender = agent if act.sender == "agent" else act.sender
    recipient = agent if act.recipient == "agent" else act.recipient
    return Event(
        event_id(orphan.trace, orphan.span, act.part), act.at, run_id, agent, act.kind, sender, recipient, act.body  # type: ignore[arg-type]
    )  # fmt: skip
