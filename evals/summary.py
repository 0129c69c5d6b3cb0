"""From the tally of a run to its numbers: the object that `--json` prints."""

from collections.abc import Callable
from math import isnan
from typing import Any

from ..verifiers.types import STATUSES
from .metrics import Estimate, Vote, clustered, equivalence_classes, estimate, majority_vote, pass_at_k, wilson
from .tally import Tally

Equivalent = Callable[[str, str], bool | None]
Summary = dict[str, Any]
_CORRECT = STATUSES.index("correct")


def summarise(tally: Tally, *, equivalent: Equivalent | None, progress: Callable[[int], None] | None = None) -> Summary:
    """The numbers of a run: DESIGN.md's `--json` object.

    `equivalent` is the equality that cons@k votes with, None for verifiers whose answers are not voted on. `progress` is
    called with the number of problems whose votes are counted. Raises ValueError on an empty tally.
    """
    groups = [group for group in tally.samples_by_problem() if group]
    correct = [sum(tally.status[i] == _CORRECT for i in group) for group in groups]
    sizes = sorted({len(group) for group in groups})
    summary: Summary = {
        "problems": len(groups),
        "samples": len(tally),
        "samples_per_problem": {"min": sizes[0], "max": sizes[-1]},
        "not_judged": tally.not_judged(),
        "status": tally.status_counts(),
        "reasons": [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in tally.reasons.most_common()
        ],
        "score": _as_json(_score(tally, groups)),
        "pass@k": {str(k): _as_json(_pass_at_k(groups, correct, k)) for k in _powers(sizes[0])},
        "cons@k": {},
        "notes": [],
    }
    if sizes[-1] > 1 and sizes[0] < sizes[-1]:
        summary["notes"].append(
            f"problems have {sizes[0]} to {sizes[-1]} samples: pass@k is given up to k = {sizes[0]}, cons@k is not given"
        )
    elif sizes[0] > 1 and equivalent is not None:
        summary["cons@k"][str(sizes[0])] = _consensus(tally, groups, equivalent, progress)
    if summary["not_judged"]:
        summary["notes"].append(_not_judged_note(tally, summary))
    return summary


def _score(tally: Tally, groups: list[list[int]]) -> Estimate:
    """The mean over every sample; what was not judged adds nothing and counts in the denominator."""
    scores = [0.0 if isnan(score) else score for score in tally.score]
    if len(groups) == len(tally) and set(scores) <= {0.0, 1.0}:
        return wilson(int(sum(scores)), len(scores))
    mean = clustered((sum(scores[i] for i in group), len(group)) for group in groups)
    return mean.within_unit_interval() if 0 <= min(scores) and max(scores) <= 1 else mean


def _pass_at_k(groups: list[list[int]], correct: list[int], k: int) -> Estimate:
    if all(len(group) == 1 for group in groups):
        return wilson(sum(correct), len(groups))
    values = [pass_at_k(len(group), c, k) for group, c in zip(groups, correct, strict=True)]
    return estimate(values).within_unit_interval()


def _powers(n: int) -> list[int]:
    """1, 2, 4 … and n.

    >>> _powers(22)
    [1, 2, 4, 8, 16, 22]
    """
    return sorted({1 << i for i in range(n.bit_length()) if 1 << i <= n} | {n})


def _consensus(
    tally: Tally, groups: list[list[int]], equivalent: Equivalent, progress: Callable[[int], None] | None
) -> dict[str, Any]:
    votes: list[Vote] = []
    for group in groups:
        found = [tally.answers[tally.answer[i]] if tally.answer[i] >= 0 else None for i in group]
        classes = equivalence_classes((answer for answer in found if answer is not None), equivalent)
        numbers = [None if answer is None else classes[answer] for answer in found]
        votes.append(majority_vote(numbers, [tally.status[i] == _CORRECT for i in group]))
        if progress is not None:
            progress(len(votes))
    ties = sum(vote.tie for vote in votes)
    silent = sum(vote.answered == 0 for vote in votes)
    return {
        **_as_json(estimate([vote.score for vote in votes]).within_unit_interval()),
        "ties": ties,
        "tie_rate": ties / len(votes),
        "without_answer": silent,
    }


def _not_judged_note(tally: Tally, summary: Summary) -> str:
    missing, samples = summary["not_judged"], summary["samples"]
    low = summary["score"]["mean"]
    return (
        f"{missing:,} of {samples:,} samples were not judged and count as no score: "
        f"if all of them were right the mean would be {low + missing / samples:.2%}"
    )


def _as_json(value: Estimate) -> dict[str, Any]:
    return {"mean": value.mean, "stderr": value.stderr, "ci95": None if value.ci95 is None else list(value.ci95)}
