"""A run that was stopped goes on where it stopped: killed, interrupted or cut, the end is the same to the byte."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from rlvr.evals.cli import main
from rlvr.evals.errors import UsageError
from rlvr.evals.files import Row, dump_line
from rlvr.evals.output import ScoredFile

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[bytes]"]

SLOW = r'''
import os, time
from rlvr.verifiers import Verdict

def slow(problem, completion, *, word="x"):
    """Says whom it judges, takes its time, and judges by the id."""
    with open("calls.log", "a") as log:
        log.write(problem.id + "\n")
    time.sleep(float(os.environ.get("PAUSE_S", "0")))
    if int(problem.id) % 11 == 0:
        raise RuntimeError("cannot judge " + problem.id)
    right = int(problem.id) % 3 == 0
    return Verdict(float(right), "correct" if right else "wrong", word, problem.id)
'''


class Bench:
    """The files of one test: input, output, the verifier's source and its log."""

    def __init__(self, folder: Path, rlvr: Rlvr, start: Start, environment: dict[str, str]) -> None:
        self.folder, self.rlvr, self._start, self._environment = folder, rlvr, start, environment
        self.out = folder / "out.jsonl"
        self.log = folder / "calls.log"
        self.source = folder / "mine.py"
        self.source.write_text(SLOW, encoding="utf-8")

    def command(self, *more: object, out: str = "out.jsonl") -> list[object]:
        return ["score", "in.jsonl", "--verifier", "mine:slow", "--out", out, "--json", *more]

    def start(self, *more: object, pause_s: float = 0.01, **options: Any) -> "subprocess.Popen[bytes]":
        """Begin a run whose verifier takes its time."""
        self._environment["PAUSE_S"] = str(pause_s)
        try:
            return self._start(*self.command(*more), **options)
        finally:
            self._environment["PAUSE_S"] = "0"

    def calls(self) -> list[str]:
        """Whom the verifier was asked to judge since `forget`."""
        return self.log.read_text().split() if self.log.exists() else []

    def forget(self) -> None:
        self.log.unlink(missing_ok=True)

    def written(self) -> bytes:
        return self.out.read_bytes() if self.out.exists() else b""

    def ids(self) -> set[str]:
        """The problems in the output's whole lines."""
        return {json.loads(line)["id"] for line in self.written().splitlines(keepends=True) if line.endswith(b"\n")}

    def reference(self) -> tuple[bytes, Row]:
        """The output and the summary of a run that nobody stops."""
        run = self.rlvr(*self.command(out="reference.jsonl"))
        assert run.returncode == 0, run.stderr
        self.forget()
        return (self.folder / "reference.jsonl").read_bytes(), summary_of(run)


@pytest.fixture
def bench(tmp_path: Path, rlvr: Rlvr, start: Start, environment: dict[str, str]) -> Bench:
    return Bench(tmp_path, rlvr, start, environment)


