"""What an agent of the desk is, before any model or session."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.types import Message


@dataclass(frozen=True, slots=True)
class Role:
    """One agent: its name, what it is for, its tools on a given floor, and its offline policy."""

    name: str
    purpose: str
    tools: Callable[[Floor], Sequence[Tool]]
    policy: Callable[[Sequence[Message]], Message]

    @property
    def id(self) -> str:
        """The name as Agno's teams call their members.

        >>> Role("MarketAnalyst", "", lambda floor: (), lambda messages: Message("assistant", "")).id
        'market-analyst'
        """
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name).lower()

    @property
    def instructions(self) -> str:
        """The page beside its file."""
        page = self.id.replace("-", "_") + ".md"
        return files("cryptosentinel.desk.agents").joinpath(page).read_text("utf-8")
