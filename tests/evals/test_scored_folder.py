"""`--out DIR/`: a scored file for each input, each continued by itself, and one summary over all."""

import gzip
import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.files import dump_line

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
FILES = ["a/x.jsonl.gz", "y.jsonl", "empty.jsonl", "z.json"]


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    (tmp_path / "a").mkdir()
    for number, name in enumerate(FILES):
        rows = b"".join(
            dump_line({"id": f"{number} {i}", "completion": f"A: {i}", "answer": "4"})
            for i in range(0 if name == "empty.jsonl" else 30)
        )
        (tmp_path / name).write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
    return FILES


def summary_of(run: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    del summary["seconds"]
    return summary


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_one_scored_file_for_each_input(rlvr: Rlvr, inputs: list[str], tmp_path: Path) -> None:
    summary = summary_of(rlvr("score", *inputs, "--out", "deep/scored/", "--json"))
    assert (summary["samples"], summary["status"]["correct"]) == (90, 3)
    folder = tmp_path / "deep" / "scored"
    names = ["empty.jsonl", "x.jsonl", "y.jsonl", "z.jsonl"]
    assert sorted(contents(folder)) == sorted([*names, *(f"{name}.run.json" for name in names)])
    assert (folder / "empty.jsonl").read_bytes() == b""
    assert summary == summary_of(rlvr("score", *inputs, "--out", "all.jsonl", "--json"))
    parts = b"".join((folder / name).read_bytes() for name in ("x.jsonl", "y.jsonl", "z.jsonl"))
    assert parts == (tmp_path / "all.jsonl").read_bytes()


def test_each_file_continues_where_it_was_cut_or_removed(rlvr: Rlvr, inputs: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "scored"
    folder.mkdir()  # it is there, so it needs no slash
    command = ["score", *inputs, "--out", "scored", "--json"]
    summary, whole = summary_of(rlvr(*command)), contents(folder)
    (folder / "x.jsonl").unlink()
    (folder / "y.jsonl").write_bytes(whole["y.jsonl"][:-500])
    again = rlvr(*command)
    assert (summary_of(again), contents(folder)) == (summary, whole)
    assert "continuing scored: " in again.stderr
    complete = rlvr(*command)
    assert (summary_of(complete), contents(folder)) == (summary, whole)
    assert "continuing scored: 90 samples are there already" in complete.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_an_input_more_is_scored_beside_the_others(rlvr: Rlvr, inputs: list[str], tmp_path: Path, workers: int) -> None:
    assert rlvr("score", *inputs[:2], "--out", "scored/", "--workers", workers).returncode == 0
    before = contents(tmp_path / "scored")
    again = rlvr("score", *inputs, "--out", "scored/", "--workers", workers, "--json")
    assert summary_of(again)["samples"] == 90
    assert "continuing scored: 60 samples are there already" in again.stderr
    assert before.items() < contents(tmp_path / "scored").items()


def test_files_are_scored_alone_as_they_are_together(rlvr: Rlvr, tmp_path: Path) -> None:
    """Each file holds two samples of each problem; together they are four."""
    for name in "ab":
        rows = [dump_line({"id": i % 3, "completion": f"A: {i}{name}", "answer": "4"}) for i in range(6)]
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(rows))
    summary = summary_of(rlvr("score", "a.jsonl", "b.jsonl", "--out", "together/", "--json"))
    assert summary["samples_per_problem"] == {"min": 4, "max": 4}
    for name in "ab":
        assert rlvr("score", f"{name}.jsonl", "--out", "alone/").returncode == 0
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    written = [json.loads(line)["sample"] for line in contents(tmp_path / "together")["b.jsonl"].splitlines()]
    assert written == [0, 0, 0, 1, 1, 1]
    (tmp_path / "together" / "b.jsonl").write_bytes(contents(tmp_path / "alone")["b.jsonl"][:-5])
    assert summary_of(rlvr("score", "a.jsonl", "b.jsonl", "--out", "together/", "--json")) == summary
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_inputs_without_rows_are_more_than_files_that_may_be_open(
    start: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    names = [f"e{i}.jsonl" for i in range(99)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "x.jsonl").write_bytes(dump_line({"id": 1, "completion": "A: 4", "answer": "4"}))
    process = start(
        "score", *names[1:], "x.jsonl", names[0], "--out", "o/",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert {*names, "x.jsonl"} < set(contents(tmp_path / "o"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["a/x.jsonl.gz", "x.parquet"], "a/x.jsonl.gz and x.parquet: both would be scored into scored/x.jsonl"),
        (["y.jsonl", "--verifier", "format"], "scored/y.jsonl: holds another run, which this one cannot continue"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_judged(
    more: list[str], said: str, rlvr: Rlvr, inputs: list[str], tmp_path: Path
) -> None:
    (tmp_path / "x.parquet").touch()
    assert rlvr("score", "y.jsonl", "--out", "scored/").returncode == 0
    before = contents(tmp_path / "scored")
    run = rlvr("score", *more, "--out", "scored/", "--quiet")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"rlvr score: {said}")
    assert contents(tmp_path / "scored") == before


def test_an_input_is_not_overwritten(rlvr: Rlvr, inputs: list[str], tmp_path: Path) -> None:
    before = (tmp_path / "y.jsonl").read_bytes()
    run = rlvr("score", "y.jsonl", "--out", ".", "--quiet")
    assert run.returncode == 2
    assert run.stderr.startswith("rlvr score: y.jsonl: exists and is not a run of ours")
    assert (tmp_path / "y.jsonl").read_bytes() == before
