"""The problems of a task: read from the hub, a file or a folder, brought into one form, and hashed."""

import base64
import binascii
import importlib
import io
import json
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from ..verifiers.types import Problem
from .columns import RowReader
from .engines.quiet import patient_hub
from .errors import BadRow, UsageError
from .files import Row, Source
from .tasks import Task

_FULL_COMMIT = 40


@dataclass(frozen=True, slots=True)
class Problems:
    """What a task asks."""

    asked: tuple[Problem, ...]
    total: int
    """Before `limit`."""
    digest: str
    """blake2b over all of them, before `limit`: ids, questions, gold answers and tests, in order."""
    source: str
    """`hub:owner/name`, the file's name, or the task's where Python made the rows."""
    revision: str | None
    """The hub's commit; None for a file."""


def load_problems(task: Task, *, data: Path | None = None, limit: int | None = None) -> Problems:
    """The problems of `task`, from `data` (a file or folder) instead of its own source where that is given.

    limit: only so many, from the beginning. Raises UsageError for what cannot be read, is gated, or lacks a column.
    """
    data = task.data if data is None else data
    revision = None
    if data is not None:
        source, rows = data.name, _local_rows(task, data)
    elif task.rows is not None:
        source, rows = task.name, task.rows()
    else:
        revision = _resolved(task)
        source, rows = f"hub:{task.hub}", _hub_rows(replace(task, revision=revision))
    problems = list(_problems(task, rows, source if data is None else str(data)))
    if not problems:
        raise UsageError(f"task {task.name}: {source} holds no problem{_kept(task)}")
    asked = problems if limit is None else problems[:limit]
    return Problems(tuple(asked), len(problems), digest_of(problems), source, revision)


