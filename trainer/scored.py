"""Scored completions out of files and run folders, each with its status and as a chat."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..evals.columns import RowReader, Sample
from ..evals.errors import BadRow, UsageError
from ..evals.files import Line, Row, Source
from ..evals.run_dir import PROBLEMS, SAMPLES, SCORED, is_run
from ..evals.score import Progress
from ..verifiers.types import STATUSES
from .log import COMPLETIONS

Message = dict[str, Any]


class Scored(NamedTuple):
    """One completion, its `status`, its number among the problem's, and the chat that it ends."""

    sample: Sample
    status: str
    number: int
    messages: list[Message]


class ScoredRows:
    """Reads files that `rlvr score --out` or a training run wrote, folders of `rlvr eval` and of training runs.

    `fields` names columns as for `rlvr score`. Iterating raises UsageError for what cannot be read, with file and line;
    with `skip_bad_rows` such rows are counted and said.
    """

    def __init__(
        self, paths: Sequence[str], fields: Mapping[str, str], progress: Progress, *, skip_bad_rows: bool = False
    ) -> None:
        if len(paths) > 1 and "-" in paths:
            raise UsageError("standard input (-) cannot be combined with files")
        self._fields, self._progress, self._skip = fields, progress, skip_bad_rows
        self._inputs = [_Folder(Path(path)) if is_run(path) else Source(_file_of(path)) for path in paths]
        self._prompts: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self.bad_rows = 0

    @property
    def problems(self) -> int:
        """How many problems were seen."""
        return len(self._prompts)

    def __iter__(self) -> Iterator[Scored]:
        before = read = 0
        for each in self._inputs:
            reader = RowReader(each.name, self._fields, needs_answer=False)
            for line in each.lines():
                try:
                    if isinstance(line.row, BadRow):
                        raise line.row
                    samples = [self._scored(reader, sample) for sample in reader.samples(line.row, line.number)]
                except BadRow as error:
                    if not self._skip:
                        raise
                    self.bad_rows += 1
                    self._progress.say(f"skipped {error}")
                    continue
                yield from samples
                read += len(samples)
                self._progress.read(before + line.offset, read)
            before += each.bytes_total or 0

    def _scored(self, reader: RowReader, sample: Sample) -> Scored:
        status: object = sample.own.get("status")
        if status not in STATUSES:
            raise BadRow(sample.name, sample.line, _no_status(sample.own))
        messages = _prompt(reader, sample)
        prompt = hash(sample.problem.prompt)
        if self._prompts.setdefault(sample.problem.id, prompt) != prompt:
            raise BadRow(
                sample.name, sample.line,
                f"problem id {sample.problem.id!r} stood for another prompt before; --id-field picks a column that "
                "tells problems apart (the prompt's will do)",
            )  # fmt: skip
        number = self._counts.get(sample.problem.id, 0) if sample.number is None else sample.number
        self._counts[sample.problem.id] = number + 1
        return Scored(sample, cast(str, status), number, [*messages, _message("assistant", sample.completion.text)])


class _Folder:
    """The rows of an evaluation, whose completions, prompts and verdicts stand in files of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples = Source(str(path / SAMPLES))
        self.name = self._samples.name
        self.bytes_total = self._samples.bytes_total

    def lines(self) -> Iterator[Line]:
        prompts = {row.get("id"): row.get("prompt") for row in _rows(self._path / PROBLEMS)}
        statuses = {(row.get("id"), row.get("sample")): row.get("status") for row in _rows(self._path / SCORED)}
        for line in self._samples.lines():
            if isinstance(line.row, BadRow):
                yield line
                continue
            key = (line.row.get("id"), line.row.get("sample"))
            if key not in statuses or key[0] not in prompts:
                raise UsageError(f"{self.name}:{line.number}: has no verdict yet; rlvr report {self._path} judges it")
            yield line._replace(row={**line.row, "prompt": prompts[key[0]], "status": statuses[key]})


def _rows(path: Path) -> Iterator[Row]:
    for line in Source(str(path)).lines():
        if isinstance(line.row, BadRow):
            raise line.row
        yield line.row


def _file_of(path: str) -> str:
    completions = Path(path) / COMPLETIONS
    return str(completions) if completions.is_file() else path


def _no_status(row: Row) -> str:
    wrote = "`rlvr score --out` and training runs write it"
    if "status" not in row:
        return f"no column 'status': {wrote}; columns here: {', '.join(map(repr, list(row)[:20])) or 'none'}"
    return f"column 'status': is none of {', '.join(STATUSES)}; {wrote}"


def _prompt(reader: RowReader, sample: Sample) -> list[Message]:
    """What was asked, as messages."""
    column = (reader.picks or {}).get("prompt")
    value: object = None if column is None else sample.own.get(column)
    if sample.problem.prompt is None:
        what = "no column for the prompt" if column is None else f"column {column!r}: is no text and no chat"
        raise BadRow(sample.name, sample.line, f"{what}; --prompt-field picks one")
    if isinstance(value, list):
        return cast(list[Message], value)
    return [_message("user", sample.problem.prompt)]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
