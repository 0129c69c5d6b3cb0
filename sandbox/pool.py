"""Workers that wait for a program: at most so many, made when they are first needed."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .types import Limits
from .worker import Worker, WorkerDied

Make = Callable[[Limits], Worker]
Fit = Callable[[Worker, Limits], None]


class Pool:
    """Thread-safe. `make` starts a worker; `fit` gives one that was made for other limits the ones asked for."""

    def __init__(self, size: int, make: Make, fit: Fit, *, fresh: bool = False) -> None:
        if size < 1:
            raise ValueError(f"a sandbox needs at least one worker, not {size}")
        self.size, self.fresh = size, fresh
        self._make, self._fit = make, fit
        self._free: list[Worker] = []
        self._taken = 0
        self._changed = threading.Condition()
        self.pid = os.getpid()

    @contextmanager
    def taken(self, limits: Limits) -> Iterator["Seat"]:
        """A place in the pool and the worker in it; the place is free again at the end, the worker if it is whole."""
        with self._changed:
            while self._taken >= self.size:
                self._changed.wait()
            self._taken += 1
            worker = self._free.pop() if self._free else None
        seat = Seat(self, limits)
        try:
            seat.start(worker)
            yield seat
        finally:
            worker = seat.leave()
            with self._changed:
                self._taken -= 1
                if worker is not None:
                    self._free.append(worker)
                self._changed.notify()

    def made(self, limits: Limits) -> Worker:
        return self._make(limits)

    def fit(self, worker: Worker, limits: Limits) -> None:
        if worker.limits != limits:
            self._fit(worker, limits)

    def close(self) -> None:
        """End the workers that wait; those at work end when they are given back."""
        with self._changed:
            free, self._free = self._free, []
            self.fresh = True  # what comes back is not kept
        for worker in free:
            worker.close()


class Seat:
    """A worker for as long as it is needed."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool, self._limits = pool, limits
        self._worker: Worker | None = None
        self.whole = False
        """Set by whoever used the worker to the end without trouble."""

    @property
    def worker(self) -> Worker:
        assert self._worker is not None
        return self._worker

    def start(self, worker: Worker | None) -> None:
        """Take `worker`, or make one."""
        if worker is not None:
            try:
                self._pool.fit(worker, self._limits)
                self._worker = worker
                return
            except Exception:
                worker.close()
                raise
        self._worker = self._pool.made(self._limits)

    def replace(self) -> Worker:
        """A new worker in place of one that died."""
        old, self._worker = self._worker, None
        if old is not None:
            old.close()
        self._worker = self._pool.made(self._limits)
        return self._worker

    def leave(self) -> Worker | None:
        """The worker, when another program may have it."""
        worker = self._worker
        if worker is None:
            return None
        if self.whole and not self._pool.fresh:
            return worker
        with suppress(WorkerDied):
            worker.close()
        return None