def digest_of(problems: Iterable[Problem]) -> str:
    """The content hash: canonical JSON of each problem, in order."""
    digest = blake2b(digest_size=16)
    for problem in problems:
        row = [problem.id, problem.prompt, problem.answer, problem.tests]
        digest.update(json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _problems(task: Task, rows: Iterable[Row], name: str) -> Iterator[Problem]:
    reader: RowReader | None = None
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if not _is_kept(task, row, name, number):
            continue
        try:
            shaped = _SHAPED[task.shape](task, _whole_numbers(row))
        except UsageError as error:
            raise BadRow(name, number, f"task {task.name}: {error}") from None
        if reader is None:
            reader = RowReader(name, _columns(task, shaped, name, number), needs_answer=task.verifier == "math")
        problem = reader.problem(shaped, number)
        if problem.prompt is None:
            raise BadRow(name, number, f"no question; columns here: {', '.join(map(repr, row))}")
        if problem.id in seen:
            raise BadRow(name, number, f"problem id {problem.id!r} stood in an earlier row; `id` picks another column")
        seen.add(problem.id)
        yield problem


def _columns(task: Task, row: Row, name: str, number: int) -> dict[str, str]:
    """The column of each role: the first of the task's names that the row has."""
    picks: dict[str, str] = {}
    for role, names in (("prompt", task.problem), ("answer", task.answer), ("id", task.id)):
        pick = next((column for column in names if column in row), None)
        if pick is not None:
            picks[role] = pick
        elif role == "prompt":
            found = ", ".join(map(repr, row))
            raise BadRow(name, number, f"no column for the question ({', '.join(names)}); columns here: {found}")
    return picks


def _is_kept(task: Task, row: Row, name: str, number: int) -> bool:
    if task.between is None:
        return True
    column, first, end = task.between
    if row.get(column) is None:
        raise BadRow(name, number, f"no column {column!r}, by which task {task.name} picks its rows")
    value: Any = str(row[column]) if isinstance(first, str) else row[column]
    return first <= value < end


def _kept(task: Task) -> str:
    return "" if task.between is None else f" whose {task.between[0]} is from {task.between[1]} to {task.between[2]}"


def _whole_numbers(row: Row) -> Row:
    """27.0 as 27: JSON writers differ, and the same problem should have the same hash."""
    return {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in row.items()}


# --- shapes


def _math(task: Task, row: Row) -> Row:
    if task.answer_after is None:
        return row
    column = next((column for column in task.answer if column in row), None)
    if column is None or not isinstance(row[column], str):
        return row
    return {**row, column: row[column].rpartition(task.answer_after)[2].strip()}


def _choice(task: Task, row: Row) -> Row:
    """Four choices in an order that a hash of the question decides: the same for everybody, the right one anywhere."""
    question, right = _field(row, "Question"), _field(row, "Correct Answer")
    choices = [right, *(_field(row, f"Incorrect Answer {number}") for number in (1, 2, 3))]
    ordered = sorted(choices, key=lambda choice: blake2b(f"{question}\0{choice}".encode()).digest())
    lines = [f"{letter}) {choice}" for letter, choice in zip("ABCD", ordered, strict=True)]
    name = row.get("Record ID") or blake2b(question.encode(), digest_size=6).hexdigest()
    return {"id": name, "problem": "\n".join([question, "", *lines]), "answer": "ABCD"[ordered.index(right)]}


def _function(task: Task, row: Row) -> Row:
    tests = {name: _field(row, name) for name in ("entry_point", "test", "prompt")}
    return {"id": _field(row, "task_id"), "problem": tests["prompt"].strip("\n"), "tests": tests}


def _assertions(task: Task, row: Row) -> Row:
    question = _field(row, "text" if "text" in row else "prompt")
    tests = {key: row[key] for key in ("test_list", "test_setup_code", "test_imports") if row.get(key)}
    if "test_list" not in tests:
        raise UsageError(f"a row has no test_list; it has {', '.join(map(repr, row))}")
    shown = "\n".join(cast(Sequence[str], tests["test_list"]))
    problem = f"{question}\nYour code should pass these tests:\n\n```python\n{shown}\n```"
    return {"id": row.get("task_id"), "problem": problem, "tests": tests}


def _program(task: Task, row: Row) -> Row:
    """LiveCodeBench: tests of standard input, or of a method where there is starter code."""
    cases = [*_test_cases(_field(row, "public_test_cases")), *_test_cases(_field(row, "private_test_cases"))]
    tests: Row = {"inputs": [case["input"] for case in cases], "outputs": [case["output"] for case in cases]}
    function = json.loads(row.get("metadata") or "{}").get("func_name")
    if function is not None:
        tests["fn_name"] = function
    starter = row.get("starter_code")
    ask = (
        f"Begin with this code:\n\n```python\n{starter}\n```"
        if starter
        else "Read the input from standard input and write the answer to standard output."
    )
    return {"id": row.get("question_id"), "problem": f"{_field(row, 'question_content')}\n\n{ask}", "tests": tests}


class _Text(pickle.Unpickler):
    """Reads a pickled text and nothing else: no class is ever looked up."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} has no place in test cases")


def _test_cases(text: str) -> list[dict[str, str]]:
    """JSON, or JSON that was pickled, compressed and written in base64, as the private tests are."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return json.loads(_Text(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
        raise UsageError(f"test cases that cannot be read: {error}") from None


def _field(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise UsageError(f"a row has no text in column {name!r}; it has {', '.join(map(repr, row))}")
    return value


_SHAPED: Mapping[str, Callable[[Task, Row], Row]] = {
    "math": _math,
    "choice": _choice,
    "function": _function,
    "assertions": _assertions,
    "program": _program,
}


# --- where rows come from


def _local_rows(task: Task, path: Path) -> Iterator[Row]:
    if path.is_dir():
        yield from _folder_rows(task, path)
        return
    if path.suffix == ".csv":
        yield from _loaded(task, str(path), lambda sets: sets.load_dataset("csv", data_files=str(path), split="train"))
        return
    for line in Source(str(path)).lines():
        if isinstance(line.row, BadRow):
            raise line.row
        yield line.row


def _folder_rows(task: Task, path: Path) -> Iterable[Row]:
    """A folder that `save_to_disk` wrote, or one of data files."""
    saved = (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists()

    def load(sets: Any) -> Any:
        return sets.load_from_disk(str(path)) if saved else sets.load_dataset(str(path))

    return _loaded(task, str(path), load)


def _hub_rows(task: Task) -> Iterable[Row]:
    def load(sets: Any) -> Any:
        if task.files:
            at = f"hf://datasets/{task.hub}" + (f"@{task.revision}" if task.revision else "")
            return sets.load_dataset("json", data_files=[f"{at}/{name}" for name in task.files], split="train")
        return sets.load_dataset(task.hub, task.config, split=task.split, revision=task.revision)

    return _loaded(task, f"the hub's {task.hub}", load)


def _loaded(task: Task, where: str, load: Callable[[Any], Any]) -> Iterable[Row]:
    sets = _datasets(task)
    try:
        with patient_hub():
            found = load(sets)
    except (OSError, ValueError, sets.exceptions.DatasetsError) as error:
        raise UsageError(f"task {task.name}: {_why(task, where, error)}") from None
    if isinstance(found, sets.DatasetDict):
        splits = cast(Mapping[str, Iterable[Row]], found)
        if task.split not in splits and len(splits) != 1:
            raise UsageError(f"task {task.name}: {where} has no split {task.split!r}; it has {', '.join(splits)}")
        return splits[task.split] if task.split in splits else next(iter(splits.values()))
    return cast(Iterable[Row], found)


def _datasets(task: Task) -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise UsageError(
            f"task {task.name}: the hub and data-set folders need the package datasets: pip install 'rlvr[eval]'; "
            "--data FILE reads a JSONL or parquet file without it"
        ) from None


def _resolved(task: Task) -> str | None:
    """The full commit that the hub has for the task's revision, asked only where the task does not pin one."""
    if task.revision is not None and len(task.revision) == _FULL_COMMIT:
        return task.revision
    _datasets(task)
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        with patient_hub():
            return hub.HfApi().dataset_info(task.hub, revision=task.revision).sha
    except Exception as error:  # noqa: BLE001 - what speaks HTTP there changes with the version; it is told, not hidden
        where = f"the hub's {task.hub}"
        raise UsageError(f"task {task.name}: {_why(task, where, error)}") from None


def _why(task: Task, where: str, error: Exception) -> str:
    """One sentence that says what to do."""
    text = " ".join(str(error).split())
    page = task.terms or f"https://huggingface.co/datasets/{task.hub}"
    if "gated" in text.lower() or "401" in text or "403" in text:
        return f"{where} is gated: accept its terms at {page}, then log in (`hf auth login`, or the variable HF_TOKEN)"
    if task.hub is not None and where.startswith("the hub"):
        if "LocalEntryNotFoundError" in text or type(error).__name__ == "ConnectError":
            return f"the hub cannot be reached and {task.hub} is not in the cache here; --data FILE reads a local copy"
        return (
            f"{where} cannot be loaded ({text[:200]}): is there a network, does {page} exist? "
            "--data FILE reads a local copy"
        )
    return f"{where} cannot be loaded: {text[:300]}"
