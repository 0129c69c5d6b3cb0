"""score_many and WorkerPool: order, laziness, deadlines from outside, and what broken verifiers cost: one verdict."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from contextlib import closing
from functools import partial
from itertools import count, islice
from pathlib import Path

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, WorkerPool, score_many, verify_math, weighted

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc (Linux)")

# The verifiers under test are nested functions: they travel by value, so no worker has to import this file.


def numbered(n: int):
    return [(Problem(str(i)), Completion(f"text {i}")) for i in range(n)]


def echo():
    """A verifier that hands back the problem's id and the length of the text."""

    def verifier(problem, completion):
        return Verdict(1.0, "correct", "same_text", f"{problem.id} {len(completion.text)}")

    return verifier


def expected(pairs):
    return [f"{problem.id} {len(completion.text)}" for problem, completion in pairs]


def logged(log: Path, body):
    """A verifier that writes when it starts and ends; `body(problem, say)` runs in between."""

    def verifier(problem, completion):
        def say(what):
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, f"{problem.id} {what}\n".encode())
            os.close(file)

        say("start")
        body(problem, say)
        say("end")
        return Verdict(1.0, "correct", "same_text", problem.id)

    return verifier


def descendants(pid: int) -> set[int]:
    """The processes below one, without those that have ended and wait to be reaped."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := parent_of(int(entry.name))) is not None:
            parents[int(entry.name)] = parent
    found, last = set(), {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last}
        found |= last
    return found


def state_of(pid: int) -> tuple[str, int] | None:
    """(state, parent) of a process; None for one that is gone."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return state, int(parent)


def parent_of(pid: int) -> int | None:
    """The parent of a process that runs; None for one that is gone or waits to be reaped."""
    state = state_of(pid)
    return None if state is None or state[0] in "ZX" else state[1]


