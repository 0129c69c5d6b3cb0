"""How the samples of each problem voted: what a report draws of cons@k."""

from collections import Counter
from collections.abc import Callable
from statistics import fmean
from typing import Any

from ..verifiers.types import STATUSES
from .consensus import equivalence_classes, majority_vote
from .tally import Tally

MAX_PROBLEMS = 300  # as many as a plot has columns for
_CORRECT = STATUSES.index("correct")
_SHOWN = 5  # answers of a problem that are told apart
_SHORT = 80


def ballots(tally: Tally, equivalent: Callable[[str, str], bool | None]) -> list[dict[str, Any]]:
    """The vote of each problem, the clearest right one first; nothing where there is none, or too many to draw.

    `answers` holds the most frequent answers as [text, votes, share of them that was judged right], `others` the votes
    for further ones, `silent` the samples without an answer; `score` is what the vote is worth, `tie` whether it ties.
    """
    groups = list(tally.samples_by_problem())
    if len(groups) > MAX_PROBLEMS or max(map(len, groups), default=0) < 2:
        return []
    names = [name for name, count in zip(tally.problem_ids, tally.samples_of, strict=True) if count]
    found = [_ballot(name, tally, list(group), equivalent) for name, group in zip(names, groups, strict=True)]
    return sorted(found, key=lambda row: (-row["score"], -_right_votes(row)))


def _ballot(name: str, tally: Tally, group: list[int], equivalent: Callable[[str, str], bool | None]) -> dict[str, Any]:
    answers = [tally.answer(i) for i in group]
    correct = [tally.status[i] == _CORRECT for i in group]
    classes = equivalence_classes((answer for answer in answers if answer is not None), equivalent)
    numbers = [None if answer is None else classes[answer] for answer in answers]
    vote = majority_vote(numbers, correct)
    votes = Counter(number for number in numbers if number is not None)
    rows: list[tuple[str, int, float]] = []
    for number, count in votes.most_common(_SHOWN):
        right = fmean(ok for ok, other in zip(correct, numbers, strict=True) if other == number)
        texts = Counter(a for a, other in zip(answers, numbers, strict=True) if a is not None and other == number)
        rows.append((texts.most_common(1)[0][0][:_SHORT], count, right))
    return {
        "id": name,
        "answers": rows,
        "others": sum(votes.values()) - sum(count for _, count, _ in rows),
        "silent": len(group) - sum(votes.values()),
        "score": vote.score,
        "tie": vote.tie,
    }


def _right_votes(row: dict[str, Any]) -> float:
    total = sum(count for _, count, _ in row["answers"]) + row["others"] + row["silent"]
    return sum(count * right for _, count, right in row["answers"]) / total
