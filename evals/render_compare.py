"""What `rlvr compare` prints."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from .render import Output, is_share, plain

SHOWN = 20
"""Flipped problems that the terminal lists; `--json` and the page have all of them."""


def print_comparison(found: dict[str, Any]) -> None:
    """The comparison on standard output; colours on a terminal only."""
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    for pair in found["pairs"]:
        console.print()
        console.print(_means(pair))
        console.print()
        for sentence in _sentences(pair, tests=len(found["pairs"])):
            console.print(sentence)
        if pair["settings"]:
            console.print()
            console.print(_settings(pair["settings"]))
        elif pair["settings"] is not None:
            console.print("[dim]both runs have the same settings[/]")
        if pair["flipped"]:
            console.print()
            console.print(_flips(pair["flipped"]))
        for note in pair["notes"]:
            console.print(f"[dim]note:[/] {escape(note)}")


def _means(pair: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{pair['problems']:,} problems", overflow="fold")
    for heading in ("samples each", "mean score", "std. error", "95 % interval"):
        table.add_column(heading, justify="right")
    for letter in ("a", "b"):
        run = pair[letter]
        name = f"[bold]{letter.upper()}[/] {escape(run['name'])}"
        table.add_row(name, f"{run['samples_per_problem']:,}", *_cells(run["score"], "", _number(pair)))
    table.add_row("[bold]B − A[/]", "", *_cells(pair["difference"], "+", _number(pair)))
    return table


def _cells(value: dict[str, Any], sign: str, number: Callable[[float, str], str]) -> tuple[str, str, str]:
    interval = value["ci95"]
    return (
        f"[bold]{number(value['mean'], sign)}[/]",
        "" if value["stderr"] is None else number(value["stderr"], ""),
        "none" if interval is None else f"{number(interval[0], sign)} to {number(interval[1], sign)}",
    )


def _number(pair: dict[str, Any]) -> Callable[[float, str], str]:
    return _percent if is_share(pair["a"]["score"]) and is_share(pair["b"]["score"]) else plain


def _sentences(pair: dict[str, Any], *, tests: int) -> Iterator[str]:
    flip, pairs = pair["sign_flip"], pair["mcnemar"]
    error = f" ± {flip['error']:.2g}, drawn" if flip["error"] else ""
    adjusted = f"; [bold]{flip['holm']:.3g}[/] for {tests} tests (Holm)" if tests > 1 else ""
    yield f"p = [bold]{flip['p']:.3g}[/]{error} by sign flips over problems{adjusted}"
    if pairs is not None:
        yield (
            f"p = [bold]{pairs['p']:.3g}[/] by McNemar's exact test: {pairs['only_a']:,} problems only A got right, "
            f"{pairs['only_b']:,} only B"
        )
    if pair["detectable"] is not None:
        yield (
            f"a difference of [bold]{_number(pair)(pair['detectable'], '')}[/] would have been found 4 times out of 5 "
            "(level 5 %, power 80 %)"
        )


def _settings(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("settings that differ", "in A", "in B"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(escape(row["name"]), *(escape(setting_text(row[run], 120)) for run in ("a", "b")))
    return table


def setting_text(value: Any, most: int) -> str:
    """A value of a manifest as people write it, at most `most` characters of it.

    >>> setting_text(None, 80), setting_text("r1", 80), setting_text([1, "long"], 5)
    ('none', 'r1', '[1, "…')
    """
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}…"


def _flips(flipped: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{len(flipped):,} problems flipped", overflow="fold")
    table.add_column("right in A", justify="right")
    table.add_column("right in B", justify="right")
    for heading in ("gold", "mostly in A", "mostly in B"):
        table.add_column(heading, overflow="ellipsis", max_width=16, no_wrap=True)
    for row in flipped[:SHOWN]:
        colour = "green" if row["b"] > row["a"] else "red"
        answers = ("" if row[key] is None else row[key]["text"] for key in ("answer_a", "answer_b"))
        texts = (escape(" ".join(text.split())) for text in (row["gold"] or "", *answers))
        table.add_row(escape(row["id"]), f"{row['a']:.1%}", f"[{colour}]{row['b']:.1%}[/]", *texts)
    if len(flipped) > SHOWN:
        table.add_row(f"[dim]and {len(flipped) - SHOWN:,} more: --json[/]")
    return table


def _percent(value: float, sign: str) -> str:
    return f"{100 * value:{sign}.2f} %"