def summary_of(run: "subprocess.CompletedProcess[str]") -> Row:
    summary = json.loads(run.stdout)
    del summary["seconds"]
    return summary


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Returns when the condition holds; the process must not end before. Ten minutes without it are a failure."""
    for _ in range(60_000):
        if condition():
            return
        assert process.poll() is None, "it ended before it could be stopped: " + str(process.communicate())
        time.sleep(0.01)
    raise AssertionError("it never came so far")


def numbered(count: int) -> list[Row]:
    return [{"id": i, "completion": f"text {i} 一 " + "x" * (i % 50), "own": [i, None, "é"]} for i in range(count)]


# --- killed


def test_a_run_that_is_killed_again_and_again_ends_the_same(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(4000))
    reference, summary = bench.reference()
    rng = random.Random(20250)
    kills = 0
    while kills < 9:
        before, there = bench.written(), bench.ids()
        bench.forget()
        process = bench.start("--workers", kills % 3)
        wait_for(
            lambda before=before: len(bench.written()) > len(before), process
        )  # something new has reached the disk
        seen, more = len(bench.calls()), rng.randrange(80)
        wait_for(lambda goal=seen + more: len(bench.calls()) >= goal, process)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        kills += 1
        assert reference.startswith(bench.written())
        assert there < bench.ids(), "what an earlier run wrote is gone, or nothing was added"
        assert not there & set(bench.calls()), "what had been written was judged again"
    there = bench.ids()
    assert len(there) < 4000
    bench.forget()
    last = bench.rlvr(*bench.command())
    assert last.returncode == 0, last.stderr
    assert f"continuing out.jsonl: {len(there):,} samples are there already" in last.stderr
    assert not there & set(bench.calls())
    assert bench.written() == reference
    assert summary_of(last) == summary


def test_a_run_that_is_killed_before_its_first_row(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(50))
    reference, summary = bench.reference()
    process = bench.start(pause_s=5)
    wait_for(lambda: len(bench.calls()) > 0, process)
    process.kill()
    process.wait(60)
    assert bench.written() == b""
    last = bench.rlvr(*bench.command())
    assert (last.returncode, bench.written(), summary_of(last)) == (0, reference, summary)


# --- interrupted


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_says_how_to_go_on(
    number: signal.Signals, workers: int, bench: Bench, write_rows: Write
) -> None:
    write_rows(numbered(600))
    reference, summary = bench.reference()
    rng = random.Random(number * 10 + workers)
    for _ in range(2):
        there = bench.ids()
        bench.forget()
        process = bench.start("--workers", workers)
        goal = 20 + rng.randrange(150)
        wait_for(lambda goal=goal: len(bench.calls()) >= goal, process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert output == b""
        assert b"Traceback" not in errors
        assert errors.decode().splitlines()[-1] == (
            "rlvr score: stopped. out.jsonl holds what was scored so far; give the same command again to continue."
        )
        written = bench.written()
        assert written.endswith(b"\n")
        assert reference.startswith(written)
        assert there < bench.ids()
        if workers == 0:  # judged and written one by one: only the one under way is lost
            assert len(bench.ids()) >= len(there) + len(bench.calls()) - 1
    last = bench.rlvr(*bench.command())
    assert (last.returncode, bench.written(), summary_of(last)) == (0, reference, summary)


def test_ctrl_c_reaches_the_whole_group_as_on_a_terminal(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(600))
    process = bench.start("--workers", 2, start_new_session=True)
    wait_for(lambda: len(bench.calls()) >= 50, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert b"give the same command again to continue" in errors
    assert bench.written().endswith(b"\n")


def test_without_an_out_an_interrupted_run_says_so(bench: Bench, write_rows: Write, start: Start) -> None:
    process = start("score", "-", "--json", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(dump_line({"id": 1, "completion": "A: 4", "answer": "4"}))
    process.stdin.flush()
    said = process.stderr.readline()  # the columns: it has begun
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b"")
    assert said.startswith(b"standard input: completion = completion")
    assert errors.decode().split("\n", 1)[1] == (
        "rlvr score: stopped. Nothing was written; with --out FILE a stopped run can continue.\n"
    )


# --- cut


VARIED: list[Row] = [
    {
        "id": "a",
        "completions": [r"\boxed{4}", r"\boxed{5}", "nothing"],
        "answer": "4",
        "score": [1, 0, None],
        "all": [1, 2],
    },
    {"id": "b", "completions": ["\ud800 A: 一", "A: 4"], "answer": "", "n": [0.1, 1e300]},  # not judged, with a detail
    {"id": "c", "completions": ["A: 4"], "answer": 4, "status": "theirs", "detail": {"a": None}, "sample": 7},
    {"id": "a", "completions": [r"\boxed{4}"], "answer": "4"},
    {"id": "d", "completions": ["x" * 3000, ""], "answer": "4", "finish_reasons": ["length", "stop"]},
]


@pytest.fixture
def score_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Any]]:
    """`rlvr score …` in this process: (exit code, summary or None, what was said)."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, Row | None, str]:
        code = main(["score", *map(str, arguments), "--json"])
        printed = capsys.readouterr()
        summary = json.loads(printed.out) if printed.out else None
        if summary is not None:
            del summary["seconds"]
        return code, summary, printed.err

    yield run
    signal.signal(signal.SIGTERM, before)


def varied_input(write_rows: Write) -> list[str]:
    """Three files with lists, odd values and bad rows."""
    nan = b'{"id": "n", "completions": ["A: 4"], "answer": "4", "x": NaN, "y": [Infinity]}\n'
    write_rows(b"".join(map(dump_line, VARIED[:2])) + b"not a row\n" + nan, "one.jsonl")
    write_rows(b"\n\n" + dump_line(VARIED[2]), "two.jsonl")
    write_rows(b"".join(map(dump_line, VARIED[3:])) + b"{}\n", "three.jsonl")
    return ["one.jsonl", "two.jsonl", "three.jsonl", "--skip-bad-rows"]


