"""Scoring in threads and in an event loop: order, streaming, back-pressure, and workers that are never idle."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, score_async, score_threads
from rlvr.verifiers.threads import _AHEAD

BACKSTOP_S = 60  # whatever hangs is a failure; no test measures time


def pairs(count: int) -> Iterator[tuple[Problem, Completion]]:
    return ((Problem(str(n)), Completion(str(n))) for n in range(count))


def echo(problem: Problem, completion: Completion, /) -> Verdict:
    return Verdict(1.0, "correct", "echo", completion.text)


def answers(verdicts: list[Verdict]) -> list[int]:
    return [int(verdict.extracted or "-1") for verdict in verdicts]


async def gathered(verifier, given, **options) -> list[Verdict]:
    return [verdict async for verdict in score_async(verifier, given, **options)]


def both(verifier, count: int, **options) -> list[list[Verdict]]:
    return [
        list(score_threads(verifier, pairs(count), **options)),
        asyncio.run(gathered(verifier, pairs(count), **options)),
    ]


@pytest.mark.parametrize("workers", [1, 3, None])
def test_verdicts_come_in_order(workers: int | None) -> None:
    for verdicts in both(echo, 500, workers=workers):
        assert answers(verdicts) == list(range(500))


def test_no_pairs() -> None:
    assert both(echo, 0) == [[], []]


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        list(score_threads(echo, pairs(1), workers=0))


def test_what_raises_is_one_verdict() -> None:
    def picky(problem: Problem, completion: Completion, /) -> Verdict:
        if problem.id == "1":
            raise ValueError("no tests")
        if problem.id == "2":
            raise OSError("gone")
        return echo(problem, completion)

    for verdicts in both(picky, 4, workers=2):
        assert [verdict.reason for verdict in verdicts] == ["echo", "malformed_problem", "verifier_raised", "echo"]


def test_every_worker_is_at_work_at_once() -> None:
    """The barrier opens only when all four are inside, on four different problems."""
    inside = threading.Barrier(4, timeout=BACKSTOP_S)

    def meet(problem: Problem, completion: Completion, /) -> Verdict:
        inside.wait()
        return echo(problem, completion)

    for verdicts in both(meet, 40, workers=4):
        assert answers(verdicts) == list(range(40))


def test_a_slow_pair_does_not_hold_up_the_others() -> None:
    """The first is done only after fifty later ones, which one other worker must do meanwhile."""
    done = threading.Semaphore(0)

    def first_waits(problem: Problem, completion: Completion, /) -> Verdict:
        if problem.id == "0":
            for _ in range(50):
                assert done.acquire(timeout=BACKSTOP_S)
        done.release()
        return echo(problem, completion)

    for verdicts in both(first_waits, 60, workers=2):
        assert answers(verdicts) == list(range(60))
        while done.acquire(blocking=False):
            pass


def test_no_more_is_read_than_the_window_holds() -> None:
    read = 0

    def counted() -> Iterator[tuple[Problem, Completion]]:
        nonlocal read
        for pair in pairs(10_000):
            read += 1
            yield pair

    verdicts = score_threads(echo, counted(), workers=2)
    for taken in range(1, 301):
        next(verdicts)
        assert read <= taken + 2 * _AHEAD
    verdicts.close()
    assert read <= 300 + 2 * _AHEAD


def test_a_caller_that_stops_leaves_no_thread() -> None:
    verdicts = score_threads(echo, pairs(10_000), workers=4)
    next(verdicts)
    verdicts.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rlvr-score")]


def test_the_event_loop_goes_on_meanwhile() -> None:
    released = threading.Event()

    def waits(problem: Problem, completion: Completion, /) -> Verdict:
        assert released.wait(BACKSTOP_S)
        return echo(problem, completion)

    async def run() -> list[Verdict]:
        asyncio.get_running_loop().call_later(0.01, released.set)  # never, if the loop were held up
        return await gathered(waits, pairs(8), workers=2)

    assert answers(asyncio.run(run())) == list(range(8))


def test_a_cancelled_consumer_waits_for_nothing() -> None:
    released = threading.Event()
    begun: list[str] = []

    def waits(problem: Problem, completion: Completion, /) -> Verdict:
        begun.append(problem.id)
        assert released.wait(BACKSTOP_S)
        return echo(problem, completion)

    async def run() -> None:
        task = asyncio.ensure_future(gathered(waits, pairs(100), workers=2))
        while len(begun) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(run())
        assert len(begun) == 2, "what was not begun was dropped"
    finally:
        released.set()