def zombies() -> set[int]:
    """Children of this process that ended and were not reaped."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid for pid in pids if state_of(pid) == ("Z", os.getpid())}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(pids, patience_s: float) -> bool:
    """Whether all of them end while we wait: at most `patience_s`, which only a failure uses up."""
    deadline = time.monotonic() + patience_s
    while any(parent_of(pid) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# Order, workers, laziness


@pytest.mark.parametrize("workers", [0, 1, 2, 4, None])
def test_verdicts_come_in_the_order_of_the_pairs(workers):
    def verifier(problem, completion):
        time.sleep(0.001 * (int(problem.id) * 7919 % 13))
        return Verdict(1.0, "correct", "same_text", f"{problem.id} {len(completion.text)}")

    pairs = numbered(200)
    assert [v.extracted for v in score_many(verifier, pairs, workers=workers)] == expected(pairs)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("n", [0, 1, 2, 31, 32, 33])
def test_any_number_of_pairs(n, workers):
    pairs = numbered(n)
    assert [v.extracted for v in score_many(echo(), iter(pairs), workers=workers)] == expected(pairs)


def test_verdicts_are_the_same_with_any_number_of_workers():
    answers = [r"\boxed{4}", r"\boxed{5}", "A: 4", "", r"\boxed{2+2}", r"\boxed{}", "5", r"\boxed{x}",
               r"\boxed{\sum_{n=1}^{4} 1}", r"\boxed{\sum_{n=1}^{5} 1}"]  # fmt: skip
    pairs = [(Problem(str(i), answer="4"), Completion(text)) for i, text in enumerate(answers * 5)]
    pairs += [(Problem("no gold"), Completion("4")), (Problem("empty gold", answer=""), Completion("4"))]
    results = [list(score_many(verify_math, pairs, workers=workers)) for workers in (0, 1, 3)]
    assert results[0] == results[1] == results[2]
    assert Counter(v.reason for v in results[0]) == {
        "same_text": 10,
        "different_number": 5,
        "same_form": 5,
        "different_form": 5,
        "symbolic_equal": 5,
        "symbolic_different": 5,
        "empty_answer": 5,
        "no_answer": 10,
        "malformed_problem": 1,
        "gold_unreadable": 1,
    }


@pytest.mark.parametrize("workers", [-1, -5])
def test_fewer_than_no_workers(workers):
    with pytest.raises(ValueError, match="at least one worker"):
        list(score_many(echo(), numbered(1), workers=workers))
    with pytest.raises(ValueError, match="at least one worker"):
        WorkerPool(echo(), workers=min(workers, 0))


def endless(reads: list[int]):
    for i in count():
        reads.append(i)
        yield Problem(str(i)), Completion("")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_endless_input_is_read_as_needed(workers):
    reads: list[int] = []
    with closing(score_many(echo(), endless(reads), workers=workers)) as verdicts:
        assert reads == []
        assert [v.extracted for v in islice(verdicts, 500)] == [f"{i} 0" for i in range(500)]
        assert len(reads) < 2000


def test_reading_ahead_is_bounded_while_the_first_item_takes_its_time():
    def verifier(problem, completion):
        if problem.id == "0":
            time.sleep(3)
        return Verdict(1.0, "correct", "same_text", problem.id)

    reads: list[int] = []
    with closing(score_many(verifier, endless(reads), workers=2)) as verdicts:
        assert next(verdicts).extracted == "0"
        assert 1 < len(reads) < 2000


def test_a_verdict_is_given_while_the_input_is_still_open():
    """Not collected until the end: each read of a late pair sees earlier verdicts delivered."""
    delivered: list[str] = []
    seen: list[int] = []

    def pairs():
        for pair in numbered(3000):
            seen.append(len(delivered))
            yield pair

    for verdict in score_many(echo(), pairs(), workers=2):
        delivered.append(verdict.extracted)  # noqa: PERF401 - `pairs` looks at the list as it grows
    assert len(delivered) == 3000
    assert seen[-1] > 1000


def test_items_run_at_the_same_time(tmp_path):
    """Each of two items waits for the other to have started: one worker after the other would time out."""

    def meet(problem, say):
        mine, other = problem.id, "1" if problem.id == "0" else "0"
        (tmp_path / mine).touch()
        while not (tmp_path / other).exists():
            time.sleep(0.01)

    verdicts = score_many(logged(tmp_path / "log", meet), numbered(2), workers=2, timeout_s=30)
    assert [v.status for v in verdicts] == ["correct", "correct"]


# Hangs


def loop():
    def hang():
        while True:
            pass

    return hang


def sleep():
    return partial(time.sleep, 10_000)


def regular_expression():
    return lambda: re.fullmatch(r"(a+)+b", "a" * 64)


def power():
    return lambda: 10**10**8 % 7


def deaf():
    def hang():
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        while True:
            time.sleep(1)

    return hang


def stopped():
    return lambda: os.kill(os.getpid(), signal.SIGSTOP)


def with_a_child():
    def hang():
        subprocess.run(["sleep", "10000"], check=False)

    return hang


@pytest.mark.parametrize("how", [loop, sleep, regular_expression, power, deaf, stopped, with_a_child])
def test_a_hang_costs_one_verdict(how):
    hang = how()

    def verifier(problem, completion):
        if problem.id == "3":
            hang()
        return Verdict(1.0, "correct", "same_text", problem.id)

    verdicts = list(score_many(verifier, numbered(50), workers=2, timeout_s=1))
    assert (verdicts[3].score, verdicts[3].status, verdicts[3].reason) == (0.0, "timeout", "deadline")
    del verdicts[3]
    assert [v.extracted for v in verdicts] == [str(i) for i in range(50) if i != 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_hangs_is_tried_twice_the_second_time_alone(workers, tmp_path):
    def body(problem, say):
        if problem.id in ("20", "21"):
            while True:
                time.sleep(0.02)
                say("tick")
        time.sleep(0.01)

    log = tmp_path / "log"
    verdicts = list(score_many(logged(log, body), numbered(200), workers=workers, timeout_s=1.5))
    statuses = {i: v.status for i, v in enumerate(verdicts) if v.status != "correct"}
    assert statuses == {20: "timeout", 21: "timeout"}

    lines = log.read_text().splitlines()
    starts = Counter(line.split()[0] for line in lines if line.endswith("start"))
    assert {id for id, times in starts.items() if times != 1} == {"20", "21"}
    assert len(starts) == 200
    for hung in ("20", "21"):
        own = [number for number, line in enumerate(lines) if line.split()[0] == hung]
        first, second = (number for number in own if lines[number].endswith("start"))
        assert second > first
        # nothing else was running when the second try began, and nothing else wrote while it lasted
        running = Counter(line.split()[0] for line in lines[:second] if line.endswith("start"))
        running.subtract(line.split()[0] for line in lines[:second] if line.endswith("end"))
        assert {id for id, times in running.items() if times > 0} <= {"20", "21"}
        assert {line.split()[0] for line in lines[second : own[-1] + 1]} == {hung}
        assert own[-1] > second + 10


def test_what_hangs_once_is_judged_the_second_time(tmp_path):
    def body(problem, say):
        flag = tmp_path / problem.id
        if problem.id in ("5", "6") and not flag.exists():
            flag.touch()
            time.sleep(10_000)

    verdicts = list(score_many(logged(tmp_path / "log", body), numbered(40), workers=2, timeout_s=1))
    assert [v.extracted for v in verdicts] == [str(i) for i in range(40)]
    assert {v.status for v in verdicts} == {"correct"}


def test_the_deadline_is_for_one_item_not_for_what_stands_behind_it(tmp_path):
    """More work in one worker than the deadline for each item."""
    verifier = logged(tmp_path / "log", lambda problem, say: time.sleep(0.2))
    verdicts = list(score_many(verifier, numbered(25), workers=1, timeout_s=2))
    assert {v.status for v in verdicts} == {"correct"}
    assert (tmp_path / "log").read_text().count("start") == 25


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_a_consumer_that_pauses_longer_than_the_deadline_causes_no_timeouts(size, tmp_path):
    """Nor do verdicts that do not fit into a pipe, so that the worker waits for the consumer to read on."""

    def verifier(problem, completion):
        with (tmp_path / "log").open("a") as log:
            log.write(f"{problem.id}\n")
        return Verdict(1.0, "correct", "same_text", problem.id * size)

    lengths = []
    for i, verdict in enumerate(score_many(verifier, numbered(30), workers=2, timeout_s=1.5)):
        assert (verdict.status, verdict.extracted) == ("correct", str(i) * size)
        lengths.append(len(verdict.extracted))
        if i in (0, 7):
            time.sleep(3)
    assert len(lengths) == 30
    assert sorted((tmp_path / "log").read_text().split(), key=int) == [str(i) for i in range(30)]  # each judged once


# Crashes and faults


def exits():
    return lambda: os._exit(3)


def killed():
    return lambda: os.kill(os.getpid(), signal.SIGKILL)


def aborts():
    return lambda: os.abort()


def segfaults():
    def crash():
        import ctypes

        ctypes.string_at(0)

    return crash


def closes_its_pipes():
    return lambda: os.closerange(3, 256)


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        (exits, "exit code 3"),
        (killed, "signal 9"),
        (aborts, "signal 6"),
        (segfaults, "signal 11"),
        (closes_its_pipes, ""),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_costs_one_verdict(how, detail, workers):
    crash = how()

    def verifier(problem, completion):
        if problem.id in ("0", "3", "29"):
            crash()
        return Verdict(1.0, "correct", "same_text", problem.id)

    verdicts = list(score_many(verifier, numbered(30), workers=workers, timeout_s=60))
    for i in (29, 3, 0):
        verdict = verdicts.pop(i)
        assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "verifier_crashed")
        assert detail in verdict.detail
    assert [v.extracted for v in verdicts] == [str(i) for i in range(30) if i not in (0, 3, 29)]


def test_every_item_crashes():
    verdicts = list(score_many(lambda problem, completion: os._exit(1), numbered(5), workers=2, timeout_s=60))
    assert [v.reason for v in verdicts] == ["verifier_crashed"] * 5


def test_crashes_and_hangs_together(tmp_path):
    def body(problem, say):
        if problem.id in ("1", "8"):
            time.sleep(10_000)
        if problem.id in ("2", "9"):
            os._exit(1)

    verdicts = list(score_many(logged(tmp_path / "log", body), numbered(60), workers=2, timeout_s=1))
    odd = {i: v.reason for i, v in enumerate(verdicts) if v.status != "correct"}
    assert odd == {1: "deadline", 8: "deadline", 2: "verifier_crashed", 9: "verifier_crashed"}
    assert [v.extracted for v in verdicts if v.status == "correct"] == [str(i) for i in range(60) if i not in odd]


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one}\n{two}")


FAULTS = {
    "exception": (lambda: 1 / 0, "verifier_raised", "ZeroDivisionError"),
    "odd exception": (lambda: throw(Odd("line 1", "line 2")), "verifier_raised", "line 1 line 2"),
    "recursion": (lambda: recurse(), "verifier_raised", "RecursionError"),
    "memory": (lambda: throw(MemoryError("no more")), "verifier_raised", "no more"),
    "malformed problem": (lambda: throw(ValueError("problem 3 has no answer")), "malformed_problem", "has no answer"),
    "long message": (lambda: throw(KeyError("x" * 10_000)), "verifier_raised", "KeyError"),
    "None": (lambda: None, "verifier_raised", "NoneType"),
    "float": (lambda: 1.0, "verifier_raised", "float"),
    "bool": (lambda: True, "verifier_raised", "bool"),
    "dict": (lambda: {"score": 1.0}, "verifier_raised", "dict"),
    "a score that is no number": (lambda: Verdict(float("nan"), "correct", "same_text"), "verifier_raised", "nan"),
}


def throw(error):
    raise error


def recurse():
    return recurse()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_one_verdict(fault, workers):
    action, reason, detail = by_value(FAULTS[fault])

    def verifier(problem, completion):
        return action() if problem.id == "3" else Verdict(1.0, "correct", "same_text", problem.id)

    verdicts = list(score_many(verifier, numbered(10), workers=workers, timeout_s=60))
    odd = verdicts.pop(3)
    assert (odd.score, odd.status, odd.reason) == (None, "error", reason)
    assert detail in odd.detail
    assert "\n" not in odd.detail
    assert len(odd.detail) < 1000
    assert [v.extracted for v in verdicts] == [str(i) for i in range(10) if i != 3]


def by_value(thing):
    """What is defined at the top of this file goes to the workers by value too."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return thing


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("leave", [SystemExit, SystemExit(0), SystemExit("bye")])
def test_sys_exit_in_a_verifier_ends_no_run(leave, workers):
    def verifier(problem, completion):
        if problem.id == "3":
            raise leave
        return Verdict(1.0, "correct", "same_text", problem.id)

    verdicts = list(score_many(verifier, numbered(10), workers=workers, timeout_s=60))
    assert (verdicts[3].score, verdicts[3].status) == (None, "error")
    assert verdicts[3].reason in ("verifier_raised", "verifier_crashed")
    assert [v.extracted for v in verdicts[4:]] == [str(i) for i in range(4, 10)]


