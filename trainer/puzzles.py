"""Generated problems that a model of 0.4 M parameters learns in minutes, with worked solutions to begin from.

`addition` is a skill: two-digit sums, column by column. `countdown` is a search: put signs between numbers so that they
reach a target; who tries more before answering is right more often, so that the length of the thought can grow.

The cold start imitates a writer with bad habits, which are what there is for reinforcement learning to unlearn: in
addition a carry is dropped more often than not, and a column's sum is off in one case of three; in countdown the search
is given up after every second failure.
Everything follows from a problem's own text: whether it is held out, how its solution is written.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from itertools import product
from typing import Any

from ..verifiers.extract import find_answer
from ..verifiers.types import Completion, Problem, Verdict, correct, wrong

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
SLIP = 0.33
"""How often the writer of the cold start gets a column of an addition wrong."""
FORGET = 0.6
"""How often that writer drops a carry."""
GIVE_UP = 0.5
"""How often the writer of the cold start stops after an attempt that missed."""
NUMBERS = 4
"""In a countdown."""
SIGNS = list(product("+-", repeat=NUMBERS - 1))


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A kind of problem. `alphabet` and `tags` are the tokens that prompts and completions consist of.

    `solve` is how the writer of the cold start completes a prompt, drawing chances from the generator.
    """

    alphabet: str
    tags: tuple[str, ...]
    problems: Callable[[], list[Problem]]
    solve: Callable[[Problem, random.Random], str]

    def train(self) -> list[Problem]:
        """In a fixed order, shuffled; none of them is held out."""
        return [problem for problem in self.problems() if not _is_held_out(problem)]

    def held_out(self) -> list[Problem]:
        """One in ten, in a fixed order, shuffled: of any length of this list, the beginning is the same."""
        return [problem for problem in self.problems() if _is_held_out(problem)]

    def cold_start(self, seed: int = 0) -> list[dict[str, str]]:
        """A row `prompt`, `completion` for each training problem, as `rlvr sft` reads them."""
        return [
            {"prompt": problem.prompt or "", "completion": self.solve(problem, random.Random(f"{seed} {problem.id}"))}
            for problem in self.train()
        ]


def _is_held_out(problem: Problem) -> bool:
    """By a hash of the numbers in any order, so that 12+34 is not trained on where 34+12 is held out."""
    numbers = " ".join(sorted(re.findall(r"\d+", problem.prompt or "")))
    return blake2b(numbers.encode()).digest()[0] % 10 == 0


def _shuffled(problems: Iterator[Problem]) -> list[Problem]:
    listed = list(problems)
    random.Random("order").shuffle(listed)
    return listed


# ---- addition


def additions() -> list[Problem]:
    """All 8,100 sums of two numbers of two digits.

    >>> additions()[0].id in {f"{a}+{b}" for a in range(10, 100) for b in range(10, 100)}
    True
    """
    pairs = product(range(10, 100), repeat=2)
    return _shuffled(Problem(id=f"{a}+{b}", prompt=f"{a}+{b}=", answer=str(a + b)) for a, b in pairs)


def add(problem: Problem, chance: random.Random, slip: float = SLIP, forget: float = FORGET) -> str:
    """The sum, column by column with the carry first; a carry is dropped with probability `forget`, and each column is
    off by one or two with probability `slip`.

    >>> add(Problem(id="47+85", prompt="47+85="), random.Random(0), slip=0, forget=0)
    '<think>7+5=12 1+4+8=13</think><answer>132</answer>'
    """
    a, b = (int(number) for number in re.findall(r"\d+", problem.prompt or ""))
    ones = _slipped(a % 10 + b % 10, chance, slip)
    carry = 0 if chance.random() < forget else ones // 10
    tens = _slipped(carry + a // 10 + b // 10, chance, slip)
    columns = f"{a % 10}+{b % 10}={ones} {carry}+{a // 10}+{b // 10}={tens}"
    return f"<think>{columns}</think><answer>{10 * tens + ones % 10}</answer>"


def _slipped(value: int, chance: random.Random, slip: float) -> int:
    return max(0, value + chance.choice((-2, -1, 1, 2))) if chance.random() < slip else value


# ---- countdown


def countdowns() -> list[Problem]:
    """Four numbers from 1 to 6, each with one of the targets that signs between them in this order reach.

    `answer` is the target and `tests` the numbers, for `verify_countdown`.
    """
    chance = random.Random("countdown")
    draws = [(tuple(chance.randint(1, 6) for _ in range(NUMBERS)), chance.choice(SIGNS)) for _ in range(20_000)]
    targets = [(numbers, _value(numbers, signs)) for numbers, signs in draws]
    return [
        Problem(id=prompt, prompt=prompt, answer=str(target), tests={"numbers": list(numbers)})
        for prompt, (numbers, target) in {f"{' '.join(map(str, n))}:{t}": (n, t) for n, t in targets}.items()
    ]


def _value(numbers: tuple[int, ...], signs: tuple[str, ...]) -> int:
    return numbers[0] + sum(n if sign == "+" else -n for n, sign in zip(numbers[1:], signs, strict=True))


def _written(numbers: tuple[int, ...], signs: tuple[str, ...]) -> str:
    return str(numbers[0]) + "".join(f"{sign}{n}" for n, sign in zip(numbers[1:], signs, strict=True))


def _worked(numbers: tuple[int, ...], signs: tuple[str, ...], target: int) -> str:
    """With the value so far after each number, and how the last one compares: 3-4=-1+2=1<5."""
    parts = [str(numbers[0])]
    for count, sign in enumerate(signs, 2):
        parts.append(f"{sign}{numbers[count - 1]}={_value(numbers[:count], signs[: count - 1])}")
    value = _value(numbers, signs)
    return "".join([*parts, "=" if value == target else "<" if value < target else ">", str(target)])


def search(problem: Problem, chance: random.Random, give_up: float = GIVE_UP) -> str:
    """Attempts in the order of SIGNS, from a random one on, until one fits. After each that does not, the writer gives
    up with probability `give_up` and answers with the next one unseen.

    >>> search(Problem(id="", prompt="3 4 2 9:10", answer="10"), random.Random(3), give_up=0)
    '<think>3+4=7-2=5-9=-4<10 wait 3-4=-1+2=1+9=10=10</think><answer>3-4+2+9</answer>'

    Raises ValueError where no signs reach the target.
    """
    numbers = tuple(int(number) for number in (problem.prompt or "").partition(":")[0].split())
    target = int(problem.answer or "")
    first = chance.randrange(len(SIGNS))
    attempts: list[str] = []
    for signs in SIGNS[first:] + SIGNS[:first]:
        if attempts and chance.random() < give_up:
            break
        attempts.append(_worked(numbers, signs, target))
        if _value(numbers, signs) == target:
            break
    else:
        raise ValueError(f"{problem.prompt}: no signs reach the target")
    return f"<think>{' wait '.join(attempts)}</think><answer>{_written(numbers, signs)}</answer>"


_LONGEST = 200  # characters
_DEEPEST = 20  # brackets
_LEXEME = re.compile(r"\s*(?:([0-9]+)|([-+*/()]))")
_SAME = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})


