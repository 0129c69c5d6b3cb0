"""What a trainer hands over, as problems and completions."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from ..columns import ALIASES, has_tests, is_chat, is_number, text_of_message, text_of_prompt
from ..types import Completion, Problem

_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_PROSE = 4  # words from which a solution that marks no answer is prose
_LEAD = 64  # characters of special tokens that may stand before a prompt
_TRIES = 16
_OVERLAP = 32  # characters of a prompt that was cut from the left which must be there to know it again
# The marks with which chat models end a turn, and sentencepiece models a text.
_MARK = re.compile(r"(?:<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|</s>|<eos>|<end_of_turn>)\Z")
_MARK_CHARS = 48
_MARKS = 1 << 18  # padding too ends in them, as far as the longest context


def problem_of(
    row: Mapping[str, Any], number: int = 0, *, gold: object = None, prompt: object = None, source: object = None
) -> Problem:
    """The problem in a row of a trainer's data set, whose columns are found by their usual names.

    `gold`, `prompt` and `source` are what the trainer hands over by itself; each outranks the columns. A gold that is a
    JSON object, or its text, is tests for code; any other is the answer. Nothing is refused: a verifier says what it
    misses.
    """
    gold = _plain(gold if gold is not None else _first(row, ALIASES["answer"]))
    gold = _answer_of(_plain(row.get("solution"))) if gold is None else gold
    tests = _plain(_first(row, ALIASES["tests"]))
    identity = _plain(_first(row, (*ALIASES["id"], "index")))
    found = _plain(source if source is not None else _first(row, ALIASES["source"]))
    is_tests = isinstance(gold, Mapping) or (isinstance(gold, str) and _is_object(gold))
    return Problem(
        id=str(number) if identity is None else str(identity),
        prompt=text_of_prompt(_plain(prompt if prompt is not None else _first(row, ALIASES["prompt"]))),
        answer=None if is_tests else answer_text(cast(object, gold)),
        tests=tests if has_tests(tests) else gold if is_tests else None,
        source=found if isinstance(found, str) else None,
    )


def answer_text(gold: object) -> str | None:
    """A gold answer as text: text, a number, or a list that holds one of them; None for anything else.

    Of integers Python writes those that have at most 4,300 digits.
    """
    items = cast(list[object], gold) if isinstance(gold, list) else [gold]
    value = items[0] if len(items) == 1 else None
    if is_number(value):
        with suppress(ValueError):
            return repr(value)
    return value if isinstance(value, str) else None


def completion_of(value: object, *, n_tokens: int | None = None, finished: bool | None = None) -> Completion:
    """What the model wrote: text, a message, or messages of which the last one of the assistant counts.

    Raises ValueError for anything else.
    """
    if isinstance(value, list) and is_chat(cast(list[object], value)):
        messages = cast(list[Mapping[str, object]], value)
        value = next((message for message in reversed(messages) if message.get("role") == "assistant"), None)
    if isinstance(value, Mapping):
        value = text_of_message(cast(Mapping[str, object], value)) or ""
    if not isinstance(value, str):
        kind = type(cast(object, value)).__name__
        raise ValueError(f"a completion is text or messages, one of them the assistant's, not {kind}")
    return Completion(value, n_tokens, finished)


def response_of(query: str, prompt: str, name: str = "query") -> str:
    """What follows the prompt in a query, which holds both: behind special tokens, or when the prompt was cut from the
    left.

    Raises ValueError where the query does not begin with its prompt: what stands in that is not the model's.

    >>> response_of("<s>Two and two? Four.", "Two and two?")
    ' Four.'
    """
    at = query.find(prompt, 0, _LEAD + len(prompt))
    if at >= 0:
        return query[at + len(prompt) :]
    begin = query[:_OVERLAP]
    at = prompt.find(begin) if len(begin) == _OVERLAP else -1
    for _ in range(_TRIES):  # a prompt that repeats itself is no reason to search for ever
        if at < 0:
            break
        if query.startswith(prompt[at:]):
            return query[len(prompt) - at :]
        at = prompt.find(begin, at + 1)
    raise ValueError(f"{name}: does not begin with its prompt, so that what the model wrote cannot be told from it")


def finished(text: str, *, n_tokens: int | None = None, finished: bool | None = None) -> Completion:
    """The completion in a text that was decoded with special tokens: without those at its end.

    One that ends so was finished, where the trainer does not know better.

    >>> finished("It is 4.<|im_end|></s>")
    Completion(text='It is 4.', n_tokens=None, finished=True)
    """
    end = len(text)
    for _ in range(_MARKS):
        mark = _MARK.search(text[max(0, end - _MARK_CHARS) : end])
        if mark is None:
            break
        end -= len(mark[0])
    return Completion(text[:end], n_tokens, True if finished is None and end < len(text) else finished)


def _answer_of(solution: object) -> object:
    """What TRL's data sets call so: a worked solution that marks its answer, or the answer alone. None for prose that
    marks none, which no completion could be equal to."""
    if not isinstance(solution, str) or "boxed" in solution or "####" in solution:
        return solution
    return None if len(_WORD.findall(solution)) >= _PROSE else solution


def _is_object(text: str) -> bool:
    """Whether a text is a JSON object; a set such as `{1,2}` is none."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _plain(value: Any) -> Any:
    """Python's own value where NumPy's or torch's was given, as columns of a batch are."""
    return value.tolist() if hasattr(value, "tolist") else value
