"""`rlvr check-gold`: every gold answer against itself, before anyone trains on it."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..verifiers.math.normalize import canonical
from ..verifiers.math.number import read_number
from ..verifiers.math.parse import Unreadable, parse
from ..verifiers.math.verify import read_gold, verify_math
from ..verifiers.types import REASONS, Completion, Problem
from .columns import RowReader
from .errors import BadRow, UsageError
from .files import Source
from .score import Progress

SHOWN = 50
"""Golds of each table that the terminal lists; `--json` has all of them."""
_WIDTH = 70

Against = Literal["itself", "a box of itself"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A gold that does not pass, where it stood first."""

    file: str
    line: int
    id: str
    gold: str
    reason: str
    """Of `REASONS`: what the verifier said; for what only its own text can match, the parser's message."""
    against: Against | None = None
    """What it was not equal to; None where it cannot be read."""


@dataclass(slots=True)
class GoldReport:
    """What was found. A gold that stands in several rows with one id is listed once and counted in every row."""

    golds: int = 0
    passed: int = 0
    unreadable: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])
    text_only: list[Fault] = field(default_factory=list[Fault])
    """They pass, but neither a number nor our parser reads them: another spelling may not be recognised."""

    @property
    def failed(self) -> int:
        """Golds that are not equal to themselves, or cannot be read."""
        return self.golds - self.passed

    def row(self) -> dict[str, Any]:
        """The `--json` object."""
        return {
            "golds": self.golds,
            "passed": self.passed,
            "failed": self.failed,
            "unreadable": self.unreadable,
            "failures": [_fault_row(fault) for fault in self.faults],
            "text_only": [_fault_row(fault) for fault in self.text_only],
        }


def check_gold(files: Sequence[str], fields: Mapping[str, str], progress: Progress) -> GoldReport:
    """Judge each gold of the files against itself and against a box of itself, with `verify_math`.

    fields: column overrides, "answer" and "id". Raises UsageError for files, columns or rows that the user can mend.
    """
    if len(files) > 1 and "-" in files:
        raise UsageError("standard input (-) cannot be combined with files")
    report = GoldReport()
    listed: set[tuple[str, str]] = set()
    sources = [Source(path) for path in files]
    for source, problem, line in _problems(sources, fields, report, progress):
        gold = problem.answer or ""
        reason, against = judge_gold(gold)
        report.golds += 1
        report.passed += reason is None
        report.unreadable += reason == "gold_unreadable"
        message = only_text(gold) if reason is None else None
        if (reason or message) and (problem.id, gold) not in listed:
            listed.add((problem.id, gold))
            fault = Fault(source.name, line, problem.id, gold, reason or message or "", against)
            (report.faults if reason else report.text_only).append(fault)
    if not report.golds:
        raise UsageError(f"{', '.join(source.name for source in sources)}: no rows to check")
    return report


def _problems(
    sources: Sequence[Source], fields: Mapping[str, str], report: GoldReport, progress: Progress
) -> Iterator[tuple[Source, Problem, int]]:
    before = 0
    for source in sources:
        reader = RowReader(source.name, fields, needs_answer=True)
        for line in source.lines():
            if isinstance(line.row, BadRow):
                raise line.row
            said = reader.picks is not None
            problem = reader.problem(line.row, line.number)
            if not said and reader.picks is not None:
                progress.say(f"{source.name}: answer = {reader.picks['answer']}, id = {reader.picks['id'] or 'none'}")
            yield source, problem, line.number
            progress.read(before + line.offset, report.golds)
        before += source.bytes_total or 0


@lru_cache(maxsize=4096)
def judge_gold(gold: str) -> tuple[str | None, Against | None]:
    r"""(reason, what it failed against); (None, None) for a gold that passes.

    >>> judge_gold(r"\frac{1}{2}")
    (None, None)
    >>> judge_gold("")
    ('gold_unreadable', None)
    """
    read = read_gold(gold)
    if read is None:
        return "gold_unreadable", None
    trials: tuple[tuple[Against, str], ...] = (
        ("itself", f"<answer>{read}</answer>"),
        ("a box of itself", f"\\boxed{{{read}}}"),
    )
    for against, text in trials:
        verdict = verify_math(Problem("gold", answer=gold), Completion(text))
        if verdict.status != "correct":
            return verdict.reason, against
    return None, None


def only_text(gold: str) -> str | None:
    r"""Why our parser cannot read a gold that is no number; None for one that it reads.

    >>> only_text(r"\oint x"), only_text("72%")
    ('\\oint is not known', None)
    """
    normalised = canonical(read_gold(gold) or "")
    if read_number(normalised) is not None:
        return None
    try:
        parse(normalised)
    except Unreadable as error:
        return str(error)
    return None


def print_report(report: GoldReport) -> None:
    """The report on standard output; colours on a terminal only."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print()
    if report.faults:
        console.print("[bold red]not equal to themselves[/], or unreadable: no completion can be judged against them")
        console.print(_table(report.faults, with_reasons=True))
        console.print()
    if report.text_only:
        console.print("[bold yellow]text only[/]: they pass, but only the same text, or math-verify, will match them")
        console.print(_table(report.text_only, with_reasons=False))
        console.print()
    colour = "red" if report.failed else "green"
    console.print(
        f"[bold]{report.golds:,}[/] golds: [bold {colour}]{report.passed:,}[/] pass, [bold]{report.failed:,}[/] fail "
        f"({report.unreadable:,} of them cannot be read); {len(report.text_only):,} different ones are text only"
    )


def _table(faults: Sequence[Fault], *, with_reasons: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("place", "id", "gold", "why"):
        table.add_column(heading, overflow="fold")
    for fault in faults[:SHOWN]:
        why = fault.reason
        if with_reasons:
            against = f"against {fault.against}: " if fault.against else ""
            why = f"{against}{REASONS[fault.reason]} ({fault.reason})"
        cells = (f"{Path(fault.file).name}:{fault.line}", fault.id, repr(fault.gold), why)
        table.add_row(*(Text(cell if len(cell) <= _WIDTH else f"{cell[:_WIDTH]} …") for cell in cells))
    if len(faults) > SHOWN:
        table.add_row(Text(f"and {len(faults) - SHOWN:,} more (--json lists all)", style="dim"))
    return table


def _fault_row(fault: Fault) -> dict[str, Any]:
    row = {"file": fault.file, "line": fault.line, "id": fault.id, "gold": fault.gold, "reason": fault.reason}
    return row | ({"against": fault.against} if fault.against else {})
