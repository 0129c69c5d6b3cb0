"""What `rlvr audit` prints: a verdict, the findings by how severe they are, the parts, and where to look next."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .render import Output, visible

_COLOURS = {"serious": "bold red", "look": "yellow"}
_REASONS = 6
_PARTS = 8

Row = Mapping[str, Any]


def print_audit(found: Row, *, again: str | None) -> None:
    """The audit on standard output; colours on a terminal only. `again` is the command that writes its page."""
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 110)
    console.print()
    console.print(_read(found))
    console.print(f"[bold]{verdict_line(found)}[/]")
    matter = [each for each in found["findings"] if each["severity"] != "fine"]
    if matter:
        console.print()
        for line in _findings(matter):
            console.print(line)
    console.print()
    console.print(_reasons(found))
    if found["parts"]:
        console.print()
        console.print(_parts(found["parts"]))
    console.print()
    for line in _remarks(found):
        console.print(line)
    if again is not None and matter:
        console.print(f"[dim]next:[/] {escape(again)}", soft_wrap=True)


def verdict_line(found: Row) -> str:
    """One sentence that says how bad it is."""
    counts = {level: sum(each["severity"] == level for each in found["findings"]) for level in ("serious", "look")}
    if not any(counts.values()):
        return f"Nothing suspicious in {len(found['findings'])} checks."
    said = [f"{counts['serious']} serious"] if counts["serious"] else []
    said += [f"{counts['look']} worth a look"] if counts["look"] else []
    return f"{' and '.join(said)}, of {len(found['findings'])} checks.".capitalize()


def _read(found: Row) -> str:
    score, steps = found["score"], found["steps"]
    over = "" if steps is None else f" over the steps {steps[0]:,} to {steps[1]:,}"
    mean = "none was judged" if score is None else f"mean score {score['mean']:.3g}"
    if 0 < found["judged"] < found["samples"]:
        mean += f" of the {found['judged']:,} judged"
    return (
        f"[bold]{found['samples']:,}[/] samples of [bold]{found['problems']:,}[/] problems{over}, "
        f"{found['rewarded']:,} rewarded, {mean}"
    )


def _findings(findings: Sequence[Row]) -> Iterator[RenderableType]:
    """Two or three lines each: what and how often, what it says, and the first place to look."""
    title = max(len(each["title"]) for each in findings)
    count = max(len(f"{each['count']:,}") for each in findings)
    for each in findings:
        amount = f"{each['count']:>{count},}  {each['share']:>6.1%}  of {each['of']:,} {each['unit']}"
        level = (f"{each['severity']:<8} ", _COLOURS[each["severity"]])
        yield Text.assemble(
            level, (f"{each['title']:<{title}}", "bold"), "" if each["key"] == "length" else f"  {amount}"
        )
        worst = each["worst"]
        told = [each["says"]] if each["says"] else []
        if worst:
            why = " ".join(visible(worst[0]["why"]).split())
            told.append(f"{Path(worst[0]['file']).name}:{worst[0]['line']}" + (f"  {why}" if why else ""))
        for text in told:
            yield Padding(Text(visible(text), style="dim", overflow="fold"), (0, 0, 0, 9), expand=False)


def _reasons(found: Row) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("status")
    table.add_column("reason")
    for heading in ("samples", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found["reasons"][:_REASONS]:
        table.add_row(row["status"], _cell(row["reason"]), f"{row['count']:,}", f"{row['share']:.1%}")
    more = found["reasons"][_REASONS:]
    if more:
        rest = sum(row["count"] for row in more)
        table.add_row("", f"[dim]{len(more)} more[/]", f"{rest:,}", f"{rest / found['samples']:.1%}")
    return table


def _parts(parts: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("part")
    for heading in ("mean", "at 0", "at its maximum", "correlation with the score"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in parts[:_PARTS]:
        shares = ("none", "", "") if part["mean"] is None else (
            f"{part['mean']:.3f}", f"{part['share_zero']:.1%}", f"{part['share_max']:.1%}",
        )  # fmt: skip
        correlation = "none" if part["correlation"] is None else f"{part['correlation']:+.2f}"
        table.add_row(_cell(part["name"]), *shares, correlation)
    if len(parts) > _PARTS:
        table.add_row(f"[dim]and {len(parts) - _PARTS} more: --json[/]")
    return table


def _cell(text: str) -> str:
    return escape(visible(text[:200]).replace("\n", " "))


def _remarks(found: Row) -> list[str]:
    fine = [each for each in found["findings"] if each["severity"] == "fine"]
    said = [
        each["title"] + (f" {each['share']:.1%}" if each["count"] and each["key"] != "length" else "") for each in fine
    ]
    lines = [f"[dim]fine:[/] {'; '.join(said)}"] if said else []
    by_cause: dict[str, list[str]] = {}
    for each in found["skipped"]:
        by_cause.setdefault(each["why"], []).append(each["title"])
    lines += [f"[dim]not looked for:[/] {'; '.join(titles)} ({escape(why)})" for why, titles in by_cause.items()]
    opinion = found["second_opinion"]
    if opinion is not None:
        asked = opinion["samples"] - opinion["no_opinion"]
        agrees = f"agrees on {opinion['agree'] / asked:.2%} of {asked:,} samples, " if asked else ""
        hung = f"; {opinion['hanging']:,} pairs hung" if opinion["hanging"] else ""
        left = f"; {opinion['left_out']:,} pairs were not asked" if opinion["left_out"] else ""
        lines.append(
            f"[dim]math-verify:[/] {opinion['pairs']:,} different pairs of gold and answer, {agrees}"
            f"no opinion on {opinion['no_opinion']:,}{'' if asked else ' samples'}{hung}{left}"
        )
    if found["bad_rows"]:
        lines.append(f"[dim]note:[/] {found['bad_rows']:,} rows could not be read and are not counted")
    return lines
