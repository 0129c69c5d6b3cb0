"""Ray: the verdicts of a local run, in their order, whatever happens to the actors that judge."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("ray")

from rlvr.verifiers import Completion, Problem, Verdict, score_many, verify_math
from rlvr.verifiers.on_ray import connected, score_on_ray
from rlvr.verifiers.types import UnusableVerifier

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc (Linux)")


@pytest.fixture(scope="module", autouse=True)
def ray():
    """One Ray of two processors for all tests here: starting it is what takes longest."""
    with connected("local", workers=2) as ray:
        yield ray


def numbered(n: int):
    return [(Problem(str(i)), Completion(f"text {i}")) for i in range(n)]


def by_id(act):
    """A verifier that hands back the id, after `act(id)`."""

    def verifier(problem, completion):
        act(int(problem.id))
        return Verdict(1.0, "correct", "same_text", problem.id)

    return verifier


MATH = [
    (r"\boxed{4}", "4"), (r"\boxed{5}", "4"), ("A: 4", "4"), ("", "4"), (r"\boxed{2+2}", "4"), ("4", ""),
    (r"\boxed{\sum_{n=1}^{4} 1}", "4"), (r"\boxed{\sum_{n=1}^{5} 1}", "4"), ("\ud800 \\boxed{4}", "4"), ("4", None),
]  # fmt: skip


@pytest.mark.parametrize("bounded", [False, True])
def test_the_verdicts_are_those_of_a_local_run(bounded):
    """Also where the symbolic tail decides, which has a worker process of its own."""
    pairs = [(Problem(str(i), answer=gold), Completion(text)) for i, (text, gold) in enumerate(MATH * 30)]
    local = list(score_many(verify_math, pairs, workers=0))
    assert {"symbolic_equal", "symbolic_different", "gold_unreadable", "malformed_problem"} <= {v.reason for v in local}
    assert list(score_on_ray(verify_math, pairs, workers=2, bounded=bounded)) == local


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_score_many_on_ray(n):
    verdicts = score_many(by_id(lambda number: time.sleep(0.01 * (number % 3))), iter(numbered(n)), executor="ray")
    assert [v.extracted for v in verdicts] == [str(i) for i in range(n)]


def test_what_items_do_costs_what_it_costs_locally():
    def act(number):
        if number in (3, 40):
            time.sleep(10_000)
        if number in (5, 50):
            os._exit(3)
        if number == 7:
            raise KeyError("no")
        if number == 8:
            raise ValueError("problem 8 has no answer")

    local = list(score_many(by_id(act), numbered(60), workers=2, timeout_s=1.5))
    assert {v.reason for v in local} == {
        "same_text", "deadline", "verifier_crashed", "verifier_raised", "malformed_problem"
    }  # fmt: skip
    assert list(score_many(by_id(act), numbered(60), workers=2, timeout_s=1.5, executor="ray")) == local


def test_an_item_that_takes_actors_with_it_ends_alone():
    """No process of its own stands between a bounded verifier and its actor."""

    def act(number):
        if number == 9:
            os.kill(os.getpid(), signal.SIGKILL)

    said: list[str] = []
    verdicts = list(score_on_ray(by_id(act), numbered(20), workers=2, bounded=True, say=said.append))
    culprit = verdicts.pop(9)
    assert (culprit.score, culprit.status, culprit.reason) == (None, "error", "verifier_crashed")
    assert [v.extracted for v in verdicts] == [str(i) for i in range(20) if i != 9]
    assert any("a Ray actor was lost" in line for line in said)


def actors_below(pid: int) -> list[int]:
    """The processes of our actors that a process's Ray has started."""
    parents, found = {}, []
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if (entry / "cmdline").read_bytes().startswith(b"ray::Judge"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue

    def below(child: int) -> bool:
        while child > 1 and child != pid:
            child = parents.get(child, 0)
        return child == pid

    return [actor for actor in found if below(actor)]


@needs_proc
@pytest.mark.parametrize("bounded", [False, True])
def test_killed_actors_cost_no_row(bounded):
    killed: list[int] = []
    said: list[str] = []
    delivered: list[str | None] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while not (alive := set(actors_below(os.getpid())) - set(killed)):  # those that were killed start again
            assert time.monotonic() < deadline, "Ray starts no actor again"
            time.sleep(0.05)
        actor = min(alive) if len(killed) % 2 else max(alive)
        os.kill(actor, signal.SIGKILL)
        killed.append(actor)

    verifier = by_id(lambda number: time.sleep(0.005))
    for verdict in score_on_ray(verifier, numbered(1200), workers=2, bounded=bounded, say=said.append):
        delivered.append(verdict.extracted)
        if len(delivered) in (5, 100, 400, 700):
            kill()
    assert delivered == [str(i) for i in range(1200)]
    assert len(set(killed)) == 4
    assert any("a Ray actor was lost" in line for line in said)  # one that dies with nothing to do is not missed


def test_the_input_is_read_as_needed():
    read: list[int] = []

    def endless():
        while True:
            read.append(len(read))
            yield Problem(str(read[-1])), Completion("x" * 100_000)

    with closing(score_on_ray(by_id(lambda number: None), endless(), workers=2, bounded=True)) as verdicts:
        assert read == []
        assert [v.extracted for v in islice(verdicts, 200)] == [str(i) for i in range(200)]
        assert len(read) < 200 + 4 * 2 * 11 + 1  # eight batches of a megabyte


def test_a_slow_first_item_holds_the_input_back():
    read: list[int] = []

    def pairs():
        for pair in numbered(100_000):
            read.append(1)
            yield pair

    def act(number):
        if number == 0:
            time.sleep(3)

    with closing(score_on_ray(by_id(act), pairs(), workers=2, bounded=True)) as verdicts:
        assert next(verdicts).extracted == "0"
        assert len(read) < 4 * 2 * 2048


def test_threads_judge_at_the_same_time(tmp_path):
    """Each of two items waits for the other to have begun, in one actor."""

    def act(number):
        (tmp_path / str(number)).touch()
        while not (tmp_path / str(1 - number)).exists():
            time.sleep(0.01)

    def start():
        (tmp_path / f"started by {os.getpid()}").touch()

    verdicts = list(score_on_ray(by_id(act), numbered(2), workers=2, threads=True, start=start))
    assert [v.extracted for v in verdicts] == ["0", "1"]
    assert len(list(tmp_path.glob("started by *"))) == 1


def test_what_start_raises_is_raised_here():
    def start():
        raise LookupError("no engine on this node")

    with pytest.raises(LookupError, match="no engine on this node"):
        list(score_on_ray(by_id(lambda number: None), numbered(5), workers=2, start=start))


def test_a_verifier_that_cannot_travel():
    lock = threading.Lock()
    with pytest.raises(UnusableVerifier, match="cannot be sent to a Ray actor"):
        list(score_on_ray(by_id(lambda number: lock), numbered(1), workers=1))


class Unloadable:
    def __reduce__(self):
        return int, ("not a number",)


def test_a_verifier_that_cannot_be_loaded():
    with pytest.raises(UnusableVerifier, match="could not load the verifier: ValueError"):
        list(score_on_ray(Unloadable(), numbered(1), workers=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker(workers):
    with pytest.raises(ValueError, match="at least one worker"):
        list(score_many(by_id(lambda number: None), numbered(1), workers=workers, executor="ray"))


def test_another_executor():
    with pytest.raises(ValueError, match="executor is one of local, ray, not 'dask'"):
        list(score_many(verify_math, [], executor="dask"))  # type: ignore[arg-type]


def test_it_works_in_a_thread():
    results = []
    verifier = by_id(lambda number: None)
    thread = threading.Thread(target=lambda: results.extend(score_on_ray(verifier, numbered(5), workers=1)))
    thread.start()
    thread.join()
    assert len(results) == 5


# Processes of their own: they start or join a Ray


def run(code: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=300, env={**os.environ, **more}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_ray_is_not_imported_before_it_is_needed():
    code = """
    import sys
    import rlvr.verifiers, rlvr.verifiers.pool, rlvr.verifiers.on_ray, rlvr.evals.score
    assert "ray" not in sys.modules
    sys.modules["ray"] = None
    from rlvr.verifiers import score_many, verify_math
    try:
        list(score_many(verify_math, [], executor="ray"))
    except ImportError as error:
        print(error)
    """
    assert run(code) == "executor ray needs Ray: pip install 'rlvr[ray]'\n"


def test_a_ray_that_was_started_here_ends_here_and_leaves_the_callers_signals_alone():
    code = """
    import signal
    from rlvr.verifiers import Completion, Problem, score_many, verify_math
    import ray
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pairs = [(Problem("1", answer="4"), Completion("A: 4"))]
    for _ in range(2):
        assert [v.score for v in score_many(verify_math, pairs, workers=1, executor="ray")] == [1.0]
        assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    """
    assert run(code, RAY_ADDRESS="") == ""


def test_a_lost_node_costs_no_row_and_modules_of_the_working_directory_travel(tmp_path):
    """Three nodes on this machine. The module's file is gone before any actor loads it: what they get is Ray's copy."""
    (tmp_path / "mine.py").write_text(
        "import time\nfrom rlvr.verifiers import Verdict\nfrom folder.about import SAME\n"
        "def reward(problem, completion):\n"
        "    time.sleep(0.01)\n"
        "    return Verdict(1.0, 'correct', SAME, problem.id)\n"
    )
    (tmp_path / "folder").mkdir()  # a namespace package
    (tmp_path / "folder" / "about.py").write_text("SAME = 'same_text'\n")
    code = f"""
    import os, sys
    os.chdir({str(tmp_path)!r})
    sys.path.insert(0, {str(tmp_path)!r})
    import mine
    from ray.cluster_utils import Cluster
    from rlvr.verifiers import Completion, Problem
    from rlvr.verifiers.on_ray import connected, score_on_ray
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    cluster.wait_for_nodes()
    said, ids = [], []
    with connected(cluster.address):
        os.rename("mine.py", "gone.txt")
        os.rename("folder", "gone")
        pairs = [(Problem(str(i)), Completion("")) for i in range(600)]
        for verdict in score_on_ray(mine.reward, pairs, say=said.append):
            ids.append(verdict.extracted)
            if len(ids) == 50:
                cluster.remove_node(nodes[0], allow_graceful=False)
            if len(ids) == 250:
                cluster.remove_node(nodes[1], allow_graceful=False)
    assert ids == [str(i) for i in range(600)]
    assert [line for line in said if "lost" in line], said
    cluster.shutdown()
    print("whole")
    """
    assert run(code).endswith("whole\n")
