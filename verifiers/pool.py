"""`score_many`: a verifier over many completions, in worker processes that are killed at a deadline.

The deadline is enforced from outside the worker. A verifier that hangs or crashes costs one verdict, never the run:
what hangs is tried once more, alone, and is then `timeout` (score 0); what raises or kills its worker is `error`.
"""

import os
import pickle
import select
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Literal, Self, cast

from .process import Child, ChildDied, FrameChannel
from .types import Completion, Problem, UnusableVerifier, Verdict, Verifier, not_judged

TIMEOUT_S = 60.0
_START_S = 300.0
_BATCH = 32
_BATCH_BYTES = 1 << 18
_AHEAD = 4  # batches per worker that wait for an earlier verdict before the input is read further


def score_many(
    verifier: Verifier,
    pairs: Iterable[tuple[Problem, Completion]],
    *,
    workers: int | None = None,
    timeout_s: float = TIMEOUT_S,
    executor: Literal["local", "ray"] = "local",
) -> Generator[Verdict, None, None]:
    """The verdict of each pair, in order, as soon as it and all before it are there. `pairs` is read as needed.

    workers: processes; None for one per core; 0 judges in this process, without a deadline. timeout_s: wall-clock
    seconds for one item. executor: "ray" has Ray's actors do it, on this machine or on many: see `on_ray`.
    A pair that the verifier cannot judge gives a verdict too: see this module's docstring.

    >>> from rlvr.verifiers import verify_math
    >>> pairs = [(Problem("1", answer="4"), Completion("A: 4")), (Problem("2", answer="4"), Completion("A: 5"))]
    >>> [verdict.score for verdict in score_many(verify_math, pairs, workers=1)]
    [1.0, 0.0]
    """
    if executor == "ray":
        from .on_ray import score_on_ray

        yield from score_on_ray(verifier, pairs, workers=workers, timeout_s=timeout_s)
        return
    if executor != "local":
        raise ValueError(f"executor is one of local, ray, not {executor!r}")
    if workers == 0:
        yield from (judge(verifier, problem, completion) for problem, completion in pairs)
        return
    with WorkerPool(verifier, workers=workers, timeout_s=timeout_s) as pool:
        yield from pool.score(pairs)


