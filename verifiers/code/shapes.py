"""The shapes of `tests`: a dict or its JSON text becomes one of three dataclasses. Tests are trusted: they are ours."""

import ast
import builtins
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from ...sandbox.types import Assertions

TOLERANCE = 1e-9
SHAPES = "inputs and outputs (with fn_name for calls), test_list, or entry_point and test"

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MAX_DIGITS = 4000  # beyond this, Python's int() may refuse


@dataclass(frozen=True, slots=True)
class StreamTests:
    """Standard input and the standard output that it must give."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tolerance: float = TOLERANCE
    checker: str | None = None

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class CallTests:
    """Arguments of `function` and the value that it must return."""

    function: str
    inputs: tuple[tuple[object, ...], ...]
    outputs: tuple[object, ...]
    tolerance: float = TOLERANCE
    checker: str | None = None
    wrapped: bool = False
    """Every output is a list of one element: APPS writes many values so, and the element itself is right too."""

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class AssertionTests:
    """Test code; `prompt` and `entry_point` where a completion may be the body of a function that the prompt begins."""

    tests: tuple[Assertions, ...]
    prompt: str | None = None
    entry_point: str | None = None

    def __len__(self) -> int:
        return len(self.tests)


Tests = StreamTests | CallTests | AssertionTests


def read_tests(tests: object) -> Tests:
    """The tests of a problem. Raises ValueError, which says what is missing or wrong.

    >>> read_tests('{"inputs": ["1 2"], "outputs": ["3"]}')
    StreamTests(inputs=('1 2',), outputs=('3',), tolerance=1e-09, checker=None)
    """
    if tests is None:
        raise ValueError(f"there are no `tests`: they hold {SHAPES}")
    return _read_text(tests) if isinstance(tests, str) else _read(tests)


@lru_cache(maxsize=32)
def _read_text(text: str) -> Tests:
    """Samples of one problem mostly come one after the other, with the same text."""
    try:
        return _read(_load(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"`tests` is text, but not JSON: {error}") from None


def _read(tests: object) -> Tests:
    if not isinstance(tests, Mapping):
        raise ValueError(f"`tests` is {_kind(tests)}, not a dict with {SHAPES}")
    fields = cast(Mapping[str, object], tests)
    if _given(fields, "test_list"):
        return _read_test_list(fields)
    if _given(fields, "entry_point") or _given(fields, "test"):
        return _read_human_eval(fields)
    if _given(fields, "inputs") or _given(fields, "outputs"):
        return _read_calls(fields) if fields.get("fn_name") else _read_streams(fields)
    found = ", ".join(map(repr, list(fields)[:20])) or "nothing"
    raise ValueError(f"`tests` lacks {SHAPES}; it holds {found}")


def _load(text: str) -> Any:
    """JSON with integers of any length."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _MAX_DIGITS else int(Decimal(digits)))


def _given(fields: Mapping[str, object], name: str) -> bool:
    return fields.get(name) is not None


def _read_streams(fields: Mapping[str, object]) -> StreamTests:
    inputs, outputs = _pairs(fields)
    return StreamTests(
        tuple(_stream(value, f"`tests.inputs[{number}]`") for number, value in enumerate(inputs)),
        tuple(_stream(value, f"`tests.outputs[{number}]`") for number, value in enumerate(outputs)),
        _tolerance(fields),
        _checker(fields),
    )


