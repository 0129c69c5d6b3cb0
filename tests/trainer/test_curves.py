"""The report of a training run: its numbers, which completions it holds, and that nothing hostile stands in it."""

import gzip
import json
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.cli import main
from rlvr.evals.errors import UsageError
from rlvr.trainer.completions import HEAD, TAIL, side_by_side
from rlvr.trainer.curves import POINTS, evaluation_curves, summary, training_curves, write_report
from rlvr.trainer.log import RunLog

Row = dict[str, Any]
Make = Callable[..., Path]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>"


def packed(page: str, name: str) -> Any:
    found = re.search(rf'id="{name}-data">([^<]*)</script>', page)
    assert found is not None
    return json.loads(gzip.decompress(b64decode(found[1])))


def lines(*rows: Row) -> str:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def logged(folder: Path, *, evals: list[Row] = [], completions: list[Row] = [], steps: int = 1) -> Path:  # noqa: B006
    """A run of one step, written as the loop writes it."""
    with RunLog(folder, steps=steps, loggers=(), quiet=True, clock=lambda: 0.0) as log:
        log.evaluation(0, evals)
        log.completions(1, completions)
        log.metrics(1, {"reward": 0.5})
    (folder / "config.toml").write_text("steps = 2\n")
    return folder


# ---- numbers


def test_summary_by_hand() -> None:
    rows = [
        {"step": 0, "eval/pass@1": 0.2, "seconds": 1.0},
        {"step": 1, "reward": 0.5, "length": 9, "tokens": 100, "seconds": 2.0},
        {"step": 2, "reward": 0.75, "length": 7, "tokens": 190, "eval/pass@1": 0.5, "seconds": 3.5},
        {"step": 3, "reward": None, "length": 8, "tokens": 300, "eval/pass@1": 0.4},
    ]
    assert summary(rows) == {
        "step": 3, "seconds": 3.5, "tokens": 300,
        "eval/pass@1": {"first": at(0, 0.2), "highest": at(2, 0.5), "last": at(3, 0.4)},
        "reward": {"first": at(1, 0.5), "highest": at(2, 0.75), "last": at(2, 0.75)},
        "length": {"first": at(1, 9), "highest": at(1, 9), "last": at(3, 8)},
    }  # fmt: skip


def at(step: int, value: float) -> Row:
    return {"step": step, "value": value}


def test_training_curves_are_without_evaluations_and_hold_shares() -> None:
    rows = [
        {"step": 0, "eval/pass@1": 0.2, "seconds/eval": 1.0, "seconds": 1.0},
        {"step": 1, "reward": 0.5, "groups": 16, "groups/all_wrong": 4, "judged": 0.75, "skipped": 1},
        {"step": 2, "reward": None, "groups": 0, "groups/all_wrong": 0, "judged": 1.0, "eval/pass@1": 0.5},
    ]
    assert training_curves(rows) == {
        "steps": [1, 2],
        "every": 1,
        "curves": {
            "reward": [0.5, None], "groups/all_wrong": [0.25, None], "skipped": [1, None], "unjudged": [0.25, 0.0],
        },
    }  # fmt: skip


def test_a_long_run_is_drawn_by_means() -> None:
    rows = [{"step": step, "reward": float(step), "kl": 1.0 if step % 3 == 0 else None} for step in range(1, 10_001)]
    found = training_curves(rows)
    assert found["every"] == 9 and len(found["steps"]) == len(found["curves"]["reward"]) == 1112 <= POINTS
    assert found["steps"][0] == 9 and found["curves"]["reward"][0] == 5.0
    assert found["steps"][-1] == 10_000 and found["curves"]["reward"][-1] == 10_000.0
    assert found["curves"]["kl"][0] == 1.0


def test_intervals_of_evaluations_are_students_cut_at_0_and_1() -> None:
    rows = [
        {"step": 0, "eval/pass@1": 0.5, "eval/pass@1_stderr": 0.1, "eval/problems": 5},
        {"step": 1, "reward": 0.1},
        {"step": 2, "eval/pass@1": 0.9, "eval/pass@1_stderr": 0.1, "eval/problems": 5, "eval/greedy": 1.0},
        {"step": 4, "eval/pass@1": 0.9, "eval/pass@1_stderr": None, "eval/problems": 1},
    ]
    found = evaluation_curves(rows)
    assert found["steps"] == [0, 2, 4]
    reach = 0.1 * 2.776445  # t of 4 degrees of freedom at 97.5 %
    assert found["curves"]["eval/pass@1/low"] == [pytest.approx(0.5 - reach), pytest.approx(0.9 - reach), None]
    assert found["curves"]["eval/pass@1/high"] == [pytest.approx(0.5 + reach), 1.0, None]
    assert found["curves"]["eval/greedy"] == [None, 1.0, None] and found["curves"]["eval/greedy/low"] == [None] * 3


# ---- completions


def test_chosen_steps_problems_and_samples_are_spread_over_the_run(tmp_path: Path, training_run: Make) -> None:
    held_out, greedy, training = side_by_side(training_run(tmp_path / "run", steps=300, every=10, problems=90))
    assert held_out["steps"] == greedy["steps"] == [0, 30, 70, 100, 130, 170, 200, 230, 270, 300]
    ids = [problem["id"] for problem in held_out["problems"]]
    assert len(ids) == 30 and ids[0] == "37+85" and ids[-1] == f"{37 + 3 * 89}+{85 + 7 * 89}"
    assert ids == [problem["id"] for problem in greedy["problems"]]
    assert len(held_out["rows"]) == 600 and len(greedy["rows"]) == 300
    assert [row["sample"] for row in held_out["rows"][:4]] == [0, 1, 0, 1]
    assert training["steps"][0] == 1 and training["steps"][-1] == 300 and len(training["rows"]) == 80
    assert training["rows"][0]["parts"] == [
        {"name": "correct", "score": training["rows"][0]["parts"][0]["score"], "status": training["rows"][0]["status"]},
        {"name": "format", "score": 1.0, "status": "correct"},
    ]


