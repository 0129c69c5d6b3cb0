"""How long the statistics take: cons@k and pass@k with BCa intervals, over 30 x 64 and 500 x 64 answers.

    python benchmarks/metrics.py                                    # synthetic answers, seeded
    python benchmarks/metrics.py ../shared/data/dumps/aime24_30x22_pooled.jsonl

Answers are drawn per problem: a share right that is most often near 0 or near 1, the rest over wrong answers with a few
favourites, one in twenty without an answer, right ones in several spellings. Scoring is included: every completion is
judged by `verify_math`, and votes are by its own equality. Each step is the median of 3 rounds on one core; the peer is
`scipy.stats.bootstrap` for the same intervals, in turn with ours.
"""

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from rlvr.evals.bootstrap import RESAMPLES, bca_columns
from rlvr.evals.columns import RowReader
from rlvr.evals.consensus import consensus_curve, equivalence_classes
from rlvr.evals.files import Source
from rlvr.evals.metrics import avg_at_n, pass_at_k, powers
from rlvr.evals.paired import sign_flip
from rlvr.verifiers import Completion, Problem, Verdict, equivalent, verify_math
from scipy import stats

ROUNDS = 3
T = TypeVar("T")
Pair = tuple[Problem, Completion]
Rows = list[list[Pair]]
FILLER = "We look at the cases one after another and add up what they give. " * 30


def synthetic(problems: int, n: int, seed: int) -> Rows:
    """n completions of about 2,000 characters for each problem."""
    rng = random.Random(seed)
    rows: Rows = []
    for number in range(problems):
        gold = rng.randrange(1000)
        spellings = [f"{gold}", f"{gold}.0", rf"\frac{{{2 * gold}}}{{2}}"]
        right, favourites = rng.betavariate(0.4, 0.5), rng.sample(range(1000, 2000), 4)
        row: list[Pair] = []
        for _ in range(n):
            answer = rng.choices(spellings, [18, 1, 1])[0]
            if rng.random() >= right:
                answer = str(rng.choice(favourites) if rng.random() < 0.6 else rng.randrange(1000, 3000))
            ending = "" if rng.random() < 0.05 else f"The answer is $\\boxed{{{answer}}}$."
            row.append((Problem(f"{seed}/{number}", answer=str(gold)), Completion(FILLER + ending)))
        rows.append(row)
    return rows


def dumped(path: Path) -> Rows:
    """The problems of a file, read as `rlvr score` reads it."""
    reader = RowReader(str(path), {}, needs_answer=True)
    rows: dict[str, list[Pair]] = {}
    for line in Source(str(path)).lines():
        if isinstance(line.row, Exception):
            raise line.row
        for sample in reader.samples(line.row, line.number):
            rows.setdefault(sample.problem.id, []).append((sample.problem, sample.completion))
    return list(rows.values())


def judged(rows: Rows) -> list[list[Verdict]]:
    """Every completion, each cache as it comes."""
    return [[verify_math(*pair) for pair in row] for row in rows]


def curves(verdicts: list[list[Verdict]]) -> dict[str, list[float]]:
    """pass@k and cons@k at every power of two: one value per problem."""
    ks = powers(len(verdicts[0]))
    columns: dict[str, list[float]] = {f"{name}@{k}": [] for name in ("pass", "cons") for k in ks}
    for row in verdicts:
        correct = [verdict.status == "correct" for verdict in row]
        classes = equivalence_classes((v.extracted for v in row if v.extracted is not None), equivalent)
        answers = [None if verdict.extracted is None else classes[verdict.extracted] for verdict in row]
        for k, value in consensus_curve(answers, correct, ks).items():
            columns[f"cons@{k}"].append(value.score)
            columns[f"pass@{k}"].append(pass_at_k(len(row), sum(correct), k))
    return columns


def by_scipy(columns: dict[str, list[float]]) -> list[tuple[float, float]]:
    """The same intervals, one column at a time; nan where all values are equal, as scipy has it."""
    rng = np.random.default_rng(0)
    found: list[tuple[float, float]] = []
    for values in columns.values():
        if len(set(values)) > 1:
            interval = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, rng=rng).confidence_interval
            found.append((float(interval.low), float(interval.high)))
    return found


def timed(times: list[float], step: Callable[[], T]) -> T:
    """Run it, and add its seconds to `times`."""
    start = time.perf_counter()
    value = step()
    times.append(time.perf_counter() - start)
    return value


def measure(name: str, make: Callable[[int], Rows]) -> None:
    """Print what each step takes; every round has rows of its own, so that no cache knows them."""
    steps = ("score", "pass@k and cons@k", "BCa intervals", "scipy.stats.bootstrap (peer)", "sign flips, two runs")
    times: dict[str, list[float]] = {step: [] for step in steps}
    for round_number in range(ROUNDS):
        rows = make(round_number)
        verdicts = timed(times["score"], partial(judged, rows))
        columns = timed(times["pass@k and cons@k"], partial(curves, verdicts))
        intervals = timed(times["BCa intervals"], partial(bca_columns, list(columns.values())))
        timed(times["scipy.stats.bootstrap (peer)"], partial(by_scipy, columns))
        correct = [[float(verdict.status == "correct") for verdict in row] for row in verdicts]
        half = len(correct[0]) // 2
        differences = [(sum(row[:half]) - sum(row[half : 2 * half])) / half for row in correct]
        timed(times["sign flips, two runs"], partial(sign_flip, differences))
    average = avg_at_n(correct)
    print(f"\n{name}: {len(rows)} problems x {len(rows[0])}, {sum(map(len, rows)):,} completions")
    print(f"  avg@{len(rows[0])} {average.estimate.mean:.2%} ± {average.estimate.stderr:.2%}, run to run "
          f"{average.run_deviation:.2%}")  # fmt: skip
    for (label, _), value in zip(columns.items(), intervals, strict=True):
        print(f"  {label:8} {value.mean:7.2%}  {value.ci95[0]:7.2%} to {value.ci95[1]:7.2%}")
    for step in steps:
        print(f"  {median(times[step]):8.3f} s  {step}")
    ours = (sum(times[step][i] for step in steps[:3]) for i in range(ROUNDS))
    print(f"  {median(ours):8.3f} s  scoring, curves and intervals together, median of {ROUNDS}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", nargs="?", type=Path, help="a file of completions, as many for each problem")
    options = parser.parse_args()
    if options.dump is not None:
        measure(options.dump.name, lambda _: dumped(options.dump))
        return
    measure("synthetic", partial(synthetic, 30, 64))
    measure("synthetic", partial(synthetic, 500, 64))


if __name__ == "__main__":
    main()
