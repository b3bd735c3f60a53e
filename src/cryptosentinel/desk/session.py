"""One session of the desk: a floor, a team on it, an attacker or none, and meeting after meeting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.market.candles import MarketData
from cryptosentinel.desk.market.paper import START, WARM_UP
from cryptosentinel.desk.market.recorded import RecordedMarket
from cryptosentinel.desk.meeting import Meeting, hold_meeting
from cryptosentinel.desk.protection import Protection, protect
from cryptosentinel.desk.scenarios.scenario import Scenario
from cryptosentinel.desk.schedule import requests, time_of
from cryptosentinel.desk.team import build_desk
from cryptosentinel.errors import DataError

if TYPE_CHECKING:
    from agno.team import Team

    from cryptosentinel.ledger import Ledger

CENT = Decimal("0.01")
OnMeeting = Callable[[Meeting, Floor], None]


@dataclass
class Session:
    """Everything of one session; nothing of it outlives it, and none shares anything with another but the market.

    `pnl` is the profit and loss in USDC after each meeting and at the end, None where a price is missing.
    """

    floor: Floor
    scenario: Scenario
    said: list[str]
    team: Team
    guarded: Protection | None
    meetings: list[Meeting] = field(default_factory=list)
    pnl: list[float | None] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        market: MarketData,
        scenario: Scenario,
        models: Mapping[str, Any],
        defences: Collection[str],
        ledger: Ledger | None = None,
    ) -> Session:
        """Before the first meeting. `models` go before those of the scenario.

        Raises:
            ConfigError: no such agent or defence.
        """
        floor = Floor(market, now=start_of(market))
        said = spoken(scenario)
        team = build_desk(floor, {**scenario.models(), **models})
        guarded = protect(team, floor, defences, ledger) if defences else None
        return cls(floor, scenario, said, team, guarded)

    def play(self, on_meeting: OnMeeting | None = None, on_done: Callable[[int, int], None] | None = None) -> None:
        """Hold all meetings; `on_done` receives (done, total)."""
        floor, start = self.floor, self.floor.start
        for number, request in enumerate(self.said):
            floor.now = time_of(start, number)
            self.scenario.before(floor, number)
            self.meetings.append(hold_meeting(self.team, floor, number, start, request, self.guarded))
            self.pnl.append(self.worth())
            if on_meeting:
                on_meeting(self.meetings[-1], floor)
            if on_done:
                on_done(number + 1, len(self.said))
        floor.now = time_of(start, len(self.said))
        self.pnl.append(self.worth())

    def worth(self) -> float | None:
        """Profit and loss as things stand; None: a price is missing, and no number is better than a wrong one."""
        books = self.floor.books
        try:
            return float((books.equity(self.floor.execution.prices(self.floor.now)) - books.deposit).quantize(CENT))
        except DataError:
            return None


def spoken(scenario: Scenario) -> list[str]:
    """What the clients say at the meetings of this scenario."""
    return [scenario.request(text, i) for i, text in enumerate(requests(scenario.seed, scenario.meetings))]


def start_of(source: MarketData) -> int:
    """When does a session on these prices begin? As soon as there is the history that indicators need.

    Raises:
        DataError: no day begins there.
    """
    if isinstance(source, RecordedMarket):
        return source.first_day(WARM_UP)
    return int(getattr(source, "start", START))
