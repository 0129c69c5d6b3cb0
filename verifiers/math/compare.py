"""The ladder: is this answer the gold one? Cheapest rung first; a rung that cannot tell passes on.

text -> rational number -> tree, compared by kind (exact normal forms, then evaluation at points) -> symbolic tail.
"""

import re
from dataclasses import dataclass

from .bounds import TooBig, TooMuch
from .kinds import Rung, same
from .normalize import canonical, text_key
from .number import agree, read_number, same_unit, without_unit
from .parse import Unreadable, parse
from .symbolic import TailMemory, TailTimeout, TailUnavailable, symbolically_equal
from .tree import Node

# Past this many characters an answer of another length than the gold's is not worth a parser's time.
MAX_PARSED = 1000

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})\s?(?:([AaPp])\.?\s?[Mm]\b\.?)?")
_VALUE = re.compile(r"\d|\\pi\b|^\s*e\s*$")
_ARTICLE = re.compile(r"\b(?:the|an?)\b", re.IGNORECASE)
_WORDS = re.compile(r"(?:\\text\s?\{[^{}\\]{2,}\}|[A-Za-z]{3,}+[.]?|[\s,'-])++")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`equal` is None where the comparison was stopped; `reason` is the rung that decided (a key of `REASONS`)."""

    equal: bool | None
    reason: str
    detail: str | None = None


_SAME_TEXT = Outcome(True, "same_text")
_SAME_NUMBER = Outcome(True, "same_number")
_DIFFERENT_NUMBER = Outcome(False, "different_number")


def compare(gold: str, answer: str, *, timeout_s: float) -> Outcome:
    """Compare two answers as they stand in a box. `timeout_s` bounds the symbolic tail, in processor seconds."""
    if gold == answer:
        return _SAME_TEXT
    gold, answer = sides(gold, answer)
    if gold == answer:
        return _SAME_TEXT
    if gold.isascii() and answer.isascii() and gold.isdigit() and answer.isdigit():
        return _SAME_NUMBER if gold.lstrip("0") == answer.lstrip("0") else _DIFFERENT_NUMBER
    outcome = _by_text(gold, answer) or _by_number(gold, answer) or _by_clock(gold, answer) or _by_words(gold, answer)
    if outcome is None and len(answer) > MAX_PARSED and len(answer) > 4 * len(gold):
        outcome = Outcome(False, "too_long")
    return outcome or _by_kind(gold, answer) or _by_algebra(gold, answer, timeout_s)


def sides(gold: str, answer: str) -> tuple[str, str]:
    r"""Both canonical texts as the ladder compares them: of the answer, what stands before `\approx`.

    >>> sides("$5$", r"5 \approx 5.01")
    ('5', '5')
    """
    gold, answer = canonical(gold), canonical(answer)
    return gold, answer if gold == answer else _exact_part(answer)


def _by_text(gold: str, answer: str) -> Outcome | None:
    return _SAME_TEXT if gold == answer or text_key(gold) == text_key(answer) else None


def _by_number(gold: str, answer: str) -> Outcome | None:
    gold_number = read_number(gold)
    answer_number = read_number(answer) if gold_number else None
    if gold_number is None or answer_number is None or not same_unit(gold_number, answer_number):
        return None
    return _SAME_NUMBER if agree(gold_number, answer_number) else _DIFFERENT_NUMBER


def _by_clock(gold: str, answer: str) -> Outcome | None:
    """Times of day: `8:34 P.M.` is `20:34`; without a mark on one side the numerals may agree."""
    times = [_CLOCK.fullmatch(text_key(side)) for side in (gold, answer)]
    if times[0] is None or times[1] is None:
        return None
    minutes = [_minutes(time) for time in times if time]
    marked = [bool(time[3]) for time in times if time]
    alike = minutes[0] == minutes[1] or (
        marked[0] != marked[1] and times[0][1] + times[0][2] == times[1][1] + times[1][2]
    )
    return Outcome(alike, "same_time" if alike else "different_time")


def _minutes(time: re.Match[str]) -> int:
    hour = int(time[1])
    if time[3]:
        hour = hour % 12 + (12 if time[3] in "pP" else 0)
    return 60 * hour + int(time[2])


def _by_words(gold: str, answer: str) -> Outcome | None:
    if not _WORDS.fullmatch(gold) or not _WORDS.fullmatch(answer):
        return None
    alike = text_key(_ARTICLE.sub("", gold)) == text_key(_ARTICLE.sub("", answer))
    return Outcome(alike, "same_text" if alike else "different_text")


def _by_kind(gold: str, answer: str) -> Outcome | None:
    gold_tree, answer_tree = _tree(gold), _tree(answer)
    if isinstance(answer_tree, Outcome):
        return answer_tree
    if gold_tree is None or answer_tree is None or isinstance(gold_tree, Outcome):
        return None
    rung = Rung()
    try:
        equal = same(gold_tree, answer_tree, rung)
    except TooBig:
        return Outcome(False, "too_big")
    except TooMuch:
        return Outcome(False, "too_long")
    if equal is None:
        return None
    if rung.several and not equal:
        return Outcome(False, "several_answers")
    if rung.numeric:
        return Outcome(equal, "same_value" if equal else "different_value")
    return Outcome(equal, "same_form" if equal else "different_form")


def _tree(text: str) -> Node | Outcome | None:
    try:
        return parse(text)
    except Unreadable as error:
        return Outcome(False, error.reason) if error.reason else None


def _by_algebra(gold: str, answer: str, timeout_s: float) -> Outcome:
    try:
        equal = symbolically_equal(without_unit(gold), without_unit(answer), timeout_s)
    except TailTimeout:
        return Outcome(None, "deadline")
    except TailMemory:
        return Outcome(None, "memory_limit")
    except TailUnavailable as error:
        return Outcome(None, "verifier_crashed", str(error))
    return Outcome(equal, "symbolic_equal" if equal else "symbolic_different")


def _exact_part(answer: str) -> str:
    r"""What stands before `\approx`: the rest is not part of the exact answer, unless a name leads (`x \approx 11`)."""
    exact, sign, _ = answer.partition(r"\approx")
    if not sign:
        return answer
    return exact.strip() if _VALUE.search(exact) else answer.replace(r"\approx", "=")
