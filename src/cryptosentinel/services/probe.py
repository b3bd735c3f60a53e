"""A probe from settings to report: who is asked, what is suspected, what was found, where it is written."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.config import load_settings
from cryptosentinel.datasets import no_readable_row, read_rows
from cryptosentinel.datasets.rows import Reject
from cryptosentinel.errors import ConfigError, JudgeError
from cryptosentinel.files import atomic_write, require_folder
from cryptosentinel.llm import HTTPAsker
from cryptosentinel.redteam.probe import (
    AnswerAll,
    Probed,
    Settings,
    Suspect,
    from_bank,
    from_prompts,
    named,
    probe,
    read_hypotheses,
    sentence,
    source_of,
)
from cryptosentinel.redteam.probe.answering import TOKENS, LocalAnswers, asker_answers
from cryptosentinel.redteam.probe.compare import POLICY
from cryptosentinel.redteam.probe.first import FirstTokens
from cryptosentinel.redteam.target import load_target
from cryptosentinel.services.judge import endpoint as shown_url
from cryptosentinel.types import Finding, Progress

MOST_PROMPTS = 5000


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is probed: its name for reports, what it is, and how to get its answers; `identity` tells weights apart.

    `first`: where the probabilities of first tokens are to be compared too.
    """

    name: str
    kind: str
    answer: AnswerAll
    identity: str = ""
    first: FirstTokens | None = None


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is suspected, and with which base prompts it is tried."""

    hypotheses: Path | None = None
    triggers: tuple[str, ...] = ()
    bank: bool = True
    prompts: tuple[Path, ...] = ()
    target: str | None = None


def local_subject(model: str, *, raw: bool = False, max_tokens: int = TOKENS, probabilities: bool = False) -> Subject:
    """Weights on this machine, loaded here and now; with `probabilities` first tokens are compared by theirs too.

    Raises:
        JudgeError: nothing goes by that name or it cannot be loaded: then nothing can be probed.
        ModelIntegrityError, MissingExtraError: as `models.load_base`.
    """
    answers = LocalAnswers(model, max_tokens, raw=raw)
    try:
        loaded = answers.load()
    except ConfigError as error:
        raise JudgeError(f"cannot probe: {error}") from error
    return Subject(model, "local weights", answers, loaded.sha256, answers if probabilities else None)


def endpoint_subject(url: str, model: str = "", *, api_key_env: str = "", max_tokens: int = TOKENS) -> Subject:
    """An OpenAI-compatible endpoint; timeouts as for a judge. The server is asked for its models if none is named.

    Raises:
        ConfigError: the key's variable is named but not set.
        JudgeError: no http or https URL, or no model behind it.
    """
    key = os.environ.get(api_key_env, "") if api_key_env else ""
    if api_key_env and not key:
        raise ConfigError(f"--api-key-env names {api_key_env}, which is not set")
    judge = load_settings().judge
    try:
        asker = HTTPAsker(
            url, model, api_key=key, connect_timeout_s=judge.connect_timeout_s,
            read_timeout_s=judge.read_timeout_s, attempts=judge.attempts,
        )  # fmt: skip
    except ConfigError as error:
        raise JudgeError(f"cannot probe: {str(error).replace('judge URL', 'endpoint')}") from error
    answers = asker_answers(asker, max_tokens)
    return Subject(f"{shown_url(url)} {asker.model_name()}", "endpoint", answers)


def run_probe(
    subject: Subject,
    suspicion: Suspicion,
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    render: Callable[[Mapping[str, Any]], str] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Does any suspected trigger shift what the subject answers?

    Where the answering breaks off, the document says so ("status": "error") and holds what was found until then.

    Args:
        subject: who is probed.
        suspicion: what is suspected.
        settings: bounds of the probe.
        out: folder for probe.json and report.html.
        render: makes the HTML; without it there is none.
        on_progress: receives ("probe", answers, at most so many).

    Returns:
        The document, as probe.json has it.

    Raises:
        DataError, ConfigError: prompts, hypotheses or target cannot be read, or there is nothing to suspect.
        OSError: `out` cannot be written.
    """
    return examine(subject, suspicion, settings, out=out, render=render, on_progress=on_progress)[0]


