"""What does each agent usually do? Learnt from its other conversations, without labels."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptosentinel.guard.events import text_of, tool_of, voice_of
from cryptosentinel.guard.reading import normal
from cryptosentinel.types import Event

Key = tuple[str, str]  # an agent: its name, and its instructions
_NUMBERS = re.compile(r"[\d\W_]+")


def is_instruction(event: Event) -> bool:
    """Is this a message of the system, or of whoever stands for it?"""
    by_system = event.sender == "system" or event.body.get("role") == "system"
    return event.kind == "message" and by_system and voice_of(event) == "principal"


def instructions_of(event: Event) -> str:
    """The name of the instructions in this message of the system; dates and figures in them make no difference.

    >>> told = [Event("1", 0.0, "r", "a", "message", "system", "a", {"text": f"Day {n}. Trade."}) for n in (1, 2)]
    >>> instructions_of(told[0]) == instructions_of(told[1])
    True
    """
    return hashlib.sha256(_NUMBERS.sub(" ", normal(text_of(event))).strip().encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Habit:
    """The conversations of one agent: how many, in how many of them each tool was called, and how many of them are new.

    `new` calls a tool that no other of the conversations calls.
    """

    conversations: int
    tools: Mapping[str, int]
    new: int

    @property
    def surprise(self) -> float:
        """How surely does an honest conversation of this agent call no tool that the baseline has not?

        1 - (new + 1) / (conversations + 1): of these and one more like them, in any order, so large a share is new.

        >>> Habit(39, {"search": 39}, 0).surprise, Habit(39, {"search": 39, "wire": 1, "book": 1}, 2).surprise
        (0.975, 0.925)
        """
        return 1.0 - (self.new + 1) / (self.conversations + 1)


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of every agent that was seen in a baseline."""

    habits: Mapping[Key, Habit]

    @classmethod
    def learn(cls, runs: Iterable[Iterable[Event]]) -> Profile:
        """Take each run as one conversation of each agent in it.

        >>> def call(n, tool): return Event(str(n), 0.0, str(n), "bot", "tool_call", "bot", tool, {"tool": tool})
        >>> profile = Profile.learn([[call(n, "search")] for n in range(30)])
        >>> profile.habits["bot", ""].conversations, profile.habits["bot", ""].tools
        (30, {'search': 30})
        """
        seen: dict[Key, list[set[str]]] = defaultdict(list)
        for run in runs:
            told: dict[str, str] = {}
            called: dict[str, set[str]] = defaultdict(set)
            for event in run:
                if is_instruction(event):
                    told.setdefault(event.agent, instructions_of(event))
                elif event.kind == "tool_call":
                    called[event.agent].add(tool_of(event))
            for agent, tools in called.items():
                seen[agent, told.get(agent, "")].append(tools)
        return cls({key: _habit(conversations) for key, conversations in seen.items()})


def _habit(conversations: list[set[str]]) -> Habit:
    tools = Counter(tool for called in conversations for tool in called)
    new = sum(any(tools[tool] == 1 for tool in called) for called in conversations)
    return Habit(len(conversations), dict(sorted(tools.items())), new)
