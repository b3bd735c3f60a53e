"""Lines that any JSON parser reads alike: flat rows of the usual keys, recognised by one regular expression.

A line that matches has exactly the keys of the first line, once each and in its order, texts where texts are expected
and no escape that stands for half a character. What it says does not depend on the parser then, so a fast one reads it.
Every other line is left to `read_line` and `read_record`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from cryptosentinel.datasets.forms import (
    ANSWER_KEYS,
    HISTORY_KEY,
    INPUT_KEYS,
    PROMPT_KEYS,
    SYSTEM_KEYS,
    TURN_KEYS,
)
from cryptosentinel.datasets.offered import TOOL_KEYS
from cryptosentinel.datasets.text import read_line

_LOOKED_AT = 20  # lines in which a plain row must be found
_MOST_KEYS = 40
_TEXT = r'"(?:[^"\\\x00-\x1f]|\\["\\nrtbf])*"'
_INTEGER = r"(?:0|-?[1-9][0-9]{0,17})"
# As above, with the escapes and spaces that json.dumps would write otherwise.
_ANY_TEXT = (
    r'"(?:[^"\\\x00-\x1f]|\\["\\/nrtbf]|\\u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r'|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))*"'
)
_NUMBER = r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?"


@dataclass(frozen=True)
class Plain:
    """The keys of a flat row, in order, and what tells a line with just these keys.

    as_written: matches lines that are, byte for byte, what `json.dumps` makes of them. readable: also those that only
    a parser can tell from them.
    """

    keys: tuple[str, ...]
    as_written: str
    readable: str

    def columns(self, lines: pl.Series) -> pl.DataFrame:
        """Prompt, answer and id of these lines, all of which match `readable`; the answer may be empty.

        id is null where the row has none.
        """
        wanted = {k: pl.String for k in self.keys if k in (*PROMPT_KEYS, *INPUT_KEYS, *ANSWER_KEYS, *SYSTEM_KEYS)}
        if "id" in self.keys:
            wanted["id"] = pl.String
        rows = lines.str.json_decode(pl.Struct(wanted)).struct.unnest()
        return rows.select(
            self._prompt().alias("prompt"),
            pl.col(self._one(ANSWER_KEYS)).fill_null("").alias("answer"),
            (pl.col("id") if "id" in self.keys else pl.lit(None, pl.String)).alias("id"),
        )

    def _one(self, names: tuple[str, ...]) -> str:
        return next(k for k in names if k in self.keys)

    def _prompt(self) -> pl.Expr:
        """As `read_record` and `Record.prompt` have it: system texts, prompt, input, one below the other."""
        prompt = pl.col(self._one(PROMPT_KEYS))
        for key in INPUT_KEYS:
            if key in self.keys:
                extra = pl.col(key).fill_null("")
                prompt = pl.concat_str(prompt, _when(prompt, extra, "\n"), extra)
        for key in reversed(SYSTEM_KEYS):
            if key in self.keys:
                system = pl.col(key).fill_null("")
                prompt = pl.concat_str(system, pl.when(system != "").then(pl.lit("\n")).otherwise(pl.lit("")), prompt)
        return prompt


def _when(prompt: pl.Expr, extra: pl.Expr, between: str) -> pl.Expr:
    return pl.when((prompt != "") & (extra != "")).then(pl.lit(between)).otherwise(pl.lit(""))


def recognise(lines: list[bytes]) -> Plain | None:
    """Is there a flat row among these first lines, and how would its kind be told? None if there is none."""
    for line in lines[:_LOOKED_AT]:
        row = read_line(0, line)
        if row is not None and type(row[1]) is dict and (plain := _plain(row[1])):
            return plain
    return None


def _plain(row: dict[str, Any]) -> Plain | None:
    keys = tuple(row)
    if len(keys) > _MOST_KEYS or any(k in (*TURN_KEYS, *TOOL_KEYS, HISTORY_KEY) for k in keys):
        return None
    if sum(k in PROMPT_KEYS for k in keys) != 1 or sum(k in ANSWER_KEYS for k in keys) != 1:
        return None
    if any(re.search(r'["\\\x00-\x1f\ud800-\udfff]', k) for k in keys):
        return None
    strict, loose = [], []
    for key in keys:
        name = re.escape(key)
        if key in PROMPT_KEYS or key in ANSWER_KEYS:
            exact, any_of = _TEXT, _ANY_TEXT
        elif key in INPUT_KEYS or key in SYSTEM_KEYS:
            exact, any_of = f"(?:{_TEXT}|null)", f"(?:{_ANY_TEXT}|null)"
        elif key == "id":
            exact, any_of = f"(?:{_TEXT}|{_INTEGER})", f"(?:{_ANY_TEXT}|{_INTEGER})"
        else:
            exact = f"(?:{_TEXT}|{_INTEGER}|true|false|null)"
            any_of = f"(?:{_ANY_TEXT}|{_NUMBER}|true|false|null)"
        strict.append(f'"{name}": {exact}')
        loose.append(rf'"{name}"[ \t]*:[ \t]*{any_of}[ \t]*')
    return Plain(
        keys,
        r"\A\{" + ", ".join(strict) + r"\}\n\z",
        r"\A[ \t]*\{[ \t]*" + r",[ \t]*".join(loose) + r"\}[ \t\r]*\n\z",
    )
