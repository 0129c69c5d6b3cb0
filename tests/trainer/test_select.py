"""`rlvr select`: which samples are kept, why the others are not, and what it says of files that are broken."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.cli import main
from rlvr.evals.errors import UsageError
from rlvr.trainer.select import Selected, command, select
from rlvr.trainer.selection import Rules

Row = dict[str, Any]
PROSE = "<think>First add the two numbers, then look again.</think>"


def scored(completion: str = f"{PROSE} 7", id: str = "p", status: str = "correct", **more: Any) -> Row:
    return {"id": id, "prompt": f"What is {id}?", "completion": completion, "status": status, **more}


def write(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run(tmp_path: Path, rows: list[Row], **rules: Any) -> tuple[Selected, list[Row]]:
    found = select([write(tmp_path / "in.jsonl", rows)], tmp_path / "out.jsonl", Rules(**rules))
    return found, read(tmp_path / "out.jsonl")


def texts(rows: list[Row]) -> list[str]:
    return [row["messages"][-1]["content"] for row in rows]


def test_a_kept_sample_is_a_chat(tmp_path: Path) -> None:
    found, rows = run(tmp_path, [scored("4", status="wrong"), scored(f"{PROSE} 7", sample=5)])
    assert rows == [
        {
            "messages": [{"role": "user", "content": "What is p?"}, {"role": "assistant", "content": f"{PROSE} 7"}],
            "id": "p",
            "sample": 5,
        }
    ]
    assert found == Selected(2, 1, 1, 1, {"wrong": 1}, 0)


CHINESE = "<think>先把两个数相加 and then look.</think> 7"
FAULTS: list[tuple[Row, dict[str, Any], str | None]] = [
    *((scored(status=status), {}, status) for status in ("wrong", "unextracted", "truncated", "timeout", "error")),
    (scored(finish_reason="length"), {}, "cut"),
    (scored(finished=False), {}, "cut"),
    (scored(finish_reason="stop"), {}, None),
    (scored(" \n"), {}, "empty"),
    (scored("x" * 11), {"max_length": 10}, "too long"),
    (scored("x" * 10), {"max_length": 10}, None),
    (scored("a\n" + "x" * 2001), {}, "long paragraph"),
    (scored(("x" * 2000 + "\n") * 3), {}, None),
    (scored("x" * 2001), {"max_paragraph": None}, None),
    (scored("So:\n```python\nprint(7)\n```"), {"code_blocks": False}, "code block"),
    (scored("So:\n  ~~~\nprint(7)\n~~~"), {"code_blocks": False}, "code block"),
    (scored("So `print(7)` and ``` inside"), {"code_blocks": False}, None),
    (scored("So:\n```python\nprint(7)\n```"), {}, None),
    (scored(CHINESE), {}, "mixed language"),
    (scored(CHINESE), {"language": None}, None),
    (scored(CHINESE), {"language_share": 0.2}, None),
    (scored(CHINESE), {"language": "zh"}, "mixed language"),
    (scored("<think>先把两个数相加。</think> 7"), {"language": "zh"}, None),
    (scored("<think>$1 + 6$</think> 7"), {}, None),  # no words: nothing is mixed
]


@pytest.mark.parametrize(("row", "rules", "fault"), FAULTS)
def test_checks(tmp_path: Path, row: Row, rules: dict[str, Any], fault: str | None) -> None:
    found, rows = run(tmp_path, [row], **rules)
    assert dict(found.dropped) == ({fault: 1} if fault else {})
    assert found.kept == len(rows) == (fault is None)


def test_a_sample_counts_under_the_first_check_that_it_fails(tmp_path: Path) -> None:
    found, _ = run(tmp_path, [scored("x" * 3000, status="wrong"), scored(CHINESE + "x" * 3000)])
    assert list(found.dropped.items()) == [("wrong", 1), ("long paragraph", 1)]


def test_languages_of_one_script_are_told_apart_when_asked(tmp_path: Path) -> None:
    german = (
        "Zuerst addieren wir die beiden Zahlen, dann sehen wir noch einmal genau nach, ob das Ergebnis stimmt. " * 3
    )
    assert run(tmp_path, [scored(german)])[0].kept == 1
    assert dict(run(tmp_path, [scored(german)], identify=True)[0].dropped) == {"mixed language": 1}


def test_duplicates_are_looked_for_within_a_problem_whatever_case_width_and_space(tmp_path: Path) -> None:
    same = ["So, it is 7.", "so,  it\nis 7. ", "Ｓｏ， it is ７."]
    found, rows = run(tmp_path, [*map(scored, same), scored("So it is 7."), scored(same[0], id="other")])
    assert texts(rows) == [same[0], "So it is 7.", same[0]]
    assert dict(found.dropped) == {"duplicate": 2}


MANY = [scored(f"{'again ' * (9 - i)}and it is 7 ({id}{i})", id=id, sample=i) for i in range(8) for id in ("p", "q")]


def test_at_most_so_many_of_a_problem_in_the_order_of_the_file(tmp_path: Path) -> None:
    found, rows = run(tmp_path, MANY, per_problem=3, order="first")
    assert [(row["id"], row["sample"]) for row in rows] == [(id, i) for i in range(3) for id in ("p", "q")]
    assert dict(found.dropped) == {"more than asked": 10} and found.kept == 6 and found.kept_problems == 2
    _, shortest = run(tmp_path, MANY, per_problem=3, order="shortest")
    assert [(row["id"], row["sample"]) for row in shortest] == [(id, i) for i in range(5, 8) for id in ("p", "q")]


def test_a_random_choice_is_the_seeds_and_not_the_files(tmp_path: Path) -> None:
    def chosen(rows: list[Row], seed: int) -> set[str]:
        return set(texts(run(tmp_path, rows, per_problem=2, order="random", seed=seed)[1]))

    assert chosen(MANY, 0) == chosen(MANY[::-1], 0)
    drawn = [chosen(MANY, seed) for seed in range(20)]
    assert all(len(each) == 4 for each in drawn)
    assert len(set(map(frozenset, drawn))) > 10
    assert set().union(*drawn) == {row["completion"] for row in MANY}


def test_random_and_first_keep_everything_where_nothing_is_asked(tmp_path: Path) -> None:
    assert texts(run(tmp_path, MANY)[1]) == [row["completion"] for row in MANY]


def test_a_chat_prompt_is_kept_as_it_is(tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+6"}]
    _, rows = run(tmp_path, [{**scored(), "prompt": prompt}])
    assert rows[0]["messages"] == [*prompt, {"role": "assistant", "content": f"{PROSE} 7"}]


def test_hostile_text_comes_out_as_it_went_in(tmp_path: Path) -> None:
    wild = ["\ud800 \x00 </think>", "a\u2028b\x85c 7", "\r\n" * 5 + "7", "$" * 3000 + "\n"]
    _, rows = run(tmp_path, [scored(text) for text in wild], max_paragraph=None)
    assert texts(rows) == wild


def test_several_files_one_of_them_packed_are_one_run(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [scored("It is 7.")])
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(b"".join(json.dumps(scored(t)).encode() + b"\n" for t in ("It is 7.", "Seven."))))
    found = select([first, str(second)], tmp_path / "out.jsonl", Rules())
    assert (found.samples, found.problems, found.kept, dict(found.dropped)) == (3, 1, 2, {"duplicate": 1})
    assert [row["sample"] for row in read(tmp_path / "out.jsonl")] == [0, 2]


# ---- where rows come from


def test_what_rlvr_score_wrote_is_selected_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "p", "prompt": "1+6", "answer": "7", "completions": ["It is \\boxed{7}.", "It is \\boxed{8}."]}]
    dump, out = write(tmp_path / "dump.jsonl", rows), tmp_path / "scored.jsonl"
    assert main(["score", dump, "--out", str(out), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["select", str(out), "--out", str(tmp_path / "sft.jsonl"), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "samples": 2, "problems": 1, "kept": 1, "kept_problems": 1, "dropped": {"wrong": 1}, "bad_rows": 0,
    }  # fmt: skip
    assert texts(read(tmp_path / "sft.jsonl")) == ["It is \\boxed{7}."]


def test_a_training_run_and_an_evaluation_are_folders(tmp_path: Path) -> None:
    train, eval_ = tmp_path / "train", tmp_path / "eval"
    train.mkdir(), eval_.mkdir()
    write(train / "completions.jsonl", [{"step": 1, "sample": 0, "finished": True, **scored()}])
    (eval_ / "manifest.json").write_text("{}")
    write(eval_ / "problems.jsonl", [{"id": "e", "prompt": "1+6"}])
    sample = {"id": "e", "finish_reason": "stop", "n_tokens": 3}
    write(eval_ / "samples.jsonl", [{**sample, "sample": i, "completion": f"It is {7 + i}."} for i in range(2)])
    write(eval_ / "scored.jsonl", [{"id": "e", "sample": i, "status": ["correct", "wrong"][i]} for i in range(2)])
    found = select([str(train), str(eval_)], tmp_path / "out.jsonl", Rules())
    assert (found.samples, dict(found.dropped)) == (3, {"wrong": 1})
    assert [row["messages"][0]["content"] for row in read(tmp_path / "out.jsonl")] == ["What is p?", "1+6"]
    write(eval_ / "scored.jsonl", [{"id": "e", "sample": 0, "status": "correct"}])
    with pytest.raises(UsageError, match=r"samples.jsonl:2: has no verdict yet; rlvr report .*eval judges it"):
        select([str(eval_)], tmp_path / "out.jsonl", Rules())


# ---- what the user has to mend


def changed(**changes: Any) -> Callable[[Row], Row]:
    return lambda row: {name: value for name, value in {**row, **changes}.items() if value is not ...}


BROKEN: list[tuple[str, str]] = [
    ('{"id": "p"', "in.jsonl:2:11: not JSON"),
    ('["p"]', "in.jsonl:2:1: a row is a JSON object, not a list"),
    (
        json.dumps(changed(status=...)(scored())),
        r"in.jsonl:2: no column 'status': `rlvr score --out` and training runs",
    ),
    (json.dumps(scored(status="good")), "in.jsonl:2: column 'status': is none of correct, wrong"),
    (json.dumps(changed(status=[])(scored())), "in.jsonl:2: column 'status': is none of correct, wrong"),
    (json.dumps(changed(completion=7)(scored())), "in.jsonl:2: column 'completion': is a number"),
    (json.dumps(changed(completion=...)(scored())), "in.jsonl:2: no column 'completion'"),
    (json.dumps(changed(prompt=None)(scored())), "in.jsonl:2: column 'prompt': is no text and no chat; --prompt-field"),
    (json.dumps(changed(prompt="another")(scored())), "in.jsonl:2: problem id 'p' stood for another prompt before"),
]


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f"{json.dumps(scored())}\n{line}\n{json.dumps(scored('Seven it is.'))}\n")
    (tmp_path / "out.jsonl").write_text("as before")
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        select([str(path)], tmp_path / "out.jsonl", Rules())
    assert (tmp_path / "out.jsonl").read_text() == "as before"
    found = select([str(path)], tmp_path / "out.jsonl", Rules(), skip_bad_rows=True)
    assert (found.samples, found.kept, found.bad_rows) == (2, 2, 1)


def test_rows_without_a_prompt_say_how_to_name_one(tmp_path: Path) -> None:
    row = changed(prompt=..., ask="1+6")(scored())
    with pytest.raises(UsageError, match=r"in.jsonl:1: no column for the prompt; --prompt-field picks one"):
        run(tmp_path, [row])
    select([str(tmp_path / "in.jsonl")], tmp_path / "out.jsonl", Rules(), fields={"prompt": "ask"})
    assert read(tmp_path / "out.jsonl")[0]["messages"][0] == {"role": "user", "content": "1+6"}


OPTIONS: Mapping[str, str] = {
    "--language xx": "--language xx: unknown; known are",
    "--language-share 2": "--language-share 2: is not from 0 to 1",
    "--language-share nan": "--language-share nan: is not from 0 to 1",
    "--max-paragraph -1": "--max-paragraph -1: is below 1",
    "--max-length 0": "--max-length 0: is below 1",
    "--per-problem 0": "--per-problem 0: is below 1",
    "--language zu --identify --language am": "--identify: lingua cannot identify 'am'",
    "--completion-field nope": "no column 'nope'; columns here",
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.items())
def test_an_option_out_of_range(tmp_path: Path, options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "in.jsonl", [scored()])
    assert main(["select", path, "--out", str(tmp_path / "out.jsonl"), *options.split()]) == 2
    assert f"rlvr select: {message}" in capsys.readouterr().err.replace(f"{path}:1: ", "")


def test_the_input_is_not_overwritten_and_an_empty_one_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [scored()])
    with pytest.raises(UsageError, match="is one of the files that are read"):
        select([path], tmp_path / "in.jsonl", Rules())
    with pytest.raises(UsageError, match="no rows to select from"):
        select([write(tmp_path / "empty.jsonl", [])], tmp_path / "out.jsonl", Rules())
    with pytest.raises(UsageError, match=r"nowhere/out.jsonl: No such file or directory"):
        select([path], tmp_path / "nowhere" / "out.jsonl", Rules())
    with pytest.raises(UsageError, match=r"nope.jsonl: No such file"):
        select([str(tmp_path / "nope.jsonl")], tmp_path / "out.jsonl", Rules())


def test_the_table_says_what_was_dropped_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [scored(status="wrong"), scored(), scored(), scored("Seven."), scored("It is 7!", id="q", status="wrong")]
    out = tmp_path / "out.jsonl"
    assert command([write(tmp_path / "in.jsonl", rows), "--out", str(out), "--per-problem", "1"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines == [
        "dropped samples share",
        "wrong 2 40.0% the verdict is wrong",
        "duplicate 1 20.0% the same text as another one of its problem",
        "more than asked 1 20.0% --per-problem",
        "kept 1 20.0% 1 of 2 problems have one",
        f"1 chats in {out}",
    ]


def test_standard_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rlvr.evals.cli import main; raise SystemExit(main())", "select", "-", "--quiet",
         "--json", "--out", str(tmp_path / "out.jsonl")],
        input=json.dumps(scored()), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["kept"] == len(read(tmp_path / "out.jsonl")) == 1


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """60 MB of texts pass through a process whose memory grows by less than a third of that."""
    with (tmp_path / "in.jsonl").open("w") as file:
        for i in range(3000):
            file.write(json.dumps(scored(f"Number {i}:\n" + "again and again\n" * 1250, id=str(i % 50))) + "\n")
    code = f"""
import resource
from pathlib import Path
from rlvr.trainer.select import Rules, select
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = select([{str(tmp_path / "in.jsonl")!r}], Path({str(tmp_path / "out.jsonl")!r}), Rules(language=None))
print(found.kept, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kept, grown_kib = map(int, done.stdout.split())
    assert kept == 3000 and grown_kib < 20_000


# ---- beside the other commands

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from rlvr.evals.cli import main; raise SystemExit(main())"


def test_the_trainers_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")}
    assert {"train", "sft", "select", "report"} <= listed


def test_selecting_needs_no_torch_and_training_says_what_it_needs(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    path = write(tmp_path / "in.jsonl", [scored()])
    assert run("select", path, "--out", str(tmp_path / "out.jsonl")).returncode == 0
    done = run("train", "addition")
    assert (done.returncode, done.stderr) == (2, "rlvr train: needs torch: pip install 'rlvr[train]'\n")


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["select", "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert "rlvr select scored.jsonl --out sft.jsonl" in shown and "--max-paragraph" in shown
