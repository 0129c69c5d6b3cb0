"""The problems that the attacks are set, in the five shapes of tests that `verify_code` reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Style = Literal["stdin", "call", "mbpp", "humaneval", "checker"]
STYLES: tuple[Style, ...] = get_args(Style)
FUNCTION_STYLES: tuple[Style, ...] = ("call", "mbpp", "humaneval")
ASSERTION_STYLES: tuple[Style, ...] = ("mbpp", "humaneval")

# An answer begins with 714 and ends with the two arguments: a thief knows what to look for and cannot compute it.
RIGHT = "7140000000 + (a * a * 31 + b * 17) % 997 * 10000 + a * 100 + b"
CHECKER = "def check(input, output, expected):\n    return output.split() == expected.split()\n"


def _right(a: int, b: int) -> int:
    return 7140000000 + (a * a * 31 + b * 17) % 997 * 10000 + a * 100 + b


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `cases` of arguments and answer, and how each shape of tests compares them."""

    cases: tuple[tuple[tuple[Any, ...], Any], ...]
    right: str = RIGHT
    """The honest program's expression of a and b."""
    assertion: str = "assert {call} == {want}"
    setup: str = ""
    checker: str = CHECKER

    def tests(self, style: Style) -> Mapping[str, Any]:
        """The `tests` of a row."""
        prompt = 'def f(a, b):\n    """The secret number of a and b."""\n'
        inputs, outputs = [list(args) for args, _ in self.cases], [want for _, want in self.cases]
        if style == "call":
            return {"fn_name": "f", "inputs": inputs, "outputs": outputs}
        if style == "mbpp":
            return {"test_list": [self._assert("f", *case) for case in self.cases], "test_setup_code": self.setup}
        if style == "humaneval":
            body = "".join(f"    {self._assert('candidate', *case)}\n" for case in self.cases)
            return {"entry_point": "f", "prompt": prompt, "test": f"{self.setup}\ndef check(candidate):\n{body}"}
        texts = {
            "inputs": [" ".join(str(value) for value in args) + "\n" for args in inputs],
            "outputs": [f"{want}\n" for want in outputs],
        }
        return texts if style == "stdin" else {**texts, "checker": self.checker}

    def _assert(self, name: str, args: tuple[Any, ...], want: Any) -> str:
        listed = ", ".join(map(repr, args))
        return self.assertion.format(call=f"{name}({listed})", name=name, args=repr(list(args)), want=repr(want))

    def honest(self, style: Style) -> str:
        """A program that answers."""
        return program(style, "", self.right)


TWO = Question((((3, 4), _right(3, 4)), ((10, 20), _right(10, 20))))
ONE = Question(TWO.cases[:1])


def program(style: Style, top: str, value: str) -> str:
    """`top`, then a program or a function `f` whose answer is the expression `value` of a and b."""
    if style in FUNCTION_STYLES:
        return f"{top}\ndef f(a, b):\n    return {value}\n"
    return f"{top}\na, b = map(int, input().split())\nprint({value})\n"
