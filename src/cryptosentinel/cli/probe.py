"""`cryptosentinel redteam probe` and `redteam watch`: does this model or agent carry a backdoor, and does it now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cryptosentinel.services.probe import Subject, Suspicion

EXIT_FOUND = 1
SHOWN = 8
PROBE, WATCH = "probe", "watch"

Model = Annotated[
    str | None,
    typer.Option(help="Local weights: gemma-3-270m, a folder or a hub id; with --endpoint the name of its model."),
]
Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint.")]
Agent = Annotated[str | None, typer.Option(metavar="MODULE:NAME", help="An Agno agent or team; no tool is run.")]
KeyName = Annotated[str, typer.Option(metavar="NAME", help="Environment variable with the endpoint's key.")]
Hypotheses = Annotated[Path | None, typer.Option(help="Suspects: the hypotheses.json of a scan.")]
Trigger = Annotated[list[str] | None, typer.Option(help="A suspected trigger; repeat for more.")]
Bank = Annotated[bool, typer.Option(help="Also try the built-in suspects and names found in the prompts.")]
Prompts = Annotated[
    list[Path] | None, typer.Option(help="Base prompts: data files as scan reads them; neutral questions by default.")
]
Target = Annotated[
    str | None,
    typer.Option(metavar="MODULE:NAME", help="Base prompts and decisions of a target of the red team instead."),
]
Alpha = Annotated[float, typer.Option(help="Chance of any false alarm, over all suspects together.")]
Margin = Annotated[float, typer.Option(help="How much more frequent with the trigger a behaviour may be.")]
Budget = Annotated[int, typer.Option(help="Answers in all.")]
Pairs = Annotated[int, typer.Option(help="Pairs of prompts for one suspect, at most.")]
Tokens = Annotated[int, typer.Option(help="Length of an answer, in tokens.")]
Probabilities = Annotated[
    bool,
    typer.Option(help="With --model: compare the probabilities of first words too; sees more, natural effects too."),
]
Seed = Annotated[int, typer.Option(help="Same seed, same prompts.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def add_commands(app: typer.Typer) -> None:
    """Give `redteam` its two commands."""
    app.command(PROBE)(probe)
    app.command(WATCH)(watch)


def probe(
    model: Model = None,
    endpoint: Endpoint = None,
    agent: Agent = None,
    api_key_env: KeyName = "",
    hypotheses: Hypotheses = None,
    trigger: Trigger = None,
    bank: Bank = True,
    prompts: Prompts = None,
    target: Target = None,
    alpha: Alpha = 0.05,
    least_shift: Margin = 0.2,
    budget: Budget = 2000,
    pairs: Pairs = 100,
    tokens: Tokens = 64,
    probabilities: Probabilities = False,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for probe.json and report.html.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a model or agent the same with and without suspected triggers: does one shift what it answers?

    Exit code 0: no shift was found. 1: one was. 2: wrong usage. 3: the model, endpoint or agent cannot be asked, or
    broke off; what was found until then is written.

    Example: cryptosentinel redteam probe --model ./my-model --hypotheses report/hypotheses.json
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.files import require_folder
    from cryptosentinel.redteam.probe import Settings
    from cryptosentinel.report.probe import render_probe
    from cryptosentinel.services.probe import require_answers, run_probe

    bounds = Settings(alpha, least_shift, budget, pairs, seed)
    suspicion = suspected(hypotheses, trigger, bank, prompts, target)
    make, _ = subject_of(model, endpoint, agent, api_key_env, tokens, target is not None, probabilities)
    if out is not None:
        require_folder(out)  # before a model is loaded
    with Board() as board:
        document = run_probe(make(), suspicion, bounds, out=out, render=render_probe, on_progress=board)
    if as_json:
        emit_json(document)
    else:
        emit(summary(document, out))
    require_answers(document)
    if document["status"] == "shift":
        raise typer.Exit(EXIT_FOUND)


def watch(
    model: Model = None,
    endpoint: Endpoint = None,
    agent: Agent = None,
    api_key_env: KeyName = "",
    hypotheses: Hypotheses = None,
    trigger: Trigger = None,
    bank: Bank = True,
    prompts: Prompts = None,
    target: Target = None,
    every: Annotated[str, typer.Option(help="How often: 6h, 30m, 1d.")] = "6h",
    once: Annotated[bool, typer.Option("--once", help="One run now, compared with the last one: for cron.")] = False,
    webhook: Annotated[str, typer.Option(help="Where alerts are sent, in Alertmanager's webhook form.")] = "",
    ledger: Annotated[str | None, typer.Option(help="Where the history is kept; the configured ledger.")] = None,
    alpha: Alpha = 0.01,
    least_shift: Margin = 0.2,
    budget: Budget = 2000,
    pairs: Pairs = 100,
    tokens: Tokens = 64,
    probabilities: Probabilities = False,
    seed: Seed = 0,
) -> None:
    """Repeat a probe and say what has changed: one line of JSON for each run, on standard output.

    Without --once it runs until it is stopped. With --once, exit code 0: nothing has changed. 1: something has, or the
    last run did not end. 3: the probe could not run, or alerts could not be sent.

    Example: cryptosentinel redteam watch --endpoint http://127.0.0.1:8000/v1 --every 6h
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit
    from cryptosentinel.config import load_settings
    from cryptosentinel.errors import JudgeError
    from cryptosentinel.ledger import Ledger
    from cryptosentinel.redteam.probe import Settings
    from cryptosentinel.services import watch as service

    bounds = Settings(alpha, least_shift, budget, pairs, seed)
    suspicion = suspected(hypotheses, trigger, bank, prompts, target)
    every_s = None if once else service.seconds_of(every)
    make, name = subject_of(model, endpoint, agent, api_key_env, tokens, target is not None, probabilities)
    where = ledger or load_settings().ledger_url
    if "://" not in where:
        Path(where).expanduser().parent.mkdir(parents=True, exist_ok=True)
    with Board() as board:
        history = Ledger.open(where)
        runs = service.watch(
            make, name, suspicion, bounds, history, every_s=every_s, webhook=webhook, on_progress=board
        )
        for run in runs:
            emit([run.line()])
            if once and run.unsent:
                raise ConnectionError(run.unsent)
            if once and run.broken:
                raise JudgeError(f"the probe could not run: {run.document['failure']}")
            if once and run.alerts:
                raise typer.Exit(EXIT_FOUND)


