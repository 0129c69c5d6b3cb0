"""`rlvr score`: completions that somebody already has, judged row by row in one pass."""

import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..verifiers.pool import TIMEOUT_S, cores, score_many
from ..verifiers.threads import score_threads
from ..verifiers.types import Completion, Problem, Verdict
from .columns import Sample
from .errors import UsageError
from .files import Row, Source, dump_line
from .output import WRITTEN, ScoredFile
from .score_input import ScoreInput
from .scored_folder import ScoredFolder
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
    out_is_folder: bool = False
    """One scored file in `out` for each input."""
    with_text: bool = True
    report: Path | None = None
    report_samples: int | None = None
    workers: int | None = None
    timeout_s: float = TIMEOUT_S
    executor: Literal["local", "ray"] = "local"
    ray_address: str | None = None
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
    here = options.executor == "local"
    chosen = choose_verifier(options.verifier, options.verifier_options, options.workers, here=here)
    with ExitStack() as stack:
        stack.callback(chosen.close)
        tally = Tally()
        reader = ScoreInput(
            options.files, options.fields, chosen, tally, progress.say, skip_bad_rows=options.skip_bad_rows
        )
        run = stack.enter_context(closing(_Run(options, chosen, reader, tally, progress)))
        stack.enter_context(_executor(options))
        run.go()
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


class _Scored(NamedTuple):
    """A sample, the verdict that an earlier run gave it, and the file that it is written to."""

    sample: Sample
    verdict: Verdict | None
    out: ScoredFile | None


class _Run:
    """One pass: verdicts are taken from the earlier run's files first, then from the verifier."""

    def __init__(
        self, options: ScoreOptions, chosen: Chosen, reader: ScoreInput, tally: Tally, progress: Progress
    ) -> None:
        from .selection import Selection

        self.tally = tally
        self.selection = Selection(options.report_samples) if options.report is not None else None
        self._options = options
        self._chosen = chosen
        self._reader = reader
        self._progress = progress
        self._open: deque[ScoredFile] = deque()
        self._folder: ScoredFolder | None = None
        self._in_file: Counter[str] = Counter()
        """By problem: its samples in the file of a folder that is written now."""
        if options.out is None:
            return
        if options.out_is_folder:

            def run(source: Source) -> Row:
                return _identity(options, chosen, [source])

            self._folder = ScoredFolder(options.out, reader.sources, run, with_text=options.with_text)
        else:
            run_of_all = _identity(options, chosen, reader.sources)
            self._open.append(ScoredFile(options.out, run_of_all, with_text=options.with_text))

    def close(self) -> None:
        """Close what is written to."""
        while self._open:
            self._open.popleft().close()

    def go(self) -> None:
        for judged, group in groupby(self._rows(), key=lambda row: row.verdict is not None):
            if judged:
                done = sum(self._record(row.sample, row.verdict, row.out, write=False) for row in group if row.verdict)
                self._progress.say(f"continuing {self._options.out}: {done:,} samples are there already")
            else:
                self._judge(group)

    def _judge(self, rows: Iterator[_Scored]) -> None:
        pending: deque[_Scored] = deque()

        def pairs() -> Iterator[tuple[Problem, Completion]]:
            for row in rows:
                pending.append(row)
                yield row.sample.problem, row.sample.completion

        with closing(self._verdicts(pairs())) as verdicts:
            for verdict in verdicts:
                row = pending.popleft()
                self._record(row.sample, verdict, row.out, write=True)

    def _verdicts(self, pairs: Iterator[tuple[Problem, Completion]]) -> Generator[Verdict, None, None]:
        chosen, options = self._chosen, self._options
        if options.executor == "ray":
            from ..verifiers.on_ray import score_on_ray

            return score_on_ray(
                chosen.verifier, pairs, workers=options.workers, timeout_s=options.timeout_s, bounded=chosen.bounded,
                threads=chosen.threads is not None, start=chosen.start, say=self._progress.say,
            )  # fmt: skip
        if chosen.threads is not None:
            return score_threads(chosen.verifier, pairs, workers=chosen.threads)
        workers = options.workers
        if workers is None:
            workers = 0 if chosen.bounded else cores()
        return score_many(chosen.verifier, pairs, workers=workers, timeout_s=options.timeout_s)

    def _rows(self) -> Iterator[_Scored]:
        """Every sample; what an earlier run wrote is checked against the input sample by sample."""
        for out, samples in self._parts():
            for number, (row, verdict) in enumerate(out.earlier() if out is not None else (), 1):
                sample = next(samples, None)
                if sample is None or not _same_sample(row, sample):
                    assert out is not None
                    raise UsageError(
                        f"{out.path}:{number}: holds problem {row.get('id')!r}, which is not what the input has there; "
                        "the input changed: choose another --out"
                    )
                yield _Scored(sample, verdict, out)
            for sample in samples:
                yield _Scored(sample, None, out)

    def _parts(self) -> Iterator[tuple[ScoredFile | None, Iterator[Sample]]]:
        """What is written to one file, with that file."""
        if self._folder is None:
            yield self._open[0] if self._open else None, chain.from_iterable(self._reader.parts())
            return
        for place, samples in enumerate(self._reader.parts()):
            first = next(samples, None)
            if first is None:
                continue  # its file is there already, and no row would close it
            self._open.append(self._folder.open(place))
            yield self._open[-1], chain([first], samples)

    def _record(self, sample: Sample, verdict: Verdict, out: ScoredFile | None, *, write: bool) -> int:
        problem = sample.problem
        count = self.tally.samples_of[self.tally.number(problem.id)]
        index = count if sample.number is None else sample.number
        completion = sample.completion
        self.tally.add(
            problem.id, verdict, len(completion.text),
            number=index, finished=completion.finished, weight=sample.weight,
        )  # fmt: skip
        while out is not None and self._open[0] is not out:  # rows come in order: the files before are complete
            self._open.popleft().close()
            self._in_file.clear()
        written = index if self._folder is None else self._index_in_file(sample)
        if write and out is not None:
            out.write(sample, written, verdict)
        if self.selection is not None:
            _select(self.selection, sample, index, verdict)
        self._progress.read(self._reader.bytes_done, len(self.tally))
        return 1

    def _index_in_file(self, sample: Sample) -> int:
        """Which of its problem's samples it is in a file of a folder, whatever the other files hold."""
        count = self._in_file[sample.problem.id]
        self._in_file[sample.problem.id] += 1
        return count if sample.number is None else sample.number


@contextmanager
def _executor(options: ScoreOptions) -> Generator[None]:
    """What must be there while it judges."""
    with ExitStack() as stack:
        if options.executor == "ray":
            if options.workers == 0:
                raise UsageError("--workers 0 judges in this process, not on Ray")
            from ..verifiers.on_ray import connected

            try:
                stack.enter_context(connected(options.ray_address, workers=options.workers))
            except (ImportError, ConnectionError) as error:
                raise UsageError(f"--executor ray: {error}") from None
        yield


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


def _identity(options: ScoreOptions, chosen: Chosen, sources: Sequence[Source]) -> dict[str, Any]:
    """What must be the same for a run to continue another."""
    return {
        "rlvr": version("rlvr"),
        "verifier": dict(chosen.identity),
        "inputs": [source.fingerprint() for source in sources],
        "fields": dict(options.fields),
        "with_text": options.with_text,
        "skip_bad_rows": options.skip_bad_rows,
        "timeout_s": options.timeout_s,
    }
