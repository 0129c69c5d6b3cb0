"""What the terminal shows: the summary as tables, and the progress bar."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .score import Progress as Listener
from .summary import Summary

_COLOURS = {"correct": "green", "wrong": "red", "error": "bold magenta"}
_STEP = 64


# Control characters, lone surrogates and what turns text around, as signs for them: a page cannot hold them, and a
# terminal would obey them.
_INVISIBLE = {
    **{code: 0x2400 + code for code in range(32) if code not in (9, 10)},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}


def visible(text: str) -> str:
    """The text without what acts on a page or a terminal.

    >>> visible("a\\x1b[2J")
    'a␛[2J'
    """
    return text.translate(_INVISIBLE)


class Harmless(Console):
    """A console whose terminal obeys no text, whoever wrote it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


class Output(Harmless):
    """Standard output, whose reader may leave."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1; that nobody reads any further is no fault


class Terminal(Listener):
    """Says things on standard error; draws a bar there when it is a terminal. Use it as a context manager."""

    def __init__(
        self, bytes_total: int | None, *, quiet: bool = False, doing: str = "scoring", unit: str = "samples"
    ) -> None:
        self._console = Harmless(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._quiet = quiet
        self._samples = 0
        shown = self._console.is_terminal and not quiet
        columns = (SpinnerColumn(), TextColumn(doing), BarColumn(), _Samples(unit), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not shown)
        self._task = self._bar.add_task("", total=bytes_total, samples=0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def read(self, bytes_done: int, samples: int) -> None:
        if samples - self._samples >= _STEP:
            self._samples = samples
            self._bar.update(self._task, completed=bytes_done, samples=samples)

    def say(self, line: str) -> None:
        if not self._quiet:
            self._console.print(line, markup=False)


class _Samples(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        count = task.fields["samples"]
        rate = f", {count / task.elapsed:,.0f}/s" if task.elapsed and count else ""
        return Text(f"{count:,} {self._unit}{rate}")


def print_summary(summary: Summary, *, bca: bool = False) -> None:
    """The summary on standard output; colours on a terminal only. `bca` adds these intervals where there are any."""
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    per_problem = summary["samples_per_problem"]
    each = str(per_problem["min"])
    if per_problem["min"] != per_problem["max"]:
        each = f"{per_problem['min']} to {per_problem['max']}"
    console.print()
    console.print(
        f"[bold]{summary['samples']:,}[/] samples of [bold]{summary['problems']:,}[/] problems "
        f"({each} each), judged by [bold]{escape(summary['verifier'])}[/] in {summary['seconds']:.2f} s"
    )
    console.print()
    console.print(_numbers(summary, bca=bca))
    console.print()
    console.print(_statuses(summary))
    for note in summary["notes"]:
        console.print(f"[dim]note:[/] {escape(note)}")
    if summary["bad_rows"]:
        console.print(f"[dim]note:[/] {summary['bad_rows']:,} rows could not be read and are not counted above")


def _numbers(summary: Summary, *, bca: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    passes = summary["pass@k"]
    bca = bca and passes["1"].get("ci95_bca") is not None
    for heading in ("mean", "std. error", "95 % interval", *(["95 % BCa"] if bca else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    one = passes["1"]["mean"] == summary["score"]["mean"]
    rows = [("score (pass@1)" if one else "score", summary["score"], "")]
    rows += [(f"pass@{k}", value, "") for k, value in passes.items() if not (one and k == "1")]
    for k, value in summary["cons@k"].items():
        rows.append((f"cons@{k}", value, _ties(value)))
    for k, value in summary.get("weighted_cons@k", {}).items():
        rows.append((f"weighted cons@{k}", value, _ties(value)))
    rows += [(f"best-of-{k}", value, "") for k, value in summary.get("best_of_k", {}).items() if k != "1"]
    for name, value, extra in rows:
        resampled = [_range(value.get("ci95_bca"), _percent if is_share(value) else plain)] if bca else []
        table.add_row(f"[bold]{name}[/]", *_cells(value), *resampled, f"[dim]{extra}[/]")
    return table


def _ties(value: dict[str, Any]) -> str:
    return f"{value['ties']:,} ties ({value['tie_rate']:.1%})"


def is_share(value: Mapping[str, Any]) -> bool:
    """Whether a mean can be a share, which is shown in percent; that of a reward of weights may lie beyond."""
    return all(0 <= each <= 1 for each in (value["mean"], *(value["ci95"] or ())))


def _cells(value: Mapping[str, Any]) -> tuple[str, str, str]:
    interval, shown = value["ci95"], _percent if is_share(value) else plain
    mean = f"{100 * value['mean']:.3f} %" if is_share(value) else plain(value["mean"])
    return (
        f"[bold]{mean}[/]",
        "" if value["stderr"] is None else shown(value["stderr"]),
        "one problem has none" if interval is None else _range(interval, shown),
    )


def _range(interval: Sequence[float] | None, shown: Callable[[float], str]) -> str:
    return "" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}"


def _statuses(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("status", "samples", "share", "most frequent reasons"):
        table.add_column(heading, justify="right" if heading in ("samples", "share") else "left")
    for status, count in summary["status"].items():
        if count:
            reasons = [r for r in summary["reasons"] if r["status"] == status][:3]
            said = ", ".join(f"{r['reason']} {r['count']:,}" for r in reasons)
            colour = _COLOURS.get(status, "yellow")
            share = f"{count / summary['samples']:.1%}"
            table.add_row(f"[{colour}]{status}[/]", f"{count:,}", share, f"[dim]{escape(said)}[/]")
    missing = summary["not_judged"]
    share = f"{missing / summary['samples']:.1%}"
    table.add_row("[dim]not judged[/]", f"{missing:,}", share, "[dim]score None, whatever the status[/]")
    return table


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def plain(value: float, sign: str = "") -> str:
    """A mean that is no share."""
    return f"{value:{sign}.4g}"
