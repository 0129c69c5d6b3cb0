"""Workers that wait for a program: at most so many, made when they are first needed."""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from .types import Limits
from .worker import Worker, WorkerDied

Make = Callable[[Limits], Worker]


class Pool:
    """Thread-safe. `make` starts a worker; one made for other limits is given the ones asked for."""

    def __init__(self, size: int, make: Make, *, fresh: bool = False) -> None:
        if size < 1:
            raise ValueError(f"a sandbox needs at least one worker, not {size}")
        self.size, self.fresh = size, fresh
        self._make = make
        self._free: list[Worker] = []
        self._taken = 0
        self._changed = threading.Condition()
        self.pid = os.getpid()

    @contextmanager
    def taken(self, limits: Limits) -> Generator["Seat"]:
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

    def close(self) -> None:
        """End the workers that wait; those at work end when they are given back."""
        with self._changed:
            free, self._free = self._free, []
            self.fresh = True  # what comes back is not kept
        for worker in free:
            worker.close()


def _made_for(limits: Limits) -> tuple[int, int, int]:
    """What cannot be changed once a container runs."""
    return limits.disk_mb, limits.inodes, limits.processes


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
        if worker is not None and _made_for(worker.limits) == _made_for(self._limits):
            self._worker = worker
            if worker.limits != self._limits:
                worker.link.fit(self._limits)
                worker.limits = self._limits
            return
        if worker is not None:
            worker.close()
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
