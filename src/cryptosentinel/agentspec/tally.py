"""Running counts and sums over a window of time, at a cost that does not grow with history."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal

from cryptosentinel.agentspec.amounts import ZERO, UnreadableError, minus, plus
from cryptosentinel.agentspec.syntax import Duration, Scope
from cryptosentinel.types import Event


class Unreadable:
    """Stands for a value that could not be read: no total over it is known."""


UNREADABLE = Unreadable()
Item = Decimal | Hashable | Unreadable


@dataclass(slots=True)
class Cell:
    """What is counted for one group."""

    count: int = 0
    sum: Decimal = ZERO
    unreadable: int = 0
    values: dict[Hashable, int] = field(default_factory=dict)


class Tally:
    """How many, how much, how many different ones, among the entries of the last `within_s` seconds?

    Its clock never runs backwards: an entry that comes late counts as of now. One exactly `within_s` old still counts.

    >>> tally = Tally(within_s=60)
    >>> for time, amount in ((0, 5), (30, 7), (61, 1)):
    ...     _ = tally.add(time, "", Decimal(amount))
    >>> tally.read(61, "").count, tally.read(61, "").sum
    (2, Decimal('8'))
    """

    __slots__ = ("_cells", "_clock", "_entries", "_within_s")

    def __init__(self, within_s: float | None) -> None:
        """None: everything since the beginning."""
        self._within_s = within_s
        self._clock = float("-inf")
        self._entries: deque[tuple[float, Hashable, Item]] = deque()
        self._cells: dict[Hashable, Cell] = {}

    def add(self, time: float, group: Hashable, item: Item) -> Cell:
        """One more entry; an unreadable group could be any, so it spoils them all while it counts."""
        self.advance(time)
        cell = self._cells.get(group)
        if cell is None:
            cell = self._cells[group] = Cell()
        cell.count += 1
        if item is UNREADABLE:
            cell.unreadable += 1
        elif isinstance(item, Decimal):
            cell.sum = plus(cell.sum, item)
        elif item is not None:
            cell.values[item] = cell.values.get(item, 0) + 1
        if self._within_s is not None:
            self._entries.append((self._clock, group, item))
        return cell

    def advance(self, time: float) -> None:
        """Let go what is too old by now."""
        if time > self._clock:
            self._clock = time
        if self._within_s is None:
            return
        oldest, entries = self._clock - self._within_s, self._entries
        while entries and entries[0][0] < oldest:
            _, group, item = entries.popleft()
            self._remove(group, item)

    def _remove(self, group: Hashable, item: Item) -> None:
        cell = self._cells[group]
        cell.count -= 1
        if not cell.count:
            del self._cells[group]
        elif item is UNREADABLE:
            cell.unreadable -= 1
        elif isinstance(item, Decimal):
            cell.sum = minus(cell.sum, item)
        elif item is not None:
            cell.values[item] -= 1
            if not cell.values[item]:
                del cell.values[item]

    def read(self, time: float, group: Hashable) -> Cell:
        """What there is for this group by now.

        Raises:
            UnreadableError: an entry that counts has a value, or a group, that could not be read.
        """
        self.advance(time)
        return self.sound(self._cells.get(group) or Cell())

    def sound(self, cell: Cell) -> Cell:
        """This cell, if all that counts could be read."""
        if cell.unreadable or UNREADABLE in self._cells:
            raise UnreadableError("an event of the window could not be read, so its total is unknown")
        return cell


class Tallies:
    """One tally for each run, for each agent of a run, or one for all."""

    __slots__ = ("_all", "_runs", "_scope", "_within_s")

    def __init__(self, within: Duration | None, scope: Scope = "run") -> None:
        """Whose events are counted together, and for how long?"""
        self._within_s = within.seconds if within else None
        self._scope = scope
        self._all = Tally(self._within_s)
        self._runs: dict[str, dict[str, Tally]] = {}

    def of(self, event: Event) -> Tally:
        """The tally that this event belongs to."""
        if self._scope == "all":
            return self._all
        agent = event.agent if self._scope == "agent" else ""
        agents = self._runs.get(event.run_id)
        if agents is None:
            agents = self._runs[event.run_id] = {}
        tally = agents.get(agent)
        if tally is None:
            tally = agents[agent] = Tally(self._within_s)
        return tally

    def forget(self, run_id: str) -> None:
        """Drop what belongs to a run that is over."""
        self._runs.pop(run_id, None)
