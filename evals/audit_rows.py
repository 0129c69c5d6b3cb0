"""Scored rows for `rlvr audit`: what `rlvr score --out`, `rlvr eval` and a training run wrote, one sample at a time."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from ..verifiers.types import Completion, Problem, Verdict
from .columns import RowReader
from .errors import BadRow, UsageError
from .files import Line, Row, Source
from .output import fields_of, read_verdict
from .run_dir import PROBLEMS, SAMPLES, SCORED, Key, is_run
from .score import Progress

LARGEST = 1e100
"""A score beyond it, whose square no number holds, is a mistake."""
_TRAINED = "completions.jsonl"
_ROLES = ("completion", "answer", "prompt")
_VERDICT = ("score", "status", "reason", "extracted", "parts")
_WROTE = "`rlvr score --out`, `rlvr eval` and training runs write it"


class Scored(NamedTuple):
    """One sample with its verdict; `file` is its place in `ScoredFiles.names`, `step` the training step it is from."""

    problem: Problem
    completion: Completion
    verdict: Verdict
    number: int | None
    step: int | None
    file: int
    line: int


class ScoredFiles:
    """The samples of all files in order; may be read more than once, pipes too, which are kept in a file.

    A path is a file, a folder of `rlvr eval` (or its scored.jsonl) or of a training run. `fields` names columns as for
    `rlvr score`; where it does not, those are read that the file was scored with. Iterating raises UsageError for what
    cannot be read, with file, line and column; with `skip_bad_rows` such rows are counted and said. Use it as a context
    manager.
    """

    def __init__(
        self, paths: Sequence[str], fields: Mapping[str, str], progress: Progress, *, skip_bad_rows: bool = False
    ) -> None:
        if len(paths) > 1 and "-" in paths:
            raise UsageError("standard input (-) cannot be combined with files")
        _refuse_twice(paths)
        self._fields, self._progress, self._skip = fields, progress, skip_bad_rows
        self._spools = ExitStack()
        self._inputs = [self._input(path) for path in paths]
        self._columns = [self._columns_of(each) for each in self._inputs]
        self._said = False
        self.names = [each.name for each in self._inputs]
        self.bad_rows = 0

    def __enter__(self) -> "ScoredFiles":
        return self

    def __exit__(self, *error: object) -> None:
        self._spools.close()

    def __iter__(self) -> Iterator[Scored]:
        before = read = self.bad_rows = 0
        for number, each in enumerate(self._inputs):
            reader = RowReader(each.name, self._columns[number], needs_answer=False)
            for line in each.lines():
                try:
                    samples = list(_scored(reader, line, number))
                except BadRow as error:
                    self.refuse(error)
                    continue
                yield from samples
                read += len(samples)
                self._progress.read(before + line.offset, read)
            before += each.bytes_total or 0
        self._said = True

    def refuse(self, error: BadRow) -> None:
        """Raise it, or count and say it where such rows are skipped."""
        if not self._skip:
            raise error
        if not self._said:  # once, however often the rows are read
            self.bad_rows += 1
            self._progress.say(f"skipped {error}")

    def _input(self, path: str) -> "Source | _Run":
        read, folder = _read_at(path)
        if folder is not None:
            return _Run(folder)
        source = Source(read)
        return self._kept(source) if source.bytes_total is None else source

    def _columns_of(self, each: "Source | _Run") -> dict[str, str]:
        """By role: as the user says, else as it was scored. Where it was scored with others than the usual, say so."""
        told = fields_of(Path(each.path)) if isinstance(each, Source) else {}
        scored = {role: told[role] for role in _ROLES if role in told and role not in self._fields}
        if scored:
            columns = ", ".join(f"{role} = {column}" for role, column in scored.items())
            self._progress.say(f"{each.name}: {columns}, as it was scored")
        return {**scored, **self._fields}

    def _kept(self, pipe: Source) -> Source:
        """What comes out of a pipe, in a file of its own."""
        if pipe.path == "-" and sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - where it was closed
            raise UsageError("standard input is closed")
        spool = self._spools.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 - closed by __exit__
        with nullcontext(sys.stdin.buffer) if pipe.path == "-" else Path(pipe.path).open("rb") as file:
            shutil.copyfileobj(file, spool)
        spool.flush()
        source = Source(spool.name)
        source.name = pipe.name
        return source


def _read_at(path: str) -> tuple[str, Path | None]:
    """The file that holds the completions, and the evaluation's folder where it is one."""
    folder = Path(path).parent if Path(path).name == SCORED else Path(path)
    if is_run(folder):
        return str(folder / SAMPLES), folder
    trained = Path(path) / _TRAINED
    return str(trained) if trained.is_file() else path, None


