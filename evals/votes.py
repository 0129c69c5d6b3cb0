"""From the tally of a run to what its samples are worth together: votes by problem, and the rows of the summary."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..verifiers.types import STATUSES
from .bootstrap import SmallSet
from .consensus import best_of, consensus_curve, equivalence_classes, majority_vote, weighted_vote
from .metrics import Estimate, powers, proportion
from .tally import Tally

Equivalent = Callable[[str, str], bool | None]
CORRECT = STATUSES.index("correct")


def voted(tally: Tally, n: int, equivalent: Equivalent, small: SmallSet) -> dict[str, Any]:
    """`cons@k` for k = n, `cons_curve` for k below it, and `weighted_cons@k` where all samples have weights >= 0.

    n: samples of every problem. Each estimate is an object of mean, stderr and ci95, with how often votes tie; `small`
    is given all of them.
    """
    ks = powers(n)[:-1]
    whole: list[float] = []
    weighted: list[float] = []
    ties = weighted_ties = silent = 0
    curves: defaultdict[int, list[float]] = defaultdict(list)
    tied: defaultdict[int, list[float]] = defaultdict(list)
    squares = dict.fromkeys(ks, 0.0)
    weighs = len(tally.weight) == len(tally) and min(tally.weight) >= 0
    for group in tally.samples_by_problem():
        answers = _classes(tally, group, equivalent)
        correct = [tally.status[i] == CORRECT for i in group]
        vote = majority_vote(answers, correct)
        whole.append(vote.score)
        ties += vote.tie
        silent += vote.answered == 0
        for k, value in consensus_curve(answers, correct, ks).items():
            curves[k].append(value.score)
            tied[k].append(value.tie_rate)
            squares[k] += value.error**2
        if weighs:
            heavy = weighted_vote(answers, correct, [tally.weight[i] for i in group])
            weighted.append(heavy.score)
            weighted_ties += heavy.tie
    problems = len(whole)
    found: dict[str, Any] = {
        "cons@k": {
            str(n): _row(whole, small, ties=ties, tie_rate=ties / problems, without_answer=silent),
        },
        "cons_curve": {
            str(k): _row(
                curves[k], small, tie_rate=math.fsum(tied[k]) / problems, error=math.sqrt(squares[k]) / problems
            )
            for k in ks
        },
    }
    if weighs:
        found["weighted_cons@k"] = {
            str(n): _row(weighted, small, ties=weighted_ties, tie_rate=weighted_ties / problems)
        }
    return found


def _row(values: Sequence[float], small: SmallSet, **more: float) -> dict[str, Any]:
    return small.row({**as_json(proportion(values)), **more}, values)


def best_of_curve(tally: Tally, fewest: int) -> dict[str, Any]:
    """best-of-k for k up to the samples of the problem that has fewest; needs weights."""
    curves: dict[int, list[float]] = {k: [] for k in powers(fewest)}
    for group in tally.samples_by_problem():
        correct = [tally.status[i] == CORRECT for i in group]
        weights = [tally.weight[i] for i in group]
        for k, values in curves.items():
            values.append(best_of(k, correct, weights))
    return {str(k): as_json(proportion(values)) for k, values in curves.items()}


def as_json(value: Estimate) -> dict[str, Any]:
    """An estimate as the `--json` object has it."""
    return {"mean": value.mean, "stderr": value.stderr, "ci95": None if value.ci95 is None else list(value.ci95)}


def _classes(tally: Tally, group: Sequence[int], equivalent: Equivalent) -> list[int | None]:
    answers = [tally.answer(i) for i in group]
    classes = equivalence_classes((answer for answer in answers if answer is not None), equivalent)
    return [None if answer is None else classes[answer] for answer in answers]
