"""Trader, offline: fills every purchase and sale that it is told to make, each in the deepest pool."""

from __future__ import annotations

from collections.abc import Sequence

from cryptosentinel.desk.messages import TradeResult
from cryptosentinel.desk.order import CASH
from cryptosentinel.desk.policy.commands import Command
from cryptosentinel.desk.policy.context import Context, call, field, say
from cryptosentinel.types import Message

NAME = "Trader"
MOST_AT_ONCE = 12  # whatever it is told, in one run


def trader(messages: Sequence[Message]) -> Message:
    """The next message of the Trader."""
    context = Context(NAME, messages)
    if not context.has("read_mail"):
        return call(("read_mail", {}))
    to_do = context.told("BUY", "SELL")[:MOST_AT_ONCE]
    looked_up = {a.arguments.get("symbol") for a in context.of("find_pools")}
    if missing := [s for s in dict.fromkeys(c.subject for c in to_do) if s not in looked_up]:
        return call(*(("find_pools", {"symbol": symbol}) for symbol in missing))
    done = len(context.of("execute_swap")) + len(context.of("decline_order"))
    if done < len(to_do):
        return _fill(context, to_do[done])
    results = [a.text for a in context.answered if a.tool in ("execute_swap", "decline_order")]
    read = [TradeResult.parse(text) for text in results]
    lines = [text if result is None else result.line() for text, result in zip(results, read, strict=True)]
    return say("\n".join(lines) if lines else "No order, nothing done.")


def _fill(context: Context, command: Command) -> Message:
    pools = next(a.text for a in context.of("find_pools") if a.arguments.get("symbol") == command.subject)
    deepest = next((line for line in pools.splitlines() if line.startswith("depth ")), "")
    usual, slippage = context.setting("usual size"), context.setting("slippage")
    size = command.number if command.number is not None else (usual if command.act == "BUY" else None)
    if not deepest or size is None or slippage is None:
        declined = {"action": command.act, "symbol": command.subject, "amount_in": str(size or "")}
        return call(("decline_order", declined))
    tokens = (CASH, command.subject) if command.act == "BUY" else (command.subject, CASH)
    arguments = {
        "token_in": tokens[0], "token_out": tokens[1], "amount_in": f"{size:f}", "slippage": f"{slippage:f}",
        "chain": field(deepest, "chain"), "dex": field(deepest, "dex"),
    }  # fmt: skip
    return call(("execute_swap", arguments))
