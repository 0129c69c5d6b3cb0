"""One runner at the other end of a byte stream: frames out, frames in."""

import os
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from .image.frames import Frame, Inbox, pack
from .types import Limits, SandboxUnavailable

_GRACE_S = 60.0
"""How much longer than the wall limit the runner may take to say so, before it counts as broken."""


class Link(Protocol):
    """A byte stream to a runner."""

    where: str

    def send(self, data: bytes) -> None: ...

    def receive(self, timeout_s: float) -> bytes:
        """What has come, at least one byte; b"" at the end. Raises OSError."""
        ...

    def fit(self, limits: Limits) -> None:
        """Change the limits that the runner's surroundings set. Raises SandboxUnavailable."""
        ...

    def close(self) -> None:
        """Close our end; the runner ends. Safe to call twice."""
        ...

    def drop(self) -> None:
        """In a forked copy of this process: close what was inherited, and nothing more."""
        ...

    def cause_of_death(self) -> tuple[bool, str]:
        """After the stream ended: whether memory ran out, and what the runner said. Raises SandboxUnavailable when it
        was the engine."""
        ...


class WorkerDied(Exception):
    """The runner is gone; `out_of_memory` says whether the kernel took it for that."""

    def __init__(self, out_of_memory: bool, words: str) -> None:
        super().__init__(words)
        self.out_of_memory = out_of_memory


_alive: "weakref.WeakSet[Worker]" = weakref.WeakSet()


class Worker:
    """A runner that takes one program at a time. One thread at a time."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self.link = link
        self.limits = limits
        """What the container is made for."""
        self.number = 0
        self.dead = False
        self._inbox = Inbox()
        self._frames: deque[Frame] = deque()
        _alive.add(self)
        self.hello = self.next_frame(_GRACE_S)

    def send(self, kind: bytes, head: Mapping[str, Any] | None, raw: bytes = b"", number: int | None = None) -> int:
        """Send a frame, for a new job unless one is named; its number. Raises WorkerDied."""
        if number is None:
            self.number += 1
            number = self.number
        try:
            self.link.send(pack(number, kind, None if head is None else dict(head), raw))
        except OSError:
            raise self._death() from None
        return number

    def next_frame(self, timeout_s: float) -> Frame:
        """The next frame. Raises WorkerDied, SandboxUnavailable when nothing comes for so long."""
        while not self._frames:
            try:
                data = self.link.receive(timeout_s + _GRACE_S)
            except TimeoutError:
                raise SandboxUnavailable(f"the sandbox on {self.link.where} does not answer") from None
            except OSError:
                data = b""
            if not data:
                raise self._death()
            self._inbox.feed(data)
            self._frames.extend(self._inbox.frames())
        return self._frames.popleft()

    def drop_jobs(self, timeout_s: float) -> None:
        """End every job, and forget what they still say."""
        number = self.send(b"X", None)
        while True:
            job, kind, _ = self.next_frame(timeout_s)
            if kind == b"X" and job == number:
                return

    def close(self) -> None:
        _alive.discard(self)
        self.link.close()

    def _death(self) -> WorkerDied:
        self.dead = True
        out_of_memory, words = self.link.cause_of_death()
        self.close()
        return WorkerDied(out_of_memory, words)


def _forget_in_child() -> None:
    """A forked copy holds no stream open: a runner must see its end when the process that it works for dies."""
    for worker in list(_alive):
        worker.link.drop()
    _alive.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
