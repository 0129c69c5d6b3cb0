"""The ladder: is this answer the gold one? Cheapest rung first; a rung that cannot tell passes on.

Each rung takes the canonical texts and returns an `Outcome`, or None when it cannot tell.
"""

import re
from dataclasses import dataclass

from .normalize import canonical, text_key
from .number import agree, read_number, without_unit
from .symbolic import TailMemory, TailTimeout, TailUnavailable, symbolically_equal

# Past this many characters an answer of another length than the gold's is not worth a parser's time.
MAX_PARSED = 1000

_NAME = re.compile(
    r"(?:[A-Za-z]|\\[a-z]+)(?:_(?:\w|\{\w+\}))?\s?(?:\(\s?[A-Za-z](?:\s?,\s?[A-Za-z])*\s?\))?\s?(?:=(?![=<>])|\\in(?![a-z])|:(?=\s))"
    r"|\(\s?[A-Za-z](?:\s?,\s?[A-Za-z])+\s?\)\s?="
)
_CHAIN = re.compile(r"(?<![<>!\\:])=(?![=<>])")
_VARIABLE = re.compile(r"\\[A-Za-z]+|([A-Za-z])")
_SEVERAL = re.compile(
    r"\\pm|\\mp|\\(?:text\s?\{\s*)?(?:or|and)\b|\b(?:or|and|to)\b|[;,]|\\(?:leq|geq|neq)|[<>]|\\in\b|\\cup|\\\{"
)
_SEPARATOR = re.compile(r"[,;]|\b(?:or|and)\b")
_BRACKETED = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")
_WORDS = re.compile(r"(?:\\text\s?\{[^{}\\]{2,}\}|[A-Za-z]{3,}+[.]?|[\s,'-])++")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`equal` is None where the comparison was stopped; `reason` is the rung that decided (a key of `REASONS`)."""

    equal: bool | None
    reason: str
    detail: str | None = None


def compare(gold: str, answer: str, *, timeout_s: float) -> Outcome:
    """Compare two answers as they stand in a box. `timeout_s` bounds the symbolic tail, in processor seconds."""
    gold, answer = _exact_part(canonical(gold)), _exact_part(canonical(answer))
    return (
        _by_text(gold, answer)
        or _by_number(gold, answer)
        or _by_chain(gold, answer, timeout_s)
        or _by_shape(gold, answer)
        or _by_algebra(*_without_name(gold, answer), timeout_s)
    )


def _by_text(gold: str, answer: str) -> Outcome | None:
    if gold == answer or text_key(gold) == text_key(answer):
        return Outcome(True, "same_text")
    bare_gold, bare_answer = _without_name(gold, answer)
    same = (bare_gold, bare_answer) != (gold, answer) and text_key(bare_gold) == text_key(bare_answer)
    return Outcome(True, "same_text") if same else None


def _by_number(gold: str, answer: str) -> Outcome | None:
    gold, answer = _without_name(gold, answer)
    gold_number = read_number(gold)
    answer_number = read_number(answer) if gold_number else None
    if gold_number is None or answer_number is None:
        return None
    return Outcome(True, "same_number") if agree(gold_number, answer_number) else Outcome(False, "different_number")


def _by_chain(gold: str, answer: str, timeout_s: float) -> Outcome | None:
    """`2^4 = 16` is 16 and `x = 5` is 5; closed values that differ are no answer at all."""
    if "=" not in answer or _CHAIN.search(gold) or _SEVERAL.search(answer):
        return None
    parts = [part.strip() for part in _CHAIN.split(answer)]
    if len(parts) < 2:
        return None
    while len(parts) > 1 and not _is_closed(parts[0]):
        parts.pop(0)  # a name or an expression leads
    if len(parts) > 4 or not all(parts):
        return Outcome(False, "different_values")
    outcomes = [compare(gold, part, timeout_s=timeout_s) for part in reversed(parts)]
    decisive = next((outcome for outcome in outcomes if not outcome.equal), outcomes[0])
    if decisive.equal is False and len(parts) > 1 and outcomes[0].equal:
        return Outcome(False, "different_values")
    return decisive


def _by_shape(gold: str, answer: str) -> Outcome | None:
    """What no algebra is needed for: several answers to a question that has one, words, and sheer size."""
    bare_gold, bare_answer = _without_name(gold, answer)
    if read_number(bare_gold) and _SEVERAL.search(bare_answer):
        return Outcome(False, "several_answers")
    if not _SEVERAL.search(bare_gold) and "=" not in gold and _SEPARATOR.search(_outside_brackets(bare_answer)):
        return Outcome(False, "several_answers")
    if _WORDS.fullmatch(gold) and _WORDS.fullmatch(answer):
        return Outcome(False, "different_text")
    if len(answer) > MAX_PARSED and len(answer) > 4 * len(gold):
        return Outcome(False, "too_long")
    return None


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


def _without_name(gold: str, answer: str) -> tuple[str, str]:
    """`x = 5` against `5`: the name is dropped where only one side has one, or both have the same."""
    gold_name, answer_name = _NAME.match(gold), _NAME.match(answer)
    if gold_name and answer_name and text_key(gold_name[0]) != text_key(answer_name[0]):
        return gold, answer
    return _behind(gold_name, gold), _behind(answer_name, answer)


def _outside_brackets(text: str) -> str:
    for _ in range(8):
        text, count = _BRACKETED.subn("", text)
        if not count:
            break
    return text


def _behind(name: re.Match[str] | None, text: str) -> str:
    return text[name.end() :].strip() if name else text


def _exact_part(answer: str) -> str:
    r"""What stands before `\approx`: the rest is not part of the exact answer, unless a name leads (`x \approx 11`)."""
    exact, _, rounded = answer.partition(r"\approx")
    return exact.strip() if rounded and _is_closed(exact) and exact.strip() else answer.replace(r"\approx", "=")


def _is_closed(text: str) -> bool:
    """Whether it holds no variable: a value, not a name."""
    return not any(match[1] for match in _VARIABLE.finditer(re.sub(r"\\text\s?\{[^{}]*\}", "", text)))
