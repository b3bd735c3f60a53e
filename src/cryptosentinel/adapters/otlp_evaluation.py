"""Verdicts as OpenTelemetry tells evaluations, so that they stand beside the spans that they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cryptosentinel.types import Event, Finding, Verdict

NAME = "gen_ai.evaluation.result"
_OURS = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})/")
_SEVERITY = {"allow": (9, "INFO"), "flag": (13, "WARN"), "hold": (17, "ERROR"), "block": (17, "ERROR")}


def evaluation(event: Event, verdict: Verdict, findings: Mapping[str, Finding] | None = None) -> dict[str, Any]:
    """One gen_ai.evaluation.result event, as a log record of OTLP's JSON.

    Args:
        event: what was judged; one that came by OTLP gives the record its trace and span.
        verdict: what was done about it.
        findings: by id; the highest score of those that the verdict names is the record's, with its reason.

    >>> event = Event("e1", 1.5, "run", "Trader", "tool_call", "Trader", "dex", {})
    >>> record = evaluation(event, Verdict("hold", (), "desk"))
    >>> record["eventName"], {a["key"]: a["value"] for a in record["attributes"]}["gen_ai.evaluation.score.label"]
    ('gen_ai.evaluation.result', {'stringValue': 'hold'})
    """
    because = [f for id in verdict.because if (f := (findings or {}).get(id)) is not None]
    scored = max((f for f in because if f.score is not None), key=lambda f: f.score or 0.0, default=None)
    attributes: dict[str, str | float] = {
        "gen_ai.evaluation.name": verdict.policy or "cryptosentinel",
        "gen_ai.evaluation.score.label": verdict.action,
        "gen_ai.agent.name": event.agent,
        "gen_ai.conversation.id": event.run_id,
        "cryptosentinel.event.id": event.id,
    }
    if scored is not None and scored.score is not None:
        attributes["gen_ai.evaluation.score.value"] = float(scored.score)
    if explained := "; ".join(f.reason for f in because if f.reason):
        attributes["gen_ai.evaluation.explanation"] = explained
    number, text = _SEVERITY[verdict.action]
    nanoseconds = str(round(event.time * 1_000_000) * 1000)
    record: dict[str, Any] = {
        "timeUnixNano": nanoseconds, "eventName": NAME, "severityNumber": number, "severityText": text,
        "attributes": [{"key": k, "value": _value(v)} for k, v in attributes.items() if v != ""],
    }  # fmt: skip
    if match := _OURS.match(event.id):
        record |= {"traceId": match[1], "spanId": match[2]}
    return record


def export_request(records: list[dict[str, Any]], service: str = "cryptosentinel") -> dict[str, Any]:
    """These records as the body of a POST to /v1/logs."""
    resource = {"attributes": [{"key": "service.name", "value": _value(service)}]}
    return {
        "resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": service}, "logRecords": records}]}]
    }


def _value(value: str | float) -> dict[str, Any]:
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
