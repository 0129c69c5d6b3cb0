"""`DockerSandbox`: warm containers on one Docker engine or several."""

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from .containers import Engine
from .images import default_tag
from .judge import JudgingSession, call_checker, open_session
from .pool import Pool
from .types import CallResult, Limits, Program
from .worker import Worker


class DockerSandbox:
    """Runs programs that nobody trusts, each in a fresh process of a warm container without network.

    workers: programs at a time. limits: what one run may use, unless `open` says otherwise. image: None for the one
    that `rlvr sandbox build` makes. hosts: Docker engines (`unix://`, `ssh://`, `tcp://` with the usual TLS variables);
    None for the one that the environment names. runtime: such as "runsc". fresh: a new container for each program.

    Thread-safe. A pickled or forked copy starts containers of its own when it is first used. Nothing is started before.
    Raises ValueError for fewer than one worker.
    """

    def __init__(
        self,
        *,
        workers: int = 4,
        limits: Limits | None = None,
        image: str | None = None,
        hosts: Sequence[str] | None = None,
        runtime: str | None = None,
        fresh: bool = False,
    ) -> None:
        if workers < 1:
            raise ValueError(f"a sandbox needs at least one worker, not {workers}")
        self.workers, self.limits, self.image = workers, limits or Limits(), image
        self.hosts, self.runtime, self.fresh = None if hosts is None else tuple(hosts), runtime, fresh
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._engines: list[Engine] = []
        self._pools: tuple[Pool, Pool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        names = ("workers", "limits", "image", "hosts", "runtime", "fresh")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self, program: Program, limits: Limits | None = None) -> AbstractContextManager[JudgingSession]:
        """See `Sandbox.open`."""
        return open_session(self._started(), program, limits or self.limits)

    def check(self, source: str, arguments: tuple[object, ...], limits: Limits | None = None) -> CallResult:
        """See `Sandbox.check`. Raises PlainError for arguments that are not plain data."""
        return call_checker(self._started()[1], source, arguments, limits or self.limits)

    def image_name(self) -> str:
        """The image that programs run in."""
        return self.image or default_tag()

    def describe(self) -> str:
        """Engines and image, in words. Raises SandboxUnavailable where one is missing."""
        self._started()
        where = ", ".join(engine.where for engine in self._engines)
        return f"{self.image_name()} at {where}"

    def close(self) -> None:
        """See `Sandbox.close`. It may be used again: it then starts anew."""
        with self._lock:
            pools, self._pools = self._pools, None
            engines, self._engines = self._engines, []
        for pool in pools or ():
            pool.close()
        for engine in engines:
            engine.close()

    def _started(self) -> tuple[Pool, Pool]:
        """The pools of candidates and of judges."""
        if self._pid != os.getpid():
            self._reset()  # a forked copy: what it inherited belongs to its parent
        with self._lock:
            if self._pools is None:
                hosts: Sequence[str | None] = self.hosts or (None,)
                self._engines = [Engine(host, self.image, self.runtime) for host in hosts]
                self._pools = (
                    Pool(self.workers, self._make, fresh=self.fresh),
                    Pool(self.workers, self._make, fresh=self.fresh),
                )
            return self._pools

    def _make(self, limits: Limits) -> Worker:
        engine = min(self._engines, key=lambda engine: engine.load)
        return engine.start(limits)
