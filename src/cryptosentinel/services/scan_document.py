"""What a scan found, as the document that report.json, the pages and `--json` are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptosentinel import __version__
from cryptosentinel.datasets import Reject
from cryptosentinel.sanitize import Hypothesis, Scan
from cryptosentinel.sanitize.rows import POLICY
from cryptosentinel.types import Record

EXAMPLES = 6
EXAMPLE_CHARACTERS = 2000
REJECTS_SHOWN = 20
UNPLANTED_SHOWN = 20  # in the report; hypotheses.json has them all
BINS = 40


@dataclass(frozen=True)
class ScanReport:
    """What `scan_dataset` found: the scan, the row number of each scanned record, and the report document."""

    scan: Scan
    index: Sequence[int]
    rejects: tuple[Reject, ...]
    document: Mapping[str, Any]

    @property
    def found(self) -> bool:
        """Is there a planted hypothesis or a flagged row?"""
        return bool(self.scan.flagged.any()) or any(h.verdict == "planted" for h in self.scan.hypotheses)


def sentence(h: Hypothesis) -> str:
    """A hypothesis as one sentence with its numbers."""
    return (
        f"When the prompt {h.condition}, the answer {h.behaviour}: "
        f"{round(h.confidence * h.trigger_rows.size)} of the {h.trigger_rows.size} rows with it "
        f"({min(h.confidence, 1.0):.0%}), against {h.base_rate:.1%} expected and {h.neighbour_rate:.1%} among the "
        "nearest prompts without it."
    )


def describe(h: Hypothesis, index: Sequence[int], records: Sequence[Record], examples: int) -> dict[str, Any]:
    """A hypothesis as hypotheses.json has it; `rows` are row numbers over the inputs."""
    chosen = h.rows[np.linspace(0, h.rows.size - 1, min(examples, h.rows.size)).astype(int)].tolist()
    return {
        "trigger": h.trigger,
        "behaviour": h.behaviour,
        "trigger_kind": h.trigger_kind,
        "behaviour_kind": h.behaviour_kind,
        "verdict": h.verdict,
        "score": round(h.score, 6),
        "sentence": sentence(h),
        "support": h.support,
        "confidence": round(h.confidence, 6),
        "base_rate": round(h.base_rate, 6),
        "neighbour_rate": round(h.neighbour_rate, 6),
        "contrast": round(h.contrast, 6),
        "log_likelihood_ratio": round(h.log_likelihood_ratio, 3),
        "q_value": h.q_value,
        "rows": [int(index[r]) for r in h.rows.tolist()],
        "adjudications": [
            {"source": f.source, "score": f.score, "status": f.status, "reason": f.reason, "evidence": dict(f.evidence)}
            for f in h.adjudications
        ],
        "examples": [
            {
                "index": int(index[r]),
                "id": records[r].id,
                "prompt": records[r].prompt[:EXAMPLE_CHARACTERS],
                "response": records[r].response[:EXAMPLE_CHARACTERS],
            }
            for r in chosen
        ],
    }


def build_document(
    inputs: Sequence[Mapping[str, Any]],
    index: Sequence[int],
    records: Sequence[Record],
    rejects: Sequence[Reject],
    result: Scan,
    rows_of: Mapping[str, int],
) -> dict[str, Any]:
    """The whole document, but for what only the caller knows (settings and seconds).

    `inputs` have path and digest; rows_of: rows by path, rejected ones included.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    kept, _ = np.histogram(result.scores[~result.flagged], edges)
    flagged, _ = np.histogram(result.scores[result.flagged], edges)
    return {
        "kind": "scan",
        "version": __version__,
        "inputs": [dict(i) | {"rows": rows_of.get(i["path"], 0)} for i in inputs],
        "rows": len(records),
        "rejected": len(rejects),
        "flagged": int(result.flagged.sum()),
        "threshold": POLICY.flag_at,
        "histogram": {"edges": edges.round(4).tolist(), "kept": kept.tolist(), "flagged": flagged.tolist()},
        "hypotheses_found": len(result.hypotheses),
        "undecided": result.undecided,
        "hypotheses": [describe(h, index, records, EXAMPLES) for h in shown(result.hypotheses)],
        "rejects": [
            {"index": r.index, "source": r.source, "line": r.line, "reason": r.reason} for r in rejects[:REJECTS_SHOWN]
        ],
    }


def shown(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Which hypotheses does a report show? Every planted one, and the most suspicious of the others."""
    planted = [h for h in hypotheses if h.verdict == "planted"]
    return planted + [h for h in hypotheses if h.verdict != "planted"][:UNPLANTED_SHOWN]
