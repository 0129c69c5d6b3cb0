"""The folder of a run: what is written, what is read back, and who may write."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.evals.engines.types import Generated
from rlvr.evals.errors import UsageError
from rlvr.evals.run_dir import RunDir, completion_of, difference, is_run, read_manifest
from rlvr.verifiers import Problem, Verdict

MANIFEST: dict[str, Any] = {"task": {"n": 2}, "engine": {"options": {"concurrency": 4, "dtype": "float32"}}}
TEXTS = st.text(st.characters(), max_size=40)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    problems = [
        Problem("a", "Q", "4"),
        Problem("b\n", None, None, {"test_list": ["assert f()"]}),
    ]
    generated = Generated("a", 1, "text \u2028\nline", "length", 7, 3, 11, (-0.5, -1.25))
    verdict = Verdict(0.0, "wrong", "r", "5", {"part": Verdict(None, "error", "broke")}, "why")
    with RunDir(tmp_path / "run") as folder:
        folder.begin(MANIFEST, problems)
        place = folder.add_sample(generated)
        second = folder.add_sample(Generated("a", 0))
        folder.add_verdict(("a", 1), verdict)
        folder.add_error(Generated("b\n", 0, error="refused"))
        assert folder.sample_at(second)["sample"] == 0
    with RunDir(tmp_path / "run") as folder:
        assert folder.manifest == MANIFEST
        assert folder.problems() == problems
        (row, found), _ = folder.samples()
        assert found == place == 0
        assert row == {
            "id": "a", "sample": 1, "completion": "text \u2028\nline", "finish_reason": "length", "n_tokens": 7,
            "prompt_tokens": 3, "seed": 11, "logprobs": [-0.5, -1.25],
        }  # fmt: skip
        assert folder.verdicts() == {("a", 1): verdict}
        assert [row["error"] for row in folder.errors()] == ["refused"]


@pytest.mark.parametrize(("reason", "finished"), [("stop", True), ("length", False), (None, None)])
def test_what_a_verifier_is_told(reason: str | None, finished: bool | None) -> None:
    completion = completion_of({"completion": "x", "n_tokens": 3, "finish_reason": reason})
    assert (completion.text, completion.n_tokens, completion.finished) == ("x", 3, finished)


@given(texts=st.lists(TEXTS, min_size=1, max_size=5), data=st.data())
def test_a_row_that_was_cut_is_dropped_and_written_over(
    texts: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run")
    with RunDir(path) as folder:
        places = [folder.add_sample(Generated("p", i, text)) for i, text in enumerate(texts)]
    whole = (path / "samples.jsonl").read_bytes()
    end = data.draw(st.integers(0, len(whole)))
    (path / "manifest.json").write_text("{}")
    os.truncate(path / "samples.jsonl", end)
    ends = [*places[1:], len(whole)]
    with RunDir(path) as folder:
        kept = [row["sample"] for row, _ in folder.samples()]
        assert kept == [i for i, stop in enumerate(ends) if stop <= end]
        for i in range(len(kept), len(texts)):
            folder.add_sample(Generated("p", i, texts[i]))
    assert (path / "samples.jsonl").read_bytes() == whole


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"\xff\n", b"4\n"])
def test_a_row_of_somebody_else_is_named(line: bytes, tmp_path: Path) -> None:
    with RunDir(tmp_path) as folder:
        folder.begin(MANIFEST, [])
        folder.add_sample(Generated("p", 0))
    with (tmp_path / "samples.jsonl").open("ab") as file:
        file.write(line)
    with RunDir(tmp_path) as folder, pytest.raises(UsageError, match=r"samples\.jsonl:2: not a row that rlvr wrote"):
        list(folder.samples())


# --- what differs


def test_only_what_a_run_is_differs() -> None:
    assert difference(MANIFEST, MANIFEST) == []
    other = {"task": {"n": 3}, "engine": {"options": {"concurrency": 9, "dtype": "bfloat16"}}, "started": "now"}
    assert difference(MANIFEST, other) == [
        "engine.options.dtype: 'float32' then, 'bfloat16' now",
        "task.n: 2 then, 3 now",
    ]
    assert (
        difference({"started": 1, "command": "a", "rlvr_git": 1}, {"started": 2, "command": "b", "rlvr_git": 2}) == []
    )
    assert difference({"a": {}}, {"a": {"new": 1}}) == ["a.new: None then, 1 now"]
    told, untold = ({"engine": {"versions": {"vllm": name}}} for name in ("1.2.3", "unknown"))
    assert difference(told, untold) == difference(untold, told) == []
    assert difference({"model": "unknown"}, {"model": "m"}) == ["model: 'unknown' then, 'm' now"]
    (line,) = difference({"a": "x" * 500}, {"a": "y" * 500})
    assert len(line) < 300


@pytest.mark.parametrize(
    "option",
    [
        "batch_size", "data_parallel_size", "gpu_memory_utilization", "kv_cache_memory_bytes", "log_file",
        "max_num_batched_tokens", "max_num_seqs",
    ],
)  # fmt: skip
def test_what_saves_memory_may_change_when_a_run_is_continued(option: str) -> None:
    then, now = ({"engine": {"options": options}} for options in ({option: 16, "dtype": "float32"}, {"dtype": "half"}))
    assert difference(then, now) == ["engine.options.dtype: 'float32' then, 'half' now"]


def test_a_manifest_is_the_first_ones(tmp_path: Path) -> None:
    with RunDir(tmp_path) as folder:
        folder.begin({**MANIFEST, "started": 1}, [Problem("a")])
    with RunDir(tmp_path) as folder:
        folder.begin({**MANIFEST, "started": 2}, [Problem("b")])
        assert [problem.id for problem in folder.problems()] == ["a"]
    assert read_manifest(tmp_path)["started"] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_broken_manifest(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"manifest\.json: is broken; remove .* to start again"):
        RunDir(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds thesis\.tex and is no run of ours; --out picks another folder"):
        RunDir(tmp_path)
    with pytest.raises(UsageError, match=r"File exists|Not a directory"):
        RunDir(tmp_path / "thesis.tex")
    assert not is_run(tmp_path)


def test_a_folder_that_nothing_came_of_is_taken_away(tmp_path: Path) -> None:
    RunDir(tmp_path / "runs" / "new").close()
    assert not (tmp_path / "runs" / "new").exists()
    with RunDir(tmp_path / "runs" / "logged") as folder:
        (folder.path / "engine.log").write_text("CUDA out of memory")  # of an engine that could not start
    RunDir(tmp_path / "runs" / "logged").close()
    assert (tmp_path / "runs" / "logged" / "engine.log").exists()
    (tmp_path / "mine").mkdir()
    RunDir(tmp_path / "mine").close()
    assert (tmp_path / "mine").exists()
    with RunDir(tmp_path / "runs" / "new") as folder:
        folder.begin(MANIFEST, [])
    assert is_run(tmp_path / "runs" / "new")


def test_a_lock_whose_folder_was_taken_away_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner before closes between our opening the lock and our getting it."""
    path, before = tmp_path / "run", RunDir(tmp_path / "run")
    flock, calls = fcntl.flock, list[int]()

    def late(file: int, how: int) -> None:
        calls.append(file)
        if len(calls) == 1:
            before.close()
            assert not path.exists()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with RunDir(path) as folder:
        assert len(calls) == 2  # one on the lock that is gone, one on the new one
        folder.begin(MANIFEST, [])
        with pytest.raises(UsageError, match="another process"):
            RunDir(path)
    assert is_run(path)


