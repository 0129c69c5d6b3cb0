"""`rlvr score` from end to end: what is printed, what is written, and what happens to whatever is wrong."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import zstandard
from pyarrow import parquet
from rlvr.evals.cli import main
from rlvr.evals.files import Row, dump_line
from rlvr.evals.summary import summarise
from rlvr.evals.tally import Tally
from rlvr.verifiers import equivalent
from rlvr.verifiers.types import STATUSES, Verdict

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]

VERDICT = ["id", "sample", "score", "status", "reason", "extracted", "parts"]


def row(id: object, answer: str, gold: object = "4", **more: object) -> Row:
    return {"id": id, "completion": rf"so \boxed{{{answer}}}", "answer": gold, **more}


# Two problems, two samples each: 4 right, 5 wrong; 7 wrong, nothing found.
ROWS = [row("p", "4"), row("q", "7"), row("p", "5"), {**row("q", "x"), "completion": "I do not know"}]


def read_out(path: Path) -> list[Row]:
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's folder as this process's own, for `main` called directly."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def summary_of(run: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 1
    return json.loads(run.stdout)


def deepest(read: Callable[[int], object]) -> int:
    """The deepest nesting that this Python's `json` reads."""
    low, high = 1, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        try:
            read(middle)
            low = middle
        except RecursionError:
            high = middle
    return low


def complaint(run: "subprocess.CompletedProcess[str]") -> str:
    """The one line that a run with --quiet ends with when something is the user's to mend."""
    assert run.returncode == 2, (run.returncode, run.stderr)
    assert run.stdout == ""
    [line] = run.stderr.splitlines()
    assert line.startswith("rlvr score: ")
    assert "Traceback" not in line
    return line.removeprefix("rlvr score: ")


# --- what is printed


def test_the_table(rlvr: Rlvr, write_rows: Write) -> None:
    run = rlvr("score", write_rows(ROWS).name)
    assert run.returncode == 0
    text = run.stdout
    assert "4 samples of 2 problems (2 each), judged by math in " in text
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines() if line.strip()}
    assert "25.000 %" in lines["score (pass@1)"]
    assert "50.000 %" in lines["pass@2"]
    assert "2 ties (100.0%)" in lines["cons@2"] or "1 ties (50.0%)" in lines["cons@2"]
    assert lines["correct"].split()[1:3] == ["1", "25.0%"]
    assert lines["wrong"].split()[1:5] == ["2", "50.0%", "different_number", "2"]
    assert lines["unextracted"].split()[1:5] == ["1", "25.0%", "no_answer", "1"]
    assert lines["not judged"].split()[2:4] == ["0", "0.0%"]
    assert run.stderr == "in.jsonl: completion = completion, answer = answer, id = id\n"


def test_the_json_object(rlvr: Rlvr, write_rows: Write) -> None:
    run = rlvr("score", write_rows(ROWS).name, "--json")
    summary = summary_of(run)
    assert (summary["problems"], summary["samples"], summary["not_judged"], summary["bad_rows"]) == (2, 4, 0, 0)
    assert summary["status"] == {**dict.fromkeys(STATUSES, 0), "correct": 1, "wrong": 2, "unextracted": 1}
    assert summary["score"]["mean"] == summary["pass@k"]["1"]["mean"] == 0.25
    assert summary["pass@k"]["2"]["mean"] == 0.5
    assert list(summary["pass@k"]) == ["1", "2"]
    assert set(summary["pass@k"]["2"]) == {"mean", "stderr", "ci95", "ci95_bca"}
    # p: 4 and 5 tie, one of them right; q: 7 is the only vote.
    assert summary["cons@k"]["2"]["mean"] == 0.25
    assert summary["cons@k"]["2"]["tie_rate"] == 0.5
    assert set(summary["cons@k"]["2"]) >= {"mean", "ci95", "tie_rate"}
    columns = {"completion": "completion", "answer": "answer", "id": "id"}
    assert summary["files"] == [{"name": "in.jsonl", "columns": columns}]
    assert summary["verifier"] == "math"
    assert run.stderr == "in.jsonl: completion = completion, answer = answer, id = id\n"


