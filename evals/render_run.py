"""What the terminal shows of a run: how far it is, its numbers, the published ones beside them, and its warnings."""

import sys
import time
from collections.abc import Iterable
from typing import Any, Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from .render import Harmless, Output, print_summary
from .run import Listener, Plan
from .summary import Summary
from .tasks import Task

_LINE_EVERY_S = 30.0  # where standard error is a log


class RunTerminal(Listener):
    """A bar on standard error where that is a terminal, and a line now and then where it is a log."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Harmless(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._quiet = quiet
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
        shown = self._console.is_terminal and not quiet
        self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True, disable=not shown)
        self._bar_task: TaskID | None = None
        self._lines = not quiet and not shown
        self._name = ""
        self._total = self._before = self._done = self._failed = self._tokens = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        if not self._quiet:
            self._console.print(line, markup=False)

    def drawing(self, plan: Plan, done: int, asked: int) -> None:
        if done:
            self.say(f"continuing {plan.out}: {done:,} samples are there already")
        if self._bar_task is not None:
            self._bar.remove_task(self._bar_task)
        self._name, self._total, self._before = plan.task.name, done + asked, done
        self._done = self._failed = self._tokens = 0
        self._start = self._said = time.monotonic()
        self._bar_task = self._bar.add_task(plan.task.name, total=done + asked, completed=done, said="")

    def drawn(self, tokens: int, *, failed: bool) -> None:
        self._tokens += tokens
        self._failed += failed
        self._done += not failed
        if self._bar_task is not None:
            self._bar.update(self._bar_task, completed=self._before + self._done, said=self._state())
        now = time.monotonic()
        if self._lines and now - self._said >= _LINE_EVERY_S:
            self._said = now
            self.say(f"{self._name}: {self._state()}")

    def _state(self) -> str:
        seconds = time.monotonic() - self._start
        rate = f", {self._tokens / seconds:,.0f} tokens/s" if self._tokens and seconds > 1 else ""
        failed = f", {self._failed:,} could not be had" if self._failed else ""
        return f"{self._before + self._done:,} of {self._total:,} samples{rate}{failed}"


def print_run(summary: Summary) -> None:
    """The summary of a run on standard output."""
    run = summary["run"]
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    console.print()
    console.print(f"[bold]{escape(run['task'])}[/], [bold]{escape(run['model'])}[/] ({_drawn_how(run)})")
    print_summary(summary, bca=True)
    console.print()
    for line in _facts(summary):
        console.print(line, soft_wrap=True)
    if run["published"]:
        console.print()
        console.print(_published(run["published"]))
    for warning in run["warnings"]:
        console.print(f"[bold yellow]differs:[/] {escape(warning)}", soft_wrap=True)
    console.print()
    console.print(f"{escape(run['folder'])}/report.html", soft_wrap=True)


def print_tasks(tasks: Iterable[Task]) -> None:
    """The benchmarks as a table on standard output."""
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 140)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("task", "problems", "samples each", "judged by", "from the hub", "what it is"):
        table.add_column(heading, justify="right" if heading in ("problems", "samples each") else "left")
    for task in tasks:
        size = "" if task.size is None else f"{task.size:,}"
        at = "" if task.revision is None else f" [dim]@{task.revision[:8]}[/]"
        hub = escape(task.hub or "") + at + (" [dim](gated)[/]" if task.terms else "")
        table.add_row(f"[bold]{task.name}[/]", size, str(task.n), task.verifier, hub, escape(task.about))
    console.print(table)


def _drawn_how(run: dict[str, Any]) -> str:
    sampling = run["sampling"]
    return (
        f"{run['engine']}, prompt {escape(run['prompt'])}, temperature {sampling['temperature']:g}, "
        f"top-p {sampling['top_p']:g}, at most {sampling['max_tokens']:,} tokens, seed {sampling['seed']}"
    )


def _facts(summary: Summary) -> Iterable[str]:
    run, truncation = summary["run"], summary["truncation"]
    if truncation["rate"] is not None:
        yield f"{truncation['cut']:,} completions were cut at the length limit ({truncation['rate']:.1%})"
    if run["missing"]:
        yield f"[bold red]{run['missing']:,} of {run['expected']:,} samples are missing[/]"
        for error in run["errors"]:
            yield f"  {error['samples']:,} x {escape(error['error'])}"
    if run["tokens"] is not None:
        rate = "" if run["tokens_per_second"] is None else f", {run['tokens_per_second']:,.0f} per second"
        asked = "" if run["prompt_tokens"] is None else f"; the problems have {run['prompt_tokens']:,}"
        yield f"{run['tokens']:,} tokens drawn in {_time(run['seconds'])}{rate}{asked}"
    else:
        yield f"drawn in {_time(run['seconds'])}; the engine counted no tokens"
    if run["devices"] is not None:
        yield f"cost: {run['device_hours']:.4g} device hours ({run['devices']} x {_time(run['seconds'])})"
    scoring = run["scoring"]
    if scoring["share"] is not None:
        yield (
            f"scoring took {scoring['seconds']:.2f} s ({scoring['share']:.1%} of the run) while samples arrived; "
            f"after the last of them, {scoring['after_last_sample_s']:.2f} s"
        )


def _published(rows: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "measured", "published", "points apart", "std. errors", "source"):
        table.add_column(heading, justify="left" if heading in ("", "source") else "right")
    for row in rows:
        table.add_row(f"[bold]{row['metric']}[/]", *_beside(row), f"[dim]{escape(row['source'])}[/]")
    return table


def _beside(row: dict[str, Any]) -> tuple[str, ...]:
    published = f"{100 * row['value']:.1f} %"
    if row["measured"] is None:
        return "not with this n", published, "", ""
    off = "" if row["in_stderrs"] is None else f"{row['in_stderrs']:+.1f}"
    return f"[bold]{100 * row['measured']:.1f} %[/]", published, f"{100 * row['difference']:+.1f}", off


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