def test_ctrl_c_in_this_process_is_not_swallowed():
    def verifier(problem, completion):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(score_many(verifier, numbered(2), workers=0))


def test_a_verdict_that_cannot_be_sent_costs_one_verdict():
    def verifier(problem, completion):
        parts = {"part": lambda: None} if problem.id == "3" else {}
        return Verdict(1.0, "correct", "same_text", problem.id, parts)

    verdicts = list(score_many(verifier, numbered(10), workers=1, timeout_s=60))
    assert (verdicts[3].score, verdicts[3].status) == (None, "error")
    assert [v.extracted for v in verdicts[4:]] == [str(i) for i in range(4, 10)]


def test_noise_does_not_disturb_the_verdicts(capfd):
    def verifier(problem, completion):
        print("noise " * 1000)
        sys.stdout.write("no newline")
        os.write(1, b"\0" * 10_000)
        subprocess.run(["echo", "from a child"], check=True)
        assert sys.stdin.read() == ""  # nobody is there to answer
        return Verdict(1.0, "correct", "same_text", problem.id)

    verdicts = list(score_many(verifier, numbered(20), workers=2))
    assert [v.extracted for v in verdicts] == [str(i) for i in range(20)]
    assert capfd.readouterr().out == ""


def test_a_completion_of_20_mb_and_a_verdict_of_the_same_size():
    pairs = [(Problem(str(i)), Completion("x" * size)) for i, size in enumerate([1, 20_000_000, 2, 20_000_000, 3])]

    def verifier(problem, completion):
        return Verdict(1.0, "correct", "same_text", completion.text)

    found = [v.extracted for v in score_many(verifier, pairs, workers=2, timeout_s=60)]
    assert [len(text) for text in found] == [1, 20_000_000, 2, 20_000_000, 3]
    assert set("".join(found)) == {"x"}


