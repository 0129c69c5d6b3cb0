"""The thread that judges while samples arrive."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from rlvr.evals.scoring import Scorer
from rlvr.evals.verifier import Chosen
from rlvr.verifiers import Completion, Problem, Verdict, Verifier, verify_format
from rlvr.verifiers.types import UnusableVerifier

Key = tuple[str, int]


def _judge() -> Verifier:
    """A function of no module, so that it travels to a worker process as it stands."""

    def judge(problem: Problem, completion: Completion) -> Verdict:
        if completion.text == "raise":
            raise RuntimeError("broke")
        return Verdict(float(completion.text == problem.answer), "correct", threading.current_thread().name)

    return judge


judge = _judge()


def chosen(verifier: Verifier, *, bounded: bool = True, threads: int | None = None) -> Chosen:
    return Chosen(verifier, needs_answer=False, votes=None, bounded=bounded, identity={}, threads=threads)


def texts(count: int) -> Iterator[tuple[Key, Problem, Completion]]:
    for i in range(count):
        yield ("p", i), Problem("p", answer=str(i % 3)), Completion("raise" if i % 50 == 7 else str(i % 2))


@pytest.mark.parametrize("how", ["here", "threads", "processes"])
def test_every_verdict_once_in_order(how: str) -> None:
    found: list[tuple[Key, Verdict]] = []
    which = chosen(judge, bounded=how != "processes", threads=3 if how == "threads" else None)
    with Scorer(which, lambda key, verdict: found.append((key, verdict))) as scorer:
        for key, problem, completion in texts(700):
            scorer.add(key, problem, lambda completion=completion: completion)
    assert [key for key, _ in found] == [("p", i) for i in range(700)]
    for (_, i), verdict in found:
        assert verdict.score == (None if i % 50 == 7 else float(str(i % 2) == str(i % 3)))
    names = {verdict.reason for _, verdict in found} - {"verifier_raised"}
    assert "MainThread" not in names or how == "processes"
    assert len(names) >= (2 if how == "threads" else 1)


def test_it_judges_while_samples_still_arrive() -> None:
    seen = threading.Event()
    with Scorer(chosen(judge), lambda key, verdict: seen.set()) as scorer:
        scorer.add(("p", 0), Problem("p"), lambda: Completion("x"))
        assert seen.wait(60)  # nothing else was handed over yet


def test_a_completion_is_asked_for_when_its_turn_comes() -> None:
    gate, asked = threading.Event(), list[int]()

    def slow(problem: Problem, completion: Completion) -> Verdict:
        gate.wait(60)
        return Verdict(0.0, "wrong", "r")

    def text(i: int) -> Completion:
        asked.append(i)
        return Completion("x")

    with Scorer(chosen(slow), lambda key, verdict: None) as scorer:
        for i in range(600):
            scorer.add(("p", i), Problem("p"), lambda i=i: text(i))
        assert len(asked) < 600
        gate.set()
    assert asked == list(range(600))


def test_what_recording_fails_with_is_raised() -> None:
    def full(key: Key, verdict: Verdict) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"), Scorer(chosen(verify_format), full) as scorer:
        scorer.add(("p", 0), Problem("p"), lambda: Completion("x"))
        for _ in range(6000):  # and the engine is not asked for ever more
            time.sleep(0.01)
            scorer.add(("p", 1), Problem("p"), lambda: Completion("x"))
        pytest.fail("nothing was said")


def test_a_failure_after_the_last_sample_is_raised_too() -> None:
    def broken() -> Completion:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), Scorer(chosen(verify_format), lambda k, v: None) as scorer:
        scorer.add(("p", 0), Problem("p"), broken)


def test_when_the_run_stops_what_waits_is_dropped() -> None:
    judged: list[Key] = []
    begun, gate = threading.Event(), threading.Event()

    def slow(problem: Problem, completion: Completion) -> Verdict:
        begun.set()
        gate.wait(60)
        return Verdict(0.0, "wrong", "r")

    with pytest.raises(KeyboardInterrupt), Scorer(chosen(slow), lambda key, verdict: judged.append(key)) as scorer:
        for i in range(100):
            scorer.add(("p", i), Problem("p"), lambda: Completion("x"))
        assert begun.wait(60)
        threading.Timer(0.2, gate.set).start()
        raise KeyboardInterrupt
    assert judged == [("p", 0)]


def test_how_busy_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by one whenever it is read: one for each batch, and what arrived one by one is five."""
    clock = itertools.count()
    monkeypatch.setattr("rlvr.evals.scoring.time.monotonic", lambda: float(next(clock)))
    judged = threading.Semaphore(0)
    with Scorer(chosen(judge), lambda key, verdict: judged.release()) as scorer:
        for i in range(5):
            scorer.add(("p", i), Problem("p"), lambda: Completion("x"))
            assert judged.acquire()
    assert scorer.busy_s == 5


def test_a_verifier_that_no_worker_can_load() -> None:
    class Unloadable:
        def __reduce__(self) -> object:
            raise TypeError("holds a socket")

        def __call__(self, problem: Problem, completion: Completion, /) -> Verdict:
            return Verdict(0.0, "wrong", "r")

    with pytest.raises(UnusableVerifier, match="holds a socket"):
        Scorer(chosen(Unloadable(), bounded=False), lambda key, verdict: None)
