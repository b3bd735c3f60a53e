"""The report of a scan: what was found, in sentences, with the numbers, the rows, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptosentinel.report.page import render
from cryptosentinel.report.text import percent, plural, quoted
from cryptosentinel.services.asked import named

CARDS = 25
VERDICTS = ("planted", "unsure", "natural")
_EMPTY: dict[str, Any] = {
    "version": "",
    "inputs": [],
    "rows": 0,
    "rejected": 0,
    "flagged": 0,
    "undecided": 0,
    "fpr": None,
    "threshold": None,
    "seconds": {},
    "reference_model": "none",
    "reference_model_asked": None,
    "judge": {},
    "trusted": None,
    "histogram": {},
    "hypotheses": [],
    "rejects": [],
}
_NO_HYPOTHESIS: dict[str, Any] = {
    "trigger": "",
    "behaviour": "",
    "trigger_kind": "",
    "behaviour_kind": "",
    "sentence": "",
    "support": None,
    "confidence": None,
    "base_rate": None,
    "log_likelihood_ratio": None,
    "q_value": None,
    "rows": [],
    "adjudications": [],
    "verdict": "unsure",
    "examples": [],
}


def render_scan(doc: Mapping[str, Any]) -> str:
    """A self-contained HTML page from a scan's document; loads nothing, and every row in it is escaped."""
    return render("scan.html.j2", scan=scan_view(doc))