def test_a_long_completion_keeps_its_ends(tmp_path: Path) -> None:
    text = "a" * HEAD + "b" * 1000 + "c" * TAIL
    row = side_by_side(logged(tmp_path / "run", completions=[{"id": "p", "completion": text, "status": "wrong"}]))[0][
        "rows"
    ][0]
    assert (row["text"], row["end"], row["missing"]) == ("a" * HEAD, "c" * TAIL, 1000)


def test_parts_inside_parts_and_what_is_missing(tmp_path: Path) -> None:
    parts = {"then": {"score": None, "status": "error", "parts": {"correct": {"score": 1.0, "status": "correct"}}}}
    chat = [{"role": "user", "content": "1+6"}]
    folder = logged(tmp_path / "run", completions=[{"id": 7, "prompt": chat, "parts": parts, "status": "?"}, {}])
    [source] = side_by_side(folder)
    assert source["problems"] == [{"id": "7", "prompt": "user: 1+6"}, {"id": "", "prompt": ""}]
    assert source["rows"][0]["status"] == "error" and source["rows"][0]["text"] == ""
    assert [part["name"] for part in source["rows"][0]["parts"]] == ["then", "then/correct"]


# ---- the page


def test_nothing_hostile_stands_in_the_page(tmp_path: Path) -> None:
    row = dict.fromkeys(("id", "prompt", "completion", "extracted"), f"{HOSTILE}\ud800\x00") | {"status": "wrong"}
    row["parts"] = {HOSTILE: {"score": 0.0, "status": "wrong"}}
    folder = logged(tmp_path / "<b>run&amp;", evals=[{"mode": "greedy", **row}], completions=[row])
    (folder / "config.toml").write_text(f"task = '{HOSTILE}'\n")
    page = write_report(folder).read_text()
    assert "alert(" not in page and "<b>run" not in page and "&lt;b&gt;run&amp;amp;" in page
    assert packed(page, "sample")[1]["rows"][0]["text"].startswith(HOSTILE)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy and "default-src 'none'" in policy[1] and policy[1].count("'sha256-") == 2
    assert set(re.findall(r"\w+://[^\"']*", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_equal_runs_give_equal_pages_and_out_is_elsewhere(tmp_path: Path, training_run: Make) -> None:
    run = training_run(tmp_path / "run", steps=20, every=10, problems=4)
    first = write_report(run).read_bytes()
    assert write_report(run, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_bytes() == first == (run / "report.html").read_bytes()
    assert packed(first.decode(), "head")["words"][:2] == ["wait", "mistake"]


def test_more_completions_make_no_larger_page(tmp_path: Path) -> None:
    sizes: list[int] = []
    for per_step in (400, 800):
        folder = logged(tmp_path / f"run{per_step}")
        rows = [
            {"step": 1 + i // per_step, "id": str(i // 5), "completion": f"{i % 9}" * 13_000}
            for i in range(3 * per_step)
        ]
        (folder / "completions.jsonl").write_text(lines(*rows))
        [source] = side_by_side(folder)
        assert len(source["rows"]) == 3 * 8 * 4
        sizes.append(write_report(folder).stat().st_size)
    assert sizes[1] < 1.05 * sizes[0] < 100_000


def test_a_run_that_goes_on_is_reported_without_its_torn_line(tmp_path: Path, training_run: Make) -> None:
    run = training_run(tmp_path / "run", steps=20, every=10, problems=4)
    for name in ("metrics.jsonl", "eval.jsonl", "completions.jsonl"):
        with (run / name).open("a") as file:
            file.write('{"step":21,"reward":0.')
    assert packed(write_report(run).read_text(), "head")["summary"]["step"] == 20


# ---- the command


def test_rlvr_report_of_a_training_run(tmp_path: Path, training_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = training_run(tmp_path / "addition", steps=40, every=20, problems=4)
    assert main(["report", str(run)]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert shown[0] == f"{run}: 40 steps in 42 s, 360,000 tokens sampled"
    assert shown[1] == "first highest at step last"
    assert [line.split(" ")[0] for line in shown[2:6]] == ["pass@1,", "pass@1,", "reward", "length"]
    assert shown[6] == str(run / "report.html")
    assert main(["report", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(run / "report.html") and found["eval/pass@1"]["last"]["step"] == 40


def test_what_is_no_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "is no run of ours" in capsys.readouterr().err
    (tmp_path / "metrics.jsonl").write_text("")
    (tmp_path / "config.toml").write_text("steps = 2\n")
    with pytest.raises(UsageError, match=r"metrics.jsonl holds no row"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step":1,"reward":0.5}\nnonsense\n')
    with pytest.raises(UsageError, match=r"metrics.jsonl:2: not a row that rlvr wrote"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step":1,"reward":0.5}\n')
    with pytest.raises(UsageError, match=r"nowhere/r.html: No such file"):
        write_report(tmp_path, tmp_path / "nowhere" / "r.html")
    (tmp_path / "config.toml").write_text("steps = \n")
    with pytest.raises(UsageError, match=r"config.toml: Invalid value"):
        write_report(tmp_path)
