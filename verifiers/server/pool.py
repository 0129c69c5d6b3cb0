"""Worker processes in two lanes, behind a bounded queue, for one event loop.

Every item starts in the fast lane. One that holds a worker for longer than the patience leaves it: where the slow lane
has room it stays with its worker and counts as slow from then on; else, when others wait, its worker is killed and it
queues for the slow lane. So at most `workers` items are fast and `slow` are slow at a time, no item holds up the others
for longer than the patience, and no work is lost while the slow lane has room. One more process than both lanes need is
kept warm, so that a worker that is killed is replaced at once.
"""

import asyncio
import logging
import pickle
import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import cast

from ..types import Completion, Problem, UnusableVerifier, Verdict, Verifier, not_judged
from .child import Worker
from .lanes import Item, Job, Turns
from .pace import Pace

_START_S = 300.0
_TICK_S = 0.05
_MANY, _SHARE = 20, 5  # so many items, one in so many: then slow items are the rule, and somebody is told
_AGAIN_S = (0.0, 1.0, 5.0, 30.0)  # before a worker that does not start is started again
_MARGIN, _MOST_MARGIN_S = 0.05, 0.5  # of the deadline: the answer must be out by then, not begun
_LOG = logging.getLogger("rlvr.serve")
Pair = tuple[Problem, Completion]


