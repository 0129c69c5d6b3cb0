"""What a user types and reads: the command's messages, tables and exit codes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.cli import main

Write = Callable[..., Path]
Rlvr = Callable[..., Any]
DATA = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
PROBLEMS = [{"id": f"p{i}", "problem": f"What is 2 + {i}?", "answer": str(2 + i)} for i in range(6)]
ENGINE = ["--backend", "scripted_engine:Engine"]


@pytest.fixture
def folder(tmp_path: Path, write_rows: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_rows(PROBLEMS, "aime24.jsonl")
    shutil.copy(Path(__file__).with_name("scripted_engine.py"), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_prints_its_numbers_and_what_makes_them_differ(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(
        capsys, "eval", "aime24", "--data", "aime24.jsonl", "--model", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        *ENGINE, "--n", 8, "--out", "run",
    )  # fmt: skip
    assert code == 0
    assert err == "aime24: 6 problems x 8 samples into run\n"
    lines = out.splitlines()
    assert lines[1].startswith(
        "aime24, deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B (scripted, prompt r1, temperature 0.6,"
    )
    assert "48 samples of 6 problems (8 each), judged by math" in out
    assert "score (pass@1)" in out
    assert "cons@8" in out
    summary = json.loads((folder / "run/summary.json").read_text(encoding="utf-8"))
    cut = summary["truncation"]
    assert f"{cut['cut']} completions were cut at the length limit ({cut['rate']:.1%})" in lines
    published = next(line for line in lines if line.startswith("pass@1 ") and "arXiv" in line).split()
    measured = 100 * summary["score"]["mean"]
    assert published[1:6] == [f"{measured:.1f}", "%", "28.9", "%", f"{measured - 28.9:+.1f}"]
    assert next(line for line in lines if line.startswith("cons@64 ")).split()[1:4] == ["not", "with", "this"]
    differs = [line for line in lines if line.startswith("differs: ")]
    assert differs == [
        "differs: aime24.jsonl has 6 problems; aime24 has 30",
        f"differs: {cut['rate']:.1%} of the completions were cut at the length limit",
        "differs: 8 samples per problem; the published figures have 64",
    ]
    assert lines[-1] == "run/report.html"


def test_greedy_with_a_system_prompt_and_a_short_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(
        capsys, "eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--n", 2, "--temperature", 0,
        "--max-tokens", 512, "--system", "Be brief.", "--limit", 3,
    )  # fmt: skip
    for line in (
        "differs: greedy decoding: the protocol samples at temperature 0.6, and several samples of a problem are mere",
        "differs: a system prompt: the protocol has none",
        "differs: at most 512 new tokens; the protocol allows 32,768",
        "differs: only the first 3 of 6 problems were asked",
    ):
        assert line in out
    assert "published" not in out.replace("the published figures", "")


def test_a_task_of_ones_own_is_compared_with_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "aime24.toml").write_text('data = "aime24.jsonl"\n', encoding="utf-8")
    _, out, _ = said(capsys, "eval", "aime24.toml", "--model", "deepseek-ai/DeepSeek-R1", *ENGINE, "--temperature", 0)
    assert "differs" not in out
    assert "arXiv" not in out


def test_missing_samples_are_counted_and_the_exit_code_is_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(
        capsys, "eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--n", 4,
        "--engine-option", "broken=40", "--out", "run",
    )  # fmt: skip
    errors = len((folder / "run/errors.jsonl").read_text().splitlines())
    assert code == 1
    assert f"{errors} of 24 samples are missing\n  {errors} x 503 Service Unavailable" in out


def test_quiet_says_nothing_on_the_side(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--n", 1]
    assert said(capsys, *words, "--quiet")[2] == ""
    code, out, err = said(capsys, *words, "--json")
    assert code == 0
    assert err.splitlines()[1:] == ["every sample is there already: nothing is asked of the model"]
    assert json.loads(out)["samples"] == 6


def test_a_log_hears_how_far_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlvr.evals.render_run._LINE_EVERY_S", 0.0)
    _, _, err = said(capsys, "eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--n", 2)
    assert "aime24: 1 of 12 samples" in err
    assert "aime24: 12 of 12 samples" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval", "aime42", "--model", "m"], "task aime42: there is no such task. Did you mean aime2"),
        (["eval", ",", "--model", "m"], "',': name each task once"),
        (["eval", "aime24,aime24", "--model", "m"], "name each task once"),
        (["eval", "aime24,aime25", "--model", "m", "--data", "aime24.jsonl"], "--data: one file is one task's"),
        (["eval", "aime24", "--model", "m", "--data", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["eval", "aime24", "--model", "m", "--prompt", "r2"], "--prompt r2: there is no such prompt"),
        (["eval", "humaneval", "--model", "m", "--data", "aime24.jsonl"], "task humaneval: "),
        (["eval", "aime24", "--model", "m", "--engine-option", "x"], "--engine-option 'x': write key=value"),
        (["eval", "aime24", "--model", "m", "--base-url", "http://x"], "--base-url: the vllm engine asks no server"),
        (["eval", "aime24", "--data", "aime24.jsonl", "--model", "m", "--backend", "tgi"],
         "--backend tgi: there is no such engine; vllm, openai, transformers, or package.module:Class"),
        (["eval", "aime24", "--data", "aime24.jsonl", "--model", "m", "--backend", "nowhere:Engine"],
         "--backend nowhere:Engine: No module named 'nowhere'"),
        (["eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--engine-option", "gpu=1"],
         "got an unexpected keyword argument 'gpu'"),
        (["eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--out", "."],
         ".: holds aime24.jsonl and is no run of ours; --out picks another folder"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_explained(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("rlvr eval: ") or "\nrlvr eval: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["--n", "0"], ["--temperature", "-1"], ["--top-p", "2"], ["--max-tokens", "0"]])
def test_numbers_that_make_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["eval", "aime24", "--model", "m", *words])
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "tasks")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("gpqa_diamond"))
    assert row.split()[1:6] == ["198", "8", "math", "Idavidrein/gpqa", "@633f5ee8"]
    assert "(gated)" in row
    _, out, _ = said(capsys, "tasks", "--json")
    assert json.loads(out)["aime24"]["n"] == 64


@pytest.mark.skipif(not DATA.exists(), reason=f"no benchmark files at {DATA}")
@pytest.mark.parametrize("name", ["aime24", "aime25", "amc23", "math500", "gsm8k"])
def test_every_benchmark_from_its_local_copy(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(
        capsys, "eval", name, "--data", DATA / f"{name}.jsonl", "--model", "m", *ENGINE, "--n", 2, "--json",
    )  # fmt: skip
    assert code == 0, err
    summary = json.loads(out)
    assert summary["samples"] == 2 * summary["problems"]
    assert summary["not_judged"] == 0
    assert not [line for line in summary["run"]["warnings"] if "problems" in line and "has" in line]


def test_the_command_as_it_is_installed(folder: Path, rlvr: Rlvr) -> None:
    run = rlvr("eval", "aime24", "--data", "aime24.jsonl", "--model", "m", *ENGINE, "--n", "2")
    assert run.returncode == 0, run.stderr
    assert "12 samples of 6 problems" in run.stdout
    again = rlvr("report", next((folder / "runs").iterdir()))
    assert again.returncode == 0
    assert "12 samples of 6 problems" in again.stdout
