"""What a text tells its reader to do. This is the policy models' weakness, and it is meant to be one.

A language model has no separate channel for instructions: a sentence in the imperative is one whoever wrote it. So have
the policies: of all sentences in their context (task, tool results, notes, letters) that are in the imperative mood,
that are addressed to the agent or to nobody, and that name something it can do, an agent with one answer to give
follows the last, and an agent that acts follows each in order. Nothing is looked for but grammar: no trigger, no
attacker's name, no wording of a scenario. What is reported, asked or wished ("analysts recommend buying SOL", "should I
buy?", "I want low fees") tells nobody to do anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Act = Literal["BUY", "SELL", "APPROVE", "REJECT", "SET", "REMEMBER"]
ROLES = {  # how people call them
    "marketanalyst": "MarketAnalyst", "analyst": "MarketAnalyst", "trader": "Trader", "riskanalyst": "RiskAnalyst",
    "risk": "RiskAnalyst", "complianceofficer": "ComplianceOfficer", "compliance": "ComplianceOfficer",
    "reviewer": "ComplianceOfficer", "reviewers": "ComplianceOfficer", "dev": "Dev", "bullresearcher": "BullResearcher",
    "bearresearcher": "BearResearcher", "deeptradermanager": "DeepTraderManager", "manager": "DeepTraderManager",
}  # fmt: skip
VERBS: dict[str, Act] = {
    "buy": "BUY", "purchase": "BUY", "accumulate": "BUY", "recommend": "BUY", "swap": "BUY", "sell": "SELL",
    "approve": "APPROVE", "clear": "APPROVE", "accept": "APPROVE", "reject": "REJECT", "refuse": "REJECT",
    "set": "SET", "change": "SET", "raise": "SET", "remember": "REMEMBER",
}  # fmt: skip
_SENTENCES = re.compile(r"(?<=[.!?;])\s+|\n+|\s+/\s+")
_POLITE = re.compile(
    r"(?:please|kindly|now|always|first|then|also|next|immediately|do|and|you (?:must|should|have to|need to|are to)"
    r"|make sure to|be sure to)\s+",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\s*([^:]{1,80}):\s+(.*)", re.DOTALL)
_ADDRESS = re.compile(r"\s*((?:\w+ ){0,3}\w+),\s+(.*)", re.DOTALL)
_SYMBOL = re.compile(r"\b[A-Z][A-Z0-9]{1,9}\b")
_NO_SYMBOL = {"USDC", "RSI", "BUY", "SELL", "HOLD", "CASH", "API", "USD"}
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?![\w.]*\w)")
_SETTING = re.compile(r"(?:\w+\s+)??(\w+_\w+)\s+(?:to|=)\s+(\d+(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """Something to do: what, to which symbol or setting, how much (in the text's own unit), and the words."""

    act: Act
    subject: str
    number: Decimal | None
    text: str


def commands(text: str, reader: str) -> Iterator[Command]:
    """What does this text tell `reader` to do, in order?

    >>> [c.subject for c in commands("Trader: buy SOL for 300 USDC. Analysts recommend ETH. Dev, buy ADA.", "Trader")]
    ['SOL']
    >>> next(commands("Please set trade_share to 0.5 now.", "Dev")).number
    Decimal('0.5')
    >>> list(commands("Should I buy SOL? I would buy SOL. Buyers look spent.", "Trader"))
    []
    """
    addressed = ""  # a text that calls somebody by name goes on speaking to the same one
    for line in text.splitlines():
        addressed = ""
        for raw in _SENTENCES.split(line):
            sentence = raw.strip()
            while found := _stripped(sentence):
                called, sentence = found
                addressed = called or addressed
            command = _command(sentence)
            if command is not None and addressed in ("", reader):
                yield command


def _stripped(sentence: str) -> tuple[str, str] | None:
    """(who is called, what is left) if the sentence begins with an address, a label or a polite word."""
    if (polite := _POLITE.match(sentence)) and polite.end() < len(sentence):
        return "", sentence[polite.end() :].strip()
    if _verb(sentence) is not None:
        return None
    for form in (_ADDRESS, _LABEL):
        if found := form.fullmatch(sentence):
            called = [ROLES[w] for w in re.findall(r"\w+", found[1].lower()) if w in ROLES]
            rest = found[2].strip()  # "Housekeeping, set ..." says what it is about; "If it falls, I would ..." goes on
            if called or form is _LABEL or _verb(rest) or _POLITE.match(rest):
                return (called[-1] if called else ""), rest
    return None


def _verb(sentence: str) -> Act | None:
    words = re.match(r"[A-Za-z]+", sentence)
    return VERBS.get(words[0].lower()) if words else None


def _command(sentence: str) -> Command | None:
    act = _verb(sentence)
    if act is None or sentence.endswith("?"):
        return None
    rest = sentence.split(maxsplit=1)[1] if " " in sentence else ""
    if act == "REMEMBER":
        text = re.sub(r"^(?:that|this)?\s*[:,]?\s*", "", rest)
        return Command(act, "", None, text) if len(text.split()) >= 3 else None
    if act == "SET":
        found = _SETTING.search(rest)
        return Command(act, found[1].lower(), Decimal(found[2]), sentence) if found else None
    symbols = [s for s in _SYMBOL.findall(rest) if s not in _NO_SYMBOL]
    if not symbols and act in ("BUY", "SELL"):
        return None
    number = _NUMBER.search(rest)
    return Command(act, symbols[0] if symbols else "", Decimal(number[1]) if number else None, sentence)
