"""Is a value one that only looks like what the user gave?"""

from __future__ import annotations

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, values_of
from cryptosentinel.guard.directives import unfolded
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.reading import normal, words
from cryptosentinel.guard.vocabulary import LEAST_MARK, is_figure, only_looks
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

MOST_WRONG = 2  # characters in their place that may differ
WINDOW = 2  # characters next to each other that may differ, or be more or fewer
ENDS, LEAST_ENDS = 4, 16  # a long id is read by its first and last characters
SCORE = 0.9


@register("check", "lookalike")
class LookAlike:
    """Does a call carry an address or id that no principal has said and that is nearly one which a principal has?

    Nearly: of the same length and at most two characters differ; or all that differs lies within two characters; or,
    for ids of sixteen letters and digits and more, the first and the last four are the same, which is how people
    compare addresses. Score: 0.9. Values of less than eight characters and figures (dates, amounts, telephone numbers)
    are not compared, nor is what a tool that by its name only looks is asked for. False alarms: an agent that rightly
    goes on from one id to the next one. It does not see a value that looks alike and is spelt otherwise.
    """

    name = "lookalike"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call and decision of the step."""
        for turn in step:
            tool = tool_of(turn.event)
            if turn.event.kind not in ("tool_call", "decision") or only_looks(tool) or not conversation.marks:
                continue
            for _, text in values_of(turn.event):
                for word in words(normal(unfolded(text))):
                    if len(word) < LEAST_MARK or is_figure(word) or word in conversation.marks:
                        continue
                    if near := next((mark for mark in conversation.marks if resembles(word, mark)), ""):
                        reason = f"{tool or 'the decision'} takes {word!r}, which is not {near!r} but looks like it"
                        return finding(self, at(turn), SCORE, reason, value=word, like=near)
        return None


def resembles(a: str, b: str) -> bool:
    """Could one of these be read for the other?

    >>> resembles("ann@shop.example", "ann@shpo.example"), resembles("ann@shop.example", "bob@shop.example")
    (True, False)
    >>> resembles("0x1234aaaaaaaaaaaaaa5678", "0x1234bbbbbbbbbbbbbb5678")
    True
    """
    if a == b or abs(len(a) - len(b)) > WINDOW:
        return False
    if len(a) == len(b):
        if sum(x != y for x, y in zip(a, b, strict=True)) <= MOST_WRONG:
            return True
        if len(a) >= LEAST_ENDS and a.isalnum() and b.isalnum() and a[:ENDS] == b[:ENDS] and a[-ENDS:] == b[-ENDS:]:
            return True
    short = min(len(a), len(b))
    front = next((i for i in range(short) if a[i] != b[i]), short)
    back = next((i for i in range(short - front) if a[-1 - i] != b[-1 - i]), short - front)
    return max(len(a), len(b)) - front - back <= WINDOW