@pytest.mark.parametrize("more", [[], ["--no-text"], ["--option", "extract=any"]], ids=["text", "no text", "option"])
def test_wherever_the_output_was_cut_the_end_is_the_same(
    more: list[str], score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    arguments = [*varied_input(write_rows), *more, "--out", "out.jsonl"]
    code, summary, _ = score_here(*arguments)
    reference = out.read_bytes()
    assert (code, summary["samples"], summary["bad_rows"]) == (0, 10, 2)
    ends = [i + 1 for i, byte in enumerate(reference) if byte == 10]
    places = {0, 1, *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}
    places |= set(random.Random(7).sample(range(len(reference)), 25))
    for place in sorted(places):
        out.write_bytes(reference[:place])
        code, again, said = score_here(*arguments)
        assert code == 0, said
        assert out.read_bytes() == reference, place
        assert again == summary, place
        whole = sum(end <= place for end in ends)
        assert (f"continuing out.jsonl: {whole} samples are there already" in said) == (whole > 0)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_tail_of_rubbish_without_a_line_end_is_a_cut_line(
    data: st.DataObject, score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    arguments = [*varied_input(write_rows), "--out", "out.jsonl"]
    for path in (out, tmp_path / "out.jsonl.run.json"):
        path.unlink(missing_ok=True)
    assert score_here(*arguments)[0] == 0
    reference = out.read_bytes()
    lines = reference.splitlines(keepends=True)
    kept = data.draw(st.integers(0, len(lines)))
    rubbish = data.draw(st.binary(max_size=40)).replace(b"\n", b"")
    out.write_bytes(b"".join(lines[:kept]) + rubbish)
    assert score_here(*arguments)[0] == 0
    assert out.read_bytes() == reference


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], b"\0" * 40 + b"\n", *lines[2:]],
        lambda lines: [lines[0], lines[1][:20] + b"\n", *lines[2:]],
        lambda lines: [lines[0], b"\n", *lines[1:]],
        lambda lines: [b"[]\n", *lines],
        lambda lines: [b'{"id": "0"}\n', *lines],
        lambda lines: [lines[0].replace(b'"score":', b'"score":"x","was":'), *lines[1:]],
        lambda lines: [lines[0].replace(b'"status":"', b'"status":"un'), *lines[1:]],
        lambda lines: [b"[" * 100_000 + b"\n", *lines],
        lambda lines: [*lines[1:], lines[0]],
        lambda lines: [lines[1], *lines[1:]],
        lambda lines: [*lines, lines[-1]],
    ],
    ids=["zeros", "cut in the middle", "blank line", "a list", "no verdict", "score is text", "unknown status", "deep",
         "another order", "a row twice", "a row too many"],
)  # fmt: skip
def test_an_output_that_was_changed_is_refused_and_left_alone(
    damage: Callable[[list[bytes]], list[bytes]], score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    write_rows([{"id": i, "completion": f"A: {i}", "answer": "4"} for i in range(6)])
    arguments = ["in.jsonl", "--out", "out.jsonl", "--quiet"]
    assert score_here(*arguments)[0] == 0
    damaged = b"".join(damage(out.read_bytes().splitlines(keepends=True)))
    out.write_bytes(damaged)
    code, _, said = score_here(*arguments)
    assert code == 2, said
    assert said.startswith("rlvr score: out.jsonl:")
    assert said.count("\n") == 1
    assert out.read_bytes() == damaged


# --- complete


def test_a_complete_run_judges_nothing_again(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(100))
    reference, summary = bench.reference()
    first = bench.rlvr(*bench.command())
    assert sorted(bench.calls(), key=int) == [str(i) for i in range(100)]
    bench.forget()
    for more in ([], ["--workers", "0"], ["--workers", "3"]):
        again = bench.rlvr(*bench.command(*more))
        assert bench.calls() == []
        assert "continuing out.jsonl: 100 samples are there already" in again.stderr
        assert bench.written() == reference
        assert summary_of(again) == summary_of(first) == summary


def test_a_copy_of_the_files_elsewhere_is_the_same_run(bench: Bench, write_rows: Write, tmp_path: Path) -> None:
    """The output, the input and the verifier were moved to another machine."""
    write_rows(numbered(20))
    assert bench.rlvr(*bench.command()).returncode == 0
    bench.forget()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (bench.out, bench.folder / "out.jsonl.run.json", bench.folder / "in.jsonl"):
        shutil.copyfile(path, elsewhere / path.name)
    run = bench.rlvr("score", "elsewhere/in.jsonl", "--verifier", "mine:slow", "--out", "elsewhere/out.jsonl")
    assert run.returncode == 0, run.stderr
    assert bench.calls() == []


def test_a_parquet_input_is_continued(score_here: Callable[..., Any], tmp_path: Path) -> None:
    """With the types that JSON has not: they were written as text, and are the same row all the same."""
    columns = {
        "id": ["a", "b", "c"],
        "completion": ["A: 4"] * 3,
        "answer": ["4", "5", ""],
        "when": pyarrow.array([0, 1, None], pyarrow.timestamp("us")),
        "raw": [b"\xff", b"", None],
        "x": [float("nan"), 1.5, None],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    out = tmp_path / "out.jsonl"
    assert score_here("in.parquet", "--out", "out.jsonl")[0] == 0
    reference = out.read_bytes()
    for kept in range(4):
        out.write_bytes(b"".join(reference.splitlines(keepends=True)[:kept]))
        code, _, said = score_here("in.parquet", "--out", "out.jsonl")
        assert code == 0, said
        assert out.read_bytes() == reference


# --- standard input


def test_standard_input_is_continued(score_here: Callable[..., Any], bench: Bench, write_rows: Write) -> None:
    data = write_rows(numbered(200)).read_bytes()
    arguments = ["score", "-", "--verifier", "mine:slow", "--out", "out.jsonl", "--json"]
    first = bench.rlvr(*arguments, stdin=data)
    reference = bench.written()
    assert len(bench.calls()) == 200
    for kept in (0, 1, 77, 200):
        bench.forget()
        lines = reference.splitlines(keepends=True)
        bench.out.write_bytes(b"".join(lines[:kept]) + (lines[kept][:9] if kept < 200 else b""))
        again = bench.rlvr(*arguments, stdin=data)
        assert again.returncode == 0, again.stderr
        assert sorted(bench.calls(), key=int) == [str(i) for i in range(kept, 200)]
        assert bench.written() == reference
        assert summary_of(again) == summary_of(first)


def test_a_longer_standard_input_adds_to_the_output(bench: Bench, write_rows: Write) -> None:
    """The model was still writing when its samples were scored for the first time."""
    lines = write_rows(numbered(60)).read_bytes().splitlines(keepends=True)
    arguments = ["score", "-", "--verifier", "mine:slow", "--out", "out.jsonl"]
    assert bench.rlvr(*arguments, stdin=b"".join(lines[:25])).returncode == 0
    bench.forget()
    assert bench.rlvr(*arguments, stdin=b"".join(lines)).returncode == 0
    assert sorted(bench.calls(), key=int) == [str(i) for i in range(25, 60)]
    assert bench.ids() == {str(i) for i in range(60)}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda rows: rows[:3], 4),
        (lambda rows: [], 1),
        (lambda rows: rows[1:], 1),
        (lambda rows: [*rows[:2], {**rows[2], "id": 99}, *rows[3:]], 3),
        (lambda rows: [*rows[:4], {**rows[4], "completion": "other"}], 5),
        (lambda rows: [{**rows[0], "own": "other"}, *rows[1:]], 1),
    ],
    ids=["shorter", "empty", "the first is gone", "another id", "another completion", "another column"],
)
def test_a_standard_input_that_differs_is_refused(
    change: Callable[[list[Row]], list[Row]], place: int, bench: Bench, write_rows: Write
) -> None:
    rows = numbered(5)
    arguments = ["score", "-", "--verifier", "mine:slow", "--out", "out.jsonl", "--quiet"]
    assert bench.rlvr(*arguments, stdin=write_rows(rows).read_bytes()).returncode == 0
    written = bench.written()
    run = bench.rlvr(*arguments, stdin=write_rows(change(rows)).read_bytes())
    assert run.returncode == 2
    assert run.stderr.startswith(f"rlvr score: out.jsonl:{place}: holds problem ")
    assert run.stderr.count("\n") == 1
    assert bench.written() == written


