"""A second opinion on mathematics: `math-verify`'s own reading of the same answers, in workers killed at a deadline.

It is given each distinct pair of gold and answer once, as LaTeX alone: its way of reading plain text is `parse_expr`,
which is `eval`. What it cannot read, or not in time, is no opinion.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from ..verifiers.math.verify import read_gold
from ..verifiers.pool import score_many
from ..verifiers.types import Completion, Problem, Verdict, Verifier, correct, not_judged, wrong
from .audit_table import NOT_MATH, RIGHT, Samples
from .score import Progress

DEADLINE_S = 5.0
"""Wall-clock seconds for one pair; what hangs gets as many once more, alone."""
LONGEST = 1000
"""Characters of a gold or an answer that are still handed over."""
MOST_HANGING = 20
"""Pairs that hang before it is asked nothing more: each costs ten seconds, and a policy may write any number."""
_MEMORY_MB = 3000


@dataclass(frozen=True, slots=True)
class Pair:
    """A gold and an answer that samples gave to it, and these samples by what the reward made of it."""

    gold: str
    answer: str
    right: list[int] = field(default_factory=list[int])
    wrong: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked; `why_not` says why nothing is."""

    pairs: list[Pair] = field(default_factory=list[Pair])
    left_out: int = 0
    """Pairs beyond the limit."""
    why_not: str | None = None


@dataclass(slots=True)
class Answers:
    """What math-verify said, in samples. `paid` are pairs that the reward alone calls right, `unpaid` the other way."""

    pairs: int
    left_out: int
    """Pairs that were not asked about."""
    hanging: int = 0
    """Pairs on which it took too long."""
    no_opinion: int = 0
    right: int = 0
    """Samples that the reward calls right and on which there is an opinion."""
    wrong: int = 0
    agree: int = 0
    paid: list[Pair] = field(default_factory=list[Pair])
    unpaid: list[Pair] = field(default_factory=list[Pair])

    def row(self) -> dict[str, int]:
        """The `second_opinion` of the `--json` object."""
        return {
            "pairs": self.pairs,
            "samples": self.right + self.wrong + self.no_opinion,
            "agree": self.agree,
            "no_opinion": self.no_opinion,
            "hanging": self.hanging,
            "left_out": self.left_out,
        }


def installed() -> bool:
    """Whether math-verify can be imported."""
    return importlib.util.find_spec("math_verify") is not None


def question(samples: Samples, *, wanted: bool | None, limit: int) -> Question:
    """What to ask about these samples; `wanted` None asks where it makes sense. Of more pairs than `limit` so many are
    drawn, the same ones each time."""
    if wanted is False:
        return Question(why_not="--no-second-opinion")
    if all(maths == NOT_MATH for maths in samples.maths):
        return Question(why_not="no verdict here is one of verify_math")
    if all(gold is None for gold in samples.golds):
        return Question(why_not="the rows hold no gold answers")
    if not installed():
        return Question(why_not="math-verify is not installed: pip install math-verify")
    asked: list[Pair] = []
    random, number = Random(0), 0
    for number, pair in enumerate(_pairs(samples), 1):
        if len(asked) < limit:
            asked.append(pair)
        elif (place := random.randrange(number)) < limit:  # a reservoir: each pair is as likely as any other
            asked[place] = pair
    return Question(asked, number - len(asked))


def ask(question: Question, workers: int | None, progress: Progress) -> Answers | None:
    """math-verify's opinion on every pair, up to `MOST_HANGING` that hang; None where it is not asked."""
    if question.why_not is not None:
        return None
    answers = Answers(len(question.pairs), question.left_out)
    asked = ((Problem("", answer=pair.gold), Completion(pair.answer)) for pair in question.pairs)
    with closing(score_many(_Loaded(), asked, workers=workers, timeout_s=DEADLINE_S)) as verdicts:
        for number, (pair, verdict) in enumerate(zip(question.pairs, verdicts, strict=True), 1):
            _count(answers, pair, verdict)
            progress.read(number, number)
            answers.hanging += verdict.status == "timeout"
            if answers.hanging >= MOST_HANGING:
                answers.left_out += len(question.pairs) - number
                answers.pairs = number
                break
    answers.paid.sort(key=lambda pair: -len(pair.right))
    answers.unpaid.sort(key=lambda pair: -len(pair.wrong))
    return answers


def opinion(problem: Problem, completion: Completion) -> Verdict:
    """Of an answer alone (`completion.text`) against `problem.answer`. Only for a worker: it limits its own memory."""
    parse, verify = _library()
    gold, answer = parse(problem.answer or ""), parse(completion.text)
    if not gold or not answer:
        return not_judged("unreadable", "math-verify cannot read " + ("the answer" if gold else "the gold"))
    return correct("symbolic_equal") if verify(gold, answer) else wrong("symbolic_different")


class _Loaded:
    """`opinion`, whose library is loaded before a worker says that it is ready: no pair's time pays for that."""

    def __call__(self, problem: Problem, completion: Completion, /) -> Verdict:
        return opinion(problem, completion)

    def __reduce__(self) -> tuple[Callable[[], Verifier], tuple[()]]:
        return _load, ()


def _load() -> Verifier:
    opinion(Problem("", answer=r"\frac{1}{2}"), Completion("0.5"))
    return opinion


def _pairs(samples: Samples) -> Iterator[Pair]:
    """The distinct pairs, problem by problem; those too long to be asked are left out."""
    for problem, members in samples.problems():
        written = samples.golds[problem]
        gold = None if written is None else read_gold(written)
        if gold is None or len(gold) > LONGEST:
            continue
        answers: dict[str, Pair] = {}
        for i in members:
            answer = None if samples.maths[i] == NOT_MATH else samples.tally.answer(i)
            if answer is not None and len(answer) <= LONGEST:
                pair = answers.setdefault(answer, Pair(gold, answer))
                (pair.right if samples.maths[i] == RIGHT else pair.wrong).append(i)
        yield from answers.values()


def _count(answers: Answers, pair: Pair, verdict: Verdict) -> None:
    right, wrong = len(pair.right), len(pair.wrong)
    if verdict.status not in ("correct", "wrong"):
        answers.no_opinion += right + wrong
        return
    answers.right += right
    answers.wrong += wrong
    says_right = verdict.status == "correct"
    answers.agree += right if says_right else wrong
    if right and not says_right:
        answers.paid.append(pair)
    if wrong and says_right:
        answers.unpaid.append(pair)


@cache
def _library() -> Any:
    import logging
    import resource

    import math_verify  # pyright: ignore[reportMissingTypeStubs]

    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MB << 20, _MEMORY_MB << 20))
    config = [math_verify.LatexExtractionConfig()]

    def parse(latex: str) -> Any:
        return math_verify.parse(f"\\boxed{{{latex}}}", config, "no_fallback", parsing_timeout=None)  # pyright: ignore

    def verify(gold: Any, answer: Any) -> bool:
        return math_verify.verify(gold, answer, timeout_seconds=None, raise_on_error=True)

    return parse, verify
