"""`rlvr score`: completions that somebody already has, judged row by row in one pass."""

import time
from array import array
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ..verifiers.pool import TIMEOUT_S, cores, score_many
from ..verifiers.threads import score_threads
from ..verifiers.types import Completion, Problem, Verdict
from .columns import RowReader, Sample
from .errors import BadRow, UsageError
from .files import Line, Row, Source, dump_line
from .output import WRITTEN, ScoredFile
from .summary import Summary, summarise
from .tally import Tally
from .verifier import Chosen, choose_verifier


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What to score and how; the fields are the options of `rlvr score`."""

    files: Sequence[str]
    verifier: str = "math"
    verifier_options: Sequence[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column overrides: "completion", "answer", "id", "prompt", "tests", "weight"."""
    out: Path | None = None
    with_text: bool = True
    report: Path | None = None
    report_samples: int | None = None
    workers: int | None = None
    timeout_s: float = TIMEOUT_S
    skip_bad_rows: bool = False


class Progress:
    """What a run tells while it goes on; the terminal's bar overrides this silence."""

    def read(self, bytes_done: int, samples: int) -> None:
        """Called for each sample judged, with the bytes of all files read so far."""

    def say(self, line: str) -> None:
        """A line for the user: what was picked, what was skipped."""


def score(options: ScoreOptions, progress: Progress) -> Summary:
    """Score the files and return the `--json` object; writes `--out` and `--report`.

    Raises UsageError for what the user can mend. A row that cannot be read stops the run after everything before it was
    scored and written, unless `skip_bad_rows`.
    """
    start = time.monotonic()
    chosen = choose_verifier(options.verifier, options.verifier_options, options.workers)
    with ExitStack() as stack:
        stack.callback(chosen.close)
        tally = Tally()
        reader = _Input(options, chosen, tally, progress)
        out = None
        if options.out is not None:
            scored = ScoredFile(options.out, _identity(options, chosen, reader), with_text=options.with_text)
            out = stack.enter_context(closing(scored))
        run = _Run(options, reader, tally, progress, out)
        run.go(chosen)
    if reader.error is not None:
        raise reader.error
    if not len(tally):
        names = ", ".join(source.name for source in reader.sources)
        raise UsageError(f"{names}: no rows to score{reader.skipped_note()}")
    summary: Summary = {
        "rlvr": version("rlvr"),
        "verifier": _spelled(options),
        "files": reader.described(),
        **summarise(tally, equivalent=chosen.votes),
        "bad_rows": reader.bad_rows,
        "seconds": round(time.monotonic() - start, 3),
    }
    if any(columns and not columns.keys() & {"id", "prompt"} for columns in reader.columns):
        summary["notes"].append(
            "no column tells problems apart: samples with the same gold answer count as one problem (--id-field)"
        )
    if options.report is not None:
        _write_report(options.report, summary, run)
    return summary


class _Input:
    """The samples of all files in order, and what was noticed on the way."""

    def __init__(self, options: ScoreOptions, chosen: Chosen, tally: Tally, progress: Progress) -> None:
        if len(options.files) > 1 and "-" in options.files:
            raise UsageError("standard input (-) cannot be combined with files")
        self._options = options
        self._chosen = chosen
        self._progress = progress
        self._tally = tally
        self.sources = [Source(path) for path in options.files]
        self.columns: list[dict[str, str]] = []
        self.bad_rows = 0
        self.error: UsageError | None = None
        self.bytes_done = 0
        self._golds = array("q")  # by problem number

    def described(self) -> list[dict[str, Any]]:
        """The files with the columns that were used."""
        columns = [*self.columns, *[{}] * (len(self.sources) - len(self.columns))]
        return [{"name": s.name, "columns": picks} for s, picks in zip(self.sources, columns, strict=True)]

    def skipped_note(self) -> str:
        return f" ({self.bad_rows} bad rows were skipped)" if self.bad_rows else ""

    def samples(self) -> Iterator[Sample]:
        """Ends early at a row that cannot be read; `error` then holds it, for after what came before was judged."""
        before = 0
        for place, source in enumerate(self.sources):
            reader = RowReader(
                source.name,
                self._options.fields,
                needs_answer=self._chosen.needs_answer,
                needs_tests=self._chosen.needs_tests,
            )
            for line in self._lines(source):
                self.bytes_done = before + line.offset
                try:
                    if isinstance(line.row, BadRow):
                        raise line.row
                    samples = list(reader.samples(line.row, line.number))
                    self._check_gold(samples[0])
                except BadRow as error:
                    if not self._options.skip_bad_rows:
                        self.error = error
                        return
                    self.bad_rows += 1
                    self._progress.say(f"skipped {error}")
                    continue
                if len(self.columns) <= place:
                    self._say_columns(place, reader)
                yield from samples
            if self.error is not None:
                return
            if len(self.columns) <= place:
                self._progress.say(f"{source.name}: no rows to score")
            before += source.bytes_total or 0

    def _lines(self, source: Source) -> Iterator[Line]:
        try:
            yield from source.lines()
        except UsageError as error:  # the file itself is broken; what came before is judged first
            self.error = error

    def _say_columns(self, place: int, reader: RowReader) -> None:
        picks = {role: name for role, name in (reader.picks or {}).items() if name is not None}
        if not self.columns or picks != self.columns[-1]:
            self._progress.say(f"{reader.name}: " + ", ".join(f"{role} = {name}" for role, name in picks.items()))
        self.columns += [{}] * (place - len(self.columns)) + [picks]  # a file before this one may hold no row

    def _check_gold(self, sample: Sample) -> None:
        """Two problems must not share an id: their samples would be counted together."""
        problem = sample.problem
        gold = hash((problem.answer, problem.prompt, repr(problem.tests) if self._chosen.needs_tests else None))
        number = self._tally.number(problem.id)
        if number == len(self._golds):
            self._golds.append(gold)
        elif self._golds[number] != gold:
            raise BadRow(
                sample.name,
                sample.line,
                f"problem id {problem.id!r} stood for another problem or gold answer before; --id-field picks a column "
                "that tells problems apart (the prompt's will do)",
            )


