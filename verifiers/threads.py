"""Verdicts from threads, for verifiers that wait for others: `verify_code` waits for its sandbox, which bounds it.

What needs processor time in Python itself, or may hang, belongs in `score_many`'s processes.
"""

from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from .pool import cores, judge
from .types import Completion, Problem, Verdict, Verifier

_AHEAD = 64  # pairs per thread that are read before the first verdict that is awaited


def score_threads(
    verifier: Verifier, pairs: Iterable[tuple[Problem, Completion]], *, workers: int | None = None
) -> Generator[Verdict, None, None]:
    """The verdict of each pair, in order, as soon as it and all before it are there. `pairs` is read as needed.

    workers: threads, None for one per core; as many as the sandbox has workers keep all of them busy across problems.
    A caller that stops early waits for what is under way, and for nothing else. Raises ValueError for no worker.

    >>> from rlvr.verifiers import verify_format
    >>> pairs = [(Problem("1"), Completion("<think>a</think><answer>b</answer>")), (Problem("2"), Completion("b"))]
    >>> [verdict.score for verdict in score_threads(verify_format, pairs, workers=2)]
    [1.0, 0.0]
    """
    run = _Window(verifier, pairs, workers)
    try:
        while (verdict := run.next()) is not None:
            yield verdict.result()
    finally:
        run.executor.shutdown(wait=True, cancel_futures=True)


async def score_async(
    verifier: Verifier, pairs: Iterable[tuple[Problem, Completion]], *, workers: int | None = None
) -> AsyncGenerator[Verdict, None]:
    """`score_threads` for an event loop, which goes on with other things meanwhile.

    When the consumer is cancelled or stops, pairs that were not begun are dropped and nothing is waited for.
    """
    import asyncio

    run = _Window(verifier, pairs, workers)
    try:
        while (verdict := run.next()) is not None:
            yield await asyncio.wrap_future(verdict)
    finally:
        run.executor.shutdown(wait=False, cancel_futures=True)


class _Window:
    """Pairs that were read and whose verdicts were not yet taken, in order; never more than so many: back-pressure."""

    def __init__(self, verifier: Verifier, pairs: Iterable[tuple[Problem, Completion]], workers: int | None) -> None:
        count = workers if workers is not None else cores()
        if count < 1:
            raise ValueError(f"at least one worker is needed, not {count}")
        self.executor = ThreadPoolExecutor(count, thread_name_prefix="rlvr-score")
        self._verifier = verifier
        self._pairs = iter(pairs)
        self._ahead = count * _AHEAD
        self._verdicts: deque[Future[Verdict]] = deque()

    def next(self) -> "Future[Verdict] | None":
        """The verdict to wait for; pairs are read until it is there or enough are. None when all were taken."""
        while len(self._verdicts) < self._ahead and not (self._verdicts and self._verdicts[0].done()):
            pair = next(self._pairs, None)
            if pair is None:
                break
            self._verdicts.append(self.executor.submit(judge, self._verifier, *pair))
        return self._verdicts.popleft() if self._verdicts else None