class Pool:
    """Workers that hold one verifier. Made anywhere; `start`, `submit` and `close` belong to one event loop.

    workers, slow: items at a time in each lane. timeout_s: wall-clock seconds for one item, which is tried twice.
    patience_s: for how long an item may hold a worker of the fast lane while others wait. queue: items that may wait.
    memory_mb: what one worker may allocate (None: no limit). on_verdict is told of every verdict, on_unusable of a
    verifier that no worker can load.

    Raises ValueError for a number out of range, UnusableVerifier for a verifier that cannot be sent to a process.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        workers: int,
        slow: int,
        timeout_s: float,
        patience_s: float,
        queue: int,
        memory_mb: int | None = None,
        on_verdict: Callable[[Verdict], None] = lambda verdict: None,
        on_unusable: Callable[[UnusableVerifier], None] = lambda error: None,
    ) -> None:
        import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

        if min(workers, slow, queue) < 1 or min(timeout_s, patience_s) <= 0:
            raise ValueError("workers, slow and queue are at least 1, timeout_s and patience_s above 0")
        try:
            self._code: bytes = cloudpickle.dumps(verifier)  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:
            message = f"the verifier cannot be sent to a worker process: {type(error).__name__}: {error}"
            raise UnusableVerifier(message) from error
        self.workers, self.slow, self.queue = workers, slow, queue
        self.timeout_s, self.patience_s, self.memory_mb = timeout_s, patience_s, memory_mb
        self.restarts = self.timeouts = self.moved = 0
        """Workers started again, items that were killed at their time limit, and items that left the fast lane."""
        self._on_verdict, self._on_unusable = on_verdict, on_unusable
        self._all: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting, self._waiting_slow = Turns(), Turns()
        self._at_fast = self._at_slow = 0
        self._failures, self._was_ready, self._closed = 0, False, False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._taken, self._warned = 0, False

    # what a caller sees

    @property
    def ready(self) -> bool:
        """Whether some worker can judge."""
        return any(worker.ready for worker in self._all)

    @property
    def waiting(self) -> int:
        """Items that were accepted and wait for a worker, in either lane."""
        return len(self._waiting) + len(self._waiting_slow)

    def has_room(self, items: int, deadline_s: float) -> bool:
        """Whether the queue takes so many more, and can be expected to come to them before their deadline. When nothing
        waits they are taken in any case: a request that must fail at some time should not be put off for ever."""
        if self.waiting + items > self.queue:
            return False
        soon = 0.5 * deadline_s  # others that come later take turns with it
        if not self._waiting or self._pace.seconds_for(len(self._waiting) + items) <= soon:
            return True
        return self._pace.seconds_for(self._waiting.ahead_of(items) + items) <= soon

    def retry_after_s(self, most_s: float) -> int:
        """Whole seconds until what waits now should be done, as fast as items were judged lately."""
        return max(1, ceil(min(self._pace.seconds_for(len(self._waiting)), most_s)))

    @property
    def under_way(self) -> tuple[int, int]:
        """Items that a worker is at: (fast, slow)."""
        return self._at_fast, self._at_slow

    @property
    def pids(self) -> list[int]:
        """Of the worker processes."""
        return [worker.pid for worker in self._all]

    def start(self) -> None:
        """Start the workers; returns at once. What is submitted meanwhile waits for them."""
        self._loop = asyncio.get_running_loop()
        for _ in range(self.workers + self.slow + 1):
            self._start_worker()
        self._tick()

    def close(self) -> int:
        """Kill the workers; safe to call twice. What has no answer is not judged (`overloaded`): how many items."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        left = [lane.pop() for lane in (self._waiting, self._waiting_slow) for _ in range(len(lane))]
        left += [worker.item for worker in self._all if worker.item is not None and not worker.item.job.over]
        for worker in self._all:
            worker.discard()
        self._all.clear()
        self._idle.clear()
        for item in left:
            self._answer(item, _stopped())
        return len(left)

    def submit(self, pairs: Sequence[Pair], deadline_s: float) -> "Job":
        """`job.future` will hold a verdict for each pair, in order, before the deadline. Ask `has_room` first."""
        return self._accept([("judge", *pair) for pair in pairs], deadline_s)

    def submit_explanation(self, gold: str, text: str, extract: str, deadline_s: float) -> "Job":
        """The same for one explanation: a row, or a verdict where there is none."""
        return self._accept([("explain", gold, text, extract)], deadline_s)

    def cancel(self, job: Job) -> None:
        """Forget a request whose client is gone: what waits is dropped, what is slow is killed."""
        self._withdraw(job)
        job.future.cancel()
        self._dispatch()

    # the life of an item

    def _accept(self, tasks: Sequence[tuple[object, ...]], deadline_s: float) -> Job:
        assert self._loop is not None, "start() comes first"
        job = Job([pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL) for task in tasks], self._loop)
        margin_s = min(_MARGIN * deadline_s, _MOST_MARGIN_S)
        if self._closed:  # by a second signal, while this request came in
            for item in job.items:
                self._answer(item, _stopped())
            return job
        job.timer = self._loop.call_later(deadline_s - margin_s, self._expire, job)
        for item in job.items:
            self._waiting.push(item)
        self._dispatch()
        return job

    def _dispatch(self) -> None:
        """Give idle workers what waits, as far as the lanes have room."""
        while self._idle and self._waiting and self._at_fast < self.workers:
            self._begin(self._idle.pop(), self._waiting.pop(), slow=False)
            self._pace.begun += 1
            self._taken += 1
        while self._idle and self._waiting_slow and self._at_slow < self.slow:
            item = self._waiting_slow.pop()
            worker = self._fit_for(item)
            if worker is None:
                self._waiting_slow.push_first(item)
                break
            self._begin(worker, item, slow=True)

    def _fit_for(self, item: Item) -> Worker | None:
        """An idle worker; for an item that timed out one that was started since, for the fault may have been the
        worker's, and that of others too: its second time-out must be its own. None while that one starts."""
        for worker in reversed(self._idle):
            if worker.started >= item.struck:
                self._idle.remove(worker)
                return worker
        if all(worker.ready for worker in self._all):
            self._replace(self._idle[0])
        return None

    def _begin(self, worker: Worker, item: Item, *, slow: bool) -> None:
        worker.item, worker.begun, worker.slow = item, time.monotonic(), slow
        self._count(worker, 1)
        worker.send(item.frame)

    def _count(self, worker: Worker, change: int) -> None:
        if worker.slow:
            self._at_slow += change
        else:
            self._at_fast += change

    def _release(self, worker: Worker) -> Item | None:
        """Take the item from its worker; None when nobody waits for it any more."""
        item, worker.item = worker.item, None
        assert item is not None
        self._count(worker, -1)
        item.spent_s += time.monotonic() - worker.begun
        return None if item.job.over else item

    def _answer(self, item: Item, answer: object) -> None:
        if isinstance(answer, Verdict):
            self._on_verdict(answer)
        item.job.answer(item, answer)

    def _expire(self, job: Job) -> None:
        """The deadline of a request: what has no answer yet gets the one that is true."""
        unanswered = [item for item in job.items if job.answers[item.index] is None]
        under_way = {worker.item: worker for worker in self._all if worker.item is not None}
        now = time.monotonic()
        too_slow: set[Item] = set()
        for item in unanswered:
            held_s = 0.0
            if (worker := under_way.get(item)) is not None:
                held_s = now - worker.begun
                item.spent_s += held_s
                worker.begun = now
            # Only a try that took too long by itself: its worker's death and the others' needs are no fault of it.
            if item.strikes or held_s >= self.timeout_s:
                too_slow.add(item)
        self._withdraw(job)
        for item in unanswered:
            self._answer(item, _too_slow(item) if item in too_slow else _overloaded())
        self._dispatch()

    def _withdraw(self, job: Job) -> None:
        """No more of this request: a fast item may end, for it ends soon; a slow one would not."""
        job.end()
        self._waiting.drop(job)
        self._waiting_slow.drop(job)
        for worker in list(self._all):
            if worker.slow and worker.item is not None and worker.item.job is job:
                self._release(worker)
                self._replace(worker)

    # the life of a worker

    def _start_worker(self) -> None:
        limit_s = 2 * self.timeout_s + 60
        try:
            worker = Worker(self._code, limit_s, self.memory_mb, on_frame=self._received, on_end=self._died)
            self._all.add(worker)
        except OSError as error:  # no more processes, descriptors or memory just now
            self._not_started(f"a worker process could not be started: {error}")

    def _replace(self, worker: Worker) -> None:
        """Kill a worker and start another."""
        worker.discard()
        self._all.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self.restarts += 1
        self._start_worker()

    def _received(self, worker: Worker, frame: bytes) -> None:
        if not worker.ready:
            if frame:
                self._does_not_start(worker, f"a worker process could not load the verifier: {frame.decode()}")
                return
            worker.ready, self._failures, self._was_ready = True, 0, True
        elif worker.item is not None:
            answer = cast(object, pickle.loads(frame))
            item = self._release(worker)
            if item is not None:
                self._answer(item, answer)
        self._idle.append(worker)
        self._dispatch()

    def _died(self, worker: Worker) -> None:
        """It ended by itself, or somebody killed it: its item is tried once more in another."""
        if not worker.ready:
            self._does_not_start(worker, "a worker process could not start; its error output is above")
            return
        item = self._release(worker) if worker.item is not None else None
        if item is not None:
            item.deaths += 1
            if item.deaths > 1:
                self._answer(item, not_judged("verifier_crashed", "its worker process died twice"))
            else:
                (self._waiting_slow if worker.slow else self._waiting).push_first(item)
        self._replace(worker)
        self._dispatch()

    def _does_not_start(self, worker: Worker, why: str) -> None:
        worker.discard()
        self._all.discard(worker)
        self._not_started(why)

    def _not_started(self, why: str) -> None:
        """Before any worker was ready that is for the user to mend; later it is tried again, ever more rarely."""
        assert self._loop is not None
        if not self._was_ready:
            self._on_unusable(UnusableVerifier(why))
        self._failures += 1
        delay = _AGAIN_S[min(self._failures, len(_AGAIN_S) - 1)]
        self._loop.call_later(delay, self._start_again)

    def _start_again(self) -> None:
        if not self._closed:
            self._start_worker()

    # clocks

    def _tick(self) -> None:
        assert self._loop is not None
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        now = time.monotonic()
        self._pace.look(now, backlog=bool(self._waiting))
        for worker in list(self._all):
            if worker.item is not None:
                self._look_at(worker, now - worker.begun)
            elif not worker.ready and now - worker.started > _START_S:
                self._does_not_start(worker, f"a worker process did not start within {_START_S:g} s")
        self._dispatch()

    def _look_at(self, worker: Worker, held_s: float) -> None:
        """Whether an item must leave its lane, or its worker."""
        assert worker.item is not None
        if held_s >= self.timeout_s:
            self._timed_out(worker)
        elif not worker.slow and held_s >= self.patience_s:
            if worker.item.job.over:
                self._release(worker)
                self._replace(worker)
            elif self._at_slow < self.slow:
                self._count(worker, -1)
                worker.slow = True
                self._count(worker, 1)
                self._moved()
            elif self._waiting:
                item = self._release(worker)
                if item is not None:
                    self._waiting_slow.push(item)
                self._moved()
                self._replace(worker)

    def _moved(self) -> None:
        self.moved += 1
        if not self._warned and self.moved >= _MANY and _SHARE * self.moved >= self._taken:
            self._warned = True
            _LOG.warning(
                "%d of %d items took longer than --patience %g s and left the fast lane; raise it where such items are "
                "honest, or raise --slow-workers", self.moved, self._taken, self.patience_s,
            )  # fmt: skip

    def _timed_out(self, worker: Worker) -> None:
        item = self._release(worker)
        self.timeouts += 1
        if item is not None:
            item.strikes += 1
            item.struck = time.monotonic()
            if item.strikes > 1:
                self._answer(item, Verdict(0.0, "timeout", "deadline", detail=f"twice over {self.timeout_s:g} s"))
            else:
                self._waiting_slow.push(item)
        self._replace(worker)


def _overloaded() -> Verdict:
    return not_judged("overloaded", "it waited until the request's deadline")


def _stopped() -> Verdict:
    return not_judged("overloaded", "the service was stopped before it was judged")


def _too_slow(item: Item) -> Verdict:
    return Verdict(0.0, "timeout", "deadline", detail=f"{item.spent_s:.1f} s, then the request's deadline came")
