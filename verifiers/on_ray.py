"""`score_many` on Ray: actors hold the verifier and judge batches of pairs, on this machine or on many.

What an item does costs its own verdict, exactly as in `WorkerPool`: an actor keeps the verifier in a worker process of
its own. What happens to an actor (its process killed, its node lost) costs its items a retry: Ray starts it again where
there is room, and what it had is tried again on whichever actor is free, alone there. What is lost alone is halved, and
one item that was lost alone three times is `verifier_crashed`: it took the actor itself with it.
"""

import os
import pickle
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import islice
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from .pool import TIMEOUT_S, WorkerPool, cores, judge
from .threads import score_threads
from .types import Completion, Problem, UnusableVerifier, Verdict, Verifier, not_judged

_IN_FLIGHT = 2  # batches given to an actor: the next one is there when it has finished one
_AHEAD = 4  # batches per actor that are read before the first verdict that is awaited
_BATCH = 2048
_BATCH_BYTES = 1 << 20
_BATCH_S = 1.0  # what a batch should take, or longer: the last one's pace decides how many items the next one has
_BATCHES_PER_S = 250  # what a thousand actors may cost this process: a third of a core
_TRIES = 3  # how many actors may die at one item, or while they load the verifier
_STORE_BYTES = 256 << 20
_KNOCK_S = 10.0

Pair = tuple[Problem, Completion]


def _nothing(*_: object) -> None:
    pass


@contextmanager
def connected(address: str | None = None, *, workers: int | None = None) -> Generator[Any]:
    """Ray: the one that this process is connected to, else the one at `address` ("auto", "host:port", "ray://…") or
    RAY_ADDRESS, else one started on this machine with `workers` processors. What was started or connected here ends.

    The modules of the working directory that are loaded here travel to a cluster that was running.
    Raises ImportError without Ray, ConnectionError when nothing answers at the address.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise ImportError("executor ray needs Ray: pip install 'rlvr[ray]'", name="ray") from error
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"address": address, "logging_level": "ERROR"}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"num_cpus": workers or cores(), "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    else:
        _knock(address)
        options["runtime_env"] = {"py_modules": _own_modules()}
    try:
        with _own_signals():
            ray.init(**options)
        yield ray
    finally:
        ray.shutdown()


def score_on_ray(
    verifier: Verifier,
    pairs: Iterable[Pair],
    *,
    workers: int | None = None,
    timeout_s: float = TIMEOUT_S,
    address: str | None = None,
    bounded: bool = False,
    threads: bool = False,
    start: Callable[[], None] = _nothing,
    say: Callable[[str], None] = _nothing,
) -> Generator[Verdict, None, None]:
    """`score_many(…, executor="ray")`, with what only Ray has. `pairs` is read as needed, and in this process.

    workers: items judged at a time; None for one per processor of the cluster. timeout_s: wall-clock seconds for one
    item. bounded: the verifier never hangs and needs no process of its own nor a deadline. threads: it waits for others
    (a sandbox), so actors are as large as the smallest node, with a thread for each processor. start: called in each
    actor before its first item; what it raises is raised here. say: told in a line what was lost.

    Raises ValueError for fewer than one worker, UnusableVerifier as `WorkerPool` does, and what `connected` raises.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"at least one worker is needed on Ray, not {workers}")
    with connected(address, workers=workers) as ray:
        count, processors = _layout(ray, workers, threads)
        how = _How(timeout_s, bounded, processors if threads else 0)
        code = ray.put(_pickled(verifier, start))
        remote = ray.remote(Judge).options(
            num_cpus=processors,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_concurrency=_IN_FLIGHT if threads else 1,
        )
        actors = [_Actor(remote.remote(_path(), how)) for _ in range(count)]
        try:
            yield from _Run(ray, iter(pairs), actors, code, max(1, how.threads), say).verdicts()
        finally:
            for actor in actors:
                if actor.ready:  # the others end when nobody holds them any more, and Ray says nothing of it
                    ray.kill(actor.handle)


@dataclass(frozen=True, slots=True)
class _How:
    """How an actor judges: in threads, in itself, or in a process of its own with a deadline."""

    timeout_s: float
    bounded: bool
    threads: int