# --- another run


PARTIAL = r"""
from functools import partial
from rlvr.verifiers import verify_format, verify_math, weighted
reward = partial(verify_math, extract="box")
sum = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
"""

CHANGES: list[tuple[str, list[str], dict[str, tuple[str, str]], list[str], list[str]]] = [
    # what; the options; edits of files (old, new); the options then; what must be shown
    ("a row more", [], {"in.jsonl": ("{", '{"id":9,"completion":"A: 4","answer":"4"}\n{')}, [], ["inputs", "in.jsonl"]),
    ("a row of the same length", [], {"in.jsonl": ("A: 1", "A: 2")}, [], ["inputs"]),
    ("white space", [], {"in.jsonl": ("{", " {")}, [], ["inputs"]),
    ("another name", ["in.jsonl"], {}, ["copy.jsonl"], ["inputs", "in.jsonl", "copy.jsonl"]),
    ("a file more", ["in.jsonl"], {}, ["in.jsonl", "copy.jsonl"], ["inputs", "copy.jsonl"]),
    ("a file less", ["in.jsonl", "copy.jsonl"], {}, ["in.jsonl"], ["inputs", "copy.jsonl"]),
    ("another order", ["in.jsonl", "copy.jsonl"], {}, ["copy.jsonl", "in.jsonl"], ["inputs"]),
    ("another verifier", [], {}, ["--verifier", "format"], ["verifier", "'math'", "'format'"]),
    ("an option", [], {}, ["--option", "extract=any"], ["verifier", "'extract': 'any'"]),
    ("another option", ["--option", "extract=box"], {}, ["--option", "extract=any"], ["'box'", "'any'"]),
    ("an option less", ["--option", "extract=box"], {}, [], ["verifier", "'box'"]),
    ("a column", [], {}, ["--answer-field", "gt"], ["fields", "'gt'"]),
    ("no text", [], {}, ["--no-text"], ["with_text", "True then, False now"]),
    ("bad rows", [], {}, ["--skip-bad-rows"], ["skip_bad_rows", "False then, True now"]),
    ("the deadline", [], {}, ["--timeout", "7"], ["timeout_s", "60.0 then, 7.0 now"]),
    ("the version", [], {"out.jsonl.run.json": ('"rlvr": "', '"rlvr": "0.0.')}, [], ["rlvr", "0.0."]),
    ("the verifier's source", ["--verifier", "mine:slow"], {"mine.py": ("% 3", "% 2")}, ["--verifier", "mine:slow"],
     ["verifier"]),
    ("a source that the module takes it from", ["--verifier", "package:slow"], {"package/inner.py": ("% 3", "% 2")},
     ["--verifier", "package:slow"], ["verifier"]),
    ("a bound option in the source", ["--verifier", "bound:reward"], {"bound.py": ('"box"', '"any"')},
     ["--verifier", "bound:reward"], ["verifier"]),
    ("a weight in the source", ["--verifier", "bound:sum"], {"bound.py": ("0.1", "0.9")}, ["--verifier", "bound:sum"],
     ["verifier"]),
]  # fmt: skip