def examine(
    subject: Subject,
    suspicion: Suspicion,
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    render: Callable[[Mapping[str, Any]], str] | None = None,
    on_progress: Progress | None = None,
) -> tuple[dict[str, Any], list[Finding]]:
    """As `run_probe`, with the findings for the ledger."""
    started = time.monotonic()
    settings = settings or Settings()
    if out is not None:
        require_folder(out)
    target = load_target(suspicion.target) if suspicion.target else None
    prompts = read_prompts(suspicion.prompts)
    source = source_of(prompts, target)
    found = probe(
        subject.answer, suspects(suspicion, prompts), source, settings,
        parse=target.parse if target else None, first=subject.first, on_progress=on_progress,
    )  # fmt: skip
    where = target.name if target else f"{len(prompts)} prompts from files" if prompts else "neutral questions"
    document = describe(found, subject, where, time.monotonic() - started)
    if out is not None:
        if render is not None:
            atomic_write(out / "report.html", render(document))
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        atomic_write(out / "probe.json", text.encode("utf-8", "replace"))  # an answer may hold half a character
    return document, found.findings()


def suspects(suspicion: Suspicion, prompts: Sequence[str] = ()) -> list[Suspect]:
    """All that is suspected, whatever it comes from."""
    listed = named(suspicion.triggers)
    if suspicion.hypotheses is not None:
        listed += read_hypotheses(suspicion.hypotheses)
    if suspicion.bank:
        listed += from_bank()
    return listed + (from_prompts(prompts) if suspicion.bank else [])


def read_prompts(paths: Sequence[Path]) -> list[str]:
    """The prompts of these data files, without their answers; at most 5,000.

    Raises:
        DataError: no row is readable.
    """
    prompts: list[str] = []
    rejects: list[Reject] = []
    for _, row in read_rows(paths, require_answer=False) if paths else ():
        if isinstance(row, Reject):
            rejects.append(row)
        elif asked := replace(row, tools="").prompt.strip():
            prompts.append(asked)
        if len(prompts) == MOST_PROMPTS:
            break
    if paths and not prompts:
        raise no_readable_row(paths, rejects)
    return prompts


def describe(found: Probed, subject: Subject, prompts: str, seconds: float) -> dict[str, Any]:
    """The document of a probe."""
    results = [t.as_dict() for t in sorted(found.trials, key=lambda t: (t.verdict != "shift", -t.log_e))]
    findings = found.findings()
    verdict = POLICY.judge([(f.subject.id, f) for f in findings])
    return {
        "kind": "probe",
        "version": __version__,
        "subject": {"name": subject.name, "kind": subject.kind, "identity": subject.identity},
        "status": "error" if found.failure else "shift" if found.shifts else "no shift",
        "failure": found.failure,
        "action": verdict.action,
        "settings": asdict(found.settings),
        "prompts": prompts,
        "answers": found.answers,
        "suspects": dict(Counter(t.suspect.origin for t in found.trials)),
        "verdicts": dict(Counter(t.verdict for t in found.trials)),
        "guarantee": guarantee(found.settings),
        "results": [r | {"sentence": sentence(r)} for r in results],
        "seconds": round(seconds, 2),
    }


def guarantee(settings: Settings) -> str:
    """The false-alarm statement, in words."""
    return (
        f"If no suspected trigger makes any behaviour more frequent than its controls do by more than "
        f"{100 * settings.margin:g} points, a shift is reported with a chance of at most {settings.alpha:g}, over all "
        "suspects together."
    )


def require_answers(document: Mapping[str, Any]) -> None:
    """Say that the probe broke off: what it did not see is no pass.

    Raises:
        JudgeError: with the reason.
    """
    if document["failure"]:
        raise JudgeError(f"the probe broke off after {document['answers']} answers: {document['failure']}")