class Judge:
    """The actor. Ray may start it again somewhere else: then it holds no verifier until it is given it again."""

    def __init__(self, path: list[str], how: _How) -> None:
        os.dup2(2, 1)  # what a verifier prints is no output of the caller's
        sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
        self._how = how
        self._score: Callable[[Iterable[Pair]], Iterator[Verdict]] | None = None

    def load(self, code: bytes) -> None:
        """Load the verifier and start what it needs. Raises what they raise."""
        if self._score is not None:
            return
        try:
            verifier, start = cast(tuple[Verifier, Callable[[], None]], pickle.loads(code))
        except Exception as error:  # noqa: BLE001 - whatever its modules raise on import, the caller is told
            raise UnusableVerifier(f"a Ray actor could not load the verifier: {_one_line(error)}") from None
        start()
        how = self._how
        if how.threads:
            slots = threading.Semaphore(how.threads)  # for the batches in flight together

            def in_turn(problem: Problem, completion: Completion) -> Verdict:
                with slots:
                    return verifier(problem, completion)

            self._score = lambda pairs: score_threads(in_turn, pairs, workers=how.threads)
        elif how.bounded:
            self._score = lambda pairs: (judge(verifier, *pair) for pair in pairs)
        else:
            self._score = WorkerPool(verifier, workers=1, timeout_s=how.timeout_s).score

    def judge(self, batch: bytes) -> tuple[bytes, float] | None:
        """The verdicts of a batch, and the seconds that they took; None without a verifier."""
        if self._score is None:
            return None
        start = perf_counter()
        verdicts = list(self._score(pickle.loads(batch)))
        return pickle.dumps(verdicts, protocol=pickle.HIGHEST_PROTOCOL), perf_counter() - start


@dataclass(slots=True)
class _Batch:
    """Neighbours in the input; `first` is the index of the first. A suspect was lost with its actor."""

    first: int
    pairs: list[Pair]
    suspect: bool = False
    losses: int = 0

    def halves(self) -> "tuple[_Batch, _Batch]":
        middle = len(self.pairs) // 2
        left, right = self.pairs[:middle], self.pairs[middle:]
        return _Batch(self.first, left, suspect=True), _Batch(self.first + middle, right, suspect=True)


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor, and what it was given, in the order in which it does it."""

    handle: Any
    ready: bool = False
    given: dict[Any, _Batch] = field(default_factory=dict[Any, _Batch])

    def takes(self, depth: int) -> bool:
        """Whether there is room for a batch at that place of its queue; a suspect is alone."""
        return self.ready and len(self.given) < depth and not any(batch.suspect for batch in self.given.values())


class _Run:
    """One pass over the pairs: what waits, what is under way, and the verdicts that wait for earlier ones."""

    def __init__(
        self, ray: Any, pairs: Iterator[Pair], actors: list[_Actor], code: Any, least: int, say: Callable[[str], None]
    ) -> None:
        self._ray, self._pairs, self._actors, self._code, self._say = ray, pairs, actors, code, say
        self._lost_errors = (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError)
        self._under_way: dict[Any, _Actor] = {}
        self._again: deque[_Batch] = deque()
        self._done: dict[int, list[Verdict]] = {}
        self._read = self._given = 0
        self._limit = self._least = least
        self._batch_s = max(_BATCH_S, len(actors) / _BATCHES_PER_S)
        self._exhausted = False
        for actor in actors:
            self._await(actor)

    def verdicts(self) -> Iterator[Verdict]:
        while True:
            while (verdicts := self._done.pop(self._given, None)) is not None:
                self._given += len(verdicts)
                yield from verdicts
            self._dispatch()
            if self._exhausted and not self._again and not any(actor.given for actor in self._actors):
                return
            self._collect()

    def _await(self, actor: _Actor) -> None:
        """Have it told when the actor can take batches; after a loss, when it is back: until then it gets none."""
        actor.ready = False
        self._under_way[actor.handle.load.options(max_task_retries=_TRIES).remote(self._code)] = actor

    def _dispatch(self) -> None:
        for depth in range(1, _IN_FLIGHT + 1):
            for actor in self._actors:
                if actor.takes(depth):
                    batch = self._again.popleft() if self._again and not actor.given else self._next_batch()
                    if batch is None:
                        break
                    self._give(actor, batch)

    def _give(self, actor: _Actor, batch: _Batch) -> None:
        frame = pickle.dumps(batch.pairs, protocol=pickle.HIGHEST_PROTOCOL)
        self._limit = min(self._limit, self._least + _BATCH_BYTES * len(batch.pairs) // len(frame))
        reference = actor.handle.judge.remote(frame)
        actor.given[reference] = batch
        self._under_way[reference] = actor

    def _next_batch(self) -> _Batch | None:
        waiting = len(self._done) + len(self._again) + sum(len(actor.given) for actor in self._actors)
        if self._exhausted or waiting >= _AHEAD * len(self._actors):
            return None
        batch, size = _Batch(self._read, []), 0
        for pair in islice(self._pairs, self._limit):
            batch.pairs.append(pair)
            size += len(pair[1].text)
            if size >= _BATCH_BYTES:
                break
        self._read += len(batch.pairs)
        self._exhausted = not batch.pairs
        return None if self._exhausted else batch

    def _collect(self) -> None:
        """Wait for something to be there, and take all that is."""
        references = list(self._under_way)
        self._ray.wait(references)
        for reference in self._ray.wait(references, num_returns=len(references), timeout=0)[0]:
            actor = self._under_way.pop(reference, None)
            if actor is None:  # it was lost together with another one
                continue
            try:
                answer = self._ray.get(reference)
            except self._lost_errors as error:
                self._lost(actor, reference, error)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from error
            else:
                self._take(actor, reference, answer)

    def _take(self, actor: _Actor, reference: Any, answer: tuple[bytes, float] | None) -> None:
        if answer is None:
            if reference in actor.given:
                self._lost(actor, reference, None)
            else:
                actor.ready = True
            return
        batch = actor.given.pop(reference)
        self._done[batch.first] = pickle.loads(answer[0])
        at_this_pace = int(self._batch_s * len(batch.pairs) / max(answer[1], 1e-9))
        self._limit = max(self._least, min(_BATCH, 2 * self._limit, at_this_pace))

    def _lost(self, actor: _Actor, reference: Any, error: Exception | None) -> None:
        """The actor died, or was started again while it was idle: others try what it had."""
        if reference not in actor.given:
            self._gone(actor, error)
            return
        for given, batch in actor.given.items():
            self._under_way.pop(given, None)
            self._again.extend(self._suspected(batch))
        actor.given.clear()
        how = "while it was idle" if error is None else type(error).__name__
        self._say(f"a Ray actor was lost ({how}); what it had is judged again")
        self._await(actor)

    def _suspected(self, batch: _Batch) -> Iterable[_Batch]:
        """What is tried again of a batch that was lost."""
        if not batch.suspect:  # it may have been its neighbour
            return (replace(batch, suspect=True),)
        if len(batch.pairs) > 1:
            return batch.halves()
        batch.losses += 1
        if batch.losses < _TRIES:
            return (batch,)
        self._done[batch.first] = [not_judged("verifier_crashed", f"{_TRIES} Ray actors died at it")]
        return ()

    def _gone(self, actor: _Actor, error: Exception | None) -> None:
        """Ray will not bring it back: the others do its part."""
        self._actors.remove(actor)
        self._say(f"a Ray actor cannot be started ({type(error).__name__})")
        if not self._actors:
            raise UnusableVerifier(f"no Ray actor could start: {error}") from error


def _knock(address: str) -> None:
    """Raises ConnectionError when nobody listens: Ray would go on trying for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        if address != "auto":
            raise ConnectionError(f"{address} is no Ray address: auto, host:port or ray://host:port")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConnectionError(f"no Ray cluster answers at {address}: {error}") from None