@pytest.mark.parametrize(("before", "edits", "after", "shown"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_run_that_differs_is_refused_with_the_difference(
    before: list[str], edits: dict[str, tuple[str, str]], after: list[str], shown: list[str],
    bench: Bench, score_here: Callable[..., Any], write_rows: Write,
) -> None:  # fmt: skip
    rows = [{"id": i, "completion": f"A: {i}", "answer": "4", "gt": "4"} for i in range(6)]
    write_rows(rows)
    write_rows(rows, "copy.jsonl")
    (bench.folder / "bound.py").write_text(PARTIAL, encoding="utf-8")
    (bench.folder / "package").mkdir()
    (bench.folder / "package" / "__init__.py").write_text("from .inner import slow\n", encoding="utf-8")
    (bench.folder / "package" / "inner.py").write_text(SLOW, encoding="utf-8")

    def run(given: list[str]) -> tuple[int, str]:
        files = [] if given and given[0].endswith(".jsonl") else ["in.jsonl"]
        arguments = [*files, *given, "--out", "out.jsonl", "--quiet"]
        if "--verifier" not in before:  # a module that changes needs a process of its own
            code, _, said = score_here(*arguments)
            return code, said
        process = bench.rlvr("score", *arguments)
        return process.returncode, process.stderr

    assert run(before) == (0, "")
    assert run(before) == (0, "")  # unchanged, it goes on
    written = bench.written()
    for name, (old, new) in edits.items():
        path = bench.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    code, said = run(after)
    assert code == 2, said
    assert said.startswith("rlvr score: out.jsonl: holds another run, which this one cannot continue")
    assert "Traceback" not in said
    for text in shown:
        assert text in said
    assert "Choose another --out, or remove out.jsonl and out.jsonl.run.json" in said
    assert bench.written() == written


def test_a_row_changed_in_the_middle_of_a_long_file_is_noticed(
    score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    """The fingerprint looks at both ends; the rows that were written are compared one by one."""
    rows = [{"id": i, "completion": "x" * 500_000 + " A: 4", "answer": "4"} for i in range(24)]
    path = write_rows(rows)
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    size = path.stat().st_size
    rows[12]["completion"] = rows[12]["completion"].replace("A: 4", "A: 5")
    assert write_rows(rows).stat().st_size == size
    code, _, said = score_here("in.jsonl", "--out", "out.jsonl", "--quiet")
    assert code == 2
    assert said.startswith("rlvr score: out.jsonl:13: holds problem '12', which is not what the input has there")
    assert (tmp_path / "out.jsonl").read_bytes() == before


# --- somebody else's file


@pytest.mark.parametrize("content", [b"important\n", b"{}\n", b"x", b"\n"])
def test_a_file_of_somebody_elses_is_refused(
    content: bytes, score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    out = tmp_path / "out.jsonl"
    out.write_bytes(content)
    code, _, said = score_here("in.jsonl", "--out", "out.jsonl", "--quiet")
    assert code == 2
    assert said.startswith("rlvr score: out.jsonl: exists and ")
    assert "choose another --out or remove it" in said
    assert said.count("\n") == 1
    assert out.read_bytes() == content
    assert not (tmp_path / "out.jsonl.run.json").exists()


def test_the_input_as_output_is_refused(score_here: Callable[..., Any], write_rows: Write) -> None:
    path = write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    before = path.read_bytes()
    assert score_here("in.jsonl", "--out", "in.jsonl")[0] == 2
    assert path.read_bytes() == before


def test_our_own_output_as_input_and_output_at_once_is_refused(
    score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    assert score_here("out.jsonl", "--out", "out.jsonl")[0] == 2
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_an_empty_file_may_be_written_to(score_here: Callable[..., Any], write_rows: Write, tmp_path: Path) -> None:
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    (tmp_path / "out.jsonl").touch()  # as mktemp leaves it
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("manifest", [b"", b'{"rlvr": ', b"\xff\xfe", b"[]", b"null"])
def test_a_manifest_that_is_broken(
    manifest: bytes, score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl.run.json").write_bytes(manifest)
    code, _, said = score_here("in.jsonl", "--out", "out.jsonl", "--quiet")
    assert code == 2
    assert said.startswith("rlvr score: out.jsonl")
    assert "remove" in said
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_manifest_that_was_cut_beside_an_output_without_rows(
    score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    """A run that was killed in its first moment: there is nothing to lose and nothing to remove by hand."""
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    (tmp_path / "out.jsonl").touch()
    (tmp_path / "out.jsonl.run.json").write_bytes(b'{"rlvr": ')
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0


def test_an_output_without_its_manifest_is_refused(
    score_here: Callable[..., Any], write_rows: Write, tmp_path: Path
) -> None:
    write_rows([{"id": 1, "completion": "A: 4", "answer": "4"}])
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl.run.json").unlink()
    assert score_here("in.jsonl", "--out", "out.jsonl")[0] == 2
    assert (tmp_path / "out.jsonl").read_bytes() == before


# --- two at once


def test_a_second_run_on_the_same_output_is_refused(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(400))
    reference, summary = bench.reference()
    first = bench.start()
    wait_for(lambda: len(bench.calls()) >= 5, first)
    second = bench.rlvr(*bench.command("--quiet"))
    assert first.poll() is None
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == "rlvr score: out.jsonl: another run is writing to it\n"
    output, errors = first.communicate(timeout=120)
    assert first.returncode == 0, errors
    assert bench.written() == reference
    assert summary_of(subprocess.CompletedProcess([], 0, output.decode())) == summary


def test_the_lock_goes_with_a_killed_run_while_its_workers_still_work(bench: Bench, write_rows: Write) -> None:
    write_rows(numbered(10))
    process = bench.start("--workers", 2, pause_s=5)
    wait_for(lambda: len(bench.calls()) >= 1, process)
    process.kill()
    process.wait(60)
    again = bench.rlvr(*bench.command())
    assert again.returncode == 0, again.stderr
    assert len(bench.ids()) == 10


def test_two_that_open_a_new_output_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one looked before the first one made the file: it must not empty what the first wrote since."""
    path = tmp_path / "out.jsonl"
    first = ScoredFile(path, {"run": 1}, with_text=True)
    path.write_bytes(b"a row\n")
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with pytest.raises(UsageError, match="another run is writing to it"):
        ScoredFile(path, {"run": 1}, with_text=True)
    assert path.read_bytes() == b"a row\n"
    first.close()
