"""A Python process of our own that answers frames over a pipe and is killed from outside.

Launched by `subprocess`, not `multiprocessing`: a daemonic parent may have no children; spawn re-imports `__main__`.
The caller needs no signal, so it works in any thread. A frame is a length (8 bytes, big-endian) and that many bytes.
"""

import json
import os
import select
import signal
import struct
import sys
import time
from contextlib import suppress

_LENGTH = struct.Struct(">Q")
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); import importlib;"
    "importlib.import_module('rlvr.verifiers.process').die_with_caller(int(sys.argv[4]));"
    "importlib.import_module(sys.argv[2]).serve(sys.argv[3])"
)


class ChildDied(Exception):
    """The process ended without an answer."""


class ChildTimeout(Exception):
    """No answer before the deadline."""


class Child:
    """One process that runs `module.serve(argument)`.

    It sees the caller's `sys.path` and working directory, has a session of its own (Ctrl-C does not reach it), and ends
    when the caller does, also when that is killed.
    """

    def __init__(self, module: str, argument: str = "") -> None:
        import subprocess  # here, for it is half of what importing rlvr.verifiers would cost

        lifeline, self._lifeline = os.pipe()  # nothing is ever written to it
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), module, argument, str(lifeline)],
                pass_fds=[lifeline],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(lifeline)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._in = self.process.stdin
        self._out = self.process.stdout
        self._buffer = bytearray()

    def fileno(self) -> int:
        """The pipe that answers come from, for `select`."""
        return self._out.fileno()

    def send(self, frame: bytes) -> None:
        """Raises ChildDied when nobody reads. Blocks while the pipe is full and the process is busy."""
        data = memoryview(_LENGTH.pack(len(frame)) + frame)
        try:
            while data:
                data = data[os.write(self._in.fileno(), data) :]
        except OSError as error:
            raise ChildDied(self._how_it_ended()) from error

    def receive(self, timeout_s: float, *, cpu_s: float | None = None) -> bytes:
        """The next frame. `timeout_s` bounds wall-clock seconds, `cpu_s` the processor seconds spent meanwhile.

        Raises ChildTimeout or ChildDied; the caller then kills. Processor time is read where there is /proc.
        """
        start = time.monotonic()
        spent = self.cpu_s() if cpu_s is not None else None
        while (frame := self.take()) is None:
            left = start + timeout_s - time.monotonic()
            if cpu_s is not None and spent is not None:
                left = min(left, max(spent + cpu_s - (self.cpu_s() or 0.0), -1.0))
            if left <= 0:
                raise ChildTimeout
            if select.select([self._out], [], [], min(left, 0.25) if cpu_s else left)[0]:
                self.fill()
        return frame

    def fill(self) -> None:
        """Read what has arrived; call when `select` says that there is something. Raises ChildDied at the end."""
        data = os.read(self._out.fileno(), 1 << 20)
        if not data:
            raise ChildDied(self._how_it_ended())
        self._buffer += data

    def take(self) -> bytes | None:
        """A frame that has arrived whole, or None."""
        if len(self._buffer) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return frame

    def cpu_s(self) -> float | None:
        """Processor seconds that the process has used; None where the platform does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the process and what it started, and reap it. Safe to call twice."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):  # it may be gone already
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close_pipes()

    def forget(self) -> None:
        """In a forked copy of the caller: close our ends without touching the process, which belongs to the parent."""
        self._close_pipes()
        self.process.returncode = 0

    def _close_pipes(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
        self._in.close()
        self._out.close()

    def _how_it_ended(self) -> str:
        end = time.monotonic() + 5
        while (code := self.process.poll()) is None:
            if time.monotonic() > end:
                return "closed its pipe"
            time.sleep(0.01)
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def die_with_caller(lifeline: int) -> None:
    """In the child: the kernel ends this process when the caller's end of a pipe closes, whatever it is doing then.

    SIGIO with its default action, asked for with O_ASYNC: unlike Linux's parent-death signal it needs no thread of the
    caller to live on, and it comes through while native code holds the interpreter.
    """
    import fcntl

    os.set_inheritable(lifeline, False)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # the caller was gone before the signal was set


class FrameChannel:
    """The child's side. Standard output is kept for frames: what the code prints goes to standard error.

    The kernel's own alarm (default action, no handler) ends a child that works on one frame for longer than `limit_s`,
    so that nothing outlives a caller that was killed.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._in, self._out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def read(self) -> bytes | None:
        """The next frame, None when the caller is gone."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        head = self._in.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        length = _LENGTH.unpack(head)[0]
        body = self._in.read(length)
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        return body if len(body) == length else None

    def write(self, frame: bytes) -> None:
        """Write one frame whole."""
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        data = memoryview(_LENGTH.pack(len(frame)) + frame)
        while data:
            data = data[self._out.write(data) :]
