"""What verifications share within a process: verdicts of identical pairs, and quiet for what timed out."""

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Condition, Lock

from ...sandbox.types import Sandbox
from ..types import Verdict

SIZE = 4096


class VerdictCache:
    """The verdicts of the last `size` different keys. Thread-safe; threads that ask for the same key wait for one.

    What was not judged is not kept.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self._lock = Lock()
        self._verdicts: OrderedDict[bytes, Future[Verdict]] = OrderedDict()

    def get(self, key: bytes, judge: Callable[[], Verdict]) -> Verdict:
        """The verdict for `key`, from `judge` where there is none yet. Raises what `judge` raises."""
        mine: Future[Verdict] = Future()
        with self._lock:
            future = self._verdicts.setdefault(key, mine)
            self._verdicts.move_to_end(key)
            while len(self._verdicts) > self.size:
                self._verdicts.popitem(last=False)
        if future is not mine:
            return future.result()
        try:
            verdict = judge()
        except BaseException as error:
            self._forget(key)
            mine.set_exception(error)
            raise
        if verdict.score is None:
            self._forget(key)
        mine.set_result(verdict)
        return verdict

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._verdicts.pop(key, None)


class Gate:
    """Many may be inside at a time, or one alone. Who asks to be alone goes before those who come later."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._alone = 0  # that are or want to be

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """Inside with others; waits while anybody is, or waits to be, alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Generator[None, None, None]:
        """Inside with nobody else."""
        with self._changed:
            self._alone += 1
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._inside)
                self._inside += 1
            try:
                yield
            finally:
                with self._changed:
                    self._inside -= 1
        finally:
            with self._changed:
                self._alone -= 1
                self._changed.notify_all()


class Memory:
    """The cache and the gate of one sandbox in this process."""

    def __init__(self) -> None:
        self.cache = VerdictCache()
        self.gate = Gate()


_lock = Lock()
_memories: "weakref.WeakKeyDictionary[Sandbox, Memory]" = weakref.WeakKeyDictionary()


def memory_of(sandbox: Sandbox) -> Memory:
    """What verifications with this sandbox object share; it goes when the sandbox goes."""
    with _lock:
        found = _memories.get(sandbox)
        if found is None:
            found = _memories[sandbox] = Memory()
        return found


def _start_anew() -> None:
    """In the child of a fork, where the threads that held the locks are not."""
    global _lock, _memories
    _lock = Lock()
    _memories = weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_start_anew)
