"""What a run leaves behind, step by step: rows in files, numbers in a dashboard, and a line for whoever watches.

metrics.jsonl      one row per step, numbers alone; NaN and infinities are null, for JSON has neither
completions.jsonl  what the policy wrote in training, with its verdicts
eval.jsonl         what it wrote in evaluations
notes.log          a line for each thing to know that is no number: `step 12, problem 47+85: all 8 wrong: …`

Rows are handed to the system as they come, so that a killed run keeps them. A run that goes on from a checkpoint takes
away what is past it and writes that again: in the end the files are those of a run that was never stopped.
"""

import fcntl
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from math import isfinite
from os import fsync
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from ..evals.errors import UsageError
from ..evals.files import dump_line
from .progress import Progress
from .trackers import open_trackers

_FILES = METRICS, COMPLETIONS, EVAL, NOTES = "metrics.jsonl", "completions.jsonl", "eval.jsonl", "notes.log"
_STEP = re.compile(rb'(?:\{"step":|step )(\d+)[,}]')

Row = Mapping[str, Any]


class RunLog:
    """Writes the files of one run's folder; only the first rank has one. Use it as a context manager.

    `steps` is how many the run will make. `after` is None for a new run, else the step of the checkpoint from which it
    goes on (-1 where it begins again without one): rows past it are removed. `loggers` are among trackers.LOGGERS;
    "auto" is TensorBoard where it is installed, which writes into the folder alone. `config` goes to the dashboards.

    Raises UsageError where a new run's folder holds a run already, where another process writes to it, where a file
    holds rows that are not ours, and for a logger that is unknown or not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        steps: int,
        after: int | None = None,
        loggers: Iterable[str] = ("auto",),
        config: Row | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}") from None
        with ExitStack() as opened:
            self._files = {name: opened.enter_context(closing(_RowFile(folder / name, after))) for name in _FILES}
            self._trackers = open_trackers(loggers, folder, config or {}, after)
            for tracker in self._trackers:
                opened.callback(tracker.close)
            self._progress = opened.enter_context(closing(Progress(folder.name, steps, quiet=quiet, clock=clock)))
            self._opened = opened.pop_all()
        last = json.loads(self._files[METRICS].last or b"{}")
        self._clock = clock
        self._started = clock() - (last.get("seconds") or 0.0)
        self._stages = defaultdict[str, float](float)
        if after is not None and after >= 0 and last.get("step") != after:
            self.say(f"{folder / METRICS}: its last row before step {after + 1} is of step {last.get('step')}")

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Time what is done inside: `seconds/NAME` of the next row of metrics. It is shown while it goes on."""
        self._progress.stage(name)
        start = self._clock()
        try:
            yield
        finally:
            self._stages[name] += self._clock() - start

    def add_seconds(self, name: str, seconds: float) -> None:
        """Count time that another thread spent in a stage, such as verifying beside the next rollout."""
        self._stages[name] += seconds

    def completions(self, step: int, rows: Iterable[Row]) -> None:
        """Keep what the policy wrote in this step."""
        self._files[COMPLETIONS].append(_dumped(step, rows))

    def evaluation(self, step: int, rows: Iterable[Row]) -> None:
        """Keep what it wrote in the evaluation after this step."""
        self._files[EVAL].append(_dumped(step, rows))

    def note(self, step: int, line: str) -> None:
        """Keep a line of text; the screen tells only how many there are."""
        said = " ".join(line.split())
        self._files[NOTES].append(f"step {step}, {said}\n".encode("utf-8", "replace"))

    def metrics(self, step: int, row: Row) -> None:
        """Close the step: its row, with the seconds of its stages and since the start, everywhere it goes.

        What else belongs to the step was given before, and a checkpoint of the step is written after.
        """
        stages = {f"seconds/{name}": round(seconds, 4) for name, seconds in self._stages.items()}
        self._stages.clear()
        elapsed = round(self._clock() - self._started, 3)
        kept = {name: _finite(value) for name, value in {**row, **stages, "seconds": elapsed}.items()}
        self._files[METRICS].append(_dumped(step, [kept]))
        numbers = {name: float(value) for name, value in kept.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(step, numbers)
        self._progress.step(step, kept, self._files[NOTES].rows)

    def say(self, line: str) -> None:
        """A line on the screen."""
        self._progress.say(line)

    def sync(self) -> None:
        """Have everything on the disk; before a checkpoint, which must not know more than the files."""
        for file in self._files.values():
            file.sync()

    def close(self) -> None:
        """Close files and dashboards. Safe to call twice."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_rows(path: Path, steps: Container[int] | None = None) -> Iterator[dict[str, Any]]:
    """The whole rows of a file that `RunLog` wrote, all or those of `steps`; one that is being written is left out.

    None where the file is absent. Raises UsageError for a row that is not ours.
    """
    for number, (step, line) in enumerate(_whole_lines(path), 1):
        if steps is None or step in steps:
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}:{number}: not a row that rlvr wrote ({error})") from None
            yield cast(dict[str, Any], row)


def read_steps(path: Path) -> list[int]:
    """The steps whose rows a file holds, in order. Raises UsageError for a row that is not ours."""
    return list(dict.fromkeys(step for step, _ in _whole_lines(path)))


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    if path.exists():
        with path.open("rb") as file:
            yield from _lines_with_steps(file, path)


def _lines_with_steps(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Up to a last line that was being written when the run was killed, or still is."""
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        found = _STEP.match(line)
        if found is None:
            raise UsageError(f"{path}:{number}: not a row that rlvr wrote")
        yield int(found[1]), line


class _RowFile:
    """Lines in the order of their steps, cut after a step; locked while it is open."""

    def __init__(self, path: Path, after: int | None) -> None:
        try:
            path.touch()
            self._file: BinaryIO = path.open("r+b")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        self.rows = 0
        self.last = b""
        try:
            self._lock(path)
            end = self._kept(path, -1 if after is None else after)
            if after is None and self._file.seek(0, 2):
                raise UsageError(f"{path.parent}: holds a run already; continue it, or choose another folder")
        except UsageError:
            self.close()
            raise
        self._file.seek(end)
        self._file.truncate()

    def append(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        self.rows += data.count(b"\n")

    def sync(self) -> None:
        fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{path.parent}: another process is writing to this run") from None

    def _kept(self, path: Path, after: int) -> int:
        """Where the whole rows up to step `after` end."""
        end = 0
        for step, line in _lines_with_steps(self._file, path):
            if step > after:
                break
            self.rows += 1
            self.last = line
            end += len(line)
        return end


def _dumped(step: int, rows: Iterable[Row]) -> bytes:
    return b"".join(dump_line({"step": step, **row}) for row in rows)


def _finite(value: Any) -> Any:
    if not isinstance(value, int | float | str | None):
        raise TypeError(f"a metric is a number or a text, not {type(value).__name__}")
    return None if isinstance(value, float) and not isfinite(value) else value
