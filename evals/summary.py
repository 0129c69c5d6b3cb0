"""From the tally of a run to its numbers: the object that `--json` prints."""

from array import array
from collections.abc import Callable, Iterable
from math import isnan
from typing import Any

from ..verifiers.types import STATUSES
from .consensus import Vote, equivalence_classes, majority_vote
from .metrics import Estimate, clustered, pass_at_k, powers, proportion, wilson
from .tally import Tally

Equivalent = Callable[[str, str], bool | None]
Summary = dict[str, Any]
_CORRECT = STATUSES.index("correct")


def summarise(tally: Tally, *, equivalent: Equivalent | None) -> Summary:
    """The numbers of a run: DESIGN.md's `--json` object.

    `equivalent` is the equality that cons@k votes with, None for verifiers whose answers are not voted on.
    Raises ValueError on an empty tally.
    """
    sizes = array("I", (count for count in tally.samples_of if count))
    if not sizes:
        raise ValueError("there are no samples to summarise")
    correct = array("I", (sum(tally.status[i] == _CORRECT for i in group) for group in tally.samples_by_problem()))
    fewest, most = min(sizes), max(sizes)
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
        "score": _as_json(_score(tally, sizes)),
        "pass@k": {str(k): _as_json(_pass_at_k(sizes, correct, k)) for k in powers(fewest)},
        "cons@k": {},
        "notes": [],
    }
    if most > fewest:
        summary["notes"].append(
            f"problems have {fewest} to {most} samples: pass@k goes up to k = {fewest}, cons@k is not given"
        )
    elif fewest > 1 and equivalent is not None:
        summary["cons@k"][str(fewest)] = _consensus(tally, equivalent)
    if summary["not_judged"]:
        summary["notes"].append(_not_judged_note(summary))
    return summary


def _score(tally: Tally, sizes: "array[int]") -> Estimate:
    """The mean over every sample; what was not judged adds nothing and counts in the denominator."""

    def scores() -> Iterable[float]:
        return (0.0 if isnan(score) else score for score in tally.score)

    if max(sizes) == 1 and set(scores()) <= {0.0, 1.0}:
        return wilson(int(sum(scores())), len(tally))
    totals = array("d", bytes(8 * len(tally.samples_of)))
    for problem, score in zip(tally.problem, scores(), strict=True):
        totals[problem] += score
    mean = clustered((total, count) for total, count in zip(totals, tally.samples_of, strict=True) if count)
    return mean.within_unit_interval() if min(scores()) >= 0 and max(scores()) <= 1 else mean


def _pass_at_k(sizes: "array[int]", correct: "array[int]", k: int) -> Estimate:
    if max(sizes) == 1:
        return wilson(sum(correct), len(sizes))
    return proportion([pass_at_k(n, c, k) for n, c in zip(sizes, correct, strict=True)])


def _consensus(tally: Tally, equivalent: Equivalent) -> dict[str, Any]:
    votes: list[Vote] = []
    for group in tally.samples_by_problem():
        answers = [tally.answer(i) for i in group]
        classes = equivalence_classes((answer for answer in answers if answer is not None), equivalent)
        numbers = [None if answer is None else classes[answer] for answer in answers]
        votes.append(majority_vote(numbers, [tally.status[i] == _CORRECT for i in group]))
    ties = sum(vote.tie for vote in votes)
    return {
        **_as_json(proportion([vote.score for vote in votes])),
        "ties": ties,
        "tie_rate": ties / len(votes),
        "without_answer": sum(vote.answered == 0 for vote in votes),
    }


def _not_judged_note(summary: Summary) -> str:
    missing, samples = summary["not_judged"], summary["samples"]
    low = summary["score"]["mean"]
    return (
        f"{missing:,} of {samples:,} samples were not judged and count as no score: "
        f"if all of them were right the mean would be {low + missing / samples:.2%}"
    )


def _as_json(value: Estimate) -> dict[str, Any]:
    return {"mean": value.mean, "stderr": value.stderr, "ci95": None if value.ci95 is None else list(value.ci95)}
