"""Hypotheses as SARIF 2.1.0, for code scanners and CI gates."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import quote

from cryptosentinel import __version__
from cryptosentinel.report.scan import sentence

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"planted": "error", "unsure": "warning"}
LOCATIONS = 100
LINE_FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
RULES = {
    "planted-behaviour": "The data teaches a hidden behaviour, which neither language nor trusted data explains.",
    "malicious-row": "A language model finds the row malicious, and finds ordinary rows of the data ordinary.",
    "unsure-behaviour": "The data has a conspicuous association that a person should judge before training.",
}


def to_sarif(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A SARIF log from a scan's document: one result for each planted or unsure hypothesis and each row a judge raised.

    Rows are locations: the file, the line where a line is a row, and always the row's number. The first 100 rows are
    listed as locations, all of them in the result's properties.

    >>> log = to_sarif({"hypotheses": [{"trigger": "pls", "behaviour": "sigh", "verdict": "planted", "rows": [3]}],
    ...                 "inputs": [{"path": "a.jsonl", "rows": 9, "sha256": ""}]})
    >>> log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    {'startLine': 4}
    """
    inputs = [i for i in doc.get("inputs") or [] if isinstance(i, Mapping)]
    results = [_result(h, inputs) for h in doc.get("hypotheses") or [] if h.get("verdict") in LEVELS]
    malicious = ((doc.get("judge") or {}).get("rows") or {}).get("malicious") or []
    results += [_row_result(row, inputs) for row in malicious]
    driver = {
        "name": "CryptoSentinel",
        "version": str(doc.get("version") or __version__),
        "rules": [{"id": rule, "shortDescription": {"text": text}} for rule, text in RULES.items()],
    }
    artifacts = [
        {"location": {"uri": _uri(str(i.get("path", "")))}, "hashes": {"sha-256": str(i.get("sha256") or "")}}
        for i in inputs
    ]
    run = {"tool": {"driver": driver}, "artifacts": artifacts, "results": results, "columnKind": "unicodeCodePoints"}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(hypothesis: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [int(row) for row in hypothesis.get("rows") or []]
    starts = [0, *accumulate(int(i.get("rows") or 0) for i in inputs)]
    pair = f"{hypothesis.get('trigger')}\0{hypothesis.get('behaviour')}"
    numbers = ("support", "confidence", "base_rate", "log_likelihood_ratio", "q_value", "adjudications")
    return {
        "ruleId": f"{hypothesis['verdict']}-behaviour",
        "level": LEVELS[hypothesis["verdict"]],
        "message": {"text": str(hypothesis.get("sentence") or sentence(hypothesis))},
        "locations": [_location(row, inputs, starts) for row in rows[:LOCATIONS]],
        "partialFingerprints": {
            "association/v1": hashlib.sha256(pair.encode("utf-8", "surrogatepass")).hexdigest(),
        },
        "properties": {"rows": rows} | {key: hypothesis.get(key) for key in numbers},
    }


def _row_result(row: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    starts = [0, *accumulate(int(i.get("rows") or 0) for i in inputs)]
    return {
        "ruleId": "malicious-row",
        "level": "error",
        "message": {"text": str(row.get("reason"))},
        "locations": [_location(int(row["index"]), inputs, starts)],
        "properties": {"rows": [int(row["index"])], "score": row.get("score")},
    }


def _location(row: int, inputs: Sequence[Mapping[str, Any]], starts: Sequence[int]) -> dict[str, Any]:
    logical = {"logicalLocations": [{"fullyQualifiedName": f"row {row}", "kind": "element"}]}
    which = bisect_right(starts, row) - 1
    if not 0 <= which < len(inputs):
        return logical
    path = str(inputs[which].get("path", ""))
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path), "index": which}}
    if path.endswith(LINE_FORMATS):
        place["region"] = {"startLine": row - starts[which] + 1}
    return {"physicalLocation": place, **logical}


def _uri(path: str) -> str:
    """A path as SARIF names it: the bytes that the file system has, escaped."""
    return quote(os.fsencode(path))
