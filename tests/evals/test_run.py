"""A run that was stopped ends as one that nobody stopped: killed at any moment, cut at any byte, failed in between."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals import outcome, run_dir
from rlvr.evals.cli import main
from rlvr.evals.engines.types import EngineUnavailable
from rlvr.evals.run_dir import RunDir

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[bytes]"]
Write = Callable[..., Path]
Eval = Callable[..., tuple[int, dict[str, Any], str]]
Row = dict[str, Any]

PROBLEMS = [{"id": f"p{i}", "problem": f"What is 2 + {i}?", "answer": str(2 + i)} for i in range(6)]
N = 5
TASK = 'data = "problems.jsonl"\nn = 5\n'


@pytest.fixture
def folder(tmp_path: Path, write_rows: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder with a task, its problems and the scripted engine; it is the current one."""
    write_rows(PROBLEMS, "problems.jsonl")
    (tmp_path / "task.toml").write_text(TASK, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("scripted_engine.py"), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*more: object, out: str = "run") -> list[str]:
    fixed = ["eval", "task.toml", "--model", "m", "--backend", "scripted_engine:Engine", "--out", out]
    return [*fixed, *map(str, more)]


@pytest.fixture
def evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> Eval:
    """Run the command in this process: exit code, summary, what was said."""

    def run(*more: object, out: str = "run") -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = main(command("--json", *more, out=out))
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {}, said.err

    return run


def options(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("--engine-option", f"{name}={value}")]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sample_set(folder: Path) -> list[str]:
    """The samples, each once, in an order that does not depend on their arrival."""
    return sorted(json.dumps(row, sort_keys=True) for row in rows(folder / "samples.jsonl"))


def same_run(one: Path, other: Path) -> None:
    assert sample_set(one) == sample_set(other)
    assert (one / "scored.jsonl").read_bytes() == (other / "scored.jsonl").read_bytes()
    assert timeless(one) == timeless(other)


