"""Which problems are asked, how and how often. A task is data: in `tasks.toml`, a TOML file, or a Python object."""

import importlib
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from .errors import UsageError
from .files import Row

Shape = Literal["math", "choice", "function", "assertions", "program"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
_BUILT_IN = Path(__file__).with_name("tasks.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark. `tasks.toml` says what the fields hold.

    The problems come from `rows` (a function, for tasks made in Python), `data` (a file or folder) or `hub`.
    Raises UsageError where the fields contradict each other.
    """

    name: str
    about: str = ""
    hub: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str = "test"
    files: tuple[str, ...] = ()
    data: Path | None = None
    rows: Callable[[], Iterable[Row]] | None = None
    shape: Shape = "math"
    id: tuple[str, ...] = ()
    """Empty: the usual names of `rlvr score`."""
    problem: tuple[str, ...] = ("problem", "question", "prompt", "Problem", "Question")
    answer: tuple[str, ...] = ("answer", "expected_answer", "Answer")
    answer_after: str | None = None
    between: tuple[str, Any, Any] | None = None
    size: int | None = None
    n: int = 1
    published_n: int | None = None
    prompt: str | None = None
    """A chat message of one's own with `{problem}` in it; None for the wording of the shape."""
    verifier: str = "math"
    options: tuple[str, ...] = ()
    """Of the verifier, as `name=value`."""
    terms: str | None = None
    benchmark: bool = False
    """Whether it ships with rlvr: published figures of that name belong to it."""

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise UsageError(f"task {self.name}: shape {self.shape!r} is none of {', '.join(SHAPES)}")
        if self.n < 1:
            raise UsageError(f"task {self.name}: n is {self.n}; a problem has one sample or more")
        if self.prompt is not None and "{problem}" not in self.prompt:
            raise UsageError(f"task {self.name}: prompt has no {{problem}} in it: every question would be the same")
        if self.between is not None and len(self.between) != 3:
            raise UsageError(f"task {self.name}: between holds a column, the first value and the value after the last")
        if self.hub is None and self.data is None and self.rows is None:
            raise UsageError(f"task {self.name}: no problems: give hub (owner/name) or data (a file or folder)")


@cache
def benchmarks() -> Mapping[str, Task]:
    """The tasks that ship with rlvr, by name."""
    tables = tomllib.loads(_BUILT_IN.read_text(encoding="utf-8"))
    return {name: _from_table({"name": name, "benchmark": True, **table}, name) for name, table in tables.items()}


def choose_task(name: str) -> Task:
    """The task called `name`: a benchmark, a TOML file, or `module:name`. Raises UsageError when there is none."""
    if name in benchmarks():
        return benchmarks()[name]
    if name.endswith(".toml"):
        return _from_file(Path(name))
    if ":" in name:
        return _from_module(name)
    close = get_close_matches(name.lower(), benchmarks(), n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(
        f"task {name}: there is no such task.{meant} `rlvr tasks` lists them; a task of your own is a .toml file or "
        "package.module:name"
    )


def _from_file(path: Path) -> Task:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from None
    table = {"name": path.stem, **table}
    if isinstance(table.get("data"), str):
        table["data"] = path.parent / table["data"]
    return _from_table(table, str(path))


def _from_table(table: Mapping[str, Any], where: str) -> Task:
    values = dict(table)
    for key in ("id", "problem", "answer", "files", "options", "between"):
        if key in values:
            given = values[key]
            values[key] = tuple(cast(list[Any], given)) if isinstance(given, list) else (given,)
    known = {field.name: field.type for field in fields(Task)} | {"rows": None}
    for key, value in values.items():
        kind = known.get(key)
        if kind is None:
            close = get_close_matches(key, known, n=1)
            raise UsageError(f"{where}: no task has {key!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
        if not _fits(value, kind):
            raise UsageError(f"{where}: {key} = {value!r}: is not of the right kind")
    return Task(**values)


def _fits(value: object, kind: object) -> bool:
    if kind is int or kind == int | None:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is str or kind == str | None:
        return isinstance(value, str)
    if kind == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in cast(tuple[object, ...], value))
    return True  # shape, between and data say themselves what is wrong with them


def _from_module(name: str) -> Task:
    """The Task, or what a function without arguments returns."""
    module_name, _, attribute = name.partition(":")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a file in this folder is found
    try:
        found: Any = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"task {name}: cannot be imported from {here}: {error}") from None
    task = found() if callable(found) else found
    if not isinstance(task, Task):
        raise UsageError(f"task {name}: is {type(task).__name__}, not an rlvr.evals.tasks.Task or a function of one")
    return task
