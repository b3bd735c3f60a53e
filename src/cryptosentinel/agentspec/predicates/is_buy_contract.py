"""Purchases of a token by its contract's address."""

from __future__ import annotations

import re

from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.equality import text
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register

TOKEN = Operand.named("arg.token_out")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{40,64}")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")


@register("predicate", "is_buy_contract")
def is_buy_contract(token: Operand = TOKEN) -> Test:
    """Is what is bought named by the address of a contract, where anything may be behind it, and not by a symbol?

    Addresses: 0x and 40 to 64 hexadecimal digits, or 32 to 44 characters of base 58.

    >>> from cryptosentinel.types import Event
    >>> buy = {"tool": "swap", "arguments": {"token_out": "0x" + "ab" * 20}}
    >>> is_buy_contract()(Context(Event("1", 0.0, "r", "a", "tool_call", "a", "b", buy)))
    True
    """

    def test(context: Context) -> bool:
        name = text(token.value(context)).strip()
        return bool(_HEX.fullmatch(name) or _BASE58.fullmatch(name))

    return test
