"""The code that README's table of trainers shows; the test of each trainer runs what its row says."""

import re
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"


def plugs(trainer: str) -> list[str]:
    """The code in a trainer's row, in order. Raises KeyError where there is no such row."""
    return re.findall(r"`([^`]+)`", rows()[trainer]["how it plugs in"])


def rows() -> dict[str, dict[str, str]]:
    """The table by trainer, each row by the name of its column."""
    text = README.read_text(encoding="utf-8")
    table = text.partition("### In your trainer")[2]
    lines = [line for line in table.partition("\n#")[0].splitlines() if line.startswith("|")]
    names, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {re.sub(r"\[(.+?)\].*", r"\1", cells[0]): dict(zip(names, cells, strict=True)) for cells in body}
