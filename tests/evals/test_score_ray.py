"""`rlvr score --executor ray`: the bytes of a local run, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ray")

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[bytes]"]
Write = Callable[..., Path]

MINE = """
import os, time
import words
from rlvr.verifiers import Verdict

def reward(problem, completion):
    print("a verifier may print")
    time.sleep(0.005)
    if int(problem.id) % 50 == 7:
        raise RuntimeError("cannot judge " + problem.id)
    return Verdict(float(int(problem.id) % 2), "wrong", words.REASON, os.getcwd())
"""
ON_RAY = ["--executor", "ray", "--workers", "2"]

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc (Linux)")


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, environment: dict[str, str]) -> None:
    environment.pop("RAY_ADDRESS", None)
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "words.py").write_text("REASON = 'mine'\n", encoding="utf-8")


def numbered(count: int) -> list[dict[str, object]]:
    return [{"id": i, "completion": f"\\boxed{{{i}}} " + "x" * (i % 60), "answer": "4"} for i in range(count)]


def of_ray(folder: Path) -> dict[int, bytes]:
    """The processes of every Ray that was started in a folder, and their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "cwd").readlink() == folder:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
    return found


def actors(folder: Path) -> list[int]:
    return [pid for pid, command in of_ray(folder).items() if command.startswith(b"ray::Judge")]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came so far")


@pytest.mark.parametrize("verifier", ["math", "mine:reward"])
def test_the_same_bytes_and_the_same_summary(verifier: str, rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    write_rows(numbered(120))
    local = rlvr("score", "in.jsonl", "--verifier", verifier, "--out", "local.jsonl", "--json", "--quiet")
    ray = rlvr("score", "in.jsonl", "--verifier", verifier, "--out", "ray.jsonl", "--json", *ON_RAY)
    assert (local.returncode, ray.returncode) == (0, 0), ray.stderr
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    assert {**json.loads(ray.stdout), "seconds": 0} == {**json.loads(local.stdout), "seconds": 0}
    wait_for(lambda: not of_ray(tmp_path))


def test_killed_actors_change_nothing(rlvr: Rlvr, start: Start, write_rows: Write, tmp_path: Path) -> None:
    write_rows(numbered(1500))
    assert rlvr("score", "in.jsonl", "--verifier", "mine:reward", "--out", "local.jsonl").returncode == 0
    process = start("score", "in.jsonl", "--verifier", "mine:reward", "--out", "ray.jsonl", *ON_RAY)
    out, killed = tmp_path / "ray.jsonl", set[int]()
    for goal in (0, 50_000, 100_000):
        wait_for(lambda goal=goal: out.exists() and out.stat().st_size > goal and len(actors(tmp_path)) == 2)
        for actor in actors(tmp_path):
            os.kill(actor, signal.SIGKILL)
            killed.add(actor)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert len(killed) == 6
    assert b"a Ray actor was lost" in errors
    assert out.read_bytes() == (tmp_path / "local.jsonl").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_continues(
    number: signal.Signals, rlvr: Rlvr, start: Start, write_rows: Write, tmp_path: Path
) -> None:
    """Here without Ray: what has judged so far is no part of the run."""
    write_rows(numbered(1000))
    command = ["score", "in.jsonl", "--verifier", "mine:reward", "--json"]
    assert rlvr(*command, "--out", "local.jsonl").returncode == 0
    out = tmp_path / "ray.jsonl"
    process = start(*command, "--out", "ray.jsonl", *ON_RAY)
    wait_for(lambda: out.exists() and out.stat().st_size > 10_000)
    assert of_ray(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert b"Traceback" not in errors
    wait_for(lambda: not of_ray(tmp_path))
    local = (tmp_path / "local.jsonl").read_bytes()
    assert len(out.read_bytes()) < len(local)
    assert local.startswith(out.read_bytes())
    assert rlvr(*command, "--out", "ray.jsonl").returncode == 0
    assert out.read_bytes() == local


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "--workers 0 judges in this process, not on Ray"),
        (["--ray-address", "127.0.0.1:1"], "--executor ray: no Ray cluster answers at 127.0.0.1:1"),
        (["--ray-address", "there"], "--executor ray: there is no Ray address: auto, host:port or ray://host:port"),
    ],
)
def test_what_is_the_users_to_mend(arguments: list[str], said: str, rlvr: Rlvr, write_rows: Write) -> None:
    write_rows(numbered(2))
    run = rlvr("score", "in.jsonl", "--executor", "ray", "--quiet", *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"rlvr score: {said}")


def test_without_ray(rlvr: Rlvr, write_rows: Write, tmp_path: Path, environment: dict[str, str]) -> None:
    write_rows(numbered(2))
    (tmp_path / "ray.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    environment["PYTHONPATH"] = str(tmp_path)
    run = rlvr("score", "in.jsonl", "--executor", "ray", "--quiet")
    assert (run.returncode, run.stderr) == (
        2, "rlvr score: --executor ray: executor ray needs Ray: pip install 'rlvr[ray]'\n"
    )  # fmt: skip


def test_code_in_the_sandbox_of_the_actors_node(rlvr: Rlvr, write_rows: Write, tmp_path: Path) -> None:
    right, wrong = "```python\nprint(int(input()) + 1)\n```", "```python\nprint(0)\n```"
    tests = {"inputs": ["1", "2"], "outputs": ["2", "3"]}
    rows = [{"id": i, "completion": f"{wrong if i % 3 else right}<!--{i}-->", "tests": tests} for i in range(30)]
    rows.append({"id": 30, "completion": "```python\nwhile True: pass\n```", "tests": tests})
    write_rows(rows)
    command = ["score", "in.jsonl", "--verifier", "code", "--option", "cpu_s=1", "--json"]
    local = rlvr(*command, "--out", "local.jsonl", "--workers", "2")
    if local.returncode == 2 and os.environ.get("CI") != "true":
        pytest.skip(f"no Docker sandbox here: {local.stderr.strip()}")
    assert local.returncode == 0, local.stderr
    ray = rlvr(*command, "--out", "ray.jsonl", *ON_RAY)
    assert ray.returncode == 0, ray.stderr
    *written, endless = (tmp_path / "ray.jsonl").read_bytes().splitlines()
    *expected, endless_here = (tmp_path / "local.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["status"] for line in written} == {"correct", "wrong"}
    assert written == expected
    measured = {"detail": None}  # the seconds that it was stopped after
    assert {**json.loads(endless), **measured} == {**json.loads(endless_here), **measured}
    assert json.loads(endless)["status"] == "timeout"


def test_without_an_engine_on_the_node_no_row_is_judged(
    rlvr: Rlvr, write_rows: Write, tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"
    write_rows([{"completion": "```python\n```", "tests": {"inputs": [""], "outputs": [""]}}])
    run = rlvr("score", "in.jsonl", "--verifier", "code", "--out", "out.jsonl", "--quiet", *ON_RAY)
    assert run.returncode == 2, run.stderr
    assert "verifier code: no Docker engine answers at unix:" in run.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == b""
