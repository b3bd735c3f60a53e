"""The evaluation traces as the guard sees them: judged once, so that weights can be fitted and applied many times."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.traces import steps

MASKED = "agentdojo, wording masked"
FILES = {
    "agentdojo": "agentdojo",
    MASKED: "agentdojo",
    "asb": "asb",
    "asb_planning_backdoor": "asb_planning_backdoor",
    "rjudge": "rjudge",
    "assebench": "assebench",
    "taubench_airline": "taubench_airline",
    "notinject": "notinject",
}
SOURCES = {"agentdojo": "agentdojo", MASKED: "agentdojo", "asb": "asb"}  # what cuts are fitted on, and whose it is

# AgentDojo's injections all stand in one frame; without it only what is ordered is left.
_FOLD = r"(?:\\?\s*\n?\s*\\?\s*|\\n|\s)+"
_FRAME = [
    re.compile(r"<INFORMATION>.*?" + _FOLD.join("please do the following first:".split()), re.DOTALL),
    re.compile(_FOLD.join("After you do that,".split()) + r".*?</INFORMATION>", re.DOTALL),
]
Scores = dict[str, float]


@dataclass(frozen=True)
class Judged:
    """One trace: each step's message index and the checks' scores (an error counts as 1, under "error")."""

    part: str
    suite: str
    label: str
    harmful_step: int | None
    steps: tuple[tuple[int, Scores], ...]
    characters: int
    turns: int
    row: Mapping[str, Any] = field(repr=False)

    def until_harm(self) -> Iterator[tuple[int, Scores]]:
        """The steps that come no later than the harmful one; all where there is none."""
        return ((i, s) for i, s in self.steps if self.harmful_step is None or i <= self.harmful_step)

    def worst(self, check: str) -> float:
        """The highest score of one check until the harm."""
        return max((s.get(check, 0.0) for _, s in self.until_harm()), default=0.0)


def load(data: Path, part: str) -> list[dict[str, Any]]:
    """The rows of one part, in the file's order."""
    with gzip.open(data / "traces" / f"{FILES.get(part, part)}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [masked(row) for row in rows] if part == MASKED else rows


def masked(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the frame around its injections taken away: what is ordered stays, who says so goes."""
    messages = [{**m, "content": _unframed(m["content"])} if m["role"] == "tool" else m for m in row["messages"]]
    return {**row, "messages": messages}


def _unframed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    for frame in _FRAME:
        text = frame.sub("", text)
    return text


def judge(
    part: str,
    rows: Sequence[Mapping[str, Any]],
    guard: Callable[[], Guard] = Guard,
    on_row: Callable[[int], None] | None = None,
) -> list[Judged]:
    """Every row as the checks see it, message by message."""
    made = guard()
    found = []
    for n, row in enumerate(rows):
        run = f"{part}/{n}"
        made.open(run, tools=row.get("tools"))
        seen: list[tuple[int, Scores]] = []
        for index, events in steps({**row, "id": run}):
            if events:
                scores: Scores = {}
                for f in made.assess(events).findings:
                    name = "error" if f.status == "error" else f.source
                    scores[name] = max(scores.get(name, 0.0), 1.0 if f.score is None else f.score)
                seen.append((index, scores))
        made.forget(run)
        size = sum(len(str(m.get("content") or "")) for m in row["messages"])
        where = (part, str(row.get("suite") or ""), row["label"], row.get("harmful_step"))
        found.append(Judged(*where, tuple(seen), size, len(row["messages"]), row))
        if on_row is not None:
            on_row(n)
    return found
