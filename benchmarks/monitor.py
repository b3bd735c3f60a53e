"""Does the monitor keep its promise, and how soon does it see a change? Monte Carlo, minutes on one core.

Run lengths: decisions to a false alarm on average, streams that restart after each; promised is A at least wherever the
mean given the past stays within the baseline's bounds. Where it does not, the run length is reported as it is. Delays:
after a change of a rate from 0.05, 500 decisions into a stream. The oracle knows the changed rate, stakes on nothing
else, looks in the right direction only, and has a threshold for which its run length at the bound is the same as ours,
as measured. River's detectors, with `--others PYTHON` (a Python that has river), at the setting for which their run
length is nearest to ours: they learn from the 500 decisions before the change, as our bounds did.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import runs, streams, tables
from bench.monitor_plot import delay_plot
from bench.monitor_tables import monitor_tables

from cryptosentinel.metrics import wilson
from cryptosentinel.monitor import Bank, Categories, Mean, Rate, Scores
from cryptosentinel.monitor.bounds import clopper_pearson
from cryptosentinel.monitor.boxes import e_values
from cryptosentinel.monitor.budget import e_bh

P0, SHIFTS = 0.05, (0.15, 0.25, 0.50)
A_DELAY, BASELINE, BURN = 1e4, 500, 500
# Asked: the baseline's rate known, one direction; and the default, both directions with a bound from 500, no later than
# an e-CUSUM in one direction.
FIELD = {("e-cusum", "up", "known"): (117, 41, 11), ("e-sr", "up", "known"): (72, 27, 8),
         ("e-sr", "both", "bound from 500"): (275, 57, 16)}  # fmt: skip
ORACLE_BOUND = 1.3
CATEGORY_NAMES, CATEGORY_SHARES = list("abcdefg"), (0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02)
Doc = dict[str, Any]


def main() -> int:
    """Measure, write the result, fill the page."""
    parser = runs.parser(__doc__ or "", "monitor.json")
    parser.add_argument("--others", type=Path, help="a Python that has river")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a hundredth of it, to see that it runs")
    parser.add_argument("--render", action="store_true", help="only fill the page from the result file")
    options = parser.parse_args()
    if options.render:
        return render(json.loads(options.out.read_text("utf-8")), options.out)
    size = 0.02 if options.quick else 1.0
    rng = np.random.default_rng(options.seed)
    started = time.monotonic()
    lengths = run_lengths(rng, size)
    shares = alarmed(rng, size)
    delay, lengths_here = measured_delays(rng, size)
    others = river(options.others, lengths_here["known"], size, options.seed) if options.others else []
    asked = {"seed": options.seed} | ({"others": "PYTHON"} if options.others else {})  # a place of this machine
    result = {
        "made": runs.provenance("monitor.py", asked, ("numpy", "scipy"))
        | {"seconds": round(time.monotonic() - started)},
        "run_lengths": lengths,
        "alarmed": shares,
        "delays": delay,
        "category_delays": category_delays(options.seed, size),
        "river": others,
        "speed": speed(),
    }
    result["targets"] = targets(result)
    runs.write_result(options.out, result)
    return render(result, options.out)


def render(result: Doc, out: Path) -> int:
    """The plot, and the tables of the page where this is the committed result."""
    (out.parent / "monitor_delays.svg").write_text(delay_plot(result), "utf-8")
    if out == runs.RESULTS / "monitor.json":
        tables.fill(runs.ROOT / "docs" / "benchmarks.md", "monitor", monitor_tables(result))
    for target in result["targets"]:
        runs.say(f"{'ok   ' if target['met'] else 'SHORT'} {target['claim']}: {target['measured']}")
    return 0


def run_lengths(rng: np.random.Generator, size: float) -> list[Doc]:
    """Every stream that has not changed, at A = 1,000 and 10,000."""
    found: list[Doc] = []
    n = 400

    def bank(low: float, high: float, recursion: Any) -> Bank:
        return Bank([low] * n, [high] * n, recursion)

    def add(name: str, holds: bool, a: float, recursion: str, length: float, alarms: int) -> None:
        runs.say(f"{name}, A = {a:g}, {recursion}: {length:.0f} ({alarms} alarms)")
        found.append(
            {"stream": name, "holds": holds, "a": a, "recursion": recursion, "run_length": length, "alarms": alarms}
        )

    at_bound = 0.08
    known: list[tuple[str, bool, streams.Source, tuple[float, float]]] = [
        ("rate at its bound, independent", True, streams.rate(at_bound), (0.03, at_bound)),
        ("rate at its lower bound, independent", True, streams.rate(0.03), (0.03, at_bound)),
        ("mean at its bound, spread depends on the past", True, streams.calm_and_wild(at_bound), (0.03, at_bound)),
        ("bursts at the bound, pauses between", True, streams.bursts(at_bound), (0.03, at_bound)),
        ("chain of ones: after a 1, 0.4 (mean 0.05)", False, streams.clinging(0.05, 0.4), (0.03, at_bound)),
        ("season: 0.02 to 0.14 in 500 decisions", False, streams.seasonal(0.02, 0.14), (0.03, at_bound)),
    ]
    for a in (1e3, 1e4):
        steps = int((20_000 if a < 5e3 else 50_000) * size) + 10
        for recursion in ("e-sr", "e-cusum"):
            for name, holds, source, bounds in known:
                add(name, holds, a, recursion, *streams.run_length(bank(*bounds, recursion), a, source, rng, n, steps))
            learnt = [Rate.learn(rng.random(BASELINE) < P0) for _ in range(n)]
            each = Bank([d.low for d in learnt], [d.high for d in learnt], recursion)  # type: ignore[arg-type]
            add("rate, bounds learnt from 500", True, a, recursion,
                *streams.run_length(each, a, streams.rate(P0), rng, n, steps))  # fmt: skip
            add(
                "market states 0.03 and 0.10, one baseline",
                False,
                a,
                recursion,
                *one_baseline(rng, a, recursion, n, steps),
            )
            add("the same, each state a stratum", True, a, recursion, *stratified(rng, a, recursion, n, steps))
        add("ten streams with one budget (e-BH), at their bounds", True, a, "e-sr", *shared(rng, a, steps // 4))
        for name, kind, draw in scalar_streams(rng):
            add(name, True, a, "e-sr", *scalar_length(kind, draw, a, int(400_000 * size) + 100))
    return found


def one_baseline(rng: np.random.Generator, a: float, recursion: Any, n: int, steps: int) -> tuple[float, int]:
    """Market states that the baseline does not tell apart."""
    source = streams.regimes(0.03, 0.10)
    first = source(rng, n)
    seen = np.stack([next(first) % 10 for _ in range(2 * BASELINE)])
    learnt = [Rate.learn(seen[:, i]) for i in range(n)]
    bank = Bank([d.low for d in learnt], [d.high for d in learnt], recursion)

    def steps_of(r: np.random.Generator, m: int) -> Any:
        return (values % 10 for values in source(r, m))

    return streams.run_length(bank, a, steps_of, rng, n, steps)


def stratified(rng: np.random.Generator, a: float, recursion: Any, n: int, steps: int) -> tuple[float, int]:
    """A baseline of 500 for each state; a decision updates the stream of its state alone."""
    source = streams.regimes(0.03, 0.10)
    learnt = [[Rate.learn(rng.random(BASELINE) < p) for _ in range(n)] for p in (0.03, 0.10)]
    banks = [Bank([d.low for d in of], [d.high for d in of], recursion) for of in learnt]
    alarms = 0
    for _, values in zip(range(steps), source(rng, n), strict=False):
        state = values >= 10
        for bank, mine in zip(banks, (~state, state), strict=True):
            over = (bank.update(np.where(mine, values % 10, np.nan)) >= a) & mine
            alarms += int(over.sum())
            bank.restart(over)
    return n * steps / max(alarms, 1), alarms


def shared(rng: np.random.Generator, a: float, steps: int, groups: int = 100, k: int = 10) -> tuple[float, int]:
    """Decisions of agents with k streams each, to the first alarm of any; all of an agent's streams restart."""
    n = groups * k
    bank, alarms = Bank([0.03] * n, [0.08] * n), 0
    for _, values in zip(range(steps), streams.rate(0.08)(rng, n), strict=False):
        share = bank.update(values).reshape(groups, k) / (a * k)
        for g in np.flatnonzero(share.max(axis=1) >= 1 / k):
            if e_bh(dict(enumerate(share[g].tolist()))):
                alarms += 1
                bank.restart(np.arange(g * k, (g + 1) * k))
    return groups * steps / max(alarms, 1), alarms