def _stream(value: object, where: str) -> str:
    """Text, or a list of lines; APPS also has numbers there."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "\n".join(_stream(line, where) for line in cast(Sequence[object], value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    raise ValueError(f"{where} is {_kind(value)}, not text or a list of lines")


def _read_calls(fields: Mapping[str, object]) -> CallTests:
    function = _text(fields, "fn_name")
    inputs, outputs = _pairs(fields)
    if all(isinstance(value, str) for value in inputs):
        arguments = [_json_lines(cast(str, value), number) for number, value in enumerate(inputs)]
        values = [_json_output(value, number) for number, value in enumerate(outputs)]
        wrapped = False
    else:
        arguments = [_arguments(value, number) for number, value in enumerate(inputs)]
        values = outputs
        wrapped = all(isinstance(value, list) and len(cast(list[object], value)) == 1 for value in values)
    return CallTests(function, tuple(arguments), tuple(values), _tolerance(fields), _checker(fields), wrapped)


def _json_lines(text: str, number: int) -> tuple[object, ...]:
    """LiveCodeBench: one JSON value per line is one argument."""
    try:
        return tuple(_load(line) for line in text.split("\n") if line.strip())
    except json.JSONDecodeError as error:
        raise ValueError(f"`tests.inputs[{number}]` is text, but not a JSON value per line: {error}") from None


def _json_output(value: object, number: int) -> object:
    if not isinstance(value, str):
        return value
    try:
        return _load(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"`tests.outputs[{number}]` is text, but not JSON as its input is: {error}") from None


def _arguments(value: object, number: int) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"`tests.inputs[{number}]` is {_kind(value)}, not a list of arguments")
    return tuple(_integer_keys(argument) for argument in cast(Sequence[object], value))


def _integer_keys(argument: object) -> object:
    """A dict whose keys are all integers as text had integer keys before JSON (APPS)."""
    if not isinstance(argument, dict):
        return argument
    table = cast(dict[object, object], argument)
    if not all(isinstance(key, str) and _INTEGER.fullmatch(key) for key in table):
        return table
    return {int(cast(str, key)): value for key, value in table.items()}


def _read_test_list(fields: Mapping[str, object]) -> AssertionTests:
    """MBPP: each assertion is a test; `test_setup_code` and `test_imports` come before it."""
    listed = fields["test_list"]
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise ValueError("`tests.test_list` is not a list with at least one assertion")
    sources = [
        _code(source, f"`tests.test_list[{number}]`") for number, source in enumerate(cast(Sequence[object], listed))
    ]
    setup = "\n".join([*_imports(fields), _code(fields.get("test_setup_code") or "", "`tests.test_setup_code`")])
    tree = ast.parse("\n".join([setup, *sources]))
    names = _names_under_test(tree)
    if not names:
        raise ValueError("`tests.test_list` calls no function that the program could define")
    modules = "".join(f"import {name}\n" for name in _modules_used(tree))
    # Setup that itself uses what the program defines can only run where the program's names are.
    if set(names) & _loaded(ast.parse(setup)):
        return AssertionTests(tuple(Assertions(f"{setup}\n{source}", names, modules) for source in sources))
    return AssertionTests(tuple(Assertions(source, names, modules + setup) for source in sources))


def _imports(fields: Mapping[str, object]) -> list[str]:
    imports = fields.get("test_imports") or ()
    if not isinstance(imports, Sequence) or isinstance(imports, str):
        raise ValueError("`tests.test_imports` is not a list of import statements")
    return [_code(line, "`tests.test_imports`") for line in cast(Sequence[object], imports)]


def _read_human_eval(fields: Mapping[str, object]) -> AssertionTests:
    """HumanEval: `check(candidate)` is one test; what the prompt defines is there for it, from the prompt alone."""
    entry = _text(fields, "entry_point")
    if not entry.isidentifier():
        raise ValueError(f"`tests.entry_point` is {entry!r}, not a function's name")
    test = _code(_text(fields, "test"), "`tests.test`")
    if "check" not in _defined(ast.parse(test)):
        raise ValueError("`tests.test` defines no function `check`")
    prompt = _text(fields, "prompt") if _given(fields, "prompt") else ""
    setup = _code(prompt, "`tests.prompt`")
    return AssertionTests((Assertions(f"{test}\ncheck({entry})\n", (entry,), setup),), prompt, entry)


def _names_under_test(tree: ast.Module) -> tuple[str, ...]:
    """What the program must define: the names that the tests use and nothing else defines.

    Where there is none, the built-in functions that they call: a problem may ask for another `sum`.
    """
    own = _loaded(tree) - _defined(tree) - set(_modules_used(tree))
    free = sorted(own - set(dir(builtins)))
    return tuple(free or sorted(own & _called(tree)))


def _modules_used(tree: ast.Module) -> list[str]:
    """Modules of the standard library that are used without an import: the judge brings its own."""
    bases = {
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return sorted((bases & sys.stdlib_module_names) - _defined(tree) - _called(tree))


def _loaded(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _called(tree: ast.Module) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def _defined(tree: ast.Module) -> set[str]:
    """Names that the code binds anywhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            names.add(node.name)
    return names


def _pairs(fields: Mapping[str, object]) -> tuple[Sequence[object], Sequence[object]]:
    sides: list[Sequence[object]] = []
    for name in ("inputs", "outputs"):
        side = fields.get(name)
        if not isinstance(side, Sequence) or isinstance(side, str):
            raise ValueError(f"`tests.{name}` is {_kind(side)}, not a list with one entry per test")
        sides.append(cast(Sequence[object], side))
    inputs, outputs = sides
    if len(inputs) != len(outputs):
        raise ValueError(f"`tests` has {len(inputs)} inputs and {len(outputs)} outputs")
    if not inputs:
        raise ValueError("`tests.inputs` is empty: nothing would be tested")
    return inputs, outputs


def _tolerance(fields: Mapping[str, object]) -> float:
    value = fields.get("tolerance")
    if value is None:
        return TOLERANCE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"`tests.tolerance` is {value!r}, not a number from 0 up to 1")
    return float(value)


def _checker(fields: Mapping[str, object]) -> str | None:
    if not _given(fields, "checker"):
        return None
    source = _code(_text(fields, "checker"), "`tests.checker`")
    if "check" not in _defined(ast.parse(source)):
        raise ValueError("`tests.checker` defines no function `check(input, output, expected)`")
    return source


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`tests.{name}` is {'empty' if value == '' else _kind(value)}, not text")
    return value


def _code(source: object, where: str) -> str:
    """The problem's own Python, checked for syntax now: an error in it is no program's fault."""
    if not isinstance(source, str):
        raise ValueError(f"{where} is {_kind(source)}, not Python code")
    source = source.replace("\r\n", "\n")
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not Python: {error}") from None
    return source


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__
