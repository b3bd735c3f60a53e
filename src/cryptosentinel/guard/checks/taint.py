"""Does a call do what only untrusted content ordered?"""

from __future__ import annotations

from collections.abc import Iterator

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, Turn, values_of
from cryptosentinel.guard.directives import unfolded
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.orders import Order
from cryptosentinel.guard.reading import compact, is_joined, normal, words
from cryptosentinel.guard.vocabulary import distinct, is_address, only_looks, ordinary, stem, stems
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

SHORT = 8  # words: a value of up to so many is compared as a whole, a longer text by the addresses and ids in it
DELEGATED = 0.75  # how far "do what it says", or "pay" of content that says "pay", covers an order
LEAST_PARTS = 2
LEAST_PIECED, LEAST_PIECE = 8, 2  # characters of a value that may come in pieces, and of a piece
UNASKED = 0.3  # a value from outside in an action that nobody spoke of, without an order
NAMES_ACTION = 0.6  # share of the words of a tool's name that an order must have to be an order for that tool


@register("check", "taint")
class Taint:
    """Does a call carry a value, or use a tool, that an order in untrusted content named and no principal did?

    Every value is traced to who said it first. Score: the strength of the order that has the value (0.6 for an
    order, up to 1.0 if it speaks to the reader), times 1 - asked. Asked is how far the principals wanted what the
    order says: the share of its words that they used themselves, at least 0.75 where they named this content and
    asked for this (its verb), or to do what it says; half of that for an order that speaks to the reader. Without an
    order: 0.3 for an address or id from outside, or an address that nobody has said, in a call that changes something
    and of which no principal spoke. A value may come in pieces, or encoded. False alarms: an agent that was rightly
    sent to follow a page without being told so. It does not see a value that an agent worked out, but for such an
    address, or an order that names no value and no tool.
    """

    name = "taint"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call and decision of the step."""
        best: Finding | None = None
        for turn in step:
            if turn.event.kind not in ("tool_call", "decision"):
                continue
            if (brought := _unasked(turn, conversation)) and best is None:
                word, source_turn = brought
                best = finding(
                    self, at(turn), UNASKED,
                    f"{tool_of(turn.event)}, which nobody spoke of, takes {word!r}, which is no principal's word",
                    value=word, first_in=conversation.turns[source_turn].event.id, asked=0.0, strength=0.0,
                )  # fmt: skip
            for what, order in _followed(turn, conversation):
                asked = _asked(order, conversation)
                score = order.directive.strength * (1 - asked)
                if best is None or score > (best.score or 0.0):
                    source = conversation.turns[order.turn]
                    best = finding(
                        self, at(turn), score, _reason(turn, what, order), value=what, ordered_in=source.event.id,
                        strength=order.directive.strength, asked=round(asked, 3),
                        order=[order.directive.start, order.directive.end],
                    )  # fmt: skip
        return best


def _followed(turn: Turn, conversation: Conversation) -> Iterator[tuple[str, Order]]:
    """What the call takes from an order, and the order: values first, then the tool itself."""
    for _, text in values_of(turn.event):
        for group in _groups(turn, text, conversation):
            for order in conversation.orders(next(iter(group))):
                if order.turn < turn.index and group <= order.words:
                    yield " ".join(sorted(group))[:200], order
        for word in {w for w in words(normal(unfolded(text))) if len(w) >= LEAST_PIECED and distinct(w)}:
            if (origin := conversation.word(word)) and origin.turn == turn.index:  # nobody said it as a whole
                for order in conversation.latest_orders:
                    if _pieced(word, order):
                        yield word, order
    if any(order.marks for order in conversation.latest_orders):
        whole = compact(normal(unfolded(" ".join(text for _, text in values_of(turn.event)))))
        for order in conversation.latest_orders:  # written otherwise: in groups of four, behind a name, in a list
            for word, letters in order.marks:
                if letters in whole and _outside(word, turn, conversation):
                    yield word, order
    tool = tool_of(turn.event)
    parts = stems(tool)
    named = conversation.named(tool) if parts else None
    first = conversation.first_call(tool)
    if named and named.turn < turn.index and (first is None or first > named.turn):  # else it was in use before
        yield tool, named
    if len(parts) >= LEAST_PARTS:
        for part in parts - conversation.asked:
            for order in conversation.orders(part):
                share = len(parts & order.stems) / len(parts)
                if order.turn < turn.index and share >= NAMES_ACTION:
                    yield tool, order


def _unasked(turn: Turn, conversation: Conversation) -> tuple[str, int] | None:
    """In a call that changes something and of which no principal spoke, an address or id that is no principal's either.

    It came from outside, or from nowhere: then it must be an address, since agents rightly make up other names. With
    the turn in which it was first said.
    """
    tool = tool_of(turn.event)
    if stems(tool) & conversation.asked or only_looks(tool):
        return None
    for _, text in values_of(turn.event):
        for word in words(normal(unfolded(text))):
            if is_joined(word):  # its parts are there too
                continue
            origin = conversation.word(word) if len(word) >= LEAST_PIECED and distinct(word) else None
            if origin is None or origin.trusted:
                continue
            is_meant = conversation.delegated and conversation.is_pointed_at(origin.turn)
            if (_outside(word, turn, conversation) and not is_meant) or (not origin.outside and is_address(word)):
                return word, origin.turn
    return None


def _groups(turn: Turn, text: str, conversation: Conversation) -> Iterator[set[str]]:
    """The words of a value that were said outside first and by no principal; of a long text each address or id."""
    found = words(normal(unfolded(text)))
    short = len(found) <= SHORT
    foreign = {w for w in found if not ordinary(w) and (short or distinct(w)) and _outside(w, turn, conversation)}
    if short and foreign:
        yield foreign
    elif not short:
        yield from ({w} for w in sorted(foreign))


def _pieced(word: str, order: Order) -> bool:
    """Is the word put together from pieces that the order has?"""
    pieces = [w for w in order.words if LEAST_PIECE <= len(w) < len(word) and w in word]
    covered: set[int] = set()
    for piece in pieces:
        at = word.find(piece)
        while at >= 0:
            covered.update(range(at, at + len(piece)))
            at = word.find(piece, at + 1)
    return len(covered) >= len(word) - word.count(".") - word.count("-")


def _outside(word: str, turn: Turn, conversation: Conversation) -> bool:
    origin = conversation.word(word)
    return bool(origin and not origin.trusted and origin.outside and origin.outside[0] == origin.turn < turn.index)


def _asked(order: Order, conversation: Conversation) -> float:
    share = len(order.stems & conversation.asked) / max(1, len(order.stems))
    same = bool(order.directive.verb) and stem(order.directive.verb) in conversation.asked
    wanted = conversation.is_pointed_at(order.turn) and (conversation.delegated or same)
    asked = max(share, DELEGATED if wanted else 0.0)
    return asked / 2 if order.directive.strength > 0.6 else asked


def _reason(turn: Turn, what: str, order: Order) -> str:
    text = " ".join(order.directive.text.split())[:200]
    return f"{tool_of(turn.event) or 'the decision'} takes {what!r} from an order in untrusted content: {text!r}"