def test_odd_text_arrives_unchanged():
    texts = ["", "\0", "\ud800", "a\r\nb\u2028c", "é" * 1000, "\U0001f600"]

    def verifier(problem, completion):
        return Verdict(1.0, "correct", "same_text", completion.text)

    pairs = [(Problem("\ud800", prompt="\0", tests={"in": [1, None]}), Completion(text)) for text in texts]
    assert [v.extracted for v in score_many(verifier, pairs, workers=1)] == texts


# Verifiers that pickle does not take


def test_lambdas_closures_partials_and_compositions():
    seen = {"unpicklable": 1}
    verifiers = [
        lambda problem, completion: Verdict(float(seen["unpicklable"]), "correct", "same_text"),
        partial(verify_math, extract="any"),
        weighted(correct=(1.0, lambda problem, completion: verify_math(problem, completion, extract="any"))),
    ]
    for verifier in verifiers:
        pairs = [(Problem(str(i), answer="4"), Completion("It is 4.")) for i in range(3)]
        assert [v.score for v in score_many(verifier, pairs, workers=1)] == [1.0] * 3


def run_script(tmp_path: Path, code: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    return subprocess.run([sys.executable, *flags, script], capture_output=True, text=True, timeout=300, check=False)


SCRIPT = """
    import os, time
    from dataclasses import dataclass
    from rlvr.verifiers import Completion, Problem, Verdict, score_many, verify_math
    print("main is read")            # without `if __name__ == "__main__"`, as in a notebook
    BONUS = 0.5

    def reward(problem, completion):
        return Verdict(BONUS + verify_math(problem, completion).score, "correct", "same_text")

    @dataclass(frozen=True)
    class Reward:
        bonus: float
        def __call__(self, problem, completion):
            return Verdict(self.bonus + reward(problem, completion).score, "correct", "same_text")
        def method(self, problem, completion):
            return self(problem, completion)

    pairs = [(Problem("1", answer="4"), Completion("A: 4")), (Problem("2", answer="4"), Completion("A: 5"))]
    for verifier in (reward, Reward(1.0), Reward(2.0).method, lambda p, c: reward(p, c)):
        print([v.score for v in score_many(verifier, pairs * 2, workers=2)])
"""


def test_functions_and_classes_of_a_script(tmp_path):
    done = run_script(tmp_path, SCRIPT, "-W", "error", "-X", "dev")
    assert done.stderr == ""  # no ResourceWarning either
    assert done.stdout.splitlines() == [
        "main is read",
        "[1.5, 0.5, 1.5, 0.5]",
        "[2.5, 1.5, 2.5, 1.5]",
        "[3.5, 2.5, 3.5, 2.5]",
        "[1.5, 0.5, 1.5, 0.5]",
    ]


def test_a_script_on_standard_input(tmp_path):
    """There is no file that a worker could import."""
    done = subprocess.run(
        [sys.executable, "-"], input=textwrap.dedent(SCRIPT), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[:2] == ["main is read", "[1.5, 0.5, 1.5, 0.5]"]


@needs_proc
@pytest.mark.parametrize("reason", ["gone", "broken"])
def test_a_verifier_that_a_worker_cannot_import(reason, tmp_path, monkeypatch):
    module = tmp_path / f"reward_that_is_{reason}.py"
    module.write_text("def reward(problem, completion): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    reward = __import__(module.stem).reward
    if reason == "gone":
        module.unlink()
    else:
        module.write_text("raise OSError('no licence\\nserver')\n")
    before = descendants(os.getpid())
    with pytest.raises(
        RuntimeError, match="could not load the verifier.*" + ("No module" if reason == "gone" else "no licence")
    ):
        list(score_many(reward, numbered(3), workers=2))
    with pytest.raises(RuntimeError, match="could not load the verifier"):
        WorkerPool(reward, workers=1)
    assert descendants(os.getpid()) <= before


def test_workers_see_the_path_and_the_folder_of_the_caller(tmp_path, monkeypatch):
    (tmp_path / "my_rewards_here.py").write_text(
        "import os\nfrom rlvr.verifiers import Verdict\n"
        "def reward(problem, completion): return Verdict(1.0, 'correct', 'same_text', os.getcwd())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    reward = __import__("my_rewards_here").reward
    (verdict,) = score_many(reward, numbered(1), workers=1)
    assert Path(verdict.extracted).resolve() == tmp_path.resolve()


# Callers


def test_a_pool_is_used_again_after_its_caller_stopped_early():
    def verifier(problem, completion):
        if completion.text == "slow":
            time.sleep(0.3)
        return Verdict(1.0, "correct", "same_text", f"{problem.id} {len(completion.text)}")

    with WorkerPool(verifier, workers=2, timeout_s=60) as pool:
        for n in range(3):
            early = pool.score((Problem(f"old {i}"), Completion("slow")) for i in count())
            assert next(early).extracted == "old 0 4"
            if n:
                early.close()
            pairs = numbered(20)
            assert [v.extracted for v in pool.score(pairs)] == expected(pairs)


def test_a_pool_is_used_again_after_a_hang_a_crash_and_an_input_that_raises():
    def verifier(problem, completion):
        if completion.text == "hang":
            time.sleep(10_000)
        if completion.text == "crash":
            os._exit(1)
        return Verdict(1.0, "correct", "same_text", f"{problem.id} {len(completion.text)}")

    def broken():
        yield from numbered(40)
        raise LookupError("the file ended early")

    with WorkerPool(verifier, workers=2, timeout_s=1) as pool:
        for text, status in (("hang", "timeout"), ("crash", "error")):
            assert [v.status for v in pool.score([(Problem("1"), Completion(text))])] == [status]
        with pytest.raises(LookupError, match="ended early"):
            list(pool.score(broken()))
        pairs = numbered(20)
        assert [v.extracted for v in pool.score(pairs)] == expected(pairs)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_input_that_raises(workers):
    def broken():
        yield from numbered(500)
        raise LookupError("the file ended early")

    verdicts = []
    with pytest.raises(LookupError, match="ended early"):
        for verdict in score_many(echo(), broken(), workers=workers):
            verdicts.append(verdict.extracted)  # noqa: PERF401 - what came before the error counts
    assert verdicts == expected(numbered(500))[: len(verdicts)]
    assert verdicts


@needs_proc
def test_a_worker_that_is_killed_while_idle_costs_at_most_one_verdict():
    def verifier(problem, completion):
        return Verdict(1.0, "correct", "same_text", str(os.getpid()))

    with WorkerPool(verifier, workers=1) as pool:
        (first,) = pool.score(numbered(1))
        os.kill(int(first.extracted), signal.SIGKILL)
        assert gone([int(first.extracted)], 30)
        verdicts = list(pool.score(numbered(20)))
    assert Counter(v.status for v in verdicts)["correct"] >= 19
    assert len(verdicts) == 20


def test_pools_in_several_threads():
    results: dict[int, list[str | None]] = {}

    def score(n: int) -> None:
        results[n] = [v.extracted for v in score_many(echo(), numbered(50 + n), workers=2)]

    threads = [threading.Thread(target=score, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: expected(numbered(50 + n)) for n in range(3)}


def test_closing_a_pool_twice():
    pool = WorkerPool(echo(), workers=1)
    pool.close()
    pool.close()


@needs_proc
def test_nothing_is_left_behind(tmp_path):
    """No process, no zombie and no open file, after all that can happen."""

    def body(problem, say):
        if problem.id == "3":
            time.sleep(10_000)
        if problem.id == "5":
            os._exit(1)

    def everything():
        assert len(list(score_many(logged(tmp_path / "log", body), numbered(20), workers=2, timeout_s=0.5))) == 20
        with closing(score_many(echo(), endless([]), workers=2)) as verdicts:
            next(verdicts)

    everything()
    processes, files, ended = descendants(os.getpid()), open_files(), zombies()
    for _ in range(3):
        everything()
    assert descendants(os.getpid()) <= processes
    assert open_files() == files
    assert zombies() <= ended


ORPHANS = """
    import os, sys, time
    from rlvr.verifiers import Completion, Problem, Verdict, WorkerPool, verify_math

    def verifier(problem, completion):
        os.write(2, b"at work\\n")
        if completion.text == "loop":
            while True:
                pass
        if completion.text == "sleep":
            time.sleep(10_000)
        if completion.text == "symbolic":
            return verify_math(problem, Completion(r"\\boxed{\\int_0^1 9^{9^{9}} dx}"), timeout_s=10_000)
        return Verdict(1.0, "correct", "same_text")

    with WorkerPool(verifier, workers=2, timeout_s=float(sys.argv[2])) as pool:
        if sys.argv[1] == "idle":
            list(pool.score([(Problem("1"), Completion("")), (Problem("2"), Completion(""))]))
            time.sleep(10_000)
        list(pool.score((Problem(str(i), answer="7"), Completion(sys.argv[1])) for i in range(2)))
"""


@needs_proc
@pytest.mark.parametrize("doing", ["idle", "sleep", "loop", "symbolic"])
def test_workers_die_with_their_caller(doing, tmp_path):
    """kill -9, as an out-of-memory killer does: nothing may go on burning a processor."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(ORPHANS))
    timeout_s = "2" if doing in ("sleep", "loop") else "600"
    with subprocess.Popen([sys.executable, script, doing, timeout_s], stderr=subprocess.PIPE, text=True) as caller:
        try:
            assert [caller.stderr.readline() for _ in range(2)] == ["at work\n"] * 2
            wanted = 4 if doing == "symbolic" else 2
            deadline = time.monotonic() + 60
            while len(workers := descendants(caller.pid)) < wanted and time.monotonic() < deadline:
                time.sleep(0.05)
            assert len(workers) == wanted
            time.sleep(2)  # so that what has just started is at its work
        finally:
            caller.kill()
    try:
        assert gone(workers, 20)
    finally:
        for pid in workers:
            if parent_of(pid) is not None:
                os.kill(pid, signal.SIGKILL)
