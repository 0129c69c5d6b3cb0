"""Verdicts while samples still arrive: a thread that judges what is handed to it, in order."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from ..verifiers.pool import WorkerPool, judge
from ..verifiers.types import Completion, Problem, Verdict
from .run_dir import Key
from .verifier import Chosen

_BATCH = 256  # most that a pool is given at once: its verdicts come when all of them are there

Task = tuple[Key, Problem, Callable[[], Completion]]


class Scorer:
    """Judges in the background; `record(key, verdict)` is called for each, in the order of `add`.

    Verifiers that are not known to end run in worker processes. What a completion was is asked for when its turn
    comes, so that a slow verifier fills no memory. Use it as a context manager: leaving it by an exception drops what
    waits. Raises UnusableVerifier when a worker cannot start.
    """

    def __init__(self, chosen: Chosen, record: Callable[[Key, Verdict], None]) -> None:
        self.busy_s = 0.0
        """Seconds that the thread was judging."""
        self._record = record
        self._verifier = chosen.verifier
        self._waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._stopped = False
        self._error: BaseException | None = None
        self._stack = ExitStack()
        self._pool = None if chosen.bounded else self._stack.enter_context(WorkerPool(chosen.verifier))
        threads = chosen.threads or 1
        self._threads = self._stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        self._thread = threading.Thread(target=self._work, name="scorer", daemon=True)
        self._thread.start()

    def add(self, key: Key, problem: Problem, completion: Callable[[], Completion]) -> None:
        """Hand over one sample. Raises what the thread failed with, if it did."""
        if self._error is not None:
            raise self._error
        self._waiting.put((key, problem, completion))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._stopped = kind is not None
        self._waiting.put(None)
        self._thread.join()
        self._stack.close()
        if self._error is not None and kind is None:
            raise self._error

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                start = time.monotonic()
                keys = [key for key, _, _ in batch]
                pairs = ((problem, completion()) for _, problem, completion in batch)
                for key, verdict in zip(keys, self._judged(pairs), strict=True):
                    self._record(key, verdict)
                    if self._stopped:
                        return
                self.busy_s += time.monotonic() - start
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for us
            self._error = error

    def _next_batch(self) -> list[Task]:
        """What waits, at least one; nothing at the end."""
        batch: list[Task] = []
        while len(batch) < _BATCH and not self._stopped:
            try:
                task = self._waiting.get(block=not batch)
            except queue.Empty:
                break
            if task is None:
                self._waiting.put(None)  # for the next time that nothing is left
                break
            batch.append(task)
        return [] if self._stopped else batch

    def _judged(self, pairs: Iterable[tuple[Problem, Completion]]) -> Iterator[Verdict]:
        if self._pool is not None:
            return self._pool.score(pairs)
        if self._threads is not None:
            return self._threads.map(self._judge, pairs)
        return map(self._judge, pairs)

    def _judge(self, pair: tuple[Problem, Completion]) -> Verdict:
        return judge(self._verifier, *pair)
