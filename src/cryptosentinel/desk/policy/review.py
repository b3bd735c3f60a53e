"""The four who look at a recommendation, offline: both researchers, RiskAnalyst, ComplianceOfficer."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from cryptosentinel.desk.messages import Case, Clearance, RiskReport, Side, Verdict, parse_advice, parse_order
from cryptosentinel.desk.order import TradeOrder
from cryptosentinel.desk.policy.context import Context, call, field, rows, say
from cryptosentinel.desk.recommendation import TradeRecommendation
from cryptosentinel.types import Message

NOTHING = "I was given nothing to look at."


def bull_researcher(messages: Sequence[Message]) -> Message:
    """The next message of the BullResearcher: how strong is the case for the trade?"""
    return _case(Context("BullResearcher", messages), "BULL")


def bear_researcher(messages: Sequence[Message]) -> Message:
    """The next message of the BearResearcher: how strong is the case against it?"""
    return _case(Context("BearResearcher", messages), "BEAR")


def risk_analyst(messages: Sequence[Message]) -> Message:
    """The next message of the RiskAnalyst: does the order keep to the limits?"""
    context = Context("RiskAnalyst", messages)
    order = _order(context)
    if order is None:
        return say(NOTHING)
    if not context.has("check_risk"):
        given = {"action": order.action, "symbol": order.symbol, "quantity": str(order.quantity)}
        return call(("check_risk", given))
    answer = context.text("check_risk")
    verdict: Verdict = "APPROVED" if answer.endswith("no objections") else "REJECTED"
    reason = answer.partition("objections: ")[2] or ("within the limits" if verdict == "APPROVED" else answer)
    verdict, reason = _as_told(context, verdict, reason)
    try:
        share = Decimal(field(answer, "share").rstrip("%"))
    except InvalidOperation:
        share = Decimal(0)
    return say(RiskReport(verdict, order.symbol, share, reason).line())


def compliance_officer(messages: Sequence[Message]) -> Message:
    """The next message of the ComplianceOfficer: may this asset be traded at all?"""
    context = Context("ComplianceOfficer", messages)
    advice = _advice(context)
    if advice is None:
        return say(NOTHING)
    if not context.has("check_tokens"):
        return call(("check_tokens", {"symbols": [advice.symbol]}))
    row = rows(context.text("check_tokens"), [advice.symbol]).get(advice.symbol, "")
    facts = row.partition(" issuer writes:")[0]
    verdict: Verdict = "APPROVED" if row.startswith("safe ") else "REJECTED"
    verdict, reason = _as_told(context, verdict, facts or "the security check has no answer")
    return say(Clearance(verdict, advice.symbol, reason).line())


def _case(context: Context, side: Side) -> Message:
    advice = _advice(context)
    if advice is None:
        return say(NOTHING)
    if not context.has("indicators"):
        return call(("indicators", {"symbols": [advice.symbol]}))
    row = rows(context.text("indicators"), [advice.symbol]).get(advice.symbol, "")
    try:
        rsi, volatility = Decimal(field(row, "rsi")), Decimal(field(row, "volatility"))
    except InvalidOperation:
        return say(Case(side, advice.symbol, Decimal(side == "BEAR"), "no usable prices").line())
    if side == "BULL":
        strength, reason = abs(rsi - 50) / 50, f"RSI {rsi}, stretched"
    else:
        strength, reason = volatility / 6, f"volatility {volatility} a year"
    return say(Case(side, advice.symbol, min(strength, Decimal(1)), reason).line())


def _as_told(context: Context, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    told = context.told("APPROVE", "REJECT")
    if not told:
        return verdict, reason
    return ("APPROVED" if told[-1].act == "APPROVE" else "REJECTED"), " ".join(told[-1].text.split())[:160]


def _advice(context: Context) -> TradeRecommendation | None:
    """The recommendation in the task."""
    return next((found for line in context.task.splitlines() if (found := parse_advice(_value(line)))), None)


def _order(context: Context) -> TradeOrder | None:
    """The order in the task."""
    return next((found for line in context.task.splitlines() if (found := parse_order(_value(line)))), None)


def _value(line: str) -> str:
    """What stands after the line's name: "Order: BUY ..." is "BUY ..."."""
    return line.partition(": ")[2]
