"""`ProcessSandbox`: the same runner without Docker. It isolates nothing."""

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .judge import JudgingSession, call_checker, open_session
from .pool import Pool
from .types import CallResult, Limits, Program
from .worker import Worker

_warned = threading.Event()


class ProcessSandbox:
    """For code that you trust, where there is no Docker: each run is a fresh process of your own user.

    It can read and change whatever you can, also over the network; memory is bounded for each process, not for all
    together, and disk and inodes are not. Never use it for what a model wrote: use `DockerSandbox`. Linux only.
    Same interface as `DockerSandbox`. Warns once.
    """

    def __init__(self, *, workers: int = 4, limits: Limits | None = None) -> None:
        if workers < 1:
            raise ValueError(f"a sandbox needs at least one worker, not {workers}")
        self.workers, self.limits = workers, limits or Limits()
        self._reset()
        if not _warned.is_set():
            _warned.set()
            warnings.warn("ProcessSandbox isolates nothing: it is for code that you trust", stacklevel=2)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._pools: tuple[Pool, Pool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"workers": self.workers, "limits": self.limits}

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
        return open_session(self._started(), program, limits or self.limits, contained=False)

    def check(self, source: str, arguments: tuple[object, ...], limits: Limits | None = None) -> CallResult:
        """See `Sandbox.check`. Raises PlainError for arguments that are not plain data."""
        return call_checker(self._started()[1], source, arguments, limits or self.limits, contained=False)

    def close(self) -> None:
        """See `Sandbox.close`."""
        with self._lock:
            pools, self._pools = self._pools, None
        for pool in pools or ():
            pool.close()

    def _started(self) -> tuple[Pool, Pool]:
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            if self._pools is None:
                self._pools = Pool(self.workers, _make), Pool(self.workers, _make)
            return self._pools


def _make(limits: Limits) -> Worker:
    return Worker(ProcessLink(), limits)


class ProcessLink:
    """A runner as a child process."""

    where = "this machine"

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="rlvr-process-sandbox-"))
        for name in ("box", "scratch"):
            (folder / name).mkdir()
        config = {
            "contained": False,
            "box": str(folder / "box"),
            "scratch": [str(folder / "scratch")],
            "path": os.environ.get("PATH", os.defpath),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", f"{__package__}.image.runner", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._process.stdin.fileno(), view) :]

    def receive(self, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        return os.read(self._process.stdout.fileno(), 1 << 18)

    def fit(self, limits: Limits) -> None:
        """Nothing is made for certain limits here."""

    def close(self) -> None:
        """The runner kills what it runs and removes its folder when its standard input ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def drop(self) -> None:
        """In a forked copy: close our ends; the process is the parent's."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.returncode = 0

    def cause_of_death(self) -> tuple[bool, str]:
        return False, "its words are on standard error"