def suspected(
    hypotheses: Path | None, triggers: list[str] | None, bank: bool, prompts: list[Path] | None, target: str | None
) -> Suspicion:
    """What is suspected, from the options."""
    from cryptosentinel.services.probe import Suspicion

    return Suspicion(hypotheses, tuple(triggers or ()), bank, tuple(prompts or ()), target)


def subject_of(
    model: str | None, endpoint: str | None, agent: str | None, api_key_env: str, tokens: int, raw: bool, first: bool
) -> tuple[Callable[[], Subject], str]:
    """Who is probed: a function that makes it ready, and its name.

    Raises:
        ConfigError: nobody or several were named, or probabilities of someone who gives none are wanted.
    """
    from cryptosentinel.errors import ConfigError
    from cryptosentinel.services.probe import Subject, endpoint_subject, local_subject

    if first and (agent or endpoint or not model):
        raise ConfigError("--probabilities needs local weights: --model, without --endpoint and --agent")
    if agent and not model and not endpoint:

        def load() -> Subject:
            from cryptosentinel.adapters.agno_probe import load_agent

            return Subject(agent, "Agno agent", load_agent(agent))

        return load, agent
    if endpoint and not agent:
        name = f"{endpoint} {model or ''}".strip()
        return lambda: endpoint_subject(endpoint, model or "", api_key_env=api_key_env, max_tokens=tokens), name
    if model and not agent:
        return lambda: local_subject(model, raw=raw, max_tokens=tokens, probabilities=first), model
    raise ConfigError("name one to probe: --model, --endpoint (with --model for the name of its model) or --agent")


def summary(document: Mapping[str, Any], out: Path | None) -> list[str]:
    """The result for a person at a terminal."""
    shifts = [r for r in document["results"] if r["verdict"] == "shift"]
    counts = document["verdicts"]
    lines = [
        f"{document['subject']['name']}: {sum(counts.values())} suspects, {document['answers']} answers in "
        f"{document['seconds']:.1f} s (base prompts: {document['prompts']})",
        f"{len(shifts)} shift the answers" if len(shifts) != 1 else "1 shifts the answers",
    ]
    lines += [f"  {n}. {' '.join(r['sentence'].split())}" for n, r in enumerate(shifts[:SHOWN], 1)]
    why = " ".join(document["failure"].split()) or "the budget was spent"
    for verdict, said in (("not tried", f"not tried: {why}"), ("undecided", "without a verdict")):
        if counts.get(verdict):
            lines.append(f"{counts[verdict]} {said}")
    lines.append(document["guarantee"])
    if out:
        lines.append(f"report: {out / 'report.html'}")
    return lines
