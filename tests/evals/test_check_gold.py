"""`rlvr check-gold`: every gold against itself and a box of itself; what fails is listed."""

import json
from pathlib import Path

import pytest
from rlvr.evals.check_gold import judge_gold, only_text
from rlvr.evals.cli import main

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "benchmarks"


def write(path: Path, rows: list[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_good_golds_pass_without_completions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golds = [r"\frac{1}{2}", 72, 0.5, "so 48/2=24.\n#### 72", r"Thus \boxed{(1,2)}", r"\text{north}", "x>2"]
    file = write(tmp_path / "golds.jsonl", [{"answer": gold} for gold in golds])
    assert main(["check-gold", file]) == 0
    captured = capsys.readouterr()
    assert "7 golds: 7 pass, 0 fail" in captured.out
    assert "answer = answer" in captured.err


def test_bad_golds_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "a", "gold": "5"}, {"id": "b", "gold": ""}, {"id": "c", "gold": r"\frac{1}{2}}"}]
    file = write(tmp_path / "golds.jsonl", rows)
    assert main(["check-gold", file, "--json", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    report = json.loads(captured.out)
    assert (report["golds"], report["passed"], report["failed"], report["unreadable"]) == (3, 1, 2, 1)
    assert [(f["line"], f["id"], f["reason"]) for f in report["failures"]] == [
        (2, "b", "gold_unreadable"),
        (3, "c", report["failures"][1]["reason"]),
    ]
    assert report["failures"][1]["against"] == "a box of itself"
    assert main(["check-gold", file]) == 1
    shown = capsys.readouterr().out
    assert "golds.jsonl:2" in shown
    assert "3 golds: 1 pass, 2 fail (1 of them cannot be read)" in shown


def test_a_repeated_gold_is_listed_once_and_counted_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "golds.jsonl", [{"answer": " ", "completion": str(i)} for i in range(9)])
    assert main(["check-gold", file, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["failed"], len(report["failures"])) == (9, 1)


def test_golds_that_only_their_own_text_matches_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "golds.jsonl", [{"answer": r"\oint x"}])
    assert main(["check-gold", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text_only"][0]["gold"] == r"\oint x"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"answer": "5"}], ["--answer-field", "gt"], "no column 'gt'"),
        ([{"prompt": "5"}], [], "no column for the answer"),
        ([{"answer": None}], [], "no gold answer"),
        ([{"answer": "5"}, [1]], [], "golds.jsonl:2"),
        ([], [], "no rows to check"),
    ],
)
def test_what_the_user_can_mend_exits_with_2(
    tmp_path: Path, rows: list[object], options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-gold", write(tmp_path / "golds.jsonl", rows), *options]) == 2
    assert said in capsys.readouterr().err


def test_another_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "golds.jsonl", [{"answer": "", "gt": "5"}])
    assert main(["check-gold", file, "--answer-field", "gt"]) == 0


def test_judging_one() -> None:
    assert judge_gold("5") == (None, None)
    assert judge_gold("   ") == ("gold_unreadable", None)
    assert only_text("5") is None


@pytest.mark.parametrize(
    "name", ["math_test5000", "math500", "aime24", "aime25", "amc23", "gsm8k"]
)  # fmt: skip
def test_real_golds_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = DATA / f"{name}.jsonl"
    if not file.exists():
        pytest.skip("the shared data is not here")
    code = main(["check-gold", str(file), "--json", "--quiet"])
    assert (code, json.loads(capsys.readouterr().out)["failures"]) == (0, [])