def test_a_lock_that_was_taken_away_and_made_anew_by_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = tmp_path / "run", RunDir(tmp_path / "run")
    flock, others = fcntl.flock, list[RunDir]()

    def late(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        before.close()
        others.append(RunDir(path))
        flock(file, how)  # on a file that no folder has any more: nobody else wants it

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UsageError, match="another process"):
        RunDir(path)
    others[0].close()


# --- time


def test_seconds_of_all_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.0, 200.0, 500.0, 501.5])
    monkeypatch.setattr("rlvr.evals.run_dir.time.time", lambda: next(clock))
    with RunDir(tmp_path) as folder:
        folder.begin(MANIFEST, [])
        folder.start_session()
        folder.end_session()
        assert folder.seconds() == 7
        folder.start_session()  # at 200, and killed: the last sample came at 230
        folder.add_sample(Generated("p", 0))
    os.utime(tmp_path / "samples.jsonl", (230, 230))
    os.utime(tmp_path / "sessions.jsonl", (200, 200))
    with RunDir(tmp_path) as folder:
        folder.start_session()
        folder.end_session()
        assert folder.seconds() == 7 + 30 + 1.5


# --- the lock


def test_two_in_one_process(tmp_path: Path) -> None:
    with RunDir(tmp_path), pytest.raises(UsageError, match="another process is writing to this run"):
        RunDir(tmp_path)
    RunDir(tmp_path).close()


FORKS = """
import os, sys, time
from pathlib import Path
from rlvr.evals.run_dir import RunDir
RunDir(Path(sys.argv[1]))
if os.fork() == 0:
    time.sleep(600)
print("locked", flush=True)
time.sleep(600)
"""


def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(UsageError, match="another process"):
            RunDir(tmp_path)
        process.kill()
        process.wait()
        time.sleep(0.05)
        os.killpg(process.pid, 0)  # the child is still there
        RunDir(tmp_path).close()
    finally:
        os.killpg(process.pid, 9)
        if process.stdout is not None:
            process.stdout.close()


def test_a_manifest_is_plain_json(tmp_path: Path) -> None:
    with RunDir(tmp_path) as folder:
        folder.begin({"task": {"name": "é"}}, [])
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == {"task": {"name": "é"}}
