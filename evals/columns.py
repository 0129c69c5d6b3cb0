"""Which column holds what: found by the usual names, said to the user, overridden by options."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from sys import float_info
from typing import Any, Literal, NamedTuple, cast

from ..verifiers.columns import ALIASES, is_chat, is_number, text_of_message, text_of_prompt
from ..verifiers.types import Completion, Problem
from .errors import BadRow
from .files import Row, json_type

CUT = frozenset({"length", "max_tokens", "max_length", "abort"})

Shape = Literal["text", "list", "chat"]
Picks = Mapping[str, str | None]


class Sample(NamedTuple):
    """One completion of one problem. `own` holds the input's own columns, with what belongs to this sample alone."""

    problem: Problem
    completion: Completion
    number: int | None
    """Which of the problem's samples it is, where the row gives one."""
    own: Row
    name: str
    line: int
    weight: float | None = None
    """How much the sample's vote weighs, where a column for that was named."""


class RowReader:
    """Turns the rows of one file into samples. The first row decides which columns are used and their shape.

    `overrides` maps "completion", "answer", "id", "prompt", "tests", "weight" to a column; `needs_answer` refuses
    rows without a gold, `needs_tests` rows without tests, which then tell problems apart too. Raises BadRow.
    """

    def __init__(
        self, name: str, overrides: Mapping[str, str], *, needs_answer: bool, needs_tests: bool = False
    ) -> None:
        self.name = name
        self.picks: Picks | None = None
        self.shape: Shape | None = None
        self._overrides = overrides
        self._needs_answer = needs_answer
        self._needs_tests = needs_tests

    def samples(self, row: Row, line: int) -> Iterator[Sample]:
        """The samples of one row. Nothing is given before the whole row was checked."""
        picks = self.picks or self._find(row, line)
        column = picks["completion"]
        if column is None or column not in row:
            raise self._bad(line, self._missing("completion", row, column))
        items, shape = self._completions(row[column], column, line)
        if self.shape not in (None, shape):
            raise self._bad(line, f"column {column!r}: holds {_SHAPES[shape]}, the rows before {_SHAPES[self.shape]}")
        problem = self._problem(row, picks, line)
        self.picks, self.shape = picks, shape
        parallel = _parallel(row, picks, len(items)) if shape == "list" else []
        given = row.get("sample")
        for position, item in enumerate(items):
            own = row | {name: row[name][position] for name in parallel}
            if shape == "list":
                own[column] = cast(list[object], row[column])[position]
            numbered = isinstance(given, int) and not isinstance(given, bool) and shape != "list"
            index = given if numbered else None
            source = _value(own, picks["source"])
            finished = _finished(own, picks) if item.finished is None else item.finished
            yield Sample(
                replace(problem, source=source) if isinstance(source, str) else problem,
                Completion(item.text, _tokens(own, picks), finished),
                index,
                own,
                self.name,
                line,
                self._weight(own, picks["weight"], line),
            )

    def problem(self, row: Row, line: int) -> Problem:
        """The problem of a row; no completion is asked for."""
        picks = self.picks or self._find(row, line)
        problem = self._problem(row, picks, line)
        self.picks = picks
        return problem

    def _problem(self, row: Row, picks: Picks, line: int) -> Problem:
        answer = self._answer(row, picks, line)
        prompt = text_of_prompt(_value(row, picks["prompt"]))
        tests = _value(row, picks["tests"])
        if tests is None and self._needs_tests:
            column = picks["tests"]
            null = column is not None and column in row
            raise self._bad(
                line, f"column {column!r}: no tests (null)" if null else self._missing("tests", row, column)
            )
        told_apart = (prompt, answer, tests) if self._needs_tests else (prompt, answer)
        return Problem(id=self._id(row, picks, told_apart, line), prompt=prompt, answer=answer, tests=tests)

    def _bad(self, line: int, message: str) -> BadRow:
        return BadRow(self.name, line, message)

    def _find(self, row: Row, line: int) -> Picks:
        picks: dict[str, str | None] = {}
        # What an option gives to one role is not picked for another; but any column may tell problems apart too.
        taken = {column for role, column in self._overrides.items() if role != "id"}
        for role, names in ALIASES.items():
            override = self._overrides.get(role)
            if override is not None and override not in row:
                raise self._bad(line, self._missing(role, row, override))
            picks[role] = override or next((name for name in names if name in row and name not in taken), None)
        return picks

    def _missing(self, role: str, row: Row, column: str | None) -> str:
        found = ", ".join(map(repr, list(row)[:20])) or "none"
        usual = f"no column {column!r}" if column else f"no column for the {role} (usual: {', '.join(ALIASES[role])})"
        return f"{usual}; columns here: {found}. --{role}-field picks another"

    def _completions(self, value: object, column: str, line: int) -> "tuple[list[_Item], Shape]":
        if isinstance(value, list):
            values = cast(list[object], value)
            if not values:
                raise self._bad(line, f"column {column!r}: an empty list holds no completion")
            if not is_chat(values):
                return [self._item(v, f"{column}[{i}]", line) for i, v in enumerate(values)], "list"
        return [self._item(cast(object, value), column, line)], "text" if isinstance(value, str) else "chat"

    def _item(self, value: object, place: str, line: int) -> "_Item":
        if isinstance(value, str):
            return _Item(value, None)
        if isinstance(value, list) and is_chat(cast(list[object], value)):
            messages = cast(list[Mapping[str, object]], value)
            replies = [message for message in messages if message.get("role") == "assistant"]
            if replies:
                return self._item(replies[-1], f"{place}, last assistant message", line)
            raise self._bad(line, f"column {place!r}: no message of the assistant")
        if isinstance(value, dict):
            choice = cast(Mapping[str, object], value)  # a message, or a choice of an OpenAI-style response
            message = choice.get("message", choice)
            if isinstance(message, Mapping):
                text = text_of_message(cast(Mapping[str, object], message))
                if text is not None:
                    return _Item(text, _finish(choice.get("finish_reason")))
        kind = json_type(cast(object, value))
        raise self._bad(line, f"column {place!r}: is {kind}; a completion is text or a list of messages")

    def _answer(self, row: Row, picks: Picks, line: int) -> str | None:
        column = picks["answer"]
        if column is None or row.get(column) is None:
            if not self._needs_answer:
                return None
            if column is not None and column in row:
                raise self._bad(line, f"column {column!r}: no gold answer (null)")
            raise self._bad(line, self._missing("answer", row, column))
        value = row[column]
        if isinstance(value, str):
            return value
        if is_number(value):
            return repr(value)
        raise self._bad(line, f"column {column!r}: is {json_type(value)}; a gold answer is text or a number")

    def _weight(self, own: Row, column: str | None, line: int) -> float | None:
        if column is None:
            return None
        value: object = own.get(column)
        if isinstance(value, list):
            inside = cast(list[object], value)
            value = inside[0] if len(inside) == 1 else inside  # as reward models with one output give it
        if is_number(value) and abs(value) <= float_info.max:
            return float(value)
        kind = json_type(cast(object, value)) if column in own else "missing"
        raise self._bad(line, f"column {column!r}: is {kind}; a weight is a finite number for each completion")

    def _id(self, row: Row, picks: Picks, told_apart: tuple[object, ...], line: int) -> str:
        column = picks["id"]
        if column is None:
            return blake2b(repr(told_apart).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        value = row.get(column)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
        kind = json_type(value) if column in row else "missing"
        raise self._bad(line, f"column {column!r}: is {kind}; a problem id is text or a whole number")


class _Item(NamedTuple):
    text: str
    finished: bool | None


_SHAPES: Mapping[Shape | None, str] = {"text": "text", "list": "a list of completions", "chat": "a chat message list"}


def _value(row: Row, column: str | None) -> Any:
    return None if column is None else row.get(column)


def _finish(value: object) -> bool | None:
    """False when cut at the length limit, True when it ended by itself, None when nobody knows."""
    if isinstance(value, bool):
        return value
    return value.lower() not in CUT if isinstance(value, str) and value else None


def _finished(own: Row, picks: Picks) -> bool | None:
    return _finish(_value(own, picks["finished"]))


def _tokens(own: Row, picks: Picks) -> int | None:
    value = _value(own, picks["tokens"])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parallel(row: Row, picks: Picks, count: int) -> list[str]:
    """Columns that hold one value per completion: lists as long as the completions, unless used for something else."""
    lists = [(name, cast(list[object], value)) for name, value in row.items() if isinstance(value, list)]
    taken = [picks[role] for role in ("prompt", "answer", "tests", "id", "completion")]
    return [name for name, each in lists if len(each) == count and name not in taken and not is_chat(each)]
