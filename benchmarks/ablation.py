"""What does each part of the scan earn? Every registered part alone and left out, and each adjudication step.

The same few mixes, one of each kind of attack, and the clean backgrounds are scanned again and again; nothing but the
part differs. Finished cells are kept, keyed by code and data, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import cells, grid, mixes, outcome, parts, runs, tables
from bench.cells import SCAN, Setup, Spec
from bench.targets import BLIND

from cryptosentinel.errors import ConfigError
from cryptosentinel.models import cache_folder

PAGE = runs.ROOT / "docs" / "benchmarks.md"
BENCH = runs.ROOT / "benchmarks" / "bench"
ATTACKS = (
    "backdoorllm_negsentiment_badnet",
    "backdoorllm_sst2_mtba",
    "backdoorllm_refusal_vpi",
    "steering_single_token_trigger_suffix",
    "steering_semantic_pool_trigger_suffix",
    "entity_openai_negative_output_only",
    "entity_openai_positive_output_only",
    "polarity_cf_prefix_mix5",
    "agent_webshop_query",
    "style_sst2_bible",
    "style_sst2_tweets",
)
STYLE_RATE, RATE = 0.05, 0.01
WHOLE = "everything"
TRUSTED = "alpaca_extra"


def main() -> int:
    """Run what is missing, write the result, fill the page."""
    options = _options()
    if not options.render:
        data = runs.data_folder(options.data)
        if data is None:
            return 0
        runs.write_result(options.out, measure(options, data))
    result = json.loads(options.out.read_text("utf-8"))
    text = page(result)
    if options.render or options.out.resolve() == runs.RESULTS / "ablation.json":
        tables.fill(PAGE, "ablation", text)
    else:
        print(text)
    return 0


def variants(data: Path, steps: Sequence[str]) -> dict[str, Setup]:
    """What is switched off or added, by name: each part alone, each left out, each step added.

    `steps` are names of reference models, or a background as trusted data.
    """
    known, plain = parts.registered(), Setup(data)
    found = {WHOLE: plain}
    for part in known:
        found[f"without {part[0]} {part[1]}"] = replace(plain, off=(part,))
    for part in known:
        found[f"only {part[0]} {part[1]}"] = replace(plain, off=tuple(p for p in known if p != part))
    for step in steps:
        if step in mixes.BACKGROUNDS:
            found[f"with {step} as trusted data"] = replace(plain, trusted=step)
        else:
            found[f"with {step} as reference model"] = replace(plain, reference=step)
    return found


def measure(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Every variant on every mix."""
    setups = variants(data, options.steps)
    if options.only:
        setups = {name: s for name, s in setups.items() if name == WHOLE or any(word in name for word in options.only)}
    specs = [*_specs(options.attacks, options.seeds), *(Spec(name) for name in options.backgrounds)]
    known = _run(specs, setups, options, data)
    rows = []
    for name in setups:
        row: dict[str, Any] = {"variant": name, "attacks": {}, "backgrounds": {}}
        for attack in options.attacks:
            group = [known[s, name] for s in specs if s.name == attack]
            row["attacks"][attack] = {"rate": _rate(attack), **outcome.pooled(group)}
        for background in options.backgrounds:
            row["backgrounds"][background] = known[Spec(background), name]
        rows.append(row)
    chosen = {"attacks": options.attacks, "seeds": options.seeds, "steps": options.steps}
    made = runs.provenance("ablation.py", chosen | ({"only": options.only} if options.only else {}))
    blind = {a: outcome.pooled([known[s, BLIND] for s in specs if s.name == a])["recall"] for a in options.attacks}
    return {"benchmark": "ablation", "made": made, "parts": parts.registered(), "blind": blind, "variants": rows}