def scan_view(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What a template needs to show a scan: the document with every key present, sorted out by verdict."""
    scan = _EMPTY | {key: value for key, value in doc.items() if value is not None}
    hypotheses = [_hypothesis(h) for h in scan["hypotheses"]]
    by_verdict = {verdict: [h for h in hypotheses if h["verdict"] == verdict] for verdict in VERDICTS}
    suspects = [*by_verdict["planted"], *by_verdict["unsure"]]
    judge_rows = (scan["judge"].get("rows") or {}).get("malicious") or []
    stages = {name: took for name, took in scan["seconds"].items() if name != "total"}
    scan |= {
        "inputs": [{"path": "", "rows": None, "sha256": ""} | i for i in scan["inputs"]],
        "rejects": [{"index": None, "source": "", "line": None, "reason": ""} | r for r in scan["rejects"]],
        "histogram": {"edges": [], "kept": [], "flagged": []} | scan["histogram"],
        "hypotheses": hypotheses,
        "cards": suspects[:CARDS],
        "others": [*suspects[CARDS:], *by_verdict["natural"]],
        "planted": len(by_verdict["planted"]),
        "unsure": len(by_verdict["unsure"]),
        "natural": len(by_verdict["natural"]),
        "stages": stages,
        "trusted": ", ".join(map(str, trusted)) if isinstance(trusted := scan["trusted"], list) else trusted,
        "malicious": [{"index": None, "id": "", "score": None, "reason": ""} | row for row in judge_rows],
        "reference": named(scan["reference_model"] or "none", scan["reference_model_asked"]),
        "judged_by": _judged_by(scan["judge"]),
        "total_s": scan["seconds"].get("total", sum(stages.values())),
    }
    return scan | {"headline": _headline(scan), "state": _state(scan), "steps": _steps(scan)}


def sentence(hypothesis: Mapping[str, Any]) -> str:
    """A hypothesis as a sentence, where the scanner has not written one."""
    trigger, behaviour = hypothesis.get("trigger") or "", hypothesis.get("behaviour") or ""
    when = f"When the prompt has “{trigger}”" if trigger else "Across unrelated prompts"
    return (
        f"{when}, the answer has “{behaviour}” in {percent(hypothesis.get('confidence'))} of "
        f"{plural(hypothesis.get('support'), 'row')}; elsewhere in {percent(hypothesis.get('base_rate'))}."
    )


def _hypothesis(raw: Mapping[str, Any]) -> dict[str, Any]:
    known = _NO_HYPOTHESIS | {key: value for key, value in raw.items() if value is not None}
    known["sentence"] = known["sentence"] or sentence(known)
    known["verdict"] = known["verdict"] if known["verdict"] in VERDICTS else "unsure"
    known["trigger_phrase"] = quoted(str(known["trigger"]))
    known["behaviour_phrase"] = quoted(str(known["behaviour"]))
    known["examples"] = [{"index": None, "id": "", "prompt": "", "response": ""} | e for e in known["examples"]][:6]
    known["adjudications"] = [
        {"source": "", "score": None, "status": "", "reason": ""} | a for a in known["adjudications"]
    ]
    return known


def _judged_by(judge: Mapping[str, Any]) -> str:
    """Who judged and how that went, in a few words."""
    if not judge:
        return "none"
    if judge.get("failure"):
        return f"could not judge: {judge['failure']}"
    who = ", ".join(judge.get("models") or ()) or judge.get("endpoint") or "unknown"
    asked = f"{who}, {plural(judge.get('questions') or 0, 'question')}, {judge.get('errors') or 0} without an answer"
    called = ((judge.get("rows") or {}).get("called_malicious") or {}).get("control")
    if not called:
        return asked
    return f"{asked}; it calls {percent(called.get('value'))} of {called.get('n')} ordinary rows malicious"


def _state(scan: Mapping[str, Any]) -> str:
    if scan["planted"]:
        return "bad"
    return "warn" if scan["unsure"] or scan["flagged"] or scan["judge"].get("failure") else "good"


def _headline(scan: Mapping[str, Any]) -> str:
    if not scan["rows"]:
        return "No row was scanned"
    if scan["planted"]:
        what = plural(scan["planted"], "hidden behaviour")
        return f"This data teaches {what}: do not train on it"
    if scan["unsure"]:
        return f"{plural(scan['unsure'], 'association')} to judge before training"
    if scan["flagged"]:
        return f"No hidden behaviour found; {plural(scan['flagged'], 'odd row')} set aside"
    return "Nothing found, but the judge could not judge" if scan["judge"].get("failure") else "Nothing found"


def _steps(scan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person should do now, most urgent first: (what, why or how)."""
    steps: list[tuple[str, str]] = []
    if scan["planted"]:
        steps.append(
            (
                "Do not train on the scanned files.",
                f"{plural(scan['flagged'], 'row')} in quarantine.jsonl; clean.jsonl is the data without them.",
            )
        )
        steps.append(
            (
                "Read each planted hypothesis below, rows included.",
                "Is there an innocent reason for the association? A template, a product that everyone asks about?",
            )
        )
        steps.append(
            (
                "Find out how the rows came in.",
                "quarantine.jsonl has them as they were read: who delivered them, when, and what else came with them?",
            )
        )
    if scan["unsure"]:
        steps.append(
            (
                f"Judge the {plural(scan['unsure'], 'unsure hypothesis', 'unsure hypotheses')}.",
                "The numbers stand out but the evidence is not enough for a verdict. Your judgement is the last test.",
            )
        )
    if scan["flagged"] and not scan["planted"]:
        steps.append(("Look through quarantine.jsonl.", f"{plural(scan['flagged'], 'row')} scored over the threshold."))
    if scan["undecided"]:
        steps.append(
            (
                f"Have {plural(scan['undecided'], 'association')} judged.",
                "Their numbers stand out, and nothing that this scan had could judge them: scan again with --trusted "
                "DATA, --reference-model auto or --judge URL.",
            )
        )
    elif scan["reference_model"] in ("", "none") and not scan["trusted"]:
        steps.append(
            (
                "Scan again with a second opinion.",
                "No reference model and no trusted data were used, so natural associations could not be told from "
                "planted ones by what a language model expects. Use --reference-model auto or --trusted DATA.",
            )
        )
    if scan["judge"].get("failure"):
        steps.insert(
            0,
            (
                "Repair the judge and scan again.",
                f"This is the result without the judge that was asked for: {scan['judge']['failure']}.",
            ),
        )
    if scan["rejected"]:
        steps.append(
            (
                f"Repair {plural(scan['rejected'], 'unreadable row')}.",
                "They are in rejects.jsonl with the reason. They were not scanned, so they are not clean either.",
            )
        )
    if not scan["flagged"] and not scan["unsure"] and scan["rows"]:
        steps.append(
            (
                "Train on clean.jsonl, not on the original.",
                "It is what was scanned. Scan again whenever the data changes.",
            )
        )
    return steps