def _refuse_twice(paths: Sequence[str]) -> None:
    """Raise UsageError where two paths lead to one file, whose samples would be counted twice."""
    first: dict[tuple[int, int], str] = {}
    for path in paths:
        with suppress(OSError, ValueError):  # what cannot be read is said where it is opened
            seen = Path(_read_at(path)[0]).stat()
            before = first.get((seen.st_dev, seen.st_ino))
            if before is not None:
                raise UsageError(f"{path}: is named twice" + ("" if before == path else f", first as {before}"))
            first[seen.st_dev, seen.st_ino] = path


class _Run:
    """The rows of an evaluation, whose completions, problems and verdicts stand in files of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._samples = Source(str(folder / SAMPLES))
        self.name, self.bytes_total = self._samples.name, self._samples.bytes_total

    def lines(self) -> Iterator[Line]:
        problems = {row["id"]: row for row in _rows(self._folder / PROBLEMS)}
        verdicts: dict[Key, Row] = {(row["id"], row["sample"]): row for row in _rows(self._folder / SCORED)}
        for line in self._samples.lines():
            if isinstance(line.row, BadRow):
                yield line
                continue
            key = (line.row["id"], line.row["sample"])
            if key not in verdicts or key[0] not in problems:
                raise UsageError(f"{self.name}:{line.number}: has no verdict yet; rlvr report {self._folder} judges it")
            verdict = {name: verdicts[key].get(name) for name in (*_VERDICT, "detail")}
            asked = {name: problems[key[0]].get(name) for name in ("prompt", "answer")}
            yield line._replace(row={**line.row, **asked, **verdict})


def _rows(path: Path) -> Iterator[Row]:
    for line in Source(str(path)).lines():
        if isinstance(line.row, BadRow):
            raise line.row
        yield line.row


def _scored(reader: RowReader, line: Line, file: int) -> Iterator[Scored]:
    if isinstance(line.row, BadRow):
        raise line.row
    verdict = _verdict(line.row, reader.name, line.number)
    step: object = line.row.get("step")
    step = step if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 1 << 62 else None
    samples = list(reader.samples(line.row, line.number))
    if len(samples) != 1:
        raise BadRow(reader.name, line.number, f"holds {len(samples)} completions and one verdict")
    [sample] = samples
    tokens: object = line.row.get("tokens")  # as training runs name it
    completion = sample.completion
    if completion.n_tokens is None and isinstance(tokens, int) and not isinstance(tokens, bool):
        completion = Completion(completion.text, tokens, completion.finished)
    yield Scored(sample.problem, completion, verdict, sample.number, step, file, line.number)


def _verdict(row: Row, name: str, line: int) -> Verdict:
    for column in _VERDICT:
        if column not in row:
            columns = ", ".join(map(repr, list(row)[:20])) or "none"
            raise BadRow(name, line, f"no column {column!r}: {_WROTE}; columns here: {columns}")
    score, parts = row["score"], row["parts"]
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise BadRow(name, line, f"column 'score': {score!r} is no number and not null; {_WROTE}"[:300])
    if score is not None and abs(score) > LARGEST:
        raise BadRow(name, line, "column 'score': is too large for a score")
    if not isinstance(parts, dict):
        raise BadRow(name, line, f"column 'parts': is no object; {_WROTE}")
    for column in ("reason", "extracted"):
        if not isinstance(row[column], str | (type(None) if column == "extracted" else str)):
            raise BadRow(name, line, f"column {column!r}: is no text; {_WROTE}")
    try:
        return read_verdict(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        column = "status" if "status" in str(error) else "score" if "score" in str(error) else "parts"
        raise BadRow(name, line, f"column {column!r}: {error}"[:300]) from None
    except OverflowError:  # an integer beyond every float
        raise BadRow(name, line, "column 'parts': holds a number that is too large for a score") from None