def verify_countdown(problem: Problem, completion: Completion, /) -> Verdict:
    """1 when the answer is an expression of + - * / and brackets that has the value `problem.answer` and uses each of
    `problem.tests["numbers"]` once; fractions are exact, and nothing of it is executed.

    The answer is the last box or `<answer>`. A sign is only between two numbers. Raises ValueError for a problem
    without a target or numbers.
    """
    target, numbers = _countdown_of(problem)
    answer = find_answer(completion.text, "box")
    if answer is None:
        cut = completion.finished is False
        return Verdict(0.0, "truncated" if cut else "unextracted", "cut_off" if cut else "no_answer")
    if not answer.strip():
        return wrong("empty_answer", answer)
    if len(answer) > _LONGEST:
        return wrong("too_long", answer)
    try:
        used, value = _Expression(answer.translate(_SAME)).read()
    except _Unreadable as error:
        return wrong("unreadable", answer, str(error))
    if sorted(used) != sorted(numbers):
        return wrong("other_numbers", answer, f"uses {sorted(used)}, given are {sorted(numbers)}")
    if value != target:
        return wrong("different_number", answer, f"is {value}, asked is {target}")
    return correct("same_number", answer)


def _countdown_of(problem: Problem) -> tuple[Fraction, list[int]]:
    tests: Any = problem.tests
    try:
        return Fraction(problem.answer or ""), [int(number) for number in tests["numbers"]]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise ValueError("a countdown has a number as its answer, and tests {'numbers': [3, 4, 2]}") from None


class _Unreadable(Exception):
    pass


class _Expression:
    """Recursive descent over a short text: sum = product (± product)*, product = atom (×÷ atom)*, atom = n or (sum)."""

    def __init__(self, text: str) -> None:
        self.lexemes: list[str] = []
        place, text = 0, text.strip()
        while place < len(text):
            found = _LEXEME.match(text, place)
            if found is None:
                raise _Unreadable(f"{text[place]!r} is no number and none of + - * / ( )")
            self.lexemes.append(found[1] or found[2])
            place = found.end()
        self.place, self.depth = 0, 0
        self.used: list[int] = []

    def read(self) -> tuple[list[int], Fraction]:
        """The numbers in it, and its value."""
        value = self._sum()
        if self.place < len(self.lexemes):
            raise _Unreadable(f"{self.lexemes[self.place]!r} is not expected there")
        return self.used, value

    def _next(self, *wanted: str) -> str | None:
        """The next lexeme if it is one of those, and go past it."""
        if self.place < len(self.lexemes) and self.lexemes[self.place] in wanted:
            self.place += 1
            return self.lexemes[self.place - 1]
        return None

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._next("+", "-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._atom()
        while sign := self._next("*", "/"):
            factor = self._atom()
            if sign == "/" and factor == 0:
                raise _Unreadable("divides by zero")
            value = value * factor if sign == "*" else value / factor
        return value

    def _atom(self) -> Fraction:
        if self._next("("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise _Unreadable(f"more than {_DEEPEST} brackets in brackets")
            value = self._sum()
            self.depth -= 1
            if not self._next(")"):
                raise _Unreadable("a bracket is not closed")
            return value
        if self.place == len(self.lexemes) or not self.lexemes[self.place].isdigit():
            raise _Unreadable("a number is missing")
        self.used.append(int(self.lexemes[self.place]))
        self.place += 1
        return Fraction(self.used[-1])


PUZZLES = {
    "addition": Puzzle("0123456789+= ", TAGS, additions, add),
    "countdown": Puzzle("0123456789+-=<>: ", (*TAGS, " wait "), countdowns, search),
}