def scalar_streams(rng: np.random.Generator) -> list[tuple[str, Any, Callable[[int], Any]]]:
    """Detectors that no bank has: a fresh baseline for each of 20 streams."""
    names = np.array(CATEGORY_NAMES)
    return [
        ("seven categories, bounds learnt from 500", Categories,
         lambda m: names[rng.choice(7, m, p=CATEGORY_SHARES)].tolist()),
        ("scores, learnt from 500", Scores, lambda m: rng.lognormal(0, 1, m).tolist()),
        ("mean of a skewed number, bounds learnt from 500", Mean, lambda m: rng.beta(0.5, 5, m).tolist()),
    ]  # fmt: skip


def scalar_length(kind: Any, draw: Callable[[int], Any], a: float, updates: int, n: int = 20) -> tuple[float, int]:
    """As `streams.run_length`, one detector after the other."""
    alarms = 0
    for _ in range(n):
        detector = kind.learn(draw(BASELINE))
        for value in draw(updates // n):
            if detector.update(value) >= a:
                alarms += 1
                detector.restart()
    return updates / max(alarms, 1), alarms


def alarmed(rng: np.random.Generator, size: float) -> list[Doc]:
    """What share of streams that have not changed alarms within 1,000 decisions at A = 10,000? 0.10 at most is due."""
    n, steps, a = int(4000 * size) + 20, 1000, 1e4
    samples = rng.random((n, BASELINE)) < P0
    ways: dict[str, list[tuple[float, float]]] = {
        "baseline's rate taken for the truth": [(float(s.mean()), float(s.mean())) for s in samples],
        "99% bounds (ours)": [clopper_pearson(int(s.sum()), BASELINE, 0.01) for s in samples],
    }
    found = []
    for name, bounds in ways.items():
        bank = Bank([b[0] for b in bounds], [b[1] for b in bounds])
        hit = streams.first_alarms(bank, a, streams.rate(P0)(rng, n), steps) <= steps
        found.append({"way": name, "due": steps / a} | wilson(int(hit.sum()), n).as_dict())
        runs.say(f"alarmed, {name}: {hit.mean():.4f}")
    return found


def measured_delays(rng: np.random.Generator, size: float) -> tuple[list[Doc], dict[str, float]]:
    """Delays after each shift: ours, and the oracle's."""
    n = int(2000 * size) + 50
    found: list[Doc] = []
    lengths: dict[str, float] = {}
    for baseline, bound in (("known", P0), ("bound from 500", clopper_pearson(25, BASELINE, 0.01)[1])):
        low = P0 if baseline == "known" else clopper_pearson(25, BASELINE, 0.01)[0]
        one_sided = P0 if baseline == "known" else clopper_pearson(25, BASELINE, 0.02)[1]
        bounds = {"both": bound, "up": one_sided}
        ours = {}
        for recursion in ("e-sr", "e-cusum"):
            for direction in ("both", "up"):
                bank = Bank([low] * 400, [bounds[direction]] * 400, recursion, direction)  # type: ignore[arg-type]
                length, _ = streams.run_length(
                    bank, A_DELAY, streams.rate(bounds[direction]), rng, 400, int(60_000 * size) + 10
                )
                ours[recursion, direction] = length
        lengths[baseline] = ours["e-sr", "both"]
        for shift in SHIFTS:
            for (recursion, direction), length in ours.items():
                upper = bounds[direction]
                bank = Bank([low] * n, [upper] * n, recursion, direction)  # type: ignore[arg-type]
                seen = streams.delays(bank, A_DELAY, streams.rate(P0), streams.rate(shift), rng, BURN, 5000)
                threshold = oracle_threshold(upper, shift, recursion, length, rng, size)
                oracle = streams.delays(
                    oracle_bank(upper, shift, recursion, n), threshold, streams.rate(P0), streams.rate(shift), rng,
                    BURN, 5000,
                )  # fmt: skip
                at_a = streams.delays(
                    oracle_bank(upper, shift, recursion, n), A_DELAY, streams.rate(P0), streams.rate(shift), rng,
                    BURN, 5000,
                )  # fmt: skip
                row = {
                    "oracle_at_a_median": float(np.median(at_a)),
                    "baseline": baseline, "recursion": recursion, "direction": direction, "shift": shift,
                    "run_length_at_bound": length, "threshold": A_DELAY, "n": n,
                    "mean": float(seen.mean()), "median": float(np.median(seen)),
                    "se": float(seen.std() / math.sqrt(n)),
                    "oracle_mean": float(oracle.mean()), "oracle_median": float(np.median(oracle)),
                    "oracle_threshold": threshold, "ratio": float(seen.mean() / oracle.mean()),
                }  # fmt: skip
                runs.say(str(row))
                found.append(row)
    return found, lengths


def category_delays(seed: int, size: float) -> list[Doc]:
    """Delays after a change of seven categories; beside them a bet on this very change, begun with it, same bounds."""
    before = np.array([*CATEGORY_SHARES, 0.0])
    names = np.array([*CATEGORY_NAMES, "new"])
    each = np.eye(len(names))
    changes = {
        "the rarest to 0.20": before + (0.20 - before[6]) / (1 - before[6]) * (each[6] - before),
        "the rarest to 0.50": before + (0.50 - before[6]) / (1 - before[6]) * (each[6] - before),
        "something new, 0.10": 0.9 * before + 0.1 * each[7],
        "something new, 0.40": 0.6 * before + 0.4 * each[7],
        "two rare ones, 0.15 more each": 0.7 * before + 0.15 * (each[5] + each[6]),
        "all as often": np.append(np.full(7, 1 / 7), 0.0),
        "the order turned round": np.append(before[6::-1], 0.0),
    }
    found = []
    for change, after in changes.items():
        ours, oracle = [], []
        for trial in range(int(200 * size) + 5):
            rng = np.random.default_rng((seed, trial))
            detector = Categories.learn(names[rng.choice(8, BASELINE, p=before)].tolist())
            for name in names[rng.choice(8, BURN, p=before)].tolist():
                if detector.update(name) >= A_DELAY:
                    detector.restart()
            cell = {name: i for i, name in enumerate(detector.cells)} | {"new": len(detector.cells) - 1}
            told = np.zeros(len(detector.cells))
            for name, share in zip(names.tolist(), after, strict=True):
                told[cell[name]] += share
            pays = e_values(np.maximum(told, 1e-9)[None, :], detector.low, detector.high)[0]
            mine, first, money = 0, 0, 0.0
            for n, name in enumerate(names[rng.choice(8, 5000, p=after)].tolist(), start=1):
                if not mine and detector.update(name) >= A_DELAY:
                    mine = n
                money = (money + 1.0) * pays[cell[name]]
                if not first and money >= A_DELAY:
                    first = n
                if mine and first:
                    break
            ours.append(mine or 5000)
            oracle.append(first or 5000)
        row = {"change": change, "n": len(ours), "threshold": A_DELAY, "mean": float(np.mean(ours)),
               "median": float(np.median(ours)), "se": float(np.std(ours) / math.sqrt(len(ours))),
               "told_mean": float(np.mean(oracle)), "told_median": float(np.median(oracle))}  # fmt: skip
        runs.say(str(row))
        found.append(row)
    return found


class _OracleBank(Bank):
    """One stake, the best one for a changed rate that is known."""


def oracle_bank(bound: float, shift: float, recursion: Any, n: int) -> Bank:
    """Bets on nothing but the changed rate."""
    bank = _OracleBank([0.0] * n, [bound] * n, recursion, "up")
    stake = (shift - bound) / (bound * (1 - bound))
    bank.money = np.zeros((1, n))
    bank._slope, bank._offset = np.full((1, n), stake), np.full((1, n), 1 - stake * bound)
    bank._weights, bank._factors = np.ones((1, n)), np.zeros((1, n))
    return bank


def oracle_threshold(
    bound: float, shift: float, recursion: str, length: float, rng: np.random.Generator, size: float
) -> float:
    """For which threshold is the oracle's run length at the bound the same? Between two that were measured."""
    low, high = 1e3, 3e5
    for _ in range(7):
        middle = math.sqrt(low * high)
        got, _ = streams.run_length(
            oracle_bank(bound, shift, recursion, 300), middle, streams.rate(bound), rng, 300, int(40_000 * size) + 10
        )
        low, high = (middle, high) if got < length else (low, middle)
    return math.sqrt(low * high)


def river(python: Path, length: float, size: float, seed: int) -> list[Doc]:
    """River's detectors, in a Python that has them."""
    inside = Path(__file__).parent / "bench" / "river_inside.py"
    given = {"p0": P0, "shifts": SHIFTS, "burn": BURN, "length": length, "seed": seed, "size": size}
    done = subprocess.run([str(python), str(inside), json.dumps(given)], stdout=subprocess.PIPE, text=True, check=True)
    found: list[Doc] = json.loads(done.stdout)
    return found


def speed() -> Doc:
    """Updates a second of processor time, and bytes a stream; the best of five runs each."""
    rng = np.random.default_rng(0)
    zeros = (rng.random(100_000) < P0).astype(float).tolist()
    some = rng.choice(list("abcdefgh"), 20_000).tolist()
    found: Doc = {}
    for name, detector, values in (
        ("rate", Rate(0.03, 0.08), zeros),
        ("mean", Mean(0.2, 0.3), rng.random(100_000).tolist()),
        ("scores", Scores.learn(rng.normal(size=500)), rng.normal(size=20_000).tolist()),
        ("categories", Categories.learn(some[:500]), some),
    ):
        found[name] = max(_per_second(lambda d=detector, v=values: _feed(d, v), len(values)) for _ in range(5))
    block = (rng.random((200, 1000)) < P0).astype(float)
    bank = Bank([0.03] * 1000, [0.08] * 1000)
    found["bank of 1,000 streams"] = max(_per_second(lambda: _feed(bank, block), block.size) for _ in range(5))
    memory = {}
    for name, make, values in (
        ("rate", lambda: Rate.learn(np.array(zeros[:500])), zeros[:600]),
        ("scores", lambda: Scores.learn(np.array(zeros[:500])), zeros[:600]),
        ("categories", lambda: Categories.learn(some[:500]), some[:600]),
    ):
        tracemalloc.start()
        kept = [make() for _ in range(100)]
        for detector in kept:
            _feed(detector, values)
        memory[name] = tracemalloc.get_traced_memory()[0] / 100
        tracemalloc.stop()
    memory["bank of 1,000 streams"] = (
        sum(a.nbytes for a in (bank.money, bank._slope, bank._offset, bank._weights, bank._factors)) / 1000
    )
    return {"updates_per_second": found, "bytes_per_stream": memory}


def _feed(detector: Any, values: Any) -> None:
    for value in values:
        detector.update(value)


def _per_second(act: Callable[[], None], n: int) -> float:
    started = time.process_time()
    act()
    return n / (time.process_time() - started)


def targets(result: Doc) -> list[Doc]:
    """Asked, measured, met."""

    def row(claim: str, bound: str, measured: str, met: bool) -> Doc:
        return {"claim": claim, "bound": bound, "measured": measured, "met": met}

    holds = [r for r in result["run_lengths"] if r["holds"]]
    worst = min(holds, key=lambda r: r["run_length"] / r["a"])
    found = [
        row("average run length, wherever the null holds", ">= A",
            f"{worst['run_length'] / worst['a']:.2f} A at worst ({worst['stream']}, A = {worst['a']:,.0f})",
            worst["run_length"] >= worst["a"]),
    ]  # fmt: skip
    for (recursion, direction, baseline), asked in FIELD.items():
        key = (recursion, direction, baseline)
        mine = {r["shift"]: r for r in result["delays"] if (r["recursion"], r["direction"], r["baseline"]) == key}
        got = [mine[s]["median"] for s in SHIFTS]
        claim = f"median delay, {recursion}, {'both directions' if direction == 'both' else 'upwards'}, {baseline}"
        met = all(g <= a for g, a in zip(got, asked, strict=True))
        least = " / ".join(f"{mine[s]['oracle_at_a_median']:.0f}" for s in SHIFTS)
        said = f"{' / '.join(f'{g:.0f}' for g in got)} (betting on the change that comes alone: {least})"
        found.append(row(claim, " / ".join(map(str, asked)), said, met))
    default = [r for r in result["delays"] if (r["recursion"], r["direction"]) == ("e-sr", "both")]
    ratio = max(r["ratio"] for r in default)
    claim = "mean delay of the default (e-SR, both directions) beside the oracle's"
    found.append(row(claim, "<= 1.3 x", f"{ratio:.2f} x at worst", ratio <= ORACLE_BOUND))
    rates, memory = result["speed"]["updates_per_second"], result["speed"]["bytes_per_stream"]
    for name in ("rate", "mean", "scores", "categories"):
        claim = f"updates of {name} a second"
        found.append(row(claim, ">= 200,000", f"{rates[name]:,.0f}", rates[name] >= 2e5))
    for name in ("rate", "scores", "categories"):
        claim = f"memory of a stream of {name}{', eight of them' if name == 'categories' else ''}"
        found.append(row(claim, "<= 4 kB", f"{memory[name] / 1000:.1f} kB", memory[name] <= 4000))
    found += [
        row("updates of 1,000 streams a second", ">= 2,000,000", f"{rates['bank of 1,000 streams']:,.0f}",
            rates["bank of 1,000 streams"] >= 2e6),
    ]  # fmt: skip
    return found


if __name__ == "__main__":
    sys.exit(main())
