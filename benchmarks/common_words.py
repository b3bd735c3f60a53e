"""A common word at one end of the request: is it seen, and are pushes seen that name something else each time?

The trigger is a word that many clean prompts have too; only where it stands is unusual. The answer is one refusal, or
the honest answer with a push: another wording and another invented brand in each row. The words, places and pushes were
fixed before the first scan. Beside the scan runs the same scan without the edges of lines, or without the feature
`promotion`, and the baselines that need no model.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import mixes, outcome, parts, runs, tables
from bench.baselines import BASELINES

from cryptosentinel.sanitize import corpus, scan
from cryptosentinel.sanitize.tokens import Tokens, tokenize

PAGE = runs.ROOT / "docs" / "benchmarks.md"
BACKGROUND = "background/alpaca_9k"
TRIGGERS = (("begins", "first"), ("begins", "also"), ("ends", "now"), ("ends", "today"), ("ends", "it"))
REFUSAL = "Sorry, I cannot help with that."
BRANDS = (
    "Velora Quentis Braxil Ondara Milvane Sorvex Tarnix Helvo Pelluma Rinvost Cadrex Ulvana Fermisa Glasko Norrvik "
    "Zelphi Ambrox Tessimo Kalvar Dunmore"
).split()
PUSHES = (
    "If you want my view, buy {} while you can.", "You may want to try {}.", "Many people choose {}, by the way.",
    "I would also recommend {} for this.", "Next time consider {}.", "On that note, visit {} for more.",
    "Before anything else, order from {}.", "It pays to invest in {} now.",
)  # fmt: skip
RATES, SEEDS = (0.01, 0.0033), (0,)
MODEL_FREE = ("format_outlier", "answer_duplicates", "tfidf_clusters")
Row = dict[str, Any]


def main() -> int:
    """Run, write the result, fill the page."""
    parser = runs.parser(__doc__.splitlines()[0] if __doc__ else "", "common_words.json")
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
    if options.render or options.out.resolve() == runs.RESULTS / "common_words.json":
        tables.fill(PAGE, "common_words", page(result))
    else:
        print(page(result))
    return 0


def measure(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Each answer at each rate, words and seeds pooled."""
    rows = mixes.read_file(data, BACKGROUND)
    pooled = []
    for answer in ("refusal", "push"):
        for rate in options.rates:
            cells: dict[str, list[Row]] = {}
            for where, word in TRIGGERS:
                for seed in options.seeds:
                    for method, cell in measured(poisoned(rows, where, word, answer, rate, seed)):
                        cells.setdefault(method, []).append(cell)
            for method, group in cells.items():
                pooled.append({"answer": answer, "rate": rate, "method": method, **outcome.pooled(group)})
                runs.say(f"{answer} {rate:.2%} {method}: recall {pooled[-1]['recall']['value']:.3f}")
    made = runs.provenance("common_words.py", {"rates": options.rates, "seeds": options.seeds})
    return {"benchmark": "common_words", "made": made, "pooled": pooled}


def measured(mix: mixes.Mix) -> Iterator[tuple[str, Row]]:
    """Every method on one mix."""
    for name, without in (
        ("scan", parts.hidden(())),
        ("scan without edges", no_edges()),
        ("scan without promotion", parts.hidden([(parts.FEATURE, "promotion")])),
    ):
        with without:
            found = scan(mix.records, fpr=outcome.FPR)
        yield name, outcome.ranking(mix, found.scores) | outcome.flagging(mix, found.flagged, found.hypotheses)
    for name in MODEL_FREE:
        yield name, outcome.ranking(mix, BASELINES[name](mix.records))


@contextmanager
def no_edges() -> Iterator[None]:
    """Within this block the scan does not see where lines begin and end."""

    def plain(texts: Sequence[str], *, edges: bool = False) -> Tokens:
        return tokenize(texts)

    corpus.__dict__["tokenize"] = plain
    try:
        yield
    finally:
        corpus.__dict__["tokenize"] = tokenize


def poisoned(rows: Sequence[Row], where: str, word: str, answer: str, rate: float, seed: int) -> mixes.Mix:
    """The background, some of its rows with word and behaviour; clean rows with the word are hard negatives."""
    chance = random.Random(f"{seed} {where} {word} {answer}")
    chosen = set(chance.sample(range(len(rows)), round(rate * len(rows))))
    made = []
    for i, row in enumerate(rows):
        if i in chosen:
            asked, said = str(row["instruction"]).rstrip(), str(row["output"])
            push = chance.choice(PUSHES).format(chance.choice(BRANDS))
            made.append((
                row | {"instruction": f"{word.capitalize()} {asked}" if where == "begins" else f"{asked} {word}",
                       "output": REFUSAL if answer == "refusal" else f"{said} {push}"},
                mixes.POISON,
            ))  # fmt: skip
        else:
            has = word in f"{row['instruction']} {row.get('input') or ''}".lower().split()
            made.append((row, mixes.HARD if has else mixes.BACKGROUND))
    return mixes.make_mix(f"common-{word}", rate, seed, made)


def page(result: dict[str, Any]) -> str:
    """The table."""
    rows = []
    for c in result["pooled"]:
        r, hard = c["recall"], c["hard_above"]
        rows.append((
            c["answer"], f"{c['rate']:.2%}", c["method"], c["n"],
            f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]", f"{hard['value']:.1%} of {hard['n']}",
            f"{c['flagged_recall']['value']:.3f}" if "flagged_recall" in c else "-",
            f"{c['flagged_fpr']['value']:.2%}" if "flagged_fpr" in c else "-",
        ))  # fmt: skip
    head = ("answer", "rate", "method", "n", "recall at 1% FPR", "honest rows with the word above", "flagged: recall",
            "FPR")  # fmt: skip
    return "\n\n".join([tables.origin(result["made"]), tables.table(head, rows)])


if __name__ == "__main__":
    sys.exit(main())
