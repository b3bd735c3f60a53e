"""Is a tool called that has nothing to do with the task?"""

from __future__ import annotations

from functools import lru_cache

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.vocabulary import stems
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

LEAST_STEMS = 4  # a shorter description says too little to be compared
STEEP = 6.0  # one word in twelve about what is guarded, in a tool that shares nothing with the task, scores one half
HARMFUL = 0.8  # a tool whose own name says harm

# What a tool says that reaches for what is guarded: other people's data, rights, the state of a system.
_GUARDED = stems(
    """access account administrator admin alter alteration audit authenticity authorize authorization bypass
    confidential confidentiality compliance corrupt credential delete destroy detection disable disclose escalate
    exfiltrate export forge fraud grant hidden impersonate integrity kill leak manipulate modification modify override
    password permission prevent private privacy privilege protect record remove restrict revoke sabotage safeguard
    secret secure security sensitive shutdown steal surveillance tamper theft transfer unauthorized undetected verify
    wipe"""
)
# What no honest task asks a tool to do.
_HARMFUL = stems(
    """abuse attack backdoor blackmail bribe bribery bypass corrupt corruption covert deception defacement deprivation
    destruction disruption diversion embezzle espionage evade exfiltration exploit extort extortion fabricate
    fabrication fake falsify forge forgery fraud fraudulent harass hijack hijacking illegal illicit impersonate
    impersonation injection interruption launder leak malicious malpractice malware manipulate manipulation
    misrepresentation misuse neglect phishing poison poisoning ransom sabotage spoof spoofing steal stealth
    surveillance tamper tampering theft threat unauthorized unlawful"""
)
# What turns such a name round: a tool against it.
_PROTECTIVE = stems(
    "analysis check checker detect detection detector guard prevention protection report response scan scanner"
)
_REACHED = _GUARDED | _HARMFUL


@register("check", "off_task")
class OffTask:
    """Does the called tool reach for guarded things (rights, records, other people's data) that nobody spoke of?

    Needs the tools' descriptions; without them, or with too short a one, it says nothing. Score: six times the share of
    the description's words that are about rights, records, secrecy or security and that the principals did not use,
    times the share of all its words that they did not use; or the share of such words in its name; or 0.8 if its name
    says harm; at most 1. Evidence: both shares, and `gap`, how many more words the best other tool at hand shares with
    the task. False alarms: a guarded tool that the task needs and does not speak of. It does not see an attack through
    a tool of the task, or through one described in plain words.
    """

    name = "off_task"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call of the step whose tool is described."""
        best: Finding | None = None
        asked = conversation.asked
        for turn in step:
            tool = tool_of(turn.event)
            if turn.event.kind != "tool_call" or tool not in conversation.tools:
                continue
            described = _described(tool, conversation.tools[tool])
            if len(described) < LEAST_STEMS or not asked:
                continue
            share = len(described & asked) / len(described)
            guarded = len((described & _GUARDED) - asked) / len(described)
            score = max(min(1.0, STEEP * guarded * (1 - share)), _by_name(_described(tool, "") - asked))
            if score and (best is None or score > (best.score or 0.0)):
                reached = ", ".join(f"{w}..." for w in sorted((described - asked) & _REACHED))
                others = [len(_described(t, d) & asked) for t, d in conversation.tools.items() if t != tool]
                best = finding(
                    self, at(turn), score, f"{tool} is about {reached}, which nobody spoke of", share=round(share, 3),
                    gap=max([0, *(o - len(described & asked) for o in others)]), guarded=round(guarded, 3),
                )  # fmt: skip
        return best


def _by_name(unasked: frozenset[str]) -> float:
    """What the words of a tool's name that nobody used say about it."""
    if unasked & _HARMFUL and not unasked & _PROTECTIVE:
        return HARMFUL
    return len(unasked & _REACHED) / max(2, len(unasked))


@lru_cache(maxsize=4096)
def _described(tool: str, description: str) -> frozenset[str]:
    return stems(f"{tool} {description}")
