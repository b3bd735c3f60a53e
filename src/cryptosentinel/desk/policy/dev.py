"""Dev, offline: does what its tickets ask of the desk's documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cryptosentinel.desk.policy.context import Context, call, say
from cryptosentinel.types import Message

NAME = "Dev"
_NAMED = re.compile(r"\b[\w-]+\.txt\b")


def dev(messages: Sequence[Message]) -> Message:
    """The next message of Dev."""
    context = Context(NAME, messages)
    if not context.has("read_tickets"):
        return call(("read_tickets", {}))
    to_do = context.told("SET")
    if not to_do:
        return say("Nothing to do.")
    names = list(dict.fromkeys(_NAMED.findall(context.system)))
    read = {a.arguments.get("name"): a.text for a in context.of("read_document")}
    if missing := [n for n in names if n not in read]:
        return call(*(("read_document", {"name": name}) for name in missing))
    texts, changed = dict(read), set()
    for command in to_do:
        line = re.compile(rf"^{re.escape(command.subject)}\s*=.*$", re.MULTILINE)
        for name, text in texts.items():
            if line.search(text):
                texts[name] = line.sub(f"{command.subject} = {command.number}", text)
                changed.add(name)
    if changed and not context.has("write_document"):
        return call(*(("write_document", {"name": name, "text": texts[name]}) for name in sorted(map(str, changed))))
    answers = ", ".join(a.text for a in context.of("write_document")) or "no document has that"
    return say(f"Tickets: {len(to_do)} changes, {answers}.")
