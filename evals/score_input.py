"""What `rlvr score` reads: the samples of all files in order, and what was noticed on the way."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .columns import RowReader, Sample
from .errors import BadRow, UsageError
from .files import Line, Source
from .tally import Tally
from .verifier import Chosen


class ScoreInput:
    """The samples of all files in order, and what was noticed on the way."""

    def __init__(
        self,
        files: Sequence[str],
        fields: Mapping[str, str],
        chosen: Chosen,
        tally: Tally,
        say: Callable[[str], None],
        *,
        skip_bad_rows: bool,
    ) -> None:
        if len(files) > 1 and "-" in files:
            raise UsageError("standard input (-) cannot be combined with files")
        self._fields = fields
        self._chosen = chosen
        self._tally = tally
        self._say = say
        self._skip_bad_rows = skip_bad_rows
        self.sources = [Source(path) for path in files]
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

    def parts(self) -> Iterator[Iterator[Sample]]:
        """The samples of each file. Ends early at a row that cannot be read; `error` then holds it, for after what came
        before was judged."""
        before = 0
        for place, source in enumerate(self.sources):
            yield self._samples(place, source, before)
            if self.error is not None:
                return
            before += source.bytes_total or 0

    def _samples(self, place: int, source: Source, before: int) -> Iterator[Sample]:
        needs_answer, needs_tests = self._chosen.needs_answer, self._chosen.needs_tests
        reader = RowReader(source.name, self._fields, needs_answer=needs_answer, needs_tests=needs_tests)
        for line in self._lines(source):
            self.bytes_done = before + line.offset
            try:
                if isinstance(line.row, BadRow):
                    raise line.row
                samples = list(reader.samples(line.row, line.number))
                self._check_gold(samples[0])
            except BadRow as error:
                if not self._skip_bad_rows:
                    self.error = error
                    return
                self.bad_rows += 1
                self._say(f"skipped {error}")
                continue
            if len(self.columns) <= place:
                self._say_columns(place, reader)
            yield from samples
        if self.error is None and len(self.columns) <= place:
            self._say(f"{source.name}: no rows to score")

    def _lines(self, source: Source) -> Iterator[Line]:
        try:
            yield from source.lines()
        except UsageError as error:  # the file itself is broken; what came before is judged first
            self.error = error

    def _say_columns(self, place: int, reader: RowReader) -> None:
        picks = {role: name for role, name in (reader.picks or {}).items() if name is not None}
        if not self.columns or picks != self.columns[-1]:
            self._say(f"{reader.name}: " + ", ".join(f"{role} = {name}" for role, name in picks.items()))
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
