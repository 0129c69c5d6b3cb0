"""`rlvr explain`: why one answer is right or wrong, for a terminal or as JSON."""

import sys

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..verifiers.math.explain import Explanation, Side
from ..verifiers.rows import explanation_row as explanation_row

SHOWN = 600
"""Characters of one text that the terminal shows; `--json` has all of them."""
_COLOURS = {"correct": "green", "timeout": "yellow", "error": "magenta"}


def exit_code(why: Explanation) -> int:
    """0 for a correct answer, 1 for a wrong one, 2 where nothing could be judged."""
    if why.verdict.score is None:
        return 2
    return 0 if why.verdict.status == "correct" else 1


def print_explanation(gold: str, text: str, why: Explanation) -> None:
    """The explanation on standard output; colours on a terminal only."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print()
    if why.found == "completion":
        console.print(f"The text is a [bold]completion[/] of {len(text):,} characters.")
    else:
        console.print("The text is a [bold]bare answer[/]: no box, tag or stated answer in it.")
    console.print()
    console.print(_beside(gold, why))
    verdict = why.verdict
    colour = _COLOURS.get(verdict.status, "red")
    score = "not judged" if verdict.score is None else f"score {verdict.score:g}"
    lines = [
        Text.assemble((verdict.status, f"bold {colour}"), f"  {score}"),
        Text.assemble(("decided by  ", "dim"), why.rung, "  ", (verdict.reason, "dim")),
        Text.assemble(("because     ", "dim"), why.sentence),
    ]
    if verdict.detail:
        lines.append(Text.assemble(("detail      ", "dim"), _cut(verdict.detail)))
    console.print(Panel(Group(*lines), border_style=colour, expand=False))


def _beside(gold: str, why: Explanation) -> Table:
    """A column for each side, a row for each step."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("gold", overflow="fold")
    table.add_column("answer", overflow="fold")
    sides = (why.gold, why.answer)
    table.add_row("found" if why.found == "completion" else "given", *map(_found, sides, (gold, None)))
    table.add_row("normalised", *(_text(side and side.normalised) for side in sides))
    table.add_row("kind", *(_text(side and side.kind) for side in sides))
    table.add_row("read as", *(_text(side and (side.infix or side.unreadable)) for side in sides))
    table.add_row("tree", *(Padding(_text("\n".join(side.outline) if side else None), (0, 0, 1, 0)) for side in sides))
    return table


def _found(side: Side | None, given: str | None) -> Text:
    if side is not None:
        return _text(side.text) if side.text else Text("(empty)", style="yellow")
    return Text("(no answer)", style="yellow") if given is None else _text(given)


def _text(text: str | None) -> Text:
    return Text(_cut(text)) if text else Text("-", style="dim")


def _cut(text: str) -> str:
    """Printable, and not too long: control characters of a model's text must not reach the terminal."""
    text = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text[: SHOWN + 1])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
