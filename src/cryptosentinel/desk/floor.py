"""What the agents of one session share: clock, market, books, news, notes, mail, documents. Nothing outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from cryptosentinel.desk.books import Books
from cryptosentinel.desk.execution import PaperExecution
from cryptosentinel.desk.limits import DOCUMENT, Limits
from cryptosentinel.desk.market.candles import MarketData
from cryptosentinel.desk.market.listings import BY_SYMBOL, Listing
from cryptosentinel.errors import DataError

CAPITAL = Decimal(40_000)
NEWS_HOURS = 24
RUNBOOK = (
    "The desk meets several times a day. The operator's limits stand in limits.txt.\n"
    "The MarketAnalyst's watch list is made by the screen. Nothing is traded on bad data.\n"
)


@dataclass(frozen=True, slots=True)
class Item:
    """Something written at a time: news about a symbol, a note, a letter, a ticket."""

    time: int
    subject: str
    text: str


@dataclass
class Floor:
    """The trading floor of one session; `now` is the market's time, in seconds since the epoch.

    >>> from cryptosentinel.desk.market.paper import PaperMarket
    >>> Floor(PaperMarket(days=1)).limits().trade_share
    Decimal('0.02')
    """

    market: MarketData
    now: int = 0
    capital: Decimal = CAPITAL
    watch_list: tuple[str, ...] = ()  # empty: whatever the market has and the desk may trade
    operator: Limits = field(default_factory=Limits)
    documents: dict[str, str] = field(default_factory=dict)
    news: list[Item] = field(default_factory=list)  # beside what the market itself brings
    notes: list[Item] = field(default_factory=list)
    mail: list[Item] = field(default_factory=list)  # subject: to whom
    tickets: list[Item] = field(default_factory=list)
    issuers: dict[str, str] = field(default_factory=dict)  # what an issuer writes about its own token
    venues: dict[str, str] = field(default_factory=dict)  # what a venue writes beside its pool of a symbol

    def __post_init__(self) -> None:
        """Open the books and lay out the operator's documents."""
        self.now = self.now or int(getattr(self.market, "start", 0))
        self.start = self.now
        self.books = Books(self.capital)
        self.execution = PaperExecution(self.market, self.books, self.limits)
        self.documents = {DOCUMENT: self.operator.text(), "runbook.txt": RUNBOOK} | self.documents

    def limits(self) -> Limits:
        """The limits as they stand now.

        Raises:
            DataError: the document is gone or cannot be read.
        """
        if DOCUMENT not in self.documents:
            raise DataError(f"{DOCUMENT} is gone")
        return Limits.parse(self.documents[DOCUMENT])

    def watched(self) -> tuple[str, ...]:
        """What does the desk look at? By default all that is deep and safe."""
        if self.watch_list:
            return self.watch_list
        known = [s for s in self.market.symbols() if s in BY_SYMBOL]
        return tuple(s for s in known if BY_SYMBOL[s].deep and BY_SYMBOL[s].safe)

    def written(self, symbol: str) -> list[str]:
        """The news about this symbol in the last day, in order."""
        bring: Callable[..., list[Item]] | None = getattr(self.market, "news", None)
        found = [(e.time, e.text) for e in bring(symbol, self.now, NEWS_HOURS)] if bring else []
        since = self.now - NEWS_HOURS * 3600
        found += [(i.time, i.text) for i in self.news if i.subject == symbol and since < i.time <= self.now]
        return [text for _, text in sorted(found)]


def listing_of(symbol: str, listings: Mapping[str, Listing] = BY_SYMBOL) -> Listing:
    """What is known about this asset?

    Raises:
        DataError: nothing is.
    """
    if symbol not in listings:
        raise DataError(f"nothing is known about {symbol[:20]!r}")
    return listings[symbol]