def test_quiet_says_nothing_but_the_result(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    run = rlvr("score", write_rows(ROWS), "--json", "--quiet", "--out", out)
    assert summary_of(run)["samples"] == 4
    assert run.stderr == ""


def test_called_as_a_function(here: Path, write_rows: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(ROWS)
    assert main(["score", "in.jsonl", "--json", "--out", "out.jsonl"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["samples"] == 4
    assert printed.err.splitlines()[-1] == "wrote out.jsonl"
    assert len(read_out(here / "out.jsonl")) == 4
    assert main(["score", "missing.jsonl"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "rlvr score: missing.jsonl: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["score", "--help"], ["--version"]])
def test_help_is_there(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(arguments)
    except SystemExit as end:  # as argparse does
        code = end.code
    assert code in (0, None)
    assert "rlvr" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["score"], ["score", "a", "--workers", "-1"], ["score", "a", "--workers", "x"], ["score", "a", "--timeout", "0"],
     ["score", "a", "--timeout", "nan"], ["score", "a", "--report-samples", "-1"], ["score", "a", "--nonsense"],
     ["nonsense"]],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_nothing_in_a_pipe_but_text(options: list[str], rlvr: Rlvr, write_rows: Write) -> None:
    run = rlvr("score", write_rows([row(i, "4") for i in range(1000)]), "--out", "out.jsonl", *options)
    assert run.returncode == 0
    for text in (run.stdout, run.stderr):
        assert not {"\x1b", "\r", "\b"} & set(text)
    assert len(run.stderr.splitlines()) == 2  # the columns and the name of the output: no bar


def test_a_bar_on_a_terminal_goes_to_the_terminal_alone(start: Callable[..., Any], write_rows: Write) -> None:
    master, terminal = os.openpty()
    process = start("score", write_rows([row(i, "4") for i in range(500)]), "--json", stderr=terminal)
    os.close(terminal)
    output, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while chunk := os.read(master, 1 << 16):
            shown += chunk
    except OSError:  # how Linux says that the other side of a terminal is gone
        pass
    os.close(master)
    assert process.returncode == 0
    assert json.loads(output)["samples"] == 500
    assert b"scoring" in shown
    assert b"\x1b[" in shown


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_a_reader_who_left(options: list[str], start: Callable[..., Any], write_rows: Write, out: Path) -> None:
    """`rlvr score … | head -1`, with a head that has gone already."""
    reading, writing = os.pipe()
    os.close(reading)
    process = start("score", write_rows(ROWS), "--out", out, "--quiet", *options, stdout=writing)
    os.close(writing)
    _, errors = process.communicate(timeout=60)
    assert errors == b""
    assert process.returncode == 0
    assert len(read_out(out)) == 4


# --- what is written


def test_the_rows_of_out(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    rows: list[Row] = [{"question": "?", **row(f"p{i}", answer, deep={"a": [1, None]}, n=1.5, text2="一 é \ud800")}
                       for i, answer in enumerate(["4", "5"])]  # fmt: skip
    run = rlvr("score", write_rows(rows), "--out", out)
    assert run.returncode == 0
    assert run.stderr.splitlines()[-1] == f"wrote {out}"
    written = read_out(out)
    own = ["question", "completion", "answer", "deep", "n", "text2"]
    assert [list(r) for r in written] == [own + VERDICT] * 2
    for given, got in zip(rows, written, strict=True):
        assert {name: got[name] for name in [*own, "id"]} == given
    verdicts = [{name: r[name] for name in VERDICT} for r in written]
    assert verdicts == [
        {"id": "p0", "sample": 0, "score": 1.0, "status": "correct", "reason": "same_text", "extracted": "4",
         "parts": {}},
        {"id": "p1", "sample": 0, "score": 0.0, "status": "wrong", "reason": "different_number", "extracted": "5",
         "parts": {}},
    ]  # fmt: skip


def test_samples_are_numbered_within_their_problem(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    assert rlvr("score", write_rows(ROWS), "--out", out).returncode == 0
    assert [(r["id"], r["sample"]) for r in read_out(out)] == [("p", 0), ("q", 0), ("p", 1), ("q", 1)]


def test_a_list_becomes_a_row_per_sample(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    rows: list[Row] = [
        {"idx": i, "code": ["A: 4", "A: 5"], "answer": 4, "pred": ["4", "5"], "level": ["l"], "score": [True, False]}
        for i in range(2)
    ]
    assert summary_of(rlvr("score", write_rows(rows), "--out", out, "--json"))["samples"] == 4
    columns = ("id", "sample", "code", "pred", "level", "input_score", "score")
    assert [tuple(r[name] for name in columns) for r in read_out(out)] == [
        ("0", 0, "A: 4", "4", ["l"], True, 1.0), ("0", 1, "A: 5", "5", ["l"], False, 0.0),
        ("1", 0, "A: 4", "4", ["l"], True, 1.0), ("1", 1, "A: 5", "5", ["l"], False, 0.0),
    ]  # fmt: skip


def test_the_inputs_own_verdict_is_kept_beside_ours(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    theirs: Row = {"score": 0.5, "status": "ok", "reason": None, "extracted": "9", "parts": [1], "detail": {"a": 1}}
    assert rlvr("score", write_rows([row("p", "4", **theirs)]), "--out", out).returncode == 0
    [got] = read_out(out)
    assert {name: got[f"input_{name}"] for name in theirs} == theirs
    assert (got["score"], got["status"], got["extracted"], got["parts"]) == (1.0, "correct", "4", {})
    assert got.get("detail") is None


def test_an_id_of_the_input_that_is_not_the_problems_is_kept(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    rows = [row(f"row {i}", "4", problem="?") for i in range(2)]
    assert rlvr("score", write_rows(rows), "--id-field", "problem", "--out", out).returncode == 0
    assert [(r["id"], r["sample"], r["input_id"]) for r in read_out(out)] == [("?", 0, "row 0"), ("?", 1, "row 1")]


def test_columns_that_were_renamed_before_are_not_overwritten(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    rows = [row("p", "4", input_score="a", score="b", input_input_score="c")]
    assert rlvr("score", write_rows(rows), "--out", out).returncode == 0
    [got] = read_out(out)
    values = [value for name, value in got.items() if name.endswith("score") and name != "score"]
    assert sorted(values) == ["a", "b", "c"]
    assert rlvr("score", write_rows(rows), "--out", out).returncode == 0  # and the run can be continued


def test_our_own_output_is_scored_again(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    assert rlvr("score", write_rows([*ROWS, row("r", "4", gold="")]), "--out", "first.jsonl").returncode == 0
    assert rlvr("score", "first.jsonl", "--out", "second.jsonl").returncode == 0
    assert (tmp_path / "second.jsonl").read_bytes() == (tmp_path / "first.jsonl").read_bytes()


def test_an_earlier_verdict_leaves_nothing_behind(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    """The gold was mended between the two runs: the detail of the first verdict says what no longer holds."""
    assert rlvr("score", write_rows([row("r", "4", gold="")]), "--out", "first.jsonl").returncode == 0
    [first] = read_out(tmp_path / "first.jsonl")
    assert "gold" in first["detail"]
    write_rows([{**first, "answer": "4"}], "mended.jsonl")
    assert rlvr("score", "mended.jsonl", "--out", "second.jsonl").returncode == 0
    [second] = read_out(tmp_path / "second.jsonl")
    assert second["status"] == "correct"
    assert "detail" not in second
    assert [name for name in second if name.startswith("input_")] == []


def test_no_text(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    assert rlvr("score", write_rows(ROWS), "--out", out, "--no-text").returncode == 0
    assert [list(r) for r in read_out(out)] == [VERDICT] * 4
    assert [r["score"] for r in read_out(out)] == [1.0, 0.0, 0.0, 0.0]


def test_how_deep_a_row_may_be_does_not_hang_on_who_reads_it(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    """Python's own limit counts the frames around the call: one that reads again reads a little more, or less."""
    limit = deepest(lambda depth: json.loads("[" * depth + "]" * depth))
    depths = [*range(limit + 50, limit - 150, -1), *range(1, 21), *range(limit - 150, limit + 50)]
    path = write_rows(
        b"".join(
            b'{"id":%d,"completion":"A: 4","answer":"4","a":%b%b}\n' % (i, b"[" * depth, b"]" * depth)
            for i, depth in enumerate(depths)
        )
    )
    arguments = ["score", path, "--out", out, "--skip-bad-rows", "--json"]
    summary = summary_of(rlvr(*arguments))
    assert summary["samples"] + summary["bad_rows"] == len(depths)
    assert summary["samples"] >= 20
    written = out.read_bytes()
    assert written.count(b"\n") == summary["samples"]
    for kept in (summary["samples"], summary["samples"] // 2):
        out.write_bytes(b"".join(written.splitlines(keepends=True)[:kept]))
        again = summary_of(rlvr(*arguments))
        assert (again["samples"], again["bad_rows"]) == (summary["samples"], summary["bad_rows"])
        assert out.read_bytes() == written


@pytest.mark.parametrize(
    ("name", "said"),
    [("out.jsonl.gz", "plain JSON lines"), ("out.zst", "plain JSON lines"), ("out.parquet", "plain JSON lines"),
     ("missing/out.jsonl", "No such file or directory"), ("/dev/stdout", "")],
)  # fmt: skip
def test_an_out_that_cannot_be_written(name: str, said: str, rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    message = complaint(rlvr("score", write_rows(ROWS), "--quiet", "--out", name))
    assert message.startswith(f"{name}: ")
    assert said in message
    assert not message.endswith("None")


# --- what is read


def test_several_files_are_one_run(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    write_rows(ROWS[:2], "seed0.jsonl")
    write_rows([{"id": r["id"], "response": r["completion"], "gold": r["answer"]} for r in ROWS[2:]], "seed1.jsonl")
    run = rlvr("score", "seed0.jsonl", "seed1.jsonl", "--json", "--out", out)
    summary = summary_of(run)
    assert (summary["problems"], summary["samples"], list(summary["pass@k"])) == (2, 4, ["1", "2"])
    assert [file["name"] for file in summary["files"]] == ["seed0.jsonl", "seed1.jsonl"]
    assert summary["files"][1]["columns"] == {"completion": "response", "answer": "gold", "id": "id"}
    assert run.stderr.splitlines()[:2] == [
        "seed0.jsonl: completion = completion, answer = answer, id = id",
        "seed1.jsonl: completion = response, answer = gold, id = id",
    ]
    assert [(r["id"], r["sample"]) for r in read_out(out)] == [("p", 0), ("q", 0), ("p", 1), ("q", 1)]


def test_columns_are_said_once_when_the_files_agree(rlvr: Rlvr, write_rows: Write) -> None:
    names = [write_rows(ROWS, f"seed{i}.jsonl").name for i in range(4)]
    assert len(rlvr("score", *names).stderr.splitlines()) == 1


def test_line_numbers_start_again_in_each_file(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(ROWS, "a.jsonl")
    write_rows(b'{"id": "p"}\n', "b.jsonl")
    assert complaint(rlvr("score", "a.jsonl", "b.jsonl", "--quiet")).startswith("b.jsonl:1: no column")


def test_a_file_without_rows_among_others_is_not_passed_over_in_silence(rlvr: Rlvr, write_rows: Write) -> None:
    """The seed that crashed: who pools four seeds must hear that there were three."""
    names = [write_rows(ROWS, "a.jsonl").name, write_rows(b"", "empty.jsonl").name, write_rows(ROWS, "c.jsonl").name]
    assert "empty.jsonl" in rlvr("score", *names).stderr


STREAMS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "CRLF and byte order mark": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS)
def test_standard_input_and_files_give_the_same(stream: str, rlvr: Rlvr, write_rows: Write) -> None:
    data = STREAMS[stream](write_rows(ROWS).read_bytes())
    runs = [rlvr("score", "-", "--json", stdin=data), rlvr("score", write_rows(data, "in.whatever").name, "--json")]
    names = ["standard input", "in.whatever"]
    for run, name in zip(runs, names, strict=True):
        summary = summary_of(run)
        assert summary["score"]["mean"] == 0.25
        assert summary["files"][0]["name"] == name
        assert run.stderr.startswith(f"{name}: completion = completion")


def test_a_parquet_file(rlvr: Rlvr, tmp_path: Path, out: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "in.parquet")
    summary = summary_of(rlvr("score", "in.parquet", "--json", "--out", out))
    assert (summary["samples"], summary["score"]["mean"]) == (4, 0.25)
    assert [r["completion"] for r in read_out(out)] == [r["completion"] for r in ROWS]


@pytest.mark.parametrize("options", [[], ["--out", "out.jsonl"]], ids=["summary", "out"])
def test_a_path_that_is_a_pipe(options: list[str], start: Callable[..., Any], write_rows: Write) -> None:
    """`rlvr score <(zcat rows.gz)`"""
    data = write_rows(ROWS).read_bytes()
    process = start("score", "/dev/stdin", "--json", *options, stdin=subprocess.PIPE)
    output, errors = process.communicate(data, timeout=60)
    assert process.returncode == 0, errors.decode()
    assert json.loads(output)["samples"] == 4


def test_no_standard_input_at_all(tmp_path: Path, environment: dict[str, str]) -> None:
    script = "exec <&-; exec \"$0\" -c 'import sys; from rlvr.evals.cli import main; sys.exit(main())' score - --quiet"
    run = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("rlvr score: standard input")
    assert len(run.stderr.splitlines()) == 1


def test_a_completion_of_50_mb(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    long = row("long", "4")
    long["completion"] = "so it goes on, " * (50_000_000 // 15) + long["completion"]
    summary = summary_of(rlvr("score", write_rows([ROWS[0], long, ROWS[1]]), "--json", "--out", out))
    assert (summary["samples"], summary["status"]["correct"]) == (3, 2)
    assert read_out(out)[1]["completion"] == long["completion"]


def test_overrides(rlvr: Rlvr, write_rows: Write) -> None:
    path = write_rows([{"completion": "A: 1", "answer": "2", "code": "A: 4", "gt": "4", "key": "k", "ask": "?"}])
    fields = ["--completion-field", "code", "--answer-field", "gt", "--id-field", "key", "--prompt-field", "ask"]
    run = rlvr("score", path, *fields, "--json")
    assert summary_of(run)["status"]["correct"] == 1
    assert "completion = code, answer = gt, id = key, prompt = ask" in run.stderr


def test_a_file_that_stands_twice_or_beside_standard_input(rlvr: Rlvr, write_rows: Write) -> None:
    message = complaint(rlvr("score", "-", write_rows(ROWS), "--quiet", stdin=b""))
    assert "cannot be combined" in message


# --- bad input: one clear line, exit code 2, nothing lost


GOOD = [dump_line(row(f"p{i}", "4")) for i in range(5)]


def bad(**columns: object) -> bytes:
    return dump_line({**row("x", "4"), **columns})


CHAT = [{"role": "assistant", "content": "4"}]
BAD_ROWS: list[tuple[str, bytes, str, str]] = [
    # what, the line, the place after the line number, what else must be said
    ("no JSON", b"hello\n", ":1", "not JSON"),
    ("cut JSON", GOOD[0][:30] + b"\n", ":25", "not JSON: Unterminated string"),
    ("a list", b"[1]\n", ":1", "a row is a JSON object, not a list"),
    ("NUL bytes", b'{"completion": "\0"}\n', ":17", "NUL byte"),
    ("only NUL bytes", b"\0\0\0\n", ":1", "not JSON"),
    ("invalid UTF-8", b'{"completion": "\xff"}\n', ":17", "not UTF-8: byte 0xff"),
    ("too deep", b'{"completion":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "", "nested too deeply"),
    ("no completion", b'{"id": "x", "answer": "4"}\n', "", "no column 'completion'; columns here: 'id', 'answer'"),
    ("no gold", b'{"id": "x", "completion": "4"}\n', "", "no column 'answer'; columns here: 'id', 'completion'"),
    ("gold null", bad(answer=None), "", "column 'answer': no gold answer (null)"),
    ("gold a list", bad(answer=["4"]), "", "column 'answer': is a list; a gold answer is text or a number"),
    ("gold an object", bad(answer={}), "", "column 'answer': is an object"),
    ("gold true", bad(answer=True), "", "column 'answer': is true or false"),
    ("completion null", bad(completion=None), "", "column 'completion': is null"),
    ("completion a number", bad(completion=4), "", "column 'completion': is a number"),
    ("completion a list", bad(completion=["4"]), "", "'completion': holds a list of completions, the rows before text"),
    ("completion an empty list", bad(completion=[]), "", "column 'completion': an empty list"),
    ("completion lists in a list", bad(completion=[["4"]]), "", "column 'completion[0]': is a list"),
    ("a chat after text", bad(completion=CHAT), "", "column 'completion': holds a chat message list"),
    ("id null", bad(id=None), "", "column 'id': is null; a problem id is text or a whole number"),
    ("id a fraction", bad(id=1.5), "", "column 'id': is a number; a problem id is text or a whole number"),
    ("id missing", b'{"completion": "4", "answer": "4"}\n', "", "column 'id': is missing"),
    ("an id of another problem", bad(id="p0", answer="5"), "", "problem id 'p0' stood for another problem"),
]  # fmt: skip
# With workers, rows are under way when the bad one is met.
IN_WORKERS = ("no JSON", "invalid UTF-8", "completion a list", "id null", "an id of another problem")
BAD_RUNS = [(*case, "math") for case in BAD_ROWS]
BAD_RUNS += [(*case, "mine:always") for case in BAD_ROWS if case[0] in IN_WORKERS]


@pytest.mark.parametrize(
    ("bad", "place", "said", "verifier"), [c[1:] for c in BAD_RUNS], ids=[f"{c[0]}, {c[4]}" for c in BAD_RUNS]
)
def test_a_bad_row(
    bad: bytes, place: str, said: str, verifier: str, rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    path = write_rows(b"".join([*GOOD[:3], bad, *GOOD[3:]]))
    arguments = ["score", path.name, "--verifier", verifier, "--out", out, "--json"]
    message = complaint(rlvr(*arguments, "--quiet"))
    assert message.startswith(f"in.jsonl:4{place}: ")
    assert said in message
    assert message.isprintable()
    assert [r["id"] for r in read_out(out)] == ["p0", "p1", "p2"]

    out.unlink()
    out.with_name(out.name + ".run.json").unlink()
    run = rlvr(*arguments, "--skip-bad-rows")
    summary = summary_of(run)
    assert (summary["samples"], summary["bad_rows"], summary["status"]["correct"]) == (5, 1, 5)
    assert [r["id"] for r in read_out(out)] == [f"p{i}" for i in range(5)]
    assert [line for line in run.stderr.splitlines() if line.startswith("skipped ")] == [f"skipped {message}"]


def test_bad_rows_are_counted_in_the_table(rlvr: Rlvr, write_rows: Write) -> None:
    run = rlvr("score", write_rows(b"x\n".join(GOOD)), "--skip-bad-rows")
    assert run.returncode == 0
    assert "4 rows could not be read and are not counted above" in run.stdout
    assert "5 samples of 5 problems" in run.stdout


def test_places_are_not_mistaken_for_emoji(rlvr: Rlvr, write_rows: Write) -> None:
    """rich draws `:100:` as a picture unless told not to."""
    run = rlvr("score", write_rows(b"".join([*GOOD, *[b"\n"] * 94, b"x\n"]), "[b]:x:.jsonl").name, "--skip-bad-rows")
    assert "skipped [b]:x:.jsonl:100:1: not JSON" in run.stderr


def test_the_first_row_may_be_bad(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    path = write_rows(b'{"a": 1}\n' + b"".join(GOOD))
    message = complaint(rlvr("score", path.name, "--quiet", "--out", out))
    assert message.startswith("in.jsonl:1: no column for the completion (usual: completion, completions")
    assert "columns here: 'a'. --completion-field picks another" in message
    assert read_out(out) == []
    assert summary_of(rlvr("score", path, "--skip-bad-rows", "--json"))["bad_rows"] == 1


def test_after_a_first_row_that_was_bad_the_same_out_may_be_used(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    """Nothing was written: a wrong option, once mended, must not ask for a file to be removed."""
    path = write_rows([{"id": "p", "text2": "A: 4", "answer": "4"}])
    complaint(rlvr("score", path, "--quiet", "--out", out))
    assert rlvr("score", path, "--out", out, "--completion-field", "text2").returncode == 0
    assert len(read_out(out)) == 1


NO_FILES: list[tuple[str, str, bytes | None, str]] = [
    ("missing", "missing.jsonl", None, "missing.jsonl: No such file or directory"),
    ("a folder", ".", None, ".: is a directory; name the files in it"),
    ("empty", "in.jsonl", b"", "in.jsonl: no rows to score"),
    ("blank", "in.jsonl", b"\n\r\n  \n", "in.jsonl: no rows to score"),
    ("an empty gzip", "in.jsonl.gz", gzip.compress(b""), "in.jsonl.gz: no rows to score"),
    ("UTF-16", "in.jsonl", b"".join(GOOD).decode().encode("utf-16"), "in.jsonl:1:1: is UTF-16; JSON lines are UTF-8"),
    ("a JSON array", "in.json", b"[" + b",".join(GOOD) + b"]", "in.json:1:"),
    ("indented JSON", "in.json", json.dumps(ROWS[0], indent=2).encode(), "jq -c ."),
    ("CSV", "in.csv", b"id,completion,answer\n1,4,4\n", "in.csv:1:1: not JSON"),
    ("not parquet", "in.parquet", b"PAR1 and no more", "in.parquet: not a readable parquet file"),
    ("cut gzip, no row", "in.gz", gzip.compress(b"".join(GOOD))[:15], "in.gz:1: the compressed file is broken or cut"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "said"), [c[1:] for c in NO_FILES], ids=[c[0] for c in NO_FILES])
def test_a_file_that_holds_no_rows(name: str, data: bytes | None, said: str, rlvr: Rlvr, write_rows: Write) -> None:
    if data is not None:
        write_rows(data, name)
    assert said in complaint(rlvr("score", name, "--quiet"))


def test_when_all_rows_are_bad(rlvr: Rlvr, write_rows: Write) -> None:
    run = rlvr("score", write_rows(b"x\ny\n").name, "--skip-bad-rows", "--quiet")
    assert complaint(run) == "in.jsonl: no rows to score (2 bad rows were skipped)"


@pytest.mark.parametrize("verifier", ["math", "mine:always"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_cut_file_loses_nothing_that_stood_before_the_cut(
    kind: str, verifier: str, rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    lines = [dump_line(row(i, "4", noise=os.urandom(20).hex())) for i in range(2000)]
    data = b"".join(lines)
    packed = gzip.compress(data) if kind == "gzip" else zstandard.ZstdCompressor(level=1).compress(data)
    cut = packed[: len(packed) * 3 // 4]
    unpacker: Any = zstandard.ZstdDecompressor().decompressobj()
    if kind == "gzip":
        whole = gzip.GzipFile(fileobj=io.BytesIO(cut)).read1
        text = b""
        try:
            while chunk := whole():
                text += chunk
        except EOFError:
            pass
    else:
        text = unpacker.decompress(cut)
    count = text.count(b"\n")
    assert 500 < count < 2000
    path = write_rows(cut, "cut.bin")
    message = complaint(rlvr("score", path.name, "--verifier", verifier, "--quiet", "--out", out))
    assert message.startswith(f"cut.bin:{count + 1}: the compressed file is broken or cut")
    assert [r["id"] for r in read_out(out)] == [str(i) for i in range(count)]


# --- what was not judged


@pytest.mark.parametrize("gold", ["", "   ", r"\boxed{}", "#### "])
def test_a_gold_that_cannot_be_read_is_not_judged_and_never_0(
    gold: str, rlvr: Rlvr, write_rows: Write, out: Path
) -> None:
    run = rlvr("score", write_rows([row("p", "4"), row("q", "4", gold=gold), row("r", "5")]), "--out", out, "--json")
    summary = summary_of(run)
    assert summary["not_judged"] == 1
    assert summary["status"] == {**dict.fromkeys(STATUSES, 0), "correct": 1, "wrong": 1, "error": 1}
    assert summary["score"]["mean"] == pytest.approx(1 / 3)
    assert any("1 of 3 samples were not judged" in note for note in summary["notes"])
    got = read_out(out)[1]
    assert (got["score"], got["status"], got["reason"]) == (None, "error", "gold_unreadable")
    table = rlvr("score", "in.jsonl").stdout
    assert [line.split()[2:4] for line in table.splitlines() if line.startswith("not judged")] == [["1", "33.3%"]]
    assert "1 of 3 samples were not judged" in table


# --- verifiers


MINE = r"""
import os, signal, sys, time
from fractions import Fraction
from functools import partial
from rlvr.verifiers import Verdict, gate, verify_format, verify_math, weighted

def always(problem, completion):
    return Verdict(1.0, "correct", "because")

def exact(problem, completion, *, ignore_case=False, factor=1.0, word=None):
    left, right = completion.text, problem.answer or ""
    if ignore_case:
        left, right = left.lower(), right.lower()
    same = left == right
    return Verdict(factor * same, "correct" if same else "wrong", str(word), left)

class Threshold:
    def __init__(self, length):
        self.length = length
    def __call__(self, problem, completion):
        return Verdict(float(len(completion.text) >= self.length), "correct", "long")

class Holder:
    inner = Threshold(3)

long = Threshold(3)
strict = partial(verify_math, extract="box")
composed = weighted(correct=(1.0, verify_math), format=(0.5, verify_format))
gated = gate(verify_format, then=verify_math)
number = 7

def hostile(problem, completion):
    what = completion.text
    if what == "hang": time.sleep(3600)
    if what == "spin":
        while True: pass
    if what == "raise": raise RuntimeError("two\nlines \x1b[31m")
    if what == "malformed": raise ValueError("no tests")
    if what == "exit": sys.exit(0)
    if what == "die": os._exit(3)
    if what == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if what == "overflow": return hostile_depth(0)
    if what == "none": return None
    if what == "nan": return Verdict(float("nan"), "correct", "x")
    if what == "print": print("noise on standard output"); sys.stdout.flush(); os.write(1, b"more noise\n")
    if what == "close": os.close(1)
    if what == "chdir": os.chdir("/")
    if what == "slow": time.sleep(0.2)
    return Verdict(1.0, "correct", "fine", what)

def hostile_depth(n):
    return hostile_depth(n + 1)

def fraction(problem, completion):
    return Verdict(Fraction(1, 4), "wrong", "partly")

def integer(problem, completion):
    return Verdict(1, "correct", "whole", int(completion.text))

odd_part = weighted(correct=(1.0, fraction))

def odd_reason(problem, completion):
    return Verdict(1.0, "correct", ["a", "b"])

def no_reason(problem, completion):
    return Verdict(1.0, "correct", None)

def no_parts(problem, completion):
    return Verdict(1.0, "correct", "fine", None, None)

def number_as_part(problem, completion):
    return Verdict(1.0, "correct", "fine", None, {"format": 1})

def bytes_as_detail(problem, completion):
    return Verdict(1.0, "correct", "fine", None, {}, b"x")

def unsendable(problem, completion):
    return Verdict(1.0, "correct", "fine", None, {}, lambda: 0)

def marked(problem, completion):
    return Verdict(1.0, "correct", r"a \[/b] [red]:x: [/]")

def where(problem, completion):
    return Verdict(1.0, "correct", "fine", str(os.getpid()))

async def later(problem, completion):
    return Verdict(1.0, "correct", "fine")
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A module of the user's own in the folder where the command runs."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


WORDS: list[Row] = [{"id": str(i), "completion": text, "answer": "Yes"} for i, text in enumerate(["Yes", "yes", "no"])]


def scores(out: Path) -> list[float | None]:
    return [r["score"] for r in read_out(out)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1.0, 0.0, 0.0]),
        (["ignore_case=true"], [1.0, 1.0, 0.0]),
        (["ignore_case=true", "factor=0.5"], [0.5, 0.5, 0.0]),
        (["factor=2", "factor=0.25"], [0.25, 0.0, 0.0]),
    ],
)
def test_a_verifier_by_import_path(
    options: list[str], expected: list[float], rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    given = [part for option in options for part in ("--option", option)]
    run = rlvr("score", write_rows(WORDS), "--verifier", "mine:exact", *given, "--out", out, "--json")
    assert summary_of(run)["verifier"] == " ".join(["mine:exact", *options])
    assert scores(out) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("word=abc", "abc"), ("word=", ""), ("word=a=b", "a=b"), ("word=1", "1"), ('word="1"', "1"), ("word=null", "None"),
     ("word=[1, 2]", "[1, 2]"), ("word=[1", "[1"), ("word=一", "一")],
)  # fmt: skip
def test_an_options_value_is_json_or_text(
    text: str, value: str, rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    run = rlvr("score", write_rows(WORDS), "--verifier", "mine:exact", "--option", text, "--out", out)
    assert run.returncode == 0, run.stderr
    assert read_out(out)[0]["reason"] == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mine:long", [1.0, 1.0, 0.0]), ("mine:Holder.inner", [1.0, 1.0, 0.0]), ("mine:always", [1.0] * 3),
     ("rlvr.verifiers:verify_math", [0.0, 0.0, 0.0])],
)  # fmt: skip
def test_a_verifier_may_be_any_callable(
    name: str, expected: list[float], rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    assert rlvr("score", write_rows(WORDS), "--verifier", name, "--out", out).returncode == 0
    assert scores(out) == expected


def test_a_composition_shows_its_parts(rlvr: Rlvr, write_rows: Write, out: Path, mine: Path) -> None:
    rows = [{**row("p", "4"), "completion": text} for text in ("<think>x</think><answer>4</answer>", "A: 4", "A: 5")]
    run = rlvr("score", write_rows(rows), "--verifier", "mine:composed", "--out", out, "--json")
    summary = summary_of(run)
    assert scores(out) == [1.5, 1.0, 0.0]
    assert [list(r["parts"]) for r in read_out(out)] == [["correct", "format"]] * 3
    assert read_out(out)[1]["parts"]["format"]["reason"] == "missing_tag"
    assert summary["score"]["mean"] == pytest.approx(2.5 / 3)
    assert summary["pass@k"]["1"]["mean"] == pytest.approx(2 / 3)
    assert summary["cons@k"]["3"]["mean"] == 1.0  # 4 has two votes of three


def test_the_options_of_math(rlvr: Rlvr, write_rows: Write) -> None:
    path = write_rows([{"id": "p", "completion": "first 5, then it is 4", "answer": "4"}])
    assert summary_of(rlvr("score", path, "--json"))["status"]["unextracted"] == 1
    assert summary_of(rlvr("score", path, "--json", "--option", "extract=any"))["status"]["correct"] == 1


def test_the_verifier_of_the_format_needs_no_gold(rlvr: Rlvr, write_rows: Write) -> None:
    texts = ["<think>a</think><answer>b</answer>", "<think>a</think>b", "b"]
    path = write_rows([{"id": i, "completion": text} for i, text in enumerate(texts)])
    summary = summary_of(rlvr("score", path, "--verifier", "format", "--json"))
    assert summary["status"]["correct"] == 1
    assert {r["reason"] for r in summary["reasons"]} == {"well_formed", "missing_tag"}
    summary = summary_of(rlvr("score", path, "--verifier", "format", "--option", "style=chat", "--json"))
    assert summary["status"]["correct"] == 2
    given = ["--option", 'tags=["think","result"]', "--option", "partial_credit=true"]
    assert rlvr("score", path, "--verifier", "format", *given).returncode == 0


def test_the_verifier_of_the_language(rlvr: Rlvr, write_rows: Write, out: Path) -> None:
    texts = [
        "<think>мы считаем</think>4",
        "<think>we count</think>4",
        "<think>мы count</think>4",
        "<think>2+2</think>4",
    ]
    path = write_rows([{"id": i, "completion": text} for i, text in enumerate(texts)])
    given = ["--verifier", "language", "--option", "language=ru"]
    summary = summary_of(rlvr("score", path, *given, "--json", "--out", out))
    assert scores(out) == [1.0, 0.0, 0.5, None]
    assert summary["not_judged"] == 1
    assert summary["cons@k"] == {}


def test_format_and_language_do_not_vote(rlvr: Rlvr, write_rows: Write) -> None:
    path = write_rows([{"id": "p", "completion": "<think>a</think><answer>b</answer>"}] * 2)
    summary = summary_of(rlvr("score", path, "--verifier", "format", "--json"))
    assert (list(summary["pass@k"]), summary["cons@k"]) == (["1", "2"], {})


WRONG_VERIFIERS: list[tuple[list[str], str]] = [
    (["--verifier", "maths"], "verifier maths: there is no such verifier; one of math, code, format, language, "),
    (["--verifier", "missing_module:f"], "verifier missing_module:f: cannot import missing_module"),
    (["--verifier", "mine.sub:f"], "verifier mine.sub:f: cannot import mine.sub"),
    (["--verifier", "mine:missing"], "verifier mine:missing: mine has no 'missing'"),
    (["--verifier", "mine:Holder.missing"], "verifier mine:Holder.missing: mine has no 'Holder.missing'"),
    (["--verifier", "mine:"], "verifier mine:: mine has no ''"),
    (["--verifier", "mine:number"], "verifier mine:number: is int, not a function"),
    (["--verifier", ":f"], "verifier :f: "),
    (["--verifier", ".mine:f"], "verifier .mine:f: "),
    (["--verifier", ""], "verifier : there is no"),
    (["--verifier", "broken_syntax:f"], "verifier broken_syntax:f: "),
    (["--verifier", "broken_name:f"], "verifier broken_name:f: "),
    (["--verifier", "mine:unpicklable"], "verifier mine:unpicklable: "),
    (["--option", "nonsense=1"], "--option nonsense: math has no such option; it has extract, timeout_s"),
    (["--option", "extract"], "--option extract: is not of the form name=value"),
    (["--option", "=box"], "--option "),
    (["--option", "extract=nonsense"], "extract is one of box, answer, any, not 'nonsense'"),
    (["--verifier", "format", "--option", "style=nonsense"], "style is one of tags, chat, not 'nonsense'"),
    (["--verifier", "format", "--option", "tags=think"], "tags are two different names"),
    (["--verifier", "language", "--option", "language=klingon"], "klingon"),
    (["--verifier", "mine:exact", "--option", "nonsense=1"], "no such option; it has ignore_case, factor, word"),
    (["--verifier", "mine:always", "--option", "a=1"], "--option a: mine:always has no such option; it has none"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG_VERIFIERS, ids=[" ".join(c[0]) or "none" for c in WRONG_VERIFIERS])
def test_a_verifier_that_cannot_be_used_is_the_users_to_mend(
    given: list[str], said: str, rlvr: Rlvr, write_rows: Write, mine: Path, out: Path
) -> None:
    mine.write_text(MINE + "\nimport threading\nunpicklable = partial(always, threading.Lock())\n", encoding="utf-8")
    mine.with_name("broken_syntax.py").write_text("def f(:\n", encoding="utf-8")
    mine.with_name("broken_name.py").write_text("f = undefined\n", encoding="utf-8")
    assert said in complaint(rlvr("score", write_rows(WORDS), *given, "--quiet", "--out", out))
    assert not out.exists() or out.read_bytes() == b""


HOSTILE = [
    # the completion, what its verdict must be (score, status, reason)
    ("hang", (0.0, "timeout", "deadline")),
    ("spin", (0.0, "timeout", "deadline")),
    ("raise", (None, "error", "verifier_raised")),
    ("malformed", (None, "error", "malformed_problem")),
    ("exit", (None, "error", "verifier_raised")),
    ("die", (None, "error", "verifier_crashed")),
    ("kill", (None, "error", "verifier_crashed")),
    ("overflow", (None, "error", "verifier_raised")),
    ("none", (None, "error", "verifier_raised")),
    ("nan", (None, "error", "malformed_problem")),
    ("print", (1.0, "correct", "fine")),
    ("close", (1.0, "correct", "fine")),
    ("chdir", (1.0, "correct", "fine")),
]


def test_whatever_a_verifier_does_costs_one_verdict(rlvr: Rlvr, write_rows: Write, out: Path, mine: Path) -> None:
    texts: list[str] = []
    for text, _ in HOSTILE:
        texts += ["fine", text, "slow"]
    path = write_rows([{"id": i, "completion": text} for i, text in enumerate(texts)])
    given = ["--verifier", "mine:hostile", "--timeout", "2", "--workers", 2, "--out", out, "--json"]
    summary = summary_of(rlvr("score", path, *given))
    expected = dict(HOSTILE)
    good = (1.0, "correct", "fine")
    got = [(r["score"], r["status"], r["reason"]) for r in read_out(out)]
    assert [r["id"] for r in read_out(out)] == [str(i) for i in range(len(texts))]
    for text, verdict in zip(texts, got, strict=True):
        if text == "nan":  # a score that is none is the verifier's fault, by whichever name
            assert verdict[:2] == (None, "error")
        else:
            assert verdict == expected.get(text, good), text
    assert summary["samples"] == len(texts)
    assert summary["not_judged"] == sum(score is None for score, _, _ in got) == 8
    assert all("\n" not in r.get("detail", "") for r in read_out(out))


def test_a_coroutine_is_no_verdict(rlvr: Rlvr, write_rows: Write, out: Path, mine: Path) -> None:
    assert rlvr("score", write_rows(WORDS), "--verifier", "mine:later", "--out", out).returncode == 0
    assert [(r["score"], r["reason"]) for r in read_out(out)] == [(None, "verifier_raised")] * 3


def test_a_score_of_another_number_type_is_written_as_a_number(
    rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    """A fraction, a NumPy scalar, a tensor: as text in the output they could not be read again."""
    path = write_rows(WORDS)
    summary = summary_of(rlvr("score", path, "--verifier", "mine:fraction", "--out", out, "--json"))
    assert summary["score"]["mean"] == 0.25
    assert scores(out) == [0.25] * 3
    again = rlvr("score", path, "--verifier", "mine:fraction", "--out", out, "--json")
    assert summary_of(again)["score"]["mean"] == 0.25


def test_an_extracted_answer_that_is_no_text_does_not_end_the_run(
    rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    path = write_rows([{"id": "p", "completion": text} for text in ("4", "4", "5", "6")])
    summary = summary_of(rlvr("score", path, "--verifier", "mine:integer", "--out", out, "--json"))
    assert summary["samples"] == 4
    if summary["not_judged"] == 0:  # it may be taken as text, or refused, but not half of each
        assert summary["cons@k"]["4"]["mean"] == 1.0
        assert [r["extracted"] for r in read_out(out)] == ["4", "4", "5", "6"]
    else:
        assert summary["not_judged"] == 4


ODD = ["odd_part", "odd_reason", "no_reason", "no_parts", "number_as_part", "bytes_as_detail", "unsendable"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ODD)
def test_a_verdict_with_odd_contents_ends_neither_the_run_nor_the_next_one(
    name: str, workers: int, rlvr: Rlvr, write_rows: Write, out: Path, mine: Path
) -> None:
    """It is taken as it was meant, or not judged."""
    arguments = ["score", write_rows(WORDS), "--verifier", f"mine:{name}", "--workers", workers, "--out", out, "--json"]
    summary = summary_of(rlvr(*arguments))
    assert summary["samples"] == 3
    written = out.read_bytes()
    for got in read_out(out):
        assert got["score"] is None or type(got["score"]) is float
        assert all(type(part["score"]) is float for part in got["parts"].values())
    again = summary_of(rlvr(*arguments))
    assert (again["score"], again["status"]) == (summary["score"], summary["status"])
    assert out.read_bytes() == written


def test_a_reason_is_shown_as_it_is(rlvr: Rlvr, write_rows: Write, mine: Path) -> None:
    run = rlvr("score", write_rows(WORDS), "--verifier", "mine:marked")
    assert run.returncode == 0, run.stderr
    assert r"a \[/b] [red]:x: [/] 3" in run.stdout


def test_the_order_is_that_of_the_input_whoever_is_slow(rlvr: Rlvr, write_rows: Write, out: Path, mine: Path) -> None:
    texts = ["slow" if i % 7 == 0 else f"fast {i}" for i in range(60)]
    path = write_rows([{"id": i, "completion": text} for i, text in enumerate(texts)])
    assert rlvr("score", path, "--verifier", "mine:hostile", "--workers", 2, "--out", out).returncode == 0
    assert [(r["id"], r["extracted"]) for r in read_out(out)] == [(str(i), text) for i, text in enumerate(texts)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_number_of_processes(workers: int, rlvr: Rlvr, write_rows: Write, out: Path, mine: Path) -> None:
    path = write_rows([{"id": i, "completion": "x"} for i in range(200)])
    assert rlvr("score", path, "--verifier", "mine:where", "--workers", workers, "--out", out).returncode == 0
    seen = {r["extracted"] for r in read_out(out)}
    assert 1 <= len(seen) <= max(workers, 1)


def test_math_gives_the_same_in_workers(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    answers = ["4", "5", r"\frac{8}{2}", "x", r"2\sqrt{4}", "", "4.0", "1,2"]
    path = write_rows([row(i, answer) for i, answer in enumerate(answers * 5)])
    for workers in (0, 2):
        assert rlvr("score", path, "--workers", workers, "--out", f"{workers}.jsonl").returncode == 0
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


# --- the vote


def test_a_vote_over_long_answers_asks_no_computer_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 answers are 2,016 pairs: a tenth of a second for each would be minutes for one problem."""
    asked: list[str] = []

    def compare(gold: str, answer: str, timeout_s: float) -> bool:
        asked.append(gold)
        return False

    monkeypatch.setattr("rlvr.verifiers.math.compare.symbolically_equal", compare)
    tally = Tally()
    for i in range(64):
        tally.add("p", Verdict(0.0, "wrong", "too_long", f"{i}+" * 1000 + "x"), 10)
    vote = summarise(tally, equivalent=equivalent)["cons@k"]["64"]
    assert (vote["ties"], vote["without_answer"]) == (1, 0)
    assert asked == []


def test_short_answers_are_voted_on_as_mathematics(rlvr: Rlvr, write_rows: Write) -> None:
    answers = ["4", "4.0", r"\frac{8}{2}", "5", "5", "no", "6"]
    summary = summary_of(rlvr("score", write_rows([row("p", answer) for answer in answers]), "--json"))
    assert summary["cons@k"]["7"]["mean"] == 1.0
    assert summary["cons@k"]["7"]["tie_rate"] == 0.0
