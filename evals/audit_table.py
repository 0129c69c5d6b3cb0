"""What an audit remembers of each sample: some dozens of bytes, so that memory does not follow the texts."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from math import isnan, sqrt
from typing import Any

from ..verifiers.types import STATUSES, Verdict
from .audit_rows import Scored
from .errors import BadRow
from .tally import Tally

CORRECT = STATUSES.index("correct")
MATH_REASONS = frozenset({
    "same_text", "same_number", "different_number", "same_time", "different_time", "different_text", "same_form",
    "different_form", "same_value", "different_value", "symbolic_equal", "symbolic_different", "several_answers",
    "empty_answer", "no_answer", "too_deep", "too_long", "too_big", "unreadable", "gold_unreadable",
})  # fmt: skip
"""What `verify_math` says; a verdict with such a reason, or with a part that has one, is a verdict on mathematics."""
NOT_MATH, WRONG, RIGHT = -1, 0, 1


class Samples:
    """Parallel columns, one entry per sample in the order of the input, on top of a `Tally`.

    `tokens` is -1 where nobody counted; `step` -1 where there is none; `maths` what the mathematical part of the reward
    said (NOT_MATH, WRONG, RIGHT); `text` a hash of the words of a rewarded text, 0 for the others.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.file = array("I")
        self.line = array("Q")
        self.number = array("q")
        self.step = array("q")
        self.tokens = array("q")
        self.maths = array("b")
        self.text = array("Q")
        self.golds: list[str | None] = []
        self.prompts = array("q")
        """By problem: a hash."""
        self.unjudged: Counter[str] = Counter()
        """Samples without a score, by the reason of the part that could not be judged."""
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self.tally)

    def add(self, scored: Scored, name: str) -> int:
        """One sample more; its index. Raises BadRow where the id stood for another problem before."""
        problem, completion, verdict = scored.problem, scored.completion, scored.verdict
        number = self.tally.number(problem.id)
        prompt = hash(problem.prompt)
        if number == len(self.golds):
            self.golds.append(problem.answer)
            self.prompts.append(prompt)
        elif (self.golds[number], self.prompts[number]) != (problem.answer, prompt):
            raise BadRow(
                name, scored.line,
                f"problem id {problem.id!r} stood for another problem or gold answer before; --id-field picks a column "
                "that tells problems apart (the prompt's will do)",
            )  # fmt: skip
        if verdict.score is None:
            self.unjudged[_cause(verdict)] += 1
        leaf = math_verdict(verdict)
        self.maths.append(NOT_MATH if leaf is None or leaf.score is None else int(leaf.status == "correct"))
        if leaf is not None and leaf.extracted is not None:
            verdict = replace(verdict, extracted=leaf.extracted)
        self.file.append(scored.file)
        self.line.append(scored.line)
        self.number.append(self.tally.samples_of[number] if scored.number is None else _kept(scored.number))
        self.step.append(-1 if scored.step is None else scored.step)
        self.tokens.append(-1 if completion.n_tokens is None else _kept(completion.n_tokens))
        self.text.append(_words_hash(completion.text) if verdict.status == "correct" else 0)
        length = min(len(completion.text), (1 << 32) - 1)
        self.tally.add(problem.id, verdict, length, finished=completion.finished)
        return len(self) - 1

    def id_of(self, problem: int) -> str:
        """The problem's id."""
        if len(self._ids) < len(self.golds):
            self._ids = list(self.tally.problem_ids)
        return self._ids[problem]

    def score(self, sample: int) -> float:
        """NaN where it was not judged."""
        return self.tally.score[sample]

    def judged(self, sample: int) -> bool:
        return not isnan(self.tally.score[sample])

    def rewarded(self, sample: int) -> bool:
        """Whether it is a winner: judged, with status `correct`."""
        return self.tally.status[sample] == CORRECT and self.judged(sample)

    def problems(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Each problem with the indices of its samples."""
        for samples in self.tally.samples_by_problem():
            yield self.tally.problem[samples[0]], samples

    def groups(self) -> Iterator[tuple[int, list[int]]]:
        """Each problem's samples of one step: what GRPO normalises over. Without steps, all samples of a problem."""
        for problem, samples in self.problems():
            ordered = sorted(samples, key=self.step.__getitem__)
            for _, group in groupby(ordered, key=self.step.__getitem__):
                yield problem, list(group)


def math_verdict(verdict: Verdict) -> Verdict | None:
    """The verdict on mathematics: a part's, at any depth, else the whole's; None where there is none."""
    for part in verdict.parts.values():
        found = math_verdict(part)
        if found is not None:
            return found
    return verdict if verdict.reason in MATH_REASONS and not verdict.parts else None


def _cause(verdict: Verdict) -> str:
    """The reason of the innermost part without a score."""
    part = next((part for part in verdict.parts.values() if part.score is None), None)
    return verdict.reason if part is None else _cause(part)


def _kept(number: int) -> int:
    """What a column can hold of a number that may be of any size."""
    return max(-1, min(number, 1 << 62))


def _words_hash(text: str) -> int:
    words = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "big") | 1  # 0 stands for no winner


@dataclass(slots=True)
class _Part:
    """Running sums of one part's score x, and of x with the whole's score y where that is known too."""

    seen: int = 0
    n: int = 0
    total: float = 0.0
    low: float = 0.0
    high: float = 0.0
    at_high: int = 0
    zeros: int = 0
    pairs: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, x: float | None, y: float | None) -> None:
        self.seen += 1
        if x is None:
            return
        self.n += 1
        self.total += x
        if self.n == 1 or x > self.high:
            self.high, self.at_high = x, 0
        self.at_high += x == self.high
        self.low = x if self.n == 1 else min(self.low, x)
        self.zeros += x == 0
        if y is not None:
            self._pair(x, y)

    def _pair(self, x: float, y: float) -> None:
        """Welford's update, for both and their product."""
        self.pairs += 1
        before_x, before_y = x - self.mean_x, y - self.mean_y
        self.mean_x += before_x / self.pairs
        self.mean_y += before_y / self.pairs
        self.xx += before_x * (x - self.mean_x)
        self.yy += before_y * (y - self.mean_y)
        self.xy += before_x * (y - self.mean_y)


class Parts:
    """The parts of a composition at any depth, `then/correct`, and what each contributes."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def add(self, verdict: Verdict) -> None:
        """The parts of one sample's verdict."""
        self._add(verdict.parts, verdict.score, "")

    def _add(self, parts: Mapping[str, Verdict], score: float | None, prefix: str) -> None:
        for name, part in parts.items():
            self._parts.setdefault(f"{prefix}{name}", _Part()).add(part.score, score)
            if part.parts:
                self._add(part.parts, score, f"{prefix}{name}/")

    def rows(self) -> list[dict[str, Any]]:
        """One object per part: samples, judged, mean, share at 0 and at its maximum, correlation with the score."""
        return [
            {
                "name": name,
                "samples": part.seen,
                "judged": part.n,
                "mean": part.total / part.n if part.n else None,
                "max": part.high if part.n else None,
                "share_zero": part.zeros / part.n if part.n else None,
                "share_max": part.at_high / part.n if part.n else None,
                "correlation": part.xy / sqrt(part.xx * part.yy) if part.xx > 1e-12 and part.yy > 1e-12 else None,
                "varies": part.high > part.low,
            }
            for name, part in self._parts.items()
        ]
