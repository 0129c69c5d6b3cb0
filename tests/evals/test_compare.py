"""`rlvr compare`: what it finds in runs small enough to do by hand, and what it refuses."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from rlvr.evals.compare import compare
from rlvr.evals.errors import UsageError
from rlvr.evals.metrics import clustered, wilson
from rlvr.evals.paired import detectable

Row = dict[str, Any]
Rlvr = Callable[..., "CompletedProcess[str]"]
Write = Callable[..., Path]


def rows(verdicts: Mapping[str, Iterable[int | None]], **more: object) -> list[Row]:
    """Rows as `rlvr score --no-text` writes them: {problem: one 0, 1 or None per sample}."""
    return [
        {
            "id": problem, "sample": i, "score": None if ok is None else float(ok),
            "status": "error" if ok is None else "correct" if ok else "wrong", "reason": "same_text",
            "extracted": "1", "parts": {}, **more,
        }
        for problem, each in verdicts.items()
        for i, ok in enumerate(each)
    ]  # fmt: skip


def pair(write: Write, a: Iterable[Row], b: Iterable[Row], **options: bool) -> Row:
    paths = [str(write(a, "a.jsonl")), str(write(b, "b.jsonl"))]
    [found] = compare(paths, **options)["pairs"]
    return found


def flipped(found: Row) -> list[tuple[str, float, float]]:
    return [(row["id"], row["a"], row["b"]) for row in found["flipped"]]


def test_one_sample_each_by_hand(write_rows: Write) -> None:
    a = rows({f"p{i}": [i < 4] for i in range(10)})
    b = rows({f"p{i}": [1 <= i < 9] for i in range(10)})
    found = pair(write_rows, a, b)
    assert (found["problems"], found["a"]["samples_per_problem"]) == (10, 1)
    assert found["a"]["score"]["ci95"] == wilson(4, 10).ci95
    assert found["b"]["score"]["mean"] == 0.8
    assert found["difference"]["mean"] == pytest.approx(0.4)
    by_hand = clustered((each, 1) for each in (-1, 0, 0, 0, 1, 1, 1, 1, 1, 0))
    assert found["difference"]["stderr"] == pytest.approx(by_hand.stderr)
    assert found["mcnemar"] == {"only_a": 1, "only_b": 5, "p": 0.21875}
    assert found["sign_flip"] == {"p": 0.21875, "error": 0.0, "holm": 0.21875}
    assert found["detectable"] == detectable(found["difference"]["stderr"], 10)
    assert flipped(found) == [("p0", 1.0, 0.0), *[(f"p{i}", 0.0, 1.0) for i in range(4, 9)]]
    assert found["notes"] == []


def test_several_samples_by_hand(write_rows: Write) -> None:
    a = rows({"p": [1, 1, 0, 0], "q": [0, 0, 0, 1], "r": [1, 1, 1, 1]})
    b = rows({"r": [1, 1], "q": [1, 1], "p": [1, 0]})  # another order, another number of samples
    found = pair(write_rows, a, b)
    assert found["a"]["score"]["mean"] == pytest.approx(7 / 12)
    assert found["difference"]["mean"] == pytest.approx(0.25)
    by_hand = clustered([(0.0, 1), (0.75, 1), (0.0, 1)])
    assert found["difference"]["stderr"] == pytest.approx(by_hand.stderr)
    assert found["difference"]["ci95"] == pytest.approx(by_hand.ci95)
    assert found["sign_flip"]["p"] == 1.0  # one problem that differs may as well differ the other way
    assert found["mcnemar"] is None
    assert flipped(found) == [("q", 0.25, 1.0)]  # half right is no side to flip from


def test_a_flip_shows_what_each_run_answered_most(write_rows: Write) -> None:
    a, b = rows({"p": [1, 1, 1, 1]}, answer="4"), rows({"p": [0, 0, 0, 0]}, answer="4")
    for row, text in zip(a, ("4", "4", "4.0", None), strict=True):
        row["extracted"] = text
    for row in b:
        row["extracted"] = None
    [flip] = pair(write_rows, a, b)["flipped"]
    assert flip == {"id": "p", "a": 1.0, "b": 0.0, "gold": "4", "answer_a": {"text": "4", "samples": 2},
                    "answer_b": None}  # fmt: skip
    a[0]["extracted"] = a[1]["extracted"] = "9" * 900
    [flip] = pair(write_rows, a, b)["flipped"]
    assert flip["answer_a"] == {"text": "9" * 200 + "…", "samples": 2}


def test_all_wrong_has_an_interval_with_a_width(write_rows: Write) -> None:
    found = pair(write_rows, rows({"p": [0, 0], "q": [0, 0]}), rows({"p": [1, 0], "q": [1, 1]}))
    assert found["a"]["score"]["ci95"] == wilson(0, 2).ci95
    assert found["scores"] == [{"id": "p", "a": 0.0, "b": 0.5}, {"id": "q", "a": 0.0, "b": 1.0}]
    assert found["settings"] is None


def test_runs_that_agree_have_no_interval_and_nothing_detectable(write_rows: Write) -> None:
    run = rows({"p": [1, 0], "q": [1, 1]})
    found = pair(write_rows, run, run)
    assert found["difference"] == {"mean": 0.0, "stderr": None, "ci95": None}
    assert found["sign_flip"]["p"] == 1.0
    assert found["detectable"] is None
    assert any("no interval" in note for note in found["notes"])


def test_one_problem_has_no_interval(write_rows: Write) -> None:
    found = pair(write_rows, rows({"p": [1, 0]}), rows({"p": [1, 1]}))
    assert found["difference"] == {"mean": 0.5, "stderr": None, "ci95": None}
    assert any("one problem" in note for note in found["notes"])


def test_weighted_scores_are_compared_as_written(write_rows: Write) -> None:
    a, b = rows({"p": [0], "q": [0], "r": [0]}), rows({"p": [0], "q": [0], "r": [0]})
    for row, score in zip(b, (0.1, 0.2, -0.3), strict=True):
        row["score"] = score
    found = pair(write_rows, a, b)
    assert found["difference"]["mean"] == pytest.approx(0.0, abs=1e-12)
    assert found["sign_flip"]["p"] == 1.0
    assert found["flipped"] == []


def test_several_pairs_are_several_tests(write_rows: Write) -> None:
    a = write_rows(rows({f"p{i}": [0] for i in range(8)}), "a.jsonl")
    b = write_rows(rows({f"p{i}": [1] for i in range(8)}), "b.jsonl")
    c = write_rows(rows({f"p{i}": [i < 5] for i in range(8)}), "c.jsonl")
    found = compare([str(path) for path in (a, b, a, c, a, a)])
    assert [each["sign_flip"]["p"] for each in found["pairs"]] == [2 / 256, 2 / 32, 1.0]
    assert [each["sign_flip"]["holm"] for each in found["pairs"]] == [6 / 256, 4 / 32, 1.0]


def test_what_was_not_judged_is_counted_and_said(write_rows: Write) -> None:
    found = pair(write_rows, rows({"p": [1, None], "q": [0, 0]}), rows({"p": [1, 1], "q": [0, 1]}))
    assert found["a"]["not_judged"] == 1
    assert found["a"]["score"]["mean"] == 0.25
    assert any("1 samples were not judged" in note for note in found["notes"])


def test_another_gold_under_the_same_id_is_said(write_rows: Write) -> None:
    same, other = rows({"p": [1], "q": [1]}, answer="4"), rows({"p": [1], "q": [0]}, answer="5")
    assert not any("gold" in note for note in pair(write_rows, same, same)["notes"])
    assert any("2 of 2 problems have another gold" in note for note in pair(write_rows, same, other)["notes"])


REFUSED: list[tuple[str, list[Row], list[Row], str]] = [
    ("B lacks problems", rows({"p": [1], "q": [1], "r": [0]}), rows({"p": [1]}),
     "b.jsonl: lacks 2 of the 3 problems of {0}a.jsonl: 'q', 'r'; --common"),
    ("A lacks problems", rows({"p": [1]}), rows({"p": [1], "q": [1]}), "a.jsonl: lacks 1 of the 2 problems of"),
    ("ragged", rows({"p": [1, 0], "q": [1]}), rows({"p": [1, 0], "q": [1, 1]}),
     "a.jsonl: 1 of 2 problems have fewer than 2 samples: 'q'; --common"),
    ("a sample twice", rows({"p": [1]}) * 2, rows({"p": [1]}), "a.jsonl:2: sample 0 of problem 'p' stands in the file"),
    ("empty", [], rows({"p": [1]}), "a.jsonl: no rows to compare"),
    ("no score", [{"id": "p", "sample": 0}], rows({"p": [1]}), "a.jsonl:1: no column 'score': not a row that `rlvr"),
    ("a score of another kind", [rows({"p": [1]})[0] | {"score": "1"}], rows({"p": [1]}), "column 'score': is text"),
    ("a score that is true", [rows({"p": [1]})[0] | {"score": True}], rows({"p": [1]}), "column 'score': is true or"),
    ("a list of scores", [rows({"p": [1]})[0] | {"score": [1.0]}], rows({"p": [1]}), "column 'score': is a list"),
    ("infinity", [rows({"p": [1]})[0] | {"score": float("inf")}], rows({"p": [1]}), "finite number"),
    ("beyond every float", [rows({"p": [1]})[0] | {"score": 10**400}], rows({"p": [1]}), "finite number"),
    ("another status", [rows({"p": [1]})[0] | {"status": "right"}], rows({"p": [1]}), "'right' is none of correct"),
    ("a status that is a list", [rows({"p": [1]})[0] | {"status": []}], rows({"p": [1]}), "[] is none of correct"),
    ("no whole sample", [rows({"p": [1]})[0] | {"sample": "0"}], rows({"p": [1]}), "column 'sample': is text"),
    ("an id that is a number", [rows({"p": [1]})[0] | {"id": 3}], rows({"p": [1]}), "column 'id': is a number"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_is_refused(a: list[Row], b: list[Row], said: str, write_rows: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        pair(write_rows, a, b)
    assert said.format(f"{tmp_path}/") in str(error.value)
    assert "\n" not in str(error.value)


def test_common_compares_what_both_have_whole(write_rows: Write) -> None:
    a = rows({"p": [1, 0], "q": [1], "r": [1, 1], "only a": [0, 0]})
    b = rows({"p": [1, 1], "q": [1, 1], "r": [1, 0], "only b": [1, 1]})
    found = pair(write_rows, a, b, common=True)
    assert found["problems"] == 2
    assert found["a"]["score"]["mean"] == found["b"]["score"]["mean"] == 0.75
    assert [note for note in found["notes"] if "--common" in note] == [
        f"{found[run]['name']}: 2 of 4 problems are left out (--common)" for run in ("a", "b")
    ]
    with pytest.raises(UsageError, match="no problem in common"):
        pair(write_rows, rows({"p": [1]}), rows({"q": [1]}), common=True)


def test_the_command_on_files_that_score_wrote(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    for name, right in (("a", 5), ("b", 7)):
        write_rows(
            [{"id": i, "answer": "4", "completion": rf"\boxed{{{4 if i < right else 5}}}"} for i in range(9)],
            "in.jsonl",
        )
        (tmp_path / name).mkdir()
        assert rlvr("score", "in.jsonl", "--out", f"{name}/scored.jsonl", "--quiet").returncode == 0
    printed = rlvr("compare", "a", "b/scored.jsonl")
    assert (printed.returncode, printed.stderr) == (0, "")
    for words in (
        "9 problems", "55.56 %", "77.78 %", "+22.22 %", "p = 0.5 by sign flips", "McNemar", "2 problems flipped",
        "level 5 %, power 80 %",
    ):  # fmt: skip
        assert words in printed.stdout, words
    found = json.loads(rlvr("compare", "a", "b", "--json").stdout)
    assert found["pairs"][0]["mcnemar"] == {"only_a": 0, "only_b": 2, "p": 0.5}
    adjusted = rlvr("compare", "a", "b", "a", "a").stdout
    assert "1 for 2 tests (Holm)" in adjusted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.jsonl"], "takes runs in pairs"),
        (["a.jsonl", "absent.jsonl"], "absent.jsonl: No such file"),
        (["a.jsonl", "."], ".: holds no scored.jsonl"),
        (["a.jsonl", "broken.jsonl"], "broken.jsonl:1:1: not JSON"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], said: str, rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(rows({"p": [1]}), "a.jsonl")
    write_rows(b"nothing\n", "broken.jsonl")
    done = rlvr("compare", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("rlvr compare: ")
    assert done.stderr.count("\n") == 1


def test_markup_in_ids_is_text(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(rows({"[red]x[/]": [1], "y": [1]}), "a.jsonl")
    write_rows(rows({"[red]x[/]": [0], "y": [1]}), "b.jsonl")
    assert "[red]x[/]" in rlvr("compare", "a.jsonl", "b.jsonl").stdout
