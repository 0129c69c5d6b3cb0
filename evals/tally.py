"""What a run remembers of each sample: a few dozen bytes, so that memory does not follow the size of the file."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from math import isnan, nan

from ..verifiers.types import STATUSES, Status, Verdict

_ANSWER_LIMIT = 1500
_STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}


class Tally:
    """Parallel columns, one entry per sample in input order, and the problems they belong to.

    `problem` indexes `problem_ids`; `samples_of` counts each problem's samples; `status` indexes `STATUSES`; `score` is
    NaN where a sample was not judged; `length` counts characters.
    """

    def __init__(self) -> None:
        self.problem = array("I")
        self.status = array("B")
        self.score = array("d")
        self.length = array("I")
        self.samples_of = array("I")
        self.reasons: Counter[tuple[Status, str]] = Counter()
        self._index: dict[str, int] = {}
        self._answers = bytearray()  # one after another: a text object for each would take several times as much
        self._answer_end = array("Q")

    def __len__(self) -> int:
        return len(self.problem)

    @property
    def problem_ids(self) -> Sequence[str]:
        """The problems in the order in which they came."""
        return list(self._index)

    def find(self, problem_id: str) -> int | None:
        """The index of a problem, None where it was not seen."""
        return self._index.get(problem_id)

    def number(self, problem_id: str) -> int:
        """The index of a problem, which is new when it was not seen before."""
        problem = self._index.setdefault(problem_id, len(self._index))
        if problem == len(self.samples_of):
            self.samples_of.append(0)
        return problem

    def add(self, problem_id: str, verdict: Verdict, length: int) -> None:
        """One sample more; `length` is that of its completion."""
        problem = self._index.get(problem_id)
        if problem is None:
            problem = self.number(problem_id)
        self.samples_of[problem] += 1
        self.problem.append(problem)
        self.status.append(_STATUS_NUMBER[verdict.status])
        self.score.append(nan if verdict.score is None else verdict.score)
        self.length.append(length)
        if verdict.extracted:
            self._answers += _shortened(verdict.extracted).encode("utf-8", "surrogatepass")
        self._answer_end.append(len(self._answers))
        self.reasons[verdict.status, verdict.reason] += 1

    def answer(self, sample: int) -> str | None:
        """The answer that was found, None where there was none; beyond 1,500 characters, a hash stands for the rest."""
        start = self._answer_end[sample - 1] if sample else 0
        text = bytes(self._answers[start : self._answer_end[sample]])
        return text.decode("utf-8", "surrogatepass") if text else None

    def status_counts(self) -> dict[Status, int]:
        """Samples by status, every status present."""
        return {status: self.status.count(i) for i, status in enumerate(STATUSES)}

    def not_judged(self) -> int:
        """Samples whose score is None."""
        return sum(map(isnan, self.score))

    def samples_by_problem(self) -> Iterator[Sequence[int]]:
        """For each problem that has any, the indices of its samples."""
        ends = array("Q", accumulate(self.samples_of))
        following = array("Q", (end - count for end, count in zip(ends, self.samples_of, strict=True)))
        ordered = array("I", bytes(4 * len(self)))
        for sample, problem in enumerate(self.problem):
            ordered[following[problem]] = sample
            following[problem] += 1
        for end, count in zip(ends, self.samples_of, strict=True):
            if count:
                yield ordered[end - count : end]


def _shortened(answer: str) -> str:
    """The answer, or its beginning and a hash where it is long: two different ones must not pool their votes."""
    if len(answer) <= _ANSWER_LIMIT:
        return answer
    return answer[:_ANSWER_LIMIT] + blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