def timeless(folder: Path) -> dict[str, Any]:
    """The summary without what depends on the clock and the folder's name."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["seconds"], summary["files"]
    for name in ("folder", "seconds", "tokens_per_second", "device_hours", "scoring"):
        del summary["run"][name]
    return summary


# --- what a run holds


def test_every_sample_is_there_once_and_scored_in_order(evaluate: Eval, folder: Path) -> None:
    code, summary, said = evaluate()
    assert code == 0
    samples, scored = rows(folder / "run/samples.jsonl"), rows(folder / "run/scored.jsonl")
    expected = [(problem["id"], sample) for problem in PROBLEMS for sample in range(N)]
    assert [(row["id"], row["sample"]) for row in scored] == expected
    arrived = [(row["id"], row["sample"]) for row in samples]
    assert sorted(arrived) == expected
    assert arrived != expected  # the engine has an order of its own
    assert summary["samples"] == 30
    assert summary["run"]["missing"] == 0
    assert summary == json.loads((folder / "run/summary.json").read_text(encoding="utf-8"))
    assert "run" in said
    assert (folder / "run/report.html").stat().st_size > 10_000


def test_scored_rows_agree_with_the_samples(evaluate: Eval, folder: Path) -> None:
    evaluate()
    samples = {(row["id"], row["sample"]): row for row in rows(folder / "run/samples.jsonl")}
    right = 0
    for row in rows(folder / "run/scored.jsonl"):
        sample = samples[row["id"], row["sample"]]
        stated = next(
            (n for n in "45" if f"\\boxed{{{n}}}" in sample["completion"] or f"A: {n}" in sample["completion"]), ""
        )
        assert row["answer"] == str(2 + int(row["id"][1:]))
        assert (row["status"] == "correct") == (stated == row["answer"])
        assert (row["finish_reason"], row["n_tokens"]) == (sample["finish_reason"], sample["n_tokens"])
        right += row["status"] == "correct"
    assert right


def test_the_manifest_says_what_the_run_is(evaluate: Eval, folder: Path) -> None:
    evaluate("--think-prefix", "--seed", 7, "--limit", 3, *options(tensor_parallel_size=2))
    manifest = json.loads((folder / "run/manifest.json").read_text(encoding="utf-8"))
    assert manifest["task"]["source"] == "problems.jsonl"
    assert (manifest["task"]["problems"], manifest["task"]["limit"], manifest["task"]["n"]) == (6, 3, 5)
    assert len(manifest["task"]["hash"]) == len(manifest["prompt"]["hash"]) == 32
    assert manifest["sampling"] == {
        "temperature": 0.6, "top_p": 0.95, "max_tokens": 32768, "seed": 7, "logprobs": False,
    }  # fmt: skip
    assert manifest["engine"] == {
        "name": "scripted", "model": "m", "revision": "abc123", "versions": {"scripted": "1"},
        "options": {"tensor_parallel_size": 2, "concurrency": 1, "batch_size": 1},
    }  # fmt: skip
    asked = "What is 2 + 0?\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert manifest["first_prompt"]["rendered"] == f"<user>{asked}<think>\n"
    assert manifest["command"][0] == "rlvr"
    assert {row["id"] for row in rows(folder / "run/problems.jsonl")} == {"p0", "p1", "p2"}
    assert all(row["completion"].startswith("<think>\n") for row in rows(folder / "run/samples.jsonl"))


def test_tokens_and_devices_are_counted(evaluate: Eval, folder: Path) -> None:
    _, summary, _ = evaluate(*options(tensor_parallel_size=4))
    samples = rows(folder / "run/samples.jsonl")
    run = summary["run"]
    assert run["tokens"] == sum(row["n_tokens"] for row in samples)
    assert run["prompt_tokens"] == 6 * 20
    assert summary["truncation"]["cut"] == sum(row["finish_reason"] == "length" for row in samples) > 0
    assert run["devices"] == 4
    assert run["device_hours"] == pytest.approx(4 * run["seconds"] / 3600, abs=1e-6)
    assert 0 <= run["scoring"]["after_last_sample_s"] <= run["seconds"] + 1


def test_the_default_folder_follows_the_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["eval", "task.toml", "--model", "org/tiny", "--backend", "scripted_engine:Engine", "--json"]
    found: list[str] = []
    for more in ([], [], ["--temperature", "1"], ["--n", "2"], ["--engine-option", "concurrency=9"]):
        assert main([*base, *more]) == 0
        found.append(json.loads(capsys.readouterr().out)["run"]["folder"])
    assert found[0] == found[1] == found[4]
    assert len(set(found)) == 3
    assert all(name.startswith("runs/task-tiny-") for name in found)


def test_several_tasks_share_an_engine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.toml").write_text('name = "second"\ndata = "problems.jsonl"\nn = 1\n', encoding="utf-8")
    arguments = command("--json", *options(log="log.txt"), out="all")
    arguments[1] = "task.toml,other.toml"
    assert main(arguments) == 0
    assert [json.loads(line)["samples"] for line in capsys.readouterr().out.splitlines()] == [30, 6]
    assert (folder / "all/task/report.html").exists()
    assert (folder / "all/second/report.html").exists()
    log = (folder / "log.txt").read_text().splitlines()
    assert (log.count("start"), log.count("close")) == (1, 1)


def test_a_complete_run_asks_nothing_of_the_model(evaluate: Eval, folder: Path) -> None:
    _, first, _ = evaluate()
    written = (folder / "run/samples.jsonl").read_bytes()
    code, again, said = evaluate()
    assert code == 0
    assert "nothing is asked of the model" in said
    assert (folder / "run/samples.jsonl").read_bytes() == written
    assert again["score"] == first["score"]


# --- killed


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_points(seed: int, folder: Path, rlvr: Rlvr, start: Start) -> None:
    """Twenty kills: some while it starts, most between samples, some while it ends."""
    pick = random.Random(seed)
    pause = options(pause_s=0.008)
    whole = rlvr(*command("--n", 16, out="whole"))
    assert whole.returncode == 0, whole.stderr
    samples = folder / "run/samples.jsonl"
    kills = 0
    while kills < 20:
        process = start(*command("--n", 16, *pause))
        begun = samples.stat().st_size if samples.exists() else 0
        if kills % 5 == 0:
            time.sleep(pick.random())
        else:
            more = pick.randint(0, 1500)
            while process.poll() is None and (samples.stat().st_size if samples.exists() else 0) <= begun + more:
                time.sleep(0.001)
        process.kill()
        process.wait()
        kills += 1
        if (folder / "run/summary.json").exists() and samples.exists() and kills < 20:
            # It ended between two kills: take the ending away, and a part of the samples.
            for name in ("summary.json", "report.html"):
                (folder / "run" / name).unlink(missing_ok=True)
            os.truncate(samples, pick.randint(0, samples.stat().st_size))
    last = rlvr(*command("--n", 16, *pause))
    assert last.returncode == 0, last.stderr
    keys = [(row["id"], row["sample"]) for row in rows(samples)]
    assert len(keys) == len(set(keys)) == 96
    same_run(folder / "run", folder / "whole")


def test_cut_at_any_byte(evaluate: Eval, folder: Path) -> None:
    """A kill leaves a file that ends anywhere; every ending of the last rows is tried."""
    evaluate("--limit", 2, "--n", 3, out="whole")
    data = {name: (folder / "whole" / name).read_bytes() for name in ("samples.jsonl", "scored.jsonl")}
    ends = sorted({0, 1, *range(len(data["samples.jsonl"]) - 400, len(data["samples.jsonl"]) + 1, 13)})
    for end in ends:
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "run")
        (folder / "run/samples.jsonl").write_bytes(data["samples.jsonl"][:end])
        (folder / "run/scored.jsonl").write_bytes(data["scored.jsonl"][: end % len(data["scored.jsonl"])])
        code, summary, said = evaluate("--limit", 2, "--n", 3)
        assert code == 0, said
        assert summary["samples"] == 6
        same_run(folder / "run", folder / "whole")
    assert len(ends) > 20


@pytest.mark.parametrize("name", ["problems.jsonl", "manifest.json", "scored.jsonl", "summary.json"])
@pytest.mark.parametrize("moment", ["before", "half", "after"])
def test_killed_while_a_whole_file_is_written(
    name: str, moment: str, evaluate: Eval, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(out="whole")
    write_whole = RunDir.write_whole

    class Killed(BaseException):
        pass

    def dying(self: RunDir, written: str, pieces: Any) -> None:
        if written == name:
            if moment == "half":
                (self.path / f".{name}.new").write_bytes(b"".join(pieces)[:-9])
            if moment == "after":
                write_whole(self, written, pieces)
            raise Killed
        write_whole(self, written, pieces)

    monkeypatch.setattr(RunDir, "write_whole", dying)
    with pytest.raises(Killed):
        main(command())
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    code, _, said = evaluate()
    assert code == 0, said
    same_run(folder / "run", folder / "whole")


def test_killed_between_the_last_sample_and_its_verdict(folder: Path, rlvr: Rlvr) -> None:
    whole = rlvr(*command("--n", 2, out="run"))
    assert whole.returncode == 0, whole.stderr
    scored = folder / "run/scored.jsonl"
    before = rows(scored)
    scored.write_bytes(b"".join(scored.read_bytes().splitlines(keepends=True)[:-2]))
    (folder / "run/summary.json").unlink()
    last = rlvr(*command("--n", 2, out="run"))
    assert last.returncode == 0, last.stderr
    assert rows(scored) == before


def test_interrupted_it_says_how_to_continue(folder: Path, start: Start, evaluate: Eval) -> None:
    evaluate(out="whole")
    process = start(*command(*options(pause_s=0.05)))
    samples = folder / "run/samples.jsonl"
    while not (samples.exists() and samples.stat().st_size):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    said = errors.decode().strip().splitlines()[-1]
    assert said == "rlvr eval: stopped. run holds what was drawn so far; give the same command again to continue."
    assert evaluate(*options(pause_s=0.05))[0] == 0
    same_run(folder / "run", folder / "whole")


# --- what failed


def test_what_failed_is_kept_apart_and_asked_for_again(evaluate: Eval, folder: Path) -> None:
    evaluate(out="whole")
    code, summary, _ = evaluate(*options(broken=30))
    missing = summary["run"]["missing"]
    errors = rows(folder / "run/errors.jsonl")
    assert code == 1
    assert 0 < missing < 30
    assert len(errors) == missing
    assert summary["run"]["errors"] == [{"error": "503 Service Unavailable", "samples": missing}]
    assert summary["samples"] == 30 - missing
    manifest = json.loads((folder / "run/manifest.json").read_text(encoding="utf-8"))
    assert manifest["engine_options"] == {"broken": 30}
    manifest["engine_options"] = {}  # the server was mended
    (folder / "run/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, summary, _ = evaluate()
    assert (code, summary["run"]["missing"], summary["run"]["errors"]) == (0, 0, [])
    same_run(folder / "run", folder / "whole")


def test_a_run_without_any_sample_says_why(evaluate: Eval) -> None:
    code, _, said = evaluate(*options(broken=100))
    assert code == 2
    assert "rlvr eval: run: no sample could be had: 503 Service Unavailable (30 times)" in said


def test_an_engine_that_ends_early_leaves_samples_missing(evaluate: Eval, folder: Path) -> None:
    code, summary, _ = evaluate(*options(drop=4))
    assert (code, summary["run"]["missing"]) == (1, 4)
    assert summary["run"]["errors"] == [{"error": "the engine ended without it", "samples": 4}]


def test_an_engine_that_gives_a_sample_twice_is_stopped(evaluate: Eval, folder: Path) -> None:
    with pytest.raises(RuntimeError, match="which it was not asked for"):
        evaluate(*options(twice="true", log="log.txt"))
    assert len(rows(folder / "run/samples.jsonl")) == 1
    # What it was asked is taken back before it is closed.
    assert [line for line in (folder / "log.txt").read_text().split("\n") if " " not in line] == [
        "start", "ended", "close", "",
    ]  # fmt: skip


def test_an_engine_that_cannot_start(evaluate: Eval, folder: Path) -> None:
    code, _, said = evaluate(*options(unavailable="no GPU here"))
    assert code == 2
    assert said.splitlines()[-1] == "rlvr eval: --model m: no GPU here"
    assert not (folder / "run").exists()
    assert evaluate()[0] == 0


# --- another run, another process

CHANGES: list[tuple[list[str], list[str]]] = [
    (["--temperature", "1"], ["sampling.temperature: 0.6 then, 1.0 now"]),
    (["--top-p", "1"], ["sampling.top_p: 0.95 then, 1.0 now"]),
    (["--max-tokens", "100"], ["sampling.max_tokens: 32768 then, 100 now"]),
    (["--seed", "1"], ["sampling.seed: 0 then, 1 now"]),
    (["--logprobs"], ["sampling.logprobs: False then, True now"]),
    (["--n", "6"], ["task.n: 5 then, 6 now"]),
    (["--limit", "2"], ["task.limit: None then, 2 now"]),
    (["--prompt", "plain"], ["prompt.style: 'r1' then, 'plain' now", "prompt.hash", "prompt.template"]),
    (["--system", "Be brief."], ["prompt.system: None then, 'Be brief.' now"]),
    (["--think-prefix"], ["prompt.prefix: '' then, '<think>\\n' now"]),
    (["--model", "other"], ["model: 'm' then, 'other' now"]),
    (options(tensor_parallel_size=2), ["tensor_parallel_size"]),
    (options(version="2"), ["engine_options.version: None then, 2 now"]),
]


@pytest.mark.parametrize(("change", "shown"), CHANGES, ids=[" ".join(change) for change, _ in CHANGES])
def test_a_changed_setting_is_refused(change: list[str], shown: list[str], evaluate: Eval, folder: Path) -> None:
    evaluate()
    written = (folder / "run/samples.jsonl").read_bytes()
    os.truncate(folder / "run/samples.jsonl", 0)
    code, _, said = evaluate(*change)
    assert code == 2
    assert "rlvr eval: run: holds another run, which this one cannot continue:" in said
    for line in shown:
        assert line in said
    assert "Choose another --out, or remove run to start again." in said
    assert (folder / "run/samples.jsonl").read_bytes() == b""
    assert written


def test_changed_problems_are_refused(evaluate: Eval, folder: Path, write_rows: Write) -> None:
    evaluate()
    write_rows([*PROBLEMS[:-1], {**PROBLEMS[-1], "answer": "8"}], "problems.jsonl")
    code, _, said = evaluate()
    assert code == 2
    assert "task.hash: " in said


def test_a_checkpoint_that_was_trained_further_is_refused(evaluate: Eval, folder: Path) -> None:
    (folder / "m").mkdir()
    (folder / "m/model.safetensors").write_bytes(bytes(1000))
    (folder / "m/config.json").write_text("{}")
    assert evaluate()[0] == 0
    assert evaluate()[0] == 0
    (folder / "m/model.safetensors").write_bytes(bytes(999) + b"x")
    code, _, said = evaluate()
    assert code == 2
    assert "model_files: " in said


def test_another_version_of_the_engine_is_refused(evaluate: Eval, folder: Path) -> None:
    evaluate()
    manifest = json.loads((folder / "run/manifest.json").read_text(encoding="utf-8"))
    manifest["engine"]["versions"]["scripted"] = "0"
    (folder / "run/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    os.truncate(folder / "run/samples.jsonl", 0)
    code, _, said = evaluate()
    assert code == 2
    assert "engine.versions.scripted: '0' then, '1' now" in said


def test_how_hard_the_server_is_asked_may_change(evaluate: Eval, folder: Path) -> None:
    evaluate(out="whole")
    evaluate()
    os.truncate(folder / "run/samples.jsonl", 0)
    assert evaluate(*options(concurrency=50))[0] == 0
    same_run(folder / "run", folder / "whole")
    assert "concurrency" in run_dir.FREE_OPTIONS


def test_a_run_that_ended_out_of_memory_goes_on_with_less(evaluate: Eval, folder: Path) -> None:
    evaluate(*options(batch_size=16), out="whole")
    evaluate(*options(batch_size=16))
    os.truncate(folder / "run/samples.jsonl", (folder / "run/samples.jsonl").stat().st_size // 2)
    assert evaluate(*options(batch_size=4))[0] == 0
    same_run(folder / "run", folder / "whole")


class Vllm:
    """What is asked of the vLLM engine, which is not installed here."""

    asked: dict[str, Any]

    def __init__(self, model: str, *, log_file: str | None = None, **more: Any) -> None:
        Vllm.asked = {"log_file": log_file, **more}
        assert log_file is not None
        Path(log_file).write_text("starting\n")

    async def start(self) -> Any:
        raise EngineUnavailable(f"all it said is in {self.asked['log_file']}")

    async def aclose(self) -> None:
        pass


def test_vllm_writes_into_the_runs_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("rlvr.evals.run.make_engine", lambda name, model, options: Vllm(model, **options))
    words = ["eval", "task.toml", "--model", "m", "--out", "run"]
    for _ in range(2):  # the log that a failed start left is no obstacle to the next
        assert main(words) == 2
        assert Vllm.asked == {"log_file": "run/engine.log"}
        assert "all it said is in run/engine.log" in capsys.readouterr().err
    assert (folder / "run/engine.log").read_text() == "starting\n"
    assert main([*words, "--engine-option", "log_file=mine.log"]) == 2
    assert Vllm.asked == {"log_file": "mine.log"}


def test_a_second_process_is_refused_and_a_killed_one_is_not_in_the_way(
    folder: Path, start: Start, rlvr: Rlvr, evaluate: Eval
) -> None:
    evaluate(out="whole")
    first = start(*command(*options(pause_s=0.05)))
    while not (folder / "run/samples.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.005)
    second = rlvr(*command(*options(pause_s=0.05)))
    assert first.poll() is None
    assert second.returncode == 2
    assert second.stderr.splitlines()[-1] == "rlvr eval: run: another process is writing to this run"
    first.kill()
    first.wait()
    third = rlvr(*command(*options(pause_s=0.05)))
    assert third.returncode == 0, third.stderr
    same_run(folder / "run", folder / "whole")


# --- scoring again


def test_report_of_a_killed_run(evaluate: Eval, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there can be looked at: samples without a verdict are judged."""
    evaluate()
    data = (folder / "run/samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "run/samples.jsonl").write_bytes(b"".join(data[:11]))
    (folder / "run/scored.jsonl").unlink()
    capsys.readouterr()
    assert main(["report", "run", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["samples"], summary["run"]["missing"]) == (11, 19)
    assert len(rows(folder / "run/scored.jsonl")) == 11


def test_score_judges_again(evaluate: Eval, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate()
    right = (folder / "run/scored.jsonl").read_bytes()
    (folder / "run/scored.jsonl").write_bytes(
        right.replace(b'"score":0.0,"status":"wrong"', b'"score":1.0,"status":"correct"')
    )
    assert (folder / "run/scored.jsonl").read_bytes() != right
    assert main(["report", "run"]) == 0
    assert (folder / "run/scored.jsonl").read_bytes() != right  # a report believes the verdicts
    assert main(["score", "run"]) == 0
    assert (folder / "run/scored.jsonl").read_bytes() == right
    assert "report.html" in capsys.readouterr().out


def test_another_verifier_becomes_the_runs(evaluate: Eval, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate()
    assert main(["score", "run", "--option", "extract=box"]) == 0
    manifest = json.loads((folder / "run/manifest.json").read_text(encoding="utf-8"))
    assert manifest["task"]["verifier"] == {"name": "math", "options": {"extract": "box"}}
    boxed = {row["extracted"] for row in rows(folder / "run/scored.jsonl")}
    assert main(["report", "run"]) == 0  # with the verifier that it has now
    assert {row["extracted"] for row in rows(folder / "run/scored.jsonl")} == boxed
    code, _, said = evaluate()
    assert code == 2
    assert "task.verifier.options.extract: 'box' then, None now" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["score", "empty"], "empty: is a directory; name the files in it"),
        (["report", "empty"], "empty: is no run of ours"),
        (["report", "nowhere"], "nowhere: is no run of ours"),
    ],
)
def test_a_folder_that_is_no_run(words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_files_of_a_run_cannot_be_sent_elsewhere(evaluate: Eval, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate()
    assert main(["score", "run", "--out", "other.jsonl"]) == 2
    assert "--out: a run's folder has its own files" in capsys.readouterr().err


def test_verdicts_of_a_slow_verifier_are_not_asked_for_twice(evaluate: Eval, folder: Path) -> None:
    """Scored rows are kept as they come: a continued run judges only what it has not judged."""
    (folder / "mine.py").write_text(
        "from rlvr.verifiers import Verdict\n"
        "def judge(problem, completion):\n"
        "    with open('judged.log', 'a') as log:\n"
        "        log.write(problem.id + chr(10))\n"
        "    return Verdict(float('4' in completion.text), 'correct' if '4' in completion.text else 'wrong', 'r')\n",
        encoding="utf-8",
    )
    (folder / "task.toml").write_text(TASK + 'verifier = "mine:judge"\n', encoding="utf-8")
    code, summary, said = evaluate()
    assert code == 0, said
    assert len((folder / "judged.log").read_text().split()) == 30
    lines = (folder / "run/samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "run/samples.jsonl").write_bytes(b"".join(lines[:20]))
    (folder / "judged.log").unlink()
    _, again, _ = evaluate()
    assert len((folder / "judged.log").read_text().split()) == 10
    assert again["score"] == summary["score"]
    assert outcome.SCORED == "scored.jsonl"
