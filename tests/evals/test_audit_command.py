"""`rlvr audit` from end to end: what it reads, what it prints, and what is said of whatever is wrong."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from rlvr.evals.audit import Reading, audit
from rlvr.evals.audit_command import command, parser
from rlvr.evals.audit_report import write_audit_report
from rlvr.evals.audit_rows import ScoredFiles
from rlvr.evals.errors import UsageError
from rlvr.evals.score import Progress

Row = dict[str, Any]
Rlvr = Callable[..., "CompletedProcess[str]"]
Write = Callable[..., Path]

TEXT = "The sum of both is what was asked for, and it follows from what was given at once: add, and it is there. "


def row(id: str, number: int, right: bool, **more: Any) -> Row:
    return {
        "id": id, "sample": number, "prompt": f"What is {id}?", "answer": "4",
        "completion": f"{TEXT} \\boxed{{{4 if right else 5}}}", "score": float(right),
        "status": "correct" if right else "wrong", "reason": "same_text" if right else "different_number",
        "extracted": "4" if right else "5", "parts": {}, **more,
    }  # fmt: skip


ROWS = [row("p", 0, True), row("p", 1, False), row("q", 0, True), row("q", 1, True)]


def found(done: "CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_rlvr_score_wrote(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows([{"id": i % 2, "completion": rf"{TEXT} \boxed{{{4 + i % 3}}}", "answer": 4} for i in range(6)])
    assert rlvr("score", "in.jsonl", "--out", "s.jsonl").returncode == 0
    done = rlvr("audit", "s.jsonl", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[1] == "6 samples of 2 problems, 2 rewarded, mean score 0.333"
    assert lines[2].startswith("Nothing suspicious in ")
    assert "math-verify: 6 different pairs of gold and answer, agrees on 100.00% of 6 samples" in done.stdout


def test_the_mean_says_of_how_many_it_is(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    """`rlvr score` counts what was not judged as 0, and its mean of these rows would be 0.5."""
    unjudged = row("q", 1, False, score=None, status="error", reason="sandbox_unavailable")
    write_rows([*ROWS[:3], unjudged], "s.jsonl")
    done = rlvr("audit", "s.jsonl", "--no-second-opinion", "--report", "a.html")
    assert done.stdout.splitlines()[1] == "4 samples of 2 problems, 2 rewarded, mean score 0.667 of the 3 judged"
    assert ">of the 3 judged, from 0 to 1<" in (tmp_path / "a.html").read_text(encoding="utf-8")
    object = found(rlvr("audit", "s.jsonl", "--no-second-opinion", "--json"))
    assert (object["samples"], object["judged"]) == (4, 3)
    write_rows([unjudged], "s.jsonl")
    assert "0 rewarded, none was judged\n" in rlvr("audit", "s.jsonl", "--no-second-opinion").stdout
    write_rows(ROWS, "s.jsonl")
    assert rlvr("audit", "s.jsonl", "--no-second-opinion", "--report", "a.html").returncode == 0
    assert ">from 0 to 1<" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_finding_is_printed_with_where_to_look(rlvr: Rlvr, write_rows: Write) -> None:
    rows = [*ROWS, *(row(f"b{i}", 0, True, completion=f"\\boxed{{4}}{' ' * i}") for i in range(3))]
    write_rows(rows, "s.jsonl")
    done = rlvr("audit", "s.jsonl", "--no-second-opinion")
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "3 serious" not in printed
    assert "serious an answer without reasoning 3 50.0% of 6 rewarded samples s.jsonl:5" in printed
    assert "next: rlvr audit s.jsonl --no-second-opinion --report audit.html" in printed
    assert "not looked for: called right, and math-verify says no" in printed


def test_what_is_given_next_can_be_given(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    data = "".join(json.dumps(row("b", i, True, completion=f"\\boxed{{4}}{i}")) + "\n" for i in range(3)).encode()
    (tmp_path / "my run").mkdir()
    write_rows(data, "my run/completions.jsonl")
    printed = rlvr("audit", "my run", "--completion-field", "completion", "--no-second-opinion").stdout
    [line] = [line for line in printed.splitlines() if line.startswith("next: ")]
    rlvr_, *arguments = shlex.split(line.removeprefix("next: "))
    assert (rlvr_, arguments[:2]) == ("rlvr", ["audit", "my run"])
    again = rlvr(*arguments)
    assert (again.returncode, again.stderr) == (0, "wrote audit.html\n")
    assert "next: " not in again.stdout
    assert "next: " not in rlvr("audit", "-", "--no-second-opinion", stdin=data).stdout


def test_no_opinion_at_all_is_no_disagreement(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows([row("p", i, True, answer=r"\unknown{", extracted=r"\unknown{") for i in range(2)], "s.jsonl")
    printed = " ".join(rlvr("audit", "s.jsonl", "--second-opinion", "--workers", "1").stdout.split())
    assert "math-verify: 1 different pairs of gold and answer, no opinion on 2 samples" in printed
    assert "agrees" not in printed


def test_a_terminal_is_not_obeyed(rlvr: Rlvr, write_rows: Write) -> None:
    evil = "\x1b[2J\x07\ud800[bold]\u202e"
    part = {"score": 1.0, "status": "correct", "reason": "r", "extracted": None, "parts": {}}
    rows = [
        row(f"{evil}{i}", 0, True, completion=f"\\boxed{{{evil}}}", reason=evil, extracted=evil, parts={evil: part})
        for i in range(3)
    ]
    write_rows(rows, "s.jsonl")
    done = rlvr("audit", "s.jsonl", "--no-second-opinion")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\u241b[2J\u2407\ufffd[bold]\ufffd" in done.stdout
    assert not set(done.stdout) & set("\x1b\x07\ud800\u202e")


def test_json_has_the_documented_keys(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(ROWS, "s.jsonl")
    object = found(rlvr("audit", "s.jsonl", "--json", "--no-second-opinion"))
    from rlvr.evals import audit as module

    assert module.__doc__ is not None
    for key in object:
        assert key in module.__doc__, key
    for key in object["findings"][0]:
        assert key in module.__doc__, key
    assert (object["samples"], object["problems"], object["rewarded"]) == (4, 2, 3)
    assert object["score"] == {"mean": 0.75, "min": 0.0, "max": 1.0}


def test_several_files_are_one(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(ROWS[:2], "a.jsonl")
    write_rows([row("p", 2, True, completion="\\boxed{4}"), ROWS[2], ROWS[3]], "b.jsonl")
    object = found(rlvr("audit", "a.jsonl", "b.jsonl", "--json", "--no-second-opinion"))
    [bare] = [each for each in object["findings"] if each["key"] == "bare"]
    assert [(worst["file"], worst["line"], worst["id"]) for worst in bare["worst"]] == [("b.jsonl", 1, "p")]
    assert object["spread"]["groups"] == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["s.jsonl", "s.jsonl"], "s.jsonl: is named twice"),
        (["s.jsonl", "other.jsonl", "./s.jsonl"], "./s.jsonl: is named twice, first as s.jsonl"),
        (["s.jsonl", "link.jsonl"], "link.jsonl: is named twice, first as s.jsonl"),
        (["hard.jsonl", "s.jsonl"], "s.jsonl: is named twice, first as hard.jsonl"),
        (["run", "run/"], "run/: is named twice, first as run"),
        (["run", "run/completions.jsonl"], "run/completions.jsonl: is named twice, first as run"),
        (["eval/scored.jsonl", "eval"], "eval: is named twice, first as eval/scored.jsonl"),
        (["pipe", "pipe"], "pipe: is named twice"),
    ],
)
def test_a_file_named_twice_is_refused(
    rlvr: Rlvr, write_rows: Write, tmp_path: Path, names: list[str], said: str
) -> None:
    write_rows(ROWS, "s.jsonl")
    (tmp_path / "link.jsonl").symlink_to("s.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "s.jsonl")
    write_rows([row("other", 0, True)], "other.jsonl")
    for folder in ("run", "eval"):
        (tmp_path / folder).mkdir()
    write_rows(ROWS, "run/completions.jsonl")
    (tmp_path / "eval" / "manifest.json").write_text("{}", encoding="utf-8")
    for name in ("problems", "samples", "scored"):
        write_rows(ROWS, f"eval/{name}.jsonl")
    os.mkfifo(tmp_path / "pipe")
    done = rlvr("audit", *names, "--no-second-opinion")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"rlvr audit: {said}\n")


def test_two_files_with_the_same_rows_are_two(rlvr: Rlvr, write_rows: Write) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write_rows(ROWS, name)
    assert found(rlvr("audit", "a.jsonl", "b.jsonl", "--no-second-opinion", "--json"))["samples"] == 8


def test_standard_input_with_a_report(rlvr: Rlvr, tmp_path: Path) -> None:
    rows = [*ROWS, row("b", 0, True, completion="\\boxed{4} <b>")]
    data = "".join(json.dumps(each) + "\n" for each in rows).encode()
    done = rlvr("audit", "-", "--report", "a.html", "--no-second-opinion", stdin=data)
    assert (done.returncode, done.stderr) == (0, "wrote a.html\n")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Audit of standard input" in page
    assert "\\boxed{4} &lt;b&gt;" in page


def test_a_pipe_with_a_report(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=write_rows, args=([*ROWS, row("b", 0, True, completion="\\boxed{4} <b>")], "pipe"))
    writer.start()
    done = rlvr("audit", "pipe", "--report", "a.html", "--no-second-opinion")
    writer.join()
    assert (done.returncode, done.stderr) == (0, "wrote a.html\n")
    assert "\\boxed{4} &lt;b&gt;" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_file_that_changes_while_it_is_read_is_said(write_rows: Write, tmp_path: Path) -> None:
    bare = row("b", 0, True, completion="\\boxed{4}")
    with ScoredFiles([str(write_rows([*ROWS, bare], "s.jsonl"))], {}, Progress()) as files:
        seen = audit(Reading(files, 10), second_opinion=False)
        write_rows(ROWS, "s.jsonl")
        with pytest.raises(UsageError, match=r"s\.jsonl:5: is gone"):
            write_audit_report(tmp_path / "a.html", seen, files)


def test_numbers_of_any_size_are_read(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows([{**ROWS[0], "sample": sign * 10**30, "n_tokens": sign * 10**30} for sign in (1, -1)], "s.jsonl")
    assert found(rlvr("audit", "s.jsonl", "--no-second-opinion", "--json"))["samples"] == 2


def test_the_folder_of_a_training_run(rlvr: Rlvr, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    lines: list[str] = []
    for step in range(3):
        for i in range(2):
            each = {**row("p", i, bool(i)), "advantage": 0.5, "tokens": 40 + i, "finished": True}
            del each["answer"]
            lines.append(json.dumps({"step": step, **each}) + "\n")
    (folder / "completions.jsonl").write_text("".join(lines), encoding="utf-8")
    object = found(rlvr("audit", "run", "--json"))
    assert object["steps"] == [0, 2]
    assert object["spread"]["groups"] == 3
    assert object["lengths"]["unit"] == "tokens"
    assert {each["key"]: each["why"] for each in object["skipped"]}["paid"] == "the rows hold no gold answers"


def test_the_folder_of_an_evaluation(rlvr: Rlvr, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    problem = {"id": "p", "prompt": "What is p?", "answer": "4", "tests": None, "source": None}
    (folder / "problems.jsonl").write_text(json.dumps(problem) + "\n", encoding="utf-8")
    verdicts = ("score", "status", "reason", "extracted", "parts")
    scored = [
        {"id": "p", "sample": i, "answer": "4", **{name: row("p", i, bool(i))[name] for name in verdicts}}
        for i in range(2)
    ]
    samples = [
        {"id": "p", "sample": i, "completion": row("p", i, bool(i))["completion"], "finish_reason": "stop",
         "n_tokens": 9, "prompt_tokens": 5} for i in (1, 0)
    ]  # fmt: skip
    for name, rows in (("scored", scored), ("samples", samples)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    for path in ("run", "run/scored.jsonl"):
        object = found(rlvr("audit", path, "--json", "--no-second-opinion"))
        assert (object["samples"], object["rewarded"], object["lengths"]["unit"]) == (2, 1, "tokens")
        assert object["files"] == ["run/samples.jsonl"]
    (folder / "scored.jsonl").write_text("", encoding="utf-8")
    done = rlvr("audit", "run")
    assert done.returncode == 2
    assert "run/samples.jsonl:1: has no verdict yet; rlvr report run judges it" in done.stderr


def without(name: str) -> Row:
    return {key: value for key, value in ROWS[0].items() if key != name}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (without("score"), "no column 'score': `rlvr score --out`, `rlvr eval` and training runs write it"),
        (without("parts"), "no column 'parts'"),
        (without("completion"), "no column 'completion'"),
        ({**ROWS[0], "score": "high"}, "column 'score': 'high' is no number and not null"),
        ({**ROWS[0], "score": 10**400}, "column 'score': is too large for a score"),
        ({**ROWS[0], "score": -1e200}, "column 'score': is too large for a score"),
        (
            {
                **ROWS[0],
                "parts": {"x": {"score": 10**400, "status": "wrong", "reason": "r", "extracted": None, "parts": {}}},
            },
            "column 'parts': holds a number that is too large for a score",
        ),
        ({**ROWS[0], "score": [True]}, "column 'score': [True] is no number and not null"),
        ({**ROWS[0], "status": "right"}, "column 'status': a status is one of correct"),
        ({**ROWS[0], "reason": None}, "column 'reason': is no text"),
        ({**ROWS[0], "extracted": 4}, "column 'extracted': is no text"),
        ({**ROWS[0], "parts": []}, "column 'parts': is no object"),
        ({**ROWS[0], "parts": {"x": 1}}, "column 'parts': "),
        ({**ROWS[0], "completion": 4}, "column 'completion': is a number"),
        ({**ROWS[0], "answer": "5"}, "problem id 'p' stood for another problem or gold answer before"),
    ],
)
def test_bad_rows_are_named(rlvr: Rlvr, write_rows: Write, bad: Row, said: str) -> None:
    write_rows([ROWS[0], bad], "s.jsonl")
    done = rlvr("audit", "s.jsonl", "--no-second-opinion")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rlvr audit: s.jsonl:2")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_nan_is_no_score(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(json.dumps({**ROWS[0], "score": float("nan")}).encode() + b"\n", "s.jsonl")
    done = rlvr("audit", "s.jsonl")
    assert done.returncode == 2
    assert "s.jsonl:1: column 'score': a score is a finite number or None" in done.stderr


def test_bad_rows_are_skipped_when_asked(rlvr: Rlvr, write_rows: Write) -> None:
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in ROWS)
    write_rows(b"{\n" + lines, "s.jsonl")
    done = rlvr("audit", "s.jsonl", "--skip-bad-rows", "--no-second-opinion", "--json", "--report", "a.html")
    assert found(done)["bad_rows"] == 1
    assert done.stderr.count("skipped s.jsonl:1") == 1


def test_an_id_clash_is_a_bad_row_too(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    write_rows(
        [ROWS[0], {**ROWS[1], "answer": "5"}, *ROWS[2:], row("b", 0, True, completion="\\boxed{4} <b>")], "s.jsonl"
    )
    done = rlvr("audit", "s.jsonl", "--skip-bad-rows", "--no-second-opinion", "--json", "--report", "a.html")
    object = found(done)
    assert (object["bad_rows"], object["samples"]) == (1, 4)
    assert done.stderr.count("skipped s.jsonl:2: problem id 'p' stood for another problem") == 1
    assert "\\boxed{4} &lt;b&gt;" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_the_columns_are_those_that_were_scored(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    """`answer` and `completion` are the usual names, and hold something else here."""
    code = rf"{TEXT} \boxed{{4}}"
    write_rows([{"id": i, "answer": "5", "gt": "4", "completion": "Look.", "code": code} for i in range(4)])
    columns = ["--answer-field", "gt", "--completion-field", "code"]
    assert rlvr("score", "in.jsonl", *columns, "--out", "s.jsonl").returncode == 0
    told = rlvr("audit", "s.jsonl", "--json", "--no-second-opinion")
    assert told.stderr == "s.jsonl: completion = code, answer = gt, as it was scored\n"
    said = rlvr("audit", "s.jsonl", "--json", "--no-second-opinion", *columns)
    assert said.stderr == ""
    (tmp_path / "s.jsonl.run.json").unlink()
    usual = rlvr("audit", "s.jsonl", "--json", "--no-second-opinion")
    assert found(told) == found(said) != found(usual)
    (tmp_path / "s.jsonl.run.json").write_text("{")
    broken = rlvr("audit", "s.jsonl")
    assert (broken.returncode, broken.stderr.count("\n")) == (2, 1)
    assert "s.jsonl.run.json: is broken; remove it, and name the columns" in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.jsonl"], "absent.jsonl: No such file"),
        (["-", "s.jsonl"], "standard input (-) cannot be combined"),
        (["empty.jsonl"], "empty.jsonl: no rows to audit"),
        (["s.jsonl", "--report", "absent/a.html", "--no-second-opinion"], "absent/a.html: No such file"),
        (["s.jsonl", "--completion-field", "nothing"], "s.jsonl:1: no column 'nothing'"),
        (["s.jsonl", "--top", "-1"], "--top"),
        (["s.jsonl", "--workers", "0"], "0 is below 1"),
    ],
)
def test_wrong_options(rlvr: Rlvr, write_rows: Write, arguments: list[str], said: str) -> None:
    write_rows(ROWS, "s.jsonl")
    write_rows(b"", "empty.jsonl")
    done = rlvr("audit", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_math_verify_is_said(
    write_rows: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_rows(ROWS, "s.jsonl"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(UsageError, match="--second-opinion needs math-verify"):
        command([path, "--second-opinion"])
    assert command([path, "--quiet"]) == 0
    assert "math-verify is not installed: pip install math-verify" in " ".join(capsys.readouterr().out.split())


def test_rows_can_be_read_twice(write_rows: Write) -> None:
    with ScoredFiles([str(write_rows(ROWS, "s.jsonl"))], {}, Progress()) as files:
        first, second = list(files), list(files)
    assert first == second
    assert [scored.line for scored in first] == [1, 2, 3, 4]


def test_every_option_has_help() -> None:
    for action in parser()._actions:  # pyright: ignore[reportPrivateUsage]
        assert action.help, action.dest


MEASURED = """
import sys
from rlvr.evals.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_follow_the_texts(tmp_path: Path) -> None:
    """200 MB of completions, in half of that; the report reads them a second time."""
    with (tmp_path / "s.jsonl").open("w", encoding="utf-8") as file:
        for i in range(20_000):
            right = i % 50 == 0
            each = row(
                f"p{i // 8}", i % 8, right, completion=f"{i} {'so it goes on ' * 700}\\boxed{{{4 if right else 5}}}"
            )
            file.write(json.dumps(each) + "\n")
    arguments = ["audit", "s.jsonl", "--no-second-opinion", "--report", "a.html", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (tmp_path / "s.jsonl").stat().st_size > 190 << 20
    assert (tmp_path / "a.html").stat().st_size < 1 << 20
    assert int(done.stderr) / 1024 < 100