def _layout(ray: Any, workers: int | None, threads: bool) -> tuple[int, int]:
    """How many actors, and how many processors each one takes."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    processors = [count for count in nodes if count] or [1]
    if not threads:
        return workers or sum(processors), 1
    each = min(processors) if workers is None else min(*processors, workers)
    return (sum(count // each for count in processors) if workers is None else ceil(workers / each)), each


def _pickled(verifier: Verifier, start: Callable[[], None]) -> bytes:
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    try:
        return cloudpickle.dumps((verifier, start))  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:
        raise UnusableVerifier(f"the verifier cannot be sent to a Ray actor: {_one_line(error)}") from error


def _path() -> list[str]:
    return [entry or str(Path.cwd()) for entry in sys.path]


def _own_modules() -> list[str]:
    """Where the loaded modules and packages of the working directory lie, but for installed ones and ours."""
    ours = __name__.partition(".")[0]
    found: set[Path] = set()
    for name, module in list(sys.modules.items()):
        if "." not in name and name not in (ours, "__main__"):
            # A folder without __init__.py is a package too; it has no file, and may lie in several places.
            places = [*getattr(module, "__path__", ())] or [getattr(module, "__file__", None)]
            found.update(Path.cwd() / place for place in places if isinstance(place, str))
    return sorted(str(path) for path in found if _is_own(path))


def _is_own(path: Path) -> bool:
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return path.parent.is_relative_to(Path.cwd()) and not installed and (path.suffix == ".py" or path.is_dir())


@contextmanager
def _own_signals() -> Generator[None]:
    """Ray sets a handler for SIGTERM; the caller's stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