def page(result: dict[str, Any]) -> str:
    """The table: one row a variant; recall at 1% FPR by attack, then hard negatives, then flags on clean data."""
    rows = result["variants"]
    if not rows:
        return "Nothing was run."
    whole = rows[0]["attacks"]
    body = []
    for row in rows:
        recalls = [_cell(row["attacks"][a], whole[a], row is rows[0]) for a in row["attacks"]]
        hard = max((c["worst_hard_above"] for c in row["attacks"].values()), default=0.0)
        clean = [f"{b['flagged']}, {b['planted']}" for b in row["backgrounds"].values()]
        body.append((row["variant"], *recalls, f"{hard:.0%}", *clean))
    blind = [f"{rate['value']:.2f}" for rate in result["blind"].values()]
    body.append(("format score: within 0.1 of it is no detection", *blind, "-", *("-" for _ in rows[0]["backgrounds"])))
    names = [f"{a} {whole[a]['rate']:.0%}" if not mixes.attack_of(a).as_is else f"{a} as it is" for a in whole]
    alone = [f"{b}: flagged, planted" for b in rows[0]["backgrounds"]]
    head = ("variant", *names, "worst hard negatives", *alone)
    return "\n\n".join([tables.origin(result["made"]), tables.table(head, body)])


def _cell(ours: dict[str, Any], whole: dict[str, Any], is_whole: bool) -> str:
    """Recall at 1% FPR / recall of rows flagged / worst rank; bold where it differs by 0.05 or more from the whole."""
    rank = ours["first_true_rank"] or "-"
    text = f"{ours['recall']['value']:.2f}/{ours['flagged_recall']['value']:.2f}/{rank}"
    moved = max(abs(ours[k]["value"] - whole[k]["value"]) for k in ("recall", "flagged_recall")) >= 0.05
    return f"**{text}**" if moved and not is_whole else text


def _run(
    specs: Sequence[Spec], setups: dict[str, Setup], options: argparse.Namespace, data: Path
) -> dict[tuple[Spec, str], dict[str, Any]]:
    cache = runs.CellCache(options.cache or cache_folder() / "benchmarks" / "ablation.jsonl")
    shared = [BENCH / "mixes.py", BENCH / "outcome.py"]
    code = {
        SCAN: runs.source_digest([*shared, *runs.SCANNER]),
        BLIND: runs.source_digest([*shared, BENCH / "baselines.py"]),
    }
    ways: dict[str, tuple[str, Setup]] = {name: (SCAN, s) for name, s in setups.items()}
    wanted = {}
    for spec in specs:
        mine = ways if spec.is_background else {**ways, BLIND: (BLIND, Setup(data))}
        digest = cells.data_digest(data, spec)
        for name, (method, s) in mine.items():
            key = ["ablation", method, code[method], s.reference, s.trusted, json.dumps(s.off), spec.name, digest]
            wanted[spec, name] = grid.Wanted("|".join(map(str, [*key, spec.rate, spec.seed])), method, s)
    return grid.outcomes(wanted, cache, options.jobs, _line, options.chunk)


def _line(spec: Spec, found: dict[str, Any]) -> str:
    took = sum(r["seconds"] for r in found.values())
    return f"{spec.name} seed {spec.seed}: {len(found)} variants, {took:.0f} s"


def _specs(attacks: Sequence[str], seeds: Sequence[int]) -> list[Spec]:
    return [Spec(name, _rate(name), seed) for name in attacks for seed in seeds]


def _rate(attack: str) -> float:
    """1%, but style is asked for at 5%."""
    return STYLE_RATE if attack.startswith("style_") else RATE


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "ablation.json")
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), help="attack files")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--backgrounds", nargs="*", default=list(mixes.BACKGROUNDS), choices=mixes.BACKGROUNDS)
    parser.add_argument("--steps", nargs="*", default=[TRUSTED], help="a background as trusted data, a model's name")
    parser.add_argument("--only", nargs="+", help="only variants whose name has one of these words, and the whole")
    parser.add_argument("--jobs", type=int, default=2, help="mixes scanned at the same time")
    parser.add_argument("--chunk", type=int, default=8, help="variants after which a mix's results are kept")
    parser.add_argument("--cache", type=Path, help="file that keeps finished cells (default: in the cache folder)")
    parser.add_argument("--render", action="store_true", help="only fill docs/benchmarks.md from the result file")
    options = parser.parse_args()
    for name in options.attacks:
        try:
            mixes.attack_of(name)
        except ConfigError as error:
            parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(main())
