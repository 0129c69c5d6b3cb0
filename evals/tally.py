"""What a run remembers of each sample: a few dozen bytes, so that memory does not follow the size of the file."""

from array import array
from collections import Counter
from math import isnan, nan

from ..verifiers.types import STATUSES, Status, Verdict


class Tally:
    """Parallel columns, one entry per sample in input order, and the problems they belong to.

    `problem` indexes `problem_ids`; `samples_of` counts each problem's samples; `status` indexes `STATUSES`; `score` is NaN where a sample was not judged;
    `length` counts characters; `answer` indexes `answers` (the distinct extracted answers), -1 where none was found.
    """

    def __init__(self) -> None:
        self.problem_ids: list[str] = []
        self.answers: list[str] = []
        self.problem = array("L")
        self.status = array("B")
        self.score = array("d")
        self.length = array("L")
        self.answer = array("l")
        self.reasons: Counter[tuple[Status, str]] = Counter()
        self.samples_of = array("L")
        self._problem_index: dict[str, int] = {}
        self._answer_index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.problem)

    def number(self, problem_id: str) -> int:
        """The index of a problem, which is new when it was not seen before."""
        problem = self._problem_index.setdefault(problem_id, len(self.problem_ids))
        if problem == len(self.problem_ids):
            self.problem_ids.append(problem_id)
            self.samples_of.append(0)
        return problem

    def add(self, problem_id: str, verdict: Verdict, length: int) -> None:
        problem = self.number(problem_id)
        self.samples_of[problem] += 1
        answer = -1
        if verdict.extracted is not None:
            answer = self._answer_index.setdefault(verdict.extracted, len(self.answers))
            if answer == len(self.answers):
                self.answers.append(verdict.extracted)
        self.problem.append(problem)
        self.status.append(STATUSES.index(verdict.status))
        self.score.append(nan if verdict.score is None else verdict.score)
        self.length.append(length)
        self.answer.append(answer)
        self.reasons[verdict.status, verdict.reason] += 1

    def status_counts(self) -> dict[Status, int]:
        """Samples by status, every status present."""
        counts = Counter(self.status)
        return {status: counts[i] for i, status in enumerate(STATUSES)}

    def not_judged(self) -> int:
        """Samples whose score is None."""
        return sum(map(isnan, self.score))

    def samples_by_problem(self) -> list[list[int]]:
        """For each problem, the indices of its samples."""
        groups: list[list[int]] = [[] for _ in self.problem_ids]
        for index, problem in enumerate(self.problem):
            groups[problem].append(index)
        return groups
