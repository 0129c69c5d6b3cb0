"""Types of options."""

import os
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from rlvr.evals.arguments import page


@pytest.mark.parametrize("holds", [None, b"", b"<!doctype html>\n<html>", b"<!DOCTYPE HTML><p>"])
def test_a_page_may_be_new_or_take_the_place_of_another(holds: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    if holds is not None:
        path.write_bytes(holds)
    assert page(str(path)) == path


@pytest.mark.parametrize("link", [False, True])
def test_a_page_takes_the_place_of_nothing_else(link: bool, tmp_path: Path) -> None:
    data = tmp_path / "scored.jsonl"
    data.write_text('{"id": "1"}\n')
    path = tmp_path / "page.html" if link else data
    if link:
        path.symlink_to(data)
    with pytest.raises(ArgumentTypeError, match="is no HTML page"):
        page(str(path))


def test_a_page_may_go_into_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert page(str(path)) == path


def test_the_input_is_not_replaced_by_its_report(rlvr, write_rows, tmp_path: Path) -> None:
    write_rows([{"answer": "4", "completion": "4"}])
    before = (tmp_path / "in.jsonl").read_bytes()
    done = rlvr("score", "in.jsonl", "--report", "in.jsonl")
    assert done.returncode == 2 and "in.jsonl exists and is no HTML page" in done.stderr
    assert (tmp_path / "in.jsonl").read_bytes() == before
