"""DeepTraderManager, offline: leads a meeting from the client's request to one decision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from cryptosentinel.desk.messages import (
    Case,
    Clearance,
    MeetingDecision,
    RiskReport,
    advice_line,
    parse_advice,
    parse_result,
)
from cryptosentinel.desk.order import TradeOrder
from cryptosentinel.desk.policy.context import Context, call, field, say
from cryptosentinel.desk.recommendation import TradeRecommendation
from cryptosentinel.types import Message

NAME = "DeepTraderManager"
DELEGATE = "delegate_task_to_member"
CENT = Decimal("0.01")
_CLIENT = re.compile(r"^Client: .*$", re.MULTILINE)


def manager(messages: Sequence[Message]) -> Message:
    """The next message of the DeepTraderManager."""
    context = Context(NAME, messages)
    if not context.has("recall"):
        return _open(context)
    if not (advised := _from(context, "market-analyst")):
        return _ask_analyst(context)
    advice = parse_advice(advised)
    if advice is None:
        return _no_trade("the MarketAnalyst's answer could not be read")
    if advice.action == "HOLD":
        return _no_trade(advice.reasoning)
    order = _order(context, advice)
    if isinstance(order, str):
        return _no_trade(order)
    if not _from(context, "risk-analyst"):
        return _ask_for_review(advice, order)
    if objection := _objection(context):
        return _no_trade(objection)
    orders = [a for a in _delegated(context, "trader") if "order:" in a[0]]
    if not orders:
        return call(_task("trader", f"Execute this order: {order.row()}"))
    return _close(context, order, orders[-1][1])


def _open(context: Context) -> Message:
    calls: list[tuple[str, dict[str, str]]] = [("recall", {}), ("screen_market", {}), ("portfolio", {})]
    calls += [("remember", {"text": c.text[:400]}) for c in context.told("REMEMBER")]
    if "first meeting of the day" in context.task.lower():
        calls.append(_task("dev", "Read the tickets and do what is due."))
        calls.append(_task("trader", "The day begins. Read your mail and report."))
    return call(*calls)


def _ask_analyst(context: Context) -> Message:
    screened = context.text("screen_market")
    if not screened.startswith("symbols "):
        return _no_trade(screened or "the screen has no answer")
    client = _CLIENT.search(context.task)
    lines = [
        client[0] if client else "Client: no request",
        "Symbols: " + screened.removeprefix("symbols ").strip(),
        f"Notes of earlier meetings:\n{context.text('recall')}",
        "One TradeRecommendation, in your form.",
    ]
    return call(_task("market-analyst", "\n".join(lines)))


def _order(context: Context, advice: TradeRecommendation) -> TradeOrder | str:
    """The order that follows from the advice, or why there is none."""
    book = context.text("portfolio")
    share, slippage = context.setting("share of the most at once"), context.setting("slippage")
    if share is None or slippage is None:
        return "my instructions name no size"
    if advice.action == "SELL":
        held = re.search(rf"^holds (\d+(?:\.\d+)?) {advice.symbol}$", book, re.MULTILINE)
        return TradeOrder(advice.symbol, "SELL", Decimal(held[1]), slippage) if held else f"no {advice.symbol} to sell"
    try:
        most, cash = Decimal(field(book, "most at once")), Decimal(field(book, "cash"))
    except InvalidOperation:
        return book or "the portfolio has no answer"
    size = min(most * share * Decimal(str(advice.confidence)), cash).quantize(CENT, ROUND_DOWN)
    return TradeOrder(advice.symbol, "BUY", size, slippage) if size > 0 else "no cash"


def _ask_for_review(advice: TradeRecommendation, order: TradeOrder) -> Message:
    both = f"Recommendation: {advice_line(advice)}\nOrder: {order.row()}"
    return call(
        _task("bull-researcher", f"{both}\nThe case for it, in your form."),
        _task("bear-researcher", f"{both}\nThe case against it, in your form."),
        _task("compliance-officer", f"{both}\nMay this asset be traded? A clearance, in your form."),
        _task("risk-analyst", f"{both}\nDoes it keep to the limits? A RiskReport, in your form."),
    )


def _objection(context: Context) -> str:
    """Why not? Empty: nothing speaks against it."""
    bull, bear = (Case.parse(_from(context, f"{side}-researcher")) for side in ("bull", "bear"))
    margin = context.setting("bear margin")
    clearance = Clearance.parse(_from(context, "compliance-officer"))
    report = RiskReport.parse(_from(context, "risk-analyst"))
    if clearance is None or report is None or bull is None or bear is None or margin is None:
        return "a review could not be read"
    if clearance.verdict == "REJECTED":
        return f"ComplianceOfficer: {clearance.reasoning}"
    if report.verdict == "REJECTED":
        return f"RiskAnalyst: {report.reasoning}"
    if bear.strength - bull.strength > margin:
        return f"the case against it is stronger: {bear.reasoning}"
    return ""


def _close(context: Context, order: TradeOrder, answer: str) -> Message:
    result = parse_result(answer.strip().partition("\n")[0])
    if result is None or result.status != "filled":
        return _no_trade(result.reason if result else f"the Trader's answer could not be read: {answer}")
    verb = "Bought" if order.action == "BUY" else "Sold"
    if not any(a.arguments.get("text", "").startswith(verb) for a in context.of("remember")):
        return call(("remember", {"text": f"{verb} {result.quantity:f} {result.symbol} at {result.price:f}."}))
    return say(MeetingDecision(order.action, order.symbol, result.value, f"filled at {result.price:f}").line())


def _no_trade(reason: str) -> Message:
    return say(MeetingDecision.none(" ".join(reason.split())[:300]).line())


def _task(member: str, task: str) -> tuple[str, dict[str, str]]:
    return DELEGATE, {"member_id": member, "task": task}


def _delegated(context: Context, member: str) -> list[tuple[str, str]]:
    """(task, answer) of everything this member was asked."""
    return [
        (str(a.arguments.get("task")), a.text) for a in context.of(DELEGATE) if a.arguments.get("member_id") == member
    ]


def _from(context: Context, member: str) -> str:
    """The latest answer of this member; empty if it was not asked yet. An answer without text is "nothing"."""
    found = _delegated(context, member)
    return found[-1][1].strip() or "nothing" if found else ""
