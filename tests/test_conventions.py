"""`verifiers/CONVENTIONS.md` is checked: every row of every table is judged, and every reason of the ladder appears."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rlvr.verifiers import REASONS, Completion, Problem, verify_math

PAGE = (Path(__file__).parents[1] / "verifiers" / "CONVENTIONS.md").read_text(encoding="utf-8")
VERDICTS = {"correct", "wrong", "unextracted", "truncated", "not judged"}
Row = dict[str, str]


def tables(page: str) -> Iterator[tuple[str, list[Row]]]:
    """(heading, rows) of each table; a row maps the column's name to the cell without its backticks."""
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
            names, _, *rows = [cells(line) for line in table.splitlines()]
            yield heading, [dict(zip(names, row, strict=True)) for row in rows]


def cells(line: str) -> list[str]:
    return [
        cell.strip().removeprefix("`").removesuffix("`").replace(r"\|", "|")
        for cell in re.split(r"(?<!\\)\|", line)[1:-1]
    ]


ROWS = [(heading, row) for heading, rows in tables(PAGE) for row in rows]
JUDGED = [(heading, row) for heading, row in ROWS if "verdict" in row]
DECIDED = [row for _, row in ROWS if "reason" in row]


def judge(row: Row) -> tuple[str, str]:
    """(verdict in the page's words, reason)"""
    text = row["completion"].replace("⏎", "\n") if "completion" in row else f"\\boxed{{{row['answer']}}}"
    level = row.get("extract", "answer")
    verdict = verify_math(Problem("", answer=row["gold"]), Completion(text), extract=level)  # type: ignore[arg-type]
    return "not judged" if verdict.score is None else verdict.status, verdict.reason


@pytest.mark.parametrize(("heading", "row"), JUDGED, ids=[f"{h}: {' | '.join(r.values())}" for h, r in JUDGED])
def test_every_row_is_judged_as_it_says(heading: str, row: Row) -> None:
    assert row["verdict"] in VERDICTS
    verdict, reason = judge(row)
    assert verdict == row["verdict"], reason


@pytest.mark.parametrize("row", DECIDED, ids=[row["reason"] for row in DECIDED])
def test_every_example_is_decided_where_it_says(row: Row) -> None:
    assert judge(row)[1] == row["reason"]


def test_the_page_is_read() -> None:
    assert len(JUDGED) > 150
    assert {row["verdict"] for _, row in JUDGED} >= {"correct", "wrong", "unextracted", "not judged"}


@pytest.mark.parametrize(
    "heading", sorted({heading for heading, _ in JUDGED} - {"Golds", "What is never done", "What decides"})
)
def test_every_convention_has_an_accepted_and_a_rejected_example(heading: str) -> None:
    assert {row["verdict"] for h, row in JUDGED if h == heading} >= {"correct", "wrong"}


def test_every_reason_of_the_ladder_appears() -> None:
    names = list(REASONS)
    for reason in names[: names.index("deadline")]:
        assert f"`{reason}`" in PAGE, reason
