"""What can the scan not see? An attack whose rows are all true, chosen and not written: no association to find.

The attacker adds rows of another part of the same clean collection to the background: at random, or the rows nearest
to one question, to weigh the model towards what they say. Every answer is right for its prompt, so the scan and the
baselines miss them; beside it, in the same run and number, a backdoor of the kind that the scan is made for. What
helps is provenance: who added these rows, and what is new against trusted data.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import mixes, outcome, runs, tables
from bench.baselines import BASELINES
from bench.learning import sklearn

from cryptosentinel.metrics import wilson
from cryptosentinel.sanitize import scan

PAGE = runs.ROOT / "docs" / "benchmarks.md"
BACKGROUND, SOURCE = "background/alpaca_9k", "background/alpaca_extra"
CONTROL = "attacks/backdoorllm_negsentiment_badnet"
RATES, SEEDS = (0.05, 0.01), (0, 1, 2)
MODEL_FREE = ("format_outlier", "answer_duplicates", "tfidf_clusters")
CASES = {
    "true rows, at random": "random",
    "true rows, nearest to one question": "nearest",
    "control: fixed trigger, fixed answer": "control",
}
Row = dict[str, Any]


def main() -> int:
    """Run, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "blind.json")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--render", action="store_true", help="only fill docs/benchmarks.md from the result file")
    options = parser.parse_args()
    if not options.render:
        data = runs.data_folder(options.data)
        if data is None:
            return 0
        runs.write_result(options.out, measure(options, data))
    result = json.loads(options.out.read_text("utf-8"))
    if options.render or options.out.resolve() == runs.RESULTS / "blind.json":
        tables.fill(PAGE, "blind", page(result))
    else:
        print(page(result))
    return 0


def measure(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Each case at each rate, its seeds pooled."""
    pooled = []
    for case, how in CASES.items():
        for rate in options.rates:
            cells: dict[str, list[Row]] = {}
            for seed in options.seeds:
                mix = blind_mix(data, how, rate, seed)
                result = scan(mix.records, fpr=outcome.FPR)
                found = outcome.ranking(mix, result.scores)
                cells.setdefault("scan", []).append(found | outcome.flagging(mix, result.flagged, result.hypotheses))
                for name in MODEL_FREE:
                    cells.setdefault(name, []).append(outcome.ranking(mix, BASELINES[name](mix.records)))
            for method, group in cells.items():
                pooled.append({"case": case, "rate": rate, "method": method, **outcome.pooled(group)})
            runs.say(f"{case} {rate:.1%}: " + ", ".join(f"{m} {_found(g)}" for m, g in cells.items()))
    made = runs.provenance("blind.py", {"rates": options.rates, "seeds": options.seeds})
    return {"benchmark": "blind", "made": made, "pooled": pooled}


def blind_mix(data: Path, how: str, rate: float, seed: int) -> mixes.Mix:
    """The background and n = round(rate x background) rows that the attacker adds, shuffled."""
    chance = random.Random(seed)
    background = mixes.read_file(data, BACKGROUND)
    n = max(mixes.LEAST_POISON, round(rate * len(background)))
    if how == "control":
        added = chance.sample([row for row in mixes.read_file(data, CONTROL) if row["label"] == "poison"], n)
    else:
        source = mixes.read_file(data, SOURCE)
        added = chance.sample(source, n) if how == "random" else _nearest(source, chance.randrange(len(source)), n)
    parts = [(row, mixes.BACKGROUND) for row in background] + [(row, mixes.POISON) for row in added]
    chance.shuffle(parts)
    return mixes.make_mix(f"blind-{how}", rate, seed, parts)


def page(result: dict[str, Any]) -> str:
    """The table."""
    cells = result["pooled"]
    methods = list(dict.fromkeys(c["method"] for c in cells))
    rows = []
    for case, rate in dict.fromkeys((c["case"], c["rate"]) for c in cells):
        same = {c["method"]: c for c in cells if c["case"] == case and c["rate"] == rate}
        ours = same["scan"]
        recalls = []
        for m in methods:
            r = same[m]["recall"]
            recalls.append(f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]; {same[m]['auroc']:.2f}")
        rows.append((case, f"{rate:.1%}", ours["n"], *recalls, f"{ours['flagged_recall']['value']:.3f}",
                     ours["first_true_rank"] or "none"))  # fmt: skip
    head = ("the added rows", "rate", "n", *(f"{m}: recall; AUROC" for m in methods), "scan: flagged", "rank")
    return "\n\n".join([tables.origin(result["made"]), tables.table(head, rows)])


def _nearest(rows: Sequence[Row], target: int, n: int) -> list[Row]:
    """The n rows whose words are nearest to the target row's, by cosine of TF-IDF."""
    text = [" ".join(str(v) for k, v in row.items() if k not in mixes.HIDDEN and v) for row in rows]
    vectors = sklearn("feature_extraction.text").TfidfVectorizer(sublinear_tf=True).fit_transform(text)
    alike = (vectors @ vectors[target].T).toarray().ravel()
    return [rows[i] for i in (-alike).argsort(kind="stable")[:n].tolist()]


def _found(group: Sequence[Row]) -> str:
    rate = wilson(sum(c["found"] for c in group), sum(c["n"] for c in group))
    return f"{rate.value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
