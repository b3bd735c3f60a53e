"""What the desk's agents hand each other, each with the one way to write it and the one way to read it.

TradeRecommendation (by MarketAnalyst) is in `recommendation`, TradeOrder (by DeepTraderManager) in `order`, the rest
here. A reader takes the whole text or nothing: an answer in another form is none, and the desk does not trade on it.
Only an order is worded like one: who recommends or reports begins with what it is about.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Literal, Self, cast, get_args

from cryptosentinel.desk.market.candles import SYMBOL
from cryptosentinel.desk.order import TradeOrder
from cryptosentinel.desk.recommendation import NO_SYMBOL, TradeRecommendation
from cryptosentinel.errors import DataError

Verdict = Literal["APPROVED", "REJECTED"]
Side = Literal["BULL", "BEAR"]
Status = Literal["filled", "declined"]

MOST = Decimal(10) ** 12  # nobody trades more, and whoever writes more means something else
_VERDICT, _SYMBOL = r"(?P<verdict>APPROVED|REJECTED)", r"(?P<symbol>[A-Z][A-Z0-9]{1,9})"
_REASONING = r"(?P<reasoning>\S[^\n]*)"
_ADVICE = re.compile(r"([A-Z][A-Z0-9]{1,9}): (BUY|SELL|HOLD) ([01](?:\.\d{1,3})?) \| (\S[^\n]*)")
_ORDER = re.compile(r"(BUY|SELL) ([A-Z][A-Z0-9]{1,9}) (\d+(?:\.\d+)?) slippage (\d+(?:\.\d+)?)")


def amount(value: Any, what: str = "amount") -> Decimal:
    """A positive amount of money or coins, exactly as written.

    >>> amount("250.10"), amount(3)
    (Decimal('250.10'), Decimal('3'))
    >>> amount("-5")
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.DataError: amount must be a number above 0 and up to 1E+12, got '-5'

    Raises:
        DataError: no number, not above 0, or beyond any trade.
    """
    try:
        number = Decimal(str(value).strip()) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 < number <= MOST:
        raise DataError(f"{what} must be a number above 0 and up to {MOST:.0E}, got {str(value)[:40]!r}")
    return number


def advice_line(advice: TradeRecommendation) -> str:
    """A recommendation as it is passed on at the desk.

    >>> advice_line(TradeRecommendation("SOL", "BUY", 0.8, "oversold"))
    'SOL: BUY 0.80 | oversold'
    """
    return f"{advice.symbol}: {advice.action} {advice.confidence:.2f} | {advice.reasoning}"


def parse_advice(text: str) -> TradeRecommendation | None:
    """Which recommendation is this? None if it is not exactly one.

    >>> parse_advice("SOL: BUY 0.80 | oversold").decision
    ('SOL', 'BUY')
    """
    found = _ADVICE.fullmatch(text.strip())
    if found is None or float(found[3]) > 1.0:
        return None
    return TradeRecommendation(found[1], found[2], float(found[3]), found[4].strip())  # type: ignore[arg-type]


def parse_order(text: str) -> TradeOrder | None:
    """Which order is this? None if it is not exactly one, as `TradeOrder.row` writes it.

    >>> parse_order("BUY SOL 412.50 slippage 0.5").quantity
    Decimal('412.50')
    """
    if not (found := _ORDER.fullmatch(text.strip())):
        return None
    try:
        return TradeOrder(found[2], found[1], amount(found[3]), amount(found[4], "slippage"))  # type: ignore[arg-type]
    except DataError:
        return None


class OneLine:
    """A message that is one line: `SHAPE` writes it, `FORM` reads it; the groups of `FORM` are its fields."""

    __slots__ = ()
    FORM: ClassVar[re.Pattern[str]]
    SHAPE: ClassVar[str]

    def line(self) -> str:
        """The form that is written."""
        return self.SHAPE.format_map({f.name: getattr(self, f.name) for f in fields(cast(Any, self))})

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Which message is this? None if it is not exactly one."""
        if not (found := cls.FORM.fullmatch(text.strip())):
            return None
        types = {f.name: f.type for f in fields(cast(Any, cls))}
        return cls(**{k: Decimal(v) if types[k] == "Decimal" else v.strip() for k, v in found.groupdict().items()})


@dataclass(frozen=True, slots=True)
class RiskReport(OneLine):
    """RiskAnalyst to DeepTraderManager: `share` is the trade's part of the equity, in per cent.

    >>> RiskReport.parse("REJECTED SOL 2.40% | more than 2% of the equity").verdict
    'REJECTED'
    """

    FORM = re.compile(rf"{_VERDICT} {_SYMBOL} (?P<share>-?\d+(?:\.\d+)?)% \| {_REASONING}")
    SHAPE = "{verdict} {symbol} {share:.2f}% | {reasoning}"

    verdict: Verdict
    symbol: str
    share: Decimal
    reasoning: str


