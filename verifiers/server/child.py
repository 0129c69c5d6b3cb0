"""A worker process as the event loop sees it: nothing here blocks, whatever the process does or does not do."""

import asyncio
import json
import os
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from ..process import Child
from .lanes import Item

_LENGTH = struct.Struct(">Q")
_READ = 1 << 18
_REAP_S = 0.02


class Worker:
    """One process. `on_frame(worker, frame)` is called for each answer, `on_end(worker)` once when it died by itself.

    It must be made while the event loop runs. `item` and `begun` are what it is at, and since when.
    """

    def __init__(
        self,
        code: bytes,
        limit_s: float,
        memory_mb: int | None,
        *,
        on_frame: "Callable[[Worker, bytes], None]",
        on_end: "Callable[[Worker], None]",
    ) -> None:
        self.child = Child(f"{__package__}.worker", json.dumps({"limit_s": limit_s, "memory_mb": memory_mb}))
        self.started = self.begun = time.monotonic()
        self.ready = False
        self.slow = False
        self.item: Item | None = None
        self._on_frame, self._on_end = on_frame, on_end
        self._loop = asyncio.get_running_loop()
        assert self.child.process.stdin is not None
        self._to, self._from = self.child.process.stdin.fileno(), self.child.fileno()
        self._out, self._in = bytearray(), bytearray()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._loop.add_reader(self._from, self._readable)
        self.send(code)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.child.process.pid

    def send(self, frame: bytes) -> None:
        """Write a frame as far as the pipe takes it; the rest follows when the process reads."""
        waiting = bool(self._out)
        self._out += _LENGTH.pack(len(frame))
        self._out += frame
        if not waiting:
            self._flush()

    def discard(self) -> None:
        """Kill the process and what it started; it is reaped by and by."""
        self._loop.remove_reader(self._from)
        self._loop.remove_writer(self._to)
        with suppress(ProcessLookupError):  # it may be gone already
            os.killpg(self.pid, signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        if self.child.process.poll() is None and not self._loop.is_closed():
            self._loop.call_later(_REAP_S, self._reap)
        else:
            self.child.kill()  # it has ended: this closes our ends of its pipes

    def _flush(self) -> None:
        try:
            sent = os.write(self._to, self._out)
        except BlockingIOError:
            sent = 0
        except OSError:  # nobody reads any more: the other pipe tells
            sent = len(self._out)
        del self._out[:sent]
        if self._out:
            self._loop.add_writer(self._to, self._flush)
        else:
            self._loop.remove_writer(self._to)

    def _readable(self) -> None:
        try:
            data = os.read(self._from, _READ)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._from)
            self._on_end(self)
            return
        self._in += data
        while (frame := self._take()) is not None:
            self._on_frame(self, frame)

    def _take(self) -> bytes | None:
        if len(self._in) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._in)[0]
        if len(self._in) < end:
            return None
        frame = bytes(self._in[_LENGTH.size : end])
        del self._in[:end]
        return frame
