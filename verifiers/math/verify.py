"""`verify_math`: the reward of DeepSeek-R1-Zero's math runs, and the equality that cons@k votes with."""

from functools import lru_cache

from ..extract import Level, find_answer, last_box
from ..types import Completion, Problem, Verdict, correct, not_judged, wrong
from .compare import MAX_PARSED, Outcome, compare
from .normalize import CACHED, canonical

TIMEOUT_S = 5.0
MAX_ANSWER = 20_000
"""Characters; a longer box is no answer to a gold that is shorter."""


def verify_math(
    problem: Problem, completion: Completion, /, *, extract: Level = "answer", timeout_s: float = TIMEOUT_S
) -> Verdict:
    r"""1 when the final answer of the completion equals `problem.answer`, else 0.

    extract: where an answer is looked for: "box" (a box or an `<answer>` tag), "answer" (also a stated one), "any"
    (also the last formula or number). timeout_s: processor seconds for one symbolic comparison.
    Not judged (score None): a gold that cannot be read. Raises ValueError when the problem has no `answer`.

    >>> verify_math(Problem("1", answer=r"\frac{1}{2}"), Completion(r"so it is \boxed{0.5}"))
    Verdict(score=1.0, status='correct', reason='same_number', extracted='0.5', parts={}, detail=None)
    """
    if problem.answer is None:
        raise ValueError(f"problem {problem.id}: verify_math needs `answer`, the gold")
    gold = read_gold(problem.answer)
    if gold is None:
        return not_judged("gold_unreadable", f"gold: {problem.answer[:200]!r}")
    answer = find_answer(completion.text, extract)
    if not answer:
        return _without_answer(answer, completion)
    if len(answer) > MAX_ANSWER and len(answer) > 2 * len(gold):
        return wrong("too_long", answer[:200], f"{len(answer):,} characters")
    return _verdict(compare(gold, answer, timeout_s=timeout_s), answer)


def equivalent(a: str, b: str, *, timeout_s: float = TIMEOUT_S) -> bool | None:
    r"""Whether two extracted answers are the same mathematics; None where the comparison was stopped. Symmetric.

    Beyond 1,000 characters only the same text is equal: a vote compares every pair of answers.

    >>> equivalent(r"\frac{1}{2}", "0.5"), equivalent("1", "2")
    (True, False)
    """
    if a == b:
        return True
    if max(len(a), len(b)) > MAX_PARSED:
        return canonical(a) == canonical(b)
    first, second = sorted((a, b))
    there = compare(first, second, timeout_s=timeout_s).equal
    return there or compare(second, first, timeout_s=timeout_s).equal


def read_gold(answer: str) -> str | None:
    r"""The gold answer itself: without the solution around it (`… #### 18`, `… \boxed{18}`); None without any.

    >>> read_gold("48/2 = 24 clips in May.\n#### 72")
    '72'
    """
    return _short_gold(answer) if len(answer) <= CACHED else _read_gold(answer)


def _read_gold(answer: str) -> str | None:
    boxed = last_box(answer)
    gold = boxed if boxed is not None else answer.rpartition("####")[2]
    return gold.strip() if canonical(gold) else None


_short_gold = lru_cache(maxsize=4096)(_read_gold)  # a gold is judged against many completions


def _without_answer(answer: str | None, completion: Completion) -> Verdict:
    if answer == "":
        return Verdict(0.0, "unextracted", "empty_answer")
    if completion.finished is False:
        return Verdict(0.0, "truncated", "cut_off")
    return Verdict(0.0, "unextracted", "no_answer")


def _verdict(outcome: Outcome, answer: str) -> Verdict:
    if outcome.reason == "verifier_crashed":
        return not_judged(outcome.reason, outcome.detail, answer)
    if outcome.equal is None:
        return Verdict(0.0, "timeout", outcome.reason, answer)
    return correct(outcome.reason, answer) if outcome.equal else wrong(outcome.reason, answer)