def judge(verifier: Verifier, problem: Problem, completion: Completion) -> Verdict:
    """The verdict, also when the verifier raises: a malformed problem (ValueError) or broken code is not judged."""
    try:
        verdict = verifier(problem, completion)
    except ValueError as error:
        malformed = type(error) is ValueError  # not its kin, such as a JSON or Unicode error inside the verifier
        return not_judged("malformed_problem" if malformed else "verifier_raised", _one_line(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's verifier raises anything; one verdict, not the run
        return not_judged("verifier_raised", _one_line(error))
    if not isinstance(verdict, Verdict):  # pyright: ignore[reportUnnecessaryIsInstance] - a user's function may not be typed
        return not_judged("verifier_raised", f"the verifier returned {type(verdict).__name__}, not a Verdict")
    try:
        return _plain(verdict)
    except Exception as error:  # noqa: BLE001 - a verdict made of anything at all
        return not_judged("verifier_raised", f"the verdict cannot be read: {_one_line(error)}")


def _plain(verdict: Verdict) -> Verdict:
    """The same made of floats, text and verdicts alone, whatever it was made of. Raises TypeError on any other part."""
    score: object = verdict.score
    texts: tuple[object, ...] = (verdict.extracted, verdict.detail)
    if (
        (score is None or type(score) is float)
        and type(verdict.reason) is str
        and all(text is None or type(text) is str for text in texts)
        and not verdict.parts
        and type(verdict.parts) is dict
    ):
        return verdict
    parts = cast(object, verdict.parts or {})
    if not isinstance(parts, Mapping):
        raise TypeError(f"parts are {type(parts).__name__}, not named verdicts")
    for name, part in cast(Mapping[object, object], parts).items():
        if not isinstance(part, Verdict):
            raise TypeError(f"part {name!r} is {type(part).__name__}, not a Verdict")
    return Verdict(
        score=None if verdict.score is None else float(verdict.score),
        status=verdict.status,
        reason=str(verdict.reason),
        extracted=None if texts[0] is None else str(texts[0]),
        parts={str(name): _plain(part) for name, part in cast(Mapping[object, Verdict], parts).items()},
        detail=None if texts[1] is None else str(texts[1]),
    )


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool:
    """Worker processes that hold one verifier, for callers that score again and again (a trainer, a service).

    One thread at a time. Use it as a context manager, or call `close`.
    Raises ValueError for fewer than one worker, UnusableVerifier (a RuntimeError) when a worker cannot
    start or load the verifier: the message says why.
    """

    def __init__(self, verifier: Verifier, *, workers: int | None = None, timeout_s: float = TIMEOUT_S) -> None:
        import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

        count = workers if workers is not None else cores()
        if count < 1:
            raise ValueError(f"a pool needs at least one worker, not {count}")
        self.timeout_s = timeout_s
        try:
            self._code: bytes = cloudpickle.dumps(verifier)  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:
            raise UnusableVerifier(f"the verifier cannot be sent to a worker process: {_one_line(error)}") from error
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_Worker(self._code, timeout_s))
            for worker in self._workers:
                worker.wait_until_ready()
        except BaseException:  # Ctrl-C too: no worker may be left behind
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the workers. Safe to call twice."""
        for worker in self._workers:
            worker.child.kill()

    def score(self, pairs: Iterable[tuple[Problem, Completion]]) -> Iterator[Verdict]:
        """The verdict of each pair, in order. When the caller stops early, what the workers still do is thrown away."""
        for worker in self._workers:
            if worker.busy:  # with what an earlier caller did not wait for
                worker.restart()
        yield from _Run(iter(pairs), self._workers, self.timeout_s).verdicts()


@dataclass(slots=True)
class _Item:
    index: int
    frame: bytes
    tries: int = 0


@dataclass(slots=True)
class _Worker:
    """A child process and the items it was given, in the order in which it will answer them."""

    code: bytes
    timeout_s: float
    child: Child = field(init=False)
    queue: deque[_Item] = field(default_factory=deque[_Item])
    since: float = 0.0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.child = Child(__name__, str(2 * self.timeout_s + 60))
        self.child.send(self.code)

    @property
    def busy(self) -> bool:
        return bool(self.queue)

    def wait_until_ready(self) -> None:
        try:
            problem = self.child.receive(_START_S)
        except ChildDied as death:
            raise UnusableVerifier(f"a worker process could not start ({death}); its error output is above") from None
        if problem:
            raise UnusableVerifier(f"a worker process could not load the verifier: {problem.decode()}")

    def give(self, items: list[_Item]) -> None:
        self.queue.extend(items)
        self.since = time.monotonic()
        self.child.send(pickle.dumps([item.frame for item in items]))

    def restart(self) -> None:
        self.child.kill()
        self.queue.clear()
        self.start()
        self.wait_until_ready()


@dataclass(slots=True)
class _Run:
    """One pass over the pairs: what waits, what is under way, and the verdicts that wait for an earlier one."""

    pairs: Iterator[tuple[Problem, Completion]]
    workers: list[_Worker]
    timeout_s: float
    again: deque[_Item] = field(default_factory=deque[_Item])
    alone: deque[_Item] = field(default_factory=deque[_Item])
    done: dict[int, Verdict] = field(default_factory=dict[int, Verdict])
    read: int = 0
    given: int = 0
    exhausted: bool = False

    def verdicts(self) -> Iterator[Verdict]:
        while True:
            while self.given in self.done:
                before = time.monotonic()
                yield self.done.pop(self.given)
                self.given += 1
                self._forgive(time.monotonic() - before)
            self._dispatch()
            busy = [worker for worker in self.workers if worker.busy]
            if not busy and self.exhausted and not self.again and not self.alone:
                return
            self._collect(busy)

    def _forgive(self, pause_s: float) -> None:
        """What the caller takes between two verdicts counts against nobody: meanwhile no answer was read."""
        for worker in self.workers:
            worker.since += pause_s

    def _dispatch(self) -> None:
        """Give idle workers something to do. An item that timed out runs when nothing else does."""
        idle = [worker for worker in self.workers if not worker.busy]
        if self.alone:
            if len(idle) == len(self.workers):
                self._give(idle[0], [self.alone.popleft()])
            return
        for worker in idle:
            batch = self._next_batch()
            if not batch:
                return
            self._give(worker, batch)

    def _give(self, worker: _Worker, items: list[_Item]) -> None:
        try:
            worker.give(items)
        except ChildDied:  # it died while idle: that is no item's fault
            self.again.extend(items)
            worker.restart()

    def _next_batch(self) -> list[_Item]:
        if self.again:
            return [self.again.popleft()]
        batch: list[_Item] = []
        size = 0
        ahead = self.read - self.given
        if ahead >= _AHEAD * _BATCH * len(self.workers):
            return batch
        # The first batches are small, so that few long items spread over the workers.
        limit = min(_BATCH, 1 + self.read // (4 * len(self.workers)))
        for problem, completion in islice(self.pairs, limit):
            frame = pickle.dumps((problem, completion), protocol=pickle.HIGHEST_PROTOCOL)
            batch.append(_Item(self.read, frame))
            self.read += 1
            size += len(frame)
            if size >= _BATCH_BYTES:
                break
        self.exhausted = not batch
        return batch

    def _collect(self, busy: list[_Worker]) -> None:
        """Wait for verdicts until the next deadline, and act on what came or did not come."""
        now = time.monotonic()
        wait = max(min((worker.since for worker in busy), default=now) + self.timeout_s - now, 0.0)
        ready = select.select([worker.child for worker in busy], [], [], wait)[0] if busy else []
        for worker in busy:
            try:
                if worker.child in ready:
                    worker.child.fill()
                    worker.since = time.monotonic()
                    self._take(worker)
            except ChildDied as death:
                self._crashed(worker, str(death))
        now = time.monotonic()
        for worker in busy:
            if worker.busy and worker.child not in ready and now - worker.since >= self.timeout_s:
                self._timed_out(worker)

    def _take(self, worker: _Worker) -> None:
        while (frame := worker.child.take()) is not None:
            self.done[worker.queue.popleft().index] = pickle.loads(frame)

    def _timed_out(self, worker: _Worker) -> None:
        item = self._restart(worker)
        if item.tries:
            self.done[item.index] = Verdict(0.0, "timeout", "deadline", detail=f"twice over {self.timeout_s:g} s")
        else:
            self.alone.append(replace(item, tries=1))

    def _crashed(self, worker: _Worker, how: str) -> None:
        item = self._restart(worker)
        self.done[item.index] = not_judged("verifier_crashed", how)

    def _restart(self, worker: _Worker) -> _Item:
        """The item that the worker was at; the others it had been given wait for a worker again, one by one."""
        culprit, *others = worker.queue
        self.again.extend(others)
        worker.restart()
        return culprit


def serve(limit_s: str) -> None:
    """The worker: the verifier in the first frame, then batches of pairs; one frame back for each verdict."""
    channel = FrameChannel(float(limit_s))
    code = channel.read()
    if code is None:
        return
    try:
        verifier: Verifier = pickle.loads(code)
    except Exception as error:  # noqa: BLE001 - whatever its modules raise on import, the caller is told
        channel.write(_one_line(error).encode())
        return
    channel.write(b"")
    while (batch := channel.read()) is not None:
        for frame in pickle.loads(batch):
            problem, completion = pickle.loads(frame)
            channel.write(pickle.dumps(judge(verifier, problem, completion), protocol=pickle.HIGHEST_PROTOCOL))


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