class _Run:
    """One pass: verdicts are taken from the earlier run's file first, then from the verifier."""

    def __init__(
        self, options: ScoreOptions, reader: _Input, tally: Tally, progress: Progress, out: ScoredFile | None
    ) -> None:
        from .selection import Selection

        self.tally = tally
        self.selection = Selection(options.report_samples) if options.report is not None else None
        self._options = options
        self._reader = reader
        self._progress = progress
        self._out = out

    def go(self, chosen: Chosen) -> None:
        samples = self._reader.samples()
        done = self._take_earlier(samples)
        if done:
            self._progress.say(f"continuing {self._options.out}: {done:,} samples are there already")
        pending: deque[Sample] = deque()

        def pairs() -> Iterator[tuple[Problem, Completion]]:
            for sample in samples:
                pending.append(sample)
                yield sample.problem, sample.completion

        with closing(self._judged(chosen, pairs())) as verdicts:
            for verdict in verdicts:
                self._record(pending.popleft(), verdict, write=True)

    def _judged(self, chosen: Chosen, pairs: Iterator[tuple[Problem, Completion]]) -> Generator[Verdict, None, None]:
        if chosen.threads is not None:
            return score_threads(chosen.verifier, pairs, workers=chosen.threads)
        workers = self._options.workers
        if workers is None:
            workers = 0 if chosen.bounded else cores()
        return score_many(chosen.verifier, pairs, workers=workers, timeout_s=self._options.timeout_s)

    def _take_earlier(self, samples: Iterator[Sample]) -> int:
        """What an earlier run wrote, checked against the input sample by sample."""
        if self._out is None:
            return 0
        number = 0
        for row, verdict in self._out.earlier():
            number += 1
            sample = next(samples, None)
            if sample is None or not _same_sample(row, sample):
                raise UsageError(
                    f"{self._options.out}:{number}: holds problem {row.get('id')!r}, which is not what the input has "
                    "there; the input changed: choose another --out"
                )
            self._record(sample, verdict, write=False)
        return number

    def _record(self, sample: Sample, verdict: Verdict, *, write: bool) -> None:
        problem = sample.problem
        count = self.tally.samples_of[self.tally.number(problem.id)]
        index = count if sample.number is None else sample.number
        completion = sample.completion
        self.tally.add(
            problem.id, verdict, len(completion.text),
            number=index, finished=completion.finished, weight=sample.weight,
        )  # fmt: skip
        if write and self._out is not None:
            self._out.write(sample, index, verdict)
        if self.selection is not None:
            _select(self.selection, sample, index, verdict)
        self._progress.read(self._reader.bytes_done, len(self.tally))


def _same_sample(row: Row, sample: Sample) -> bool:
    """Whether a written row is this sample's: the problem, and every column of the input that was written."""
    if row.get("id") != sample.problem.id:
        return False
    shared = (row.keys() & sample.own.keys()) - {*WRITTEN, "detail"}
    return all(row[name] == sample.own[name] or dump_line(row[name]) == dump_line(sample.own[name]) for name in shared)


def _select(selection: Any, sample: Sample, index: int, verdict: Verdict) -> None:
    from .selection import Part, ReportSample

    parts: dict[str, Part] = {
        name: {"score": part.score, "status": part.status, "reason": part.reason}
        for name, part in verdict.parts.items()
    }
    selection.add(
        ReportSample(
            sample.problem.id, index, verdict.status, verdict.score, verdict.reason, verdict.detail,
            sample.problem.prompt, sample.completion.text, sample.problem.answer, verdict.extracted, parts,
        )
    )  # fmt: skip


def _write_report(path: Path, summary: Summary, run: _Run) -> None:
    from .report import write_report

    assert run.selection is not None
    names = ", ".join(Path(file["name"]).name for file in summary["files"])
    try:
        write_report(path, title=names, summary=summary, tally=run.tally, selection=run.selection)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _spelled(options: ScoreOptions) -> str:
    return " ".join(chain([options.verifier], options.verifier_options))


def _identity(options: ScoreOptions, chosen: Chosen, reader: _Input) -> dict[str, Any]:
    """What must be the same for a run to continue another."""
    return {
        "rlvr": version("rlvr"),
        "verifier": dict(chosen.identity),
        "inputs": [source.fingerprint() for source in reader.sources],
        "fields": dict(options.fields),
        "with_text": options.with_text,
        "skip_bad_rows": options.skip_bad_rows,
        "timeout_s": options.timeout_s,
    }
