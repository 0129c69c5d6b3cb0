"""From the tally of a run to its numbers: the object that `--json` prints."""

from array import array
from collections import Counter
from collections.abc import Iterable
from math import isnan
from statistics import stdev
from typing import Any

from ..verifiers.types import STATUSES
from .bootstrap import SmallSet
from .metrics import clustered, pass_at_k, powers, proportion, spread, wilson
from .tally import Tally
from .votes import CORRECT, Equivalent, as_json, best_of_curve, voted

Summary = dict[str, Any]


def summarise(tally: Tally, *, equivalent: Equivalent | None) -> Summary:
    """The numbers of a run: DESIGN.md's `--json` object.

    `equivalent` is the equality that cons@k votes with, None for verifiers whose answers are not voted on.
    Raises ValueError on an empty tally.
    """
    sizes = array("I", (count for count in tally.samples_of if count))
    if not sizes:
        raise ValueError("there are no samples to summarise")
    correct = array("I", (sum(tally.status[i] == CORRECT for i in group) for group in tally.samples_by_problem()))
    fewest, most = min(sizes), max(sizes)
    small = SmallSet()
    summary: Summary = {
        "problems": len(sizes),
        "samples": len(tally),
        "samples_per_problem": {"min": fewest, "max": most},
        "not_judged": tally.not_judged(),
        "status": tally.status_counts(),
        "reasons": [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in tally.reasons.most_common()
        ],
        "score": _score(tally, sizes, small),
        "pass@k": {str(k): _pass_at_k(sizes, correct, k, small) for k in powers(fewest)},
        "cons@k": {},
        "run_deviation": _run_deviation(tally, most) if most == fewest else None,
        "truncation": _truncation(tally),
        "characters": _lengths(tally),
        "notes": [],
    }
    if most > fewest:
        summary["notes"].append(
            f"problems have {fewest} to {most} samples: pass@k goes up to k = {fewest}, cons@k is not given"
        )
    elif fewest > 1 and equivalent is not None:
        summary |= voted(tally, fewest, equivalent, small)
    if tally.weight:
        summary["best_of_k"] = best_of_curve(tally, fewest)
        if min(tally.weight) < 0:
            summary["notes"].append(
                "some weights are below 0: best-of-k needs only their order, a weighted vote has none"
            )
    if summary["not_judged"]:
        summary["notes"].append(_not_judged_note(summary))
    small.resample()
    return summary


def _score(tally: Tally, sizes: "array[int]", small: SmallSet) -> dict[str, Any]:
    """The mean over every sample; what was not judged adds nothing and counts in the denominator."""

    def scores() -> Iterable[float]:
        return (0.0 if isnan(score) else score for score in tally.score)

    lowest, highest = min(scores()), max(scores())
    if max(sizes) == 1 and set(scores()) <= {0.0, 1.0}:
        return as_json(wilson(int(sum(scores())), len(tally)))
    if len(sizes) > 1 and lowest == highest and lowest in (0.0, 1.0):
        values = [lowest] * len(sizes)
        return small.row(as_json(proportion(values)), values)
    totals = array("d", bytes(8 * len(tally.samples_of)))
    for problem, score in zip(tally.problem, scores(), strict=True):
        totals[problem] += score
    problems = [(total, count) for total, count in zip(totals, tally.samples_of, strict=True) if count]
    mean = clustered(problems)
    row = as_json(mean.within_unit_interval() if lowest >= 0 and highest <= 1 else mean)
    if max(sizes) == 1 or max(sizes) > min(sizes):  # ragged: the mean over samples is no mean over problems
        return row
    return small.row(row, [total / count for total, count in problems])


def _pass_at_k(sizes: "array[int]", correct: "array[int]", k: int, small: SmallSet) -> dict[str, Any]:
    if max(sizes) == 1:
        return as_json(wilson(sum(correct), len(sizes)))
    values = [pass_at_k(n, c, k) for n, c in zip(sizes, correct, strict=True)]
    return small.row(as_json(proportion(values)), values)


def _run_deviation(tally: Tally, runs: int) -> float | None:
    """The standard deviation of the means of run 0, 1 …; None where the numbers of the samples are no runs."""
    totals, seen = array("d", bytes(8 * runs)), array("Q", bytes(8 * runs))
    for run, score in zip(tally.run, tally.score, strict=True):
        if run >= runs:
            return None
        seen[run] += 1
        totals[run] += 0.0 if isnan(score) else score
    if runs < 2 or len(set(seen)) > 1:
        return None
    return stdev(total / count for total, count in zip(totals, seen, strict=True))


def _truncation(tally: Tally) -> dict[str, Any]:
    """How many completions were cut at the length limit, of those whose end is known; an answer may stand before."""
    cut, known = tally.finished.count(0), len(tally) - tally.finished.count(-1)
    return {"cut": cut, "known": known, "rate": cut / known if known else None}


def _lengths(tally: Tally) -> dict[str, Any]:
    """How long the completions of each status are, in characters; statuses that did not occur are left out."""
    counts = [Counter[int]() for _ in STATUSES]
    for status, length in zip(tally.status, tally.length, strict=True):
        counts[status][length] += 1
    return {status: spread(lengths) for status, lengths in zip(STATUSES, counts, strict=True) if lengths}


def _not_judged_note(summary: Summary) -> str:
    missing, samples = summary["not_judged"], summary["samples"]
    low = summary["score"]["mean"]
    return (
        f"{missing:,} of {samples:,} samples were not judged and count as no score: "
        f"if all of them were right the mean would be {low + missing / samples:.2%}"
    )