@dataclass(frozen=True, slots=True)
class Clearance(OneLine):
    """ComplianceOfficer to DeepTraderManager: may this asset be traded at all?

    >>> Clearance("APPROVED", "SOL", "audited").line()
    'APPROVED SOL | audited'
    """

    FORM = re.compile(rf"{_VERDICT} {_SYMBOL} \| {_REASONING}")
    SHAPE = "{verdict} {symbol} | {reasoning}"

    verdict: Verdict
    symbol: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Case(OneLine):
    """A researcher's case for one side; `strength` lies in [0, 1].

    >>> Case.parse("BEAR SOL 0.40 | volatility is high").side
    'BEAR'
    """

    FORM = re.compile(rf"(?P<side>BULL|BEAR) {_SYMBOL} (?P<strength>0(?:\.\d\d?)?|1(?:\.00?)?) \| {_REASONING}")
    SHAPE = "{side} {symbol} {strength:.2f} | {reasoning}"

    side: Side
    symbol: str
    strength: Decimal
    reasoning: str


@dataclass(frozen=True, slots=True)
class MeetingDecision(OneLine):
    """What a meeting ended with: DeepTraderManager's last word; `value` is what was traded, in USDC.

    >>> MeetingDecision.parse(MeetingDecision.none("nothing to do").line()).action
    'HOLD'
    """

    FORM = re.compile(rf"(?P<action>BUY|SELL|HOLD) {_SYMBOL} (?P<value>\d+(?:\.\d+)?) USDC \| {_REASONING}")
    SHAPE = "{action} {symbol} {value:.2f} USDC | {reasoning}"

    action: Literal["BUY", "SELL", "HOLD"]
    symbol: str
    value: Decimal
    reasoning: str

    @classmethod
    def none(cls, reason: str) -> MeetingDecision:
        """No trade, and why."""
        return cls("HOLD", NO_SYMBOL, Decimal(0), reason or "no reason given")


@dataclass(frozen=True, slots=True)
class TradeResult:
    """What became of a trade, by whom it was executed; money and coins as exact decimals.

    >>> TradeResult.parse(TradeResult.declined("SOL", "BUY", "no cash").json()).reason
    'no cash'
    """

    status: Status
    action: str
    symbol: str
    quantity: Decimal = Decimal(0)  # coins
    price: Decimal = Decimal(0)  # USDC a coin, with slippage
    value: Decimal = Decimal(0)  # USDC, without the fee
    fee: Decimal = Decimal(0)
    reason: str = ""

    @classmethod
    def declined(cls, symbol: Any, action: str, reason: str) -> TradeResult:
        """No trade, and why."""
        name = symbol if isinstance(symbol, str) and SYMBOL.fullmatch(symbol) else "CASH"
        return cls("declined", action, name, reason=reason)

    def line(self) -> str:
        """As the Trader reports it.

        >>> TradeResult.declined("SOL", "BUY", "no cash").line()
        'SOL: declined BUY 0 coins at 0 USDC, value 0, fee 0 | no cash'
        """
        money = f"{self.quantity:f} coins at {self.price:f} USDC, value {self.value:f}, fee {self.fee:f}"
        return f"{self.symbol}: {self.status} {self.action} {money} | {' '.join(self.reason.split()) or 'done'}"

    def json(self) -> str:
        """As the tool answers it."""
        return json.dumps({k: str(v) for k, v in asdict(self).items()}, ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> TradeResult | None:
        """Which result is this? None if it is not exactly one."""
        try:
            found = json.loads(text)
            numbers = {k: Decimal(found.pop(k)) for k in ("quantity", "price", "value", "fee")}
            result = cls(**(found | numbers))
        except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
            return None
        return result if result.status in get_args(Status) else None


_RESULT = re.compile(
    r"([A-Z][A-Z0-9]{1,9}): (filled|declined) (BUY|SELL) (\d+(?:\.\d+)?) coins at (\d+(?:\.\d+)?) USDC, "
    r"value (\d+(?:\.\d+)?), fee (\d+(?:\.\d+)?) \| (\S[^\n]*)"
)


def parse_result(text: str) -> TradeResult | None:
    """Which result does the Trader report? None if it is not exactly one."""
    found = _RESULT.fullmatch(text.strip())
    if found is None:
        return None
    quantity, price, value, fee = (Decimal(found[i]) for i in range(4, 8))
    status: Status = "filled" if found[2] == "filled" else "declined"
    return TradeResult(status, found[3], found[1], quantity, price, value, fee, found[8].strip())
