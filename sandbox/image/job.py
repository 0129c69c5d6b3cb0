"""One job: the pipes of its process, its limits, and how it ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import sweep
from .frames import LENGTH, pack
from .meters import job_processes

if TYPE_CHECKING:
    from .runner import Runner

_PIPE = 60_000  # what a pipe surely takes at once
_STDERR_TAIL = 64 << 10
_MESSAGE = 64 << 20
_SLACK_S = 0.02  # of the counters: the runner's own helpers are in them
_OUT_OF_MEMORY = (b"MemoryError", b"std::bad_alloc", b"OutOfMemoryError", b"heap out of memory")


class Job:
    """Made when a process is given to it, `finish`ed once. `head` is the caller's: what to do, and the limits."""

    def __init__(self, runner: Runner, number: int, uid: int, head: dict[str, Any], raw: bytes) -> None:
        self.runner, self.number, self.uid, self.do = runner, number, uid, head["do"]
        self.pid = 0
        self.compiles = runner.compiles(self.do)
        """Whether this process compiles the program, a text of Python's, before it runs it."""
        self.compile_failed = False
        self.limits = head["limits"]
        self.killed: str | None = None
        self.status: int | None = None
        self.started = time.monotonic()
        self.meter0 = runner.meters.cpu_s()
        self.oom0 = runner.meters.oom_kills()
        self.reaped_cpu = 0.0
        self.peak_kb = 0
        self.next_look = 0.0
        self.streams = {1: bytearray(), 2: bytearray()}
        self.total = 0
        self.fds: dict[str, int] = {}
        self.given: list[int] = []
        talks = self.do != "run"
        self._feed = memoryview(raw if not talks else b"")
        self._said = bytearray(LENGTH.pack(len(raw)) + raw if talks else b"")
        self._heard = bytearray()
        self.made: bytes | None = None
        self._open_pipes(talks or self.compiles)

    def _open_pipes(self, talks: bool) -> None:
        nothing = self.runner.nothing
        stdin = nothing
        with (
            sweep.acting_as(self.uid) if self.runner.contained else suppress(OSError)
        ):  # so that it may open /dev/stdin
            pairs = [os.pipe(), os.pipe()]
            if self._feed:
                stdin, self.fds["in"] = os.pipe()
        self.fds["1"], self.fds["2"] = pairs[0][0], pairs[1][0]
        self.given = [stdin, pairs[0][1], pairs[1][1]]
        if talks:
            ours, theirs = socket.socketpair()
            self.fds["talk"] = ours.detach()
            self.given.append(theirs.detach())
        else:
            self.given.append(nothing)

    def give(self, assignment: bytes) -> None:
        """Hand the process its descriptors, and start to listen."""
        self.pid = self.runner.assign(assignment, self.given)
        for fd in self.given:
            if fd != self.runner.nothing:
                os.close(fd)
        for fd in self.fds.values():
            os.set_blocking(fd, False)
        self.runner.watch(self.fds["1"], select.EPOLLIN, lambda event: self._read_once(1))
        self.runner.watch(self.fds["2"], select.EPOLLIN, lambda event: self._read_once(2))
        if "in" in self.fds:
            self._write_stdin()
        if "talk" in self.fds:
            self.runner.watch(self.fds["talk"], select.EPOLLIN, self._talk)
            self._say()

    # pipes

    def _close(self, name: str) -> None:
        fd = self.fds.pop(name, -1)
        if fd >= 0:
            self.runner.unwatch(fd)
            os.close(fd)

    def _write_stdin(self) -> None:
        fd = self.fds["in"]
        try:
            while self._feed:
                self._feed = self._feed[os.write(fd, self._feed[:_PIPE]) :]
        except BlockingIOError:
            if fd not in self.runner.handlers:
                self.runner.watch(fd, select.EPOLLOUT, lambda event: self._write_stdin())
            return
        except BrokenPipeError:
            pass  # it did not want all of it
        self._close("in")

    def _read_once(self, stream: int) -> None:
        self._read(stream)

    def _read(self, stream: int) -> bool:
        """Whether there may be more."""
        name = str(stream)
        if name not in self.fds:
            return False
        try:
            data = os.read(self.fds[name], 1 << 20)
        except BlockingIOError:
            return False
        if not data:
            self._close(name)
            return False
        self.total += len(data)
        kept = self.streams[stream]
        room = self.limits["output_kb"] * 1024 - (self.total - len(data))
        kept += data[: max(room, 0)]
        if stream == 2 and len(kept) > 2 * _STDERR_TAIL:
            del kept[:-_STDERR_TAIL]
        if self.total > self.limits["output_kb"] * 1024:
            self.kill("output_limit")
            return False
        return True

    def tell(self, body: bytes) -> None:
        """A message for the process."""
        self._said += LENGTH.pack(len(body)) + body
        self._say()

    def _say(self) -> None:
        fd = self.fds.get("talk")
        if fd is None:
            return
        try:
            while self._said:
                with memoryview(self._said)[: 1 << 18] as view:
                    sent = os.write(fd, view)
                del self._said[:sent]
            events = select.EPOLLIN
        except BlockingIOError:
            events = select.EPOLLIN | select.EPOLLOUT
        except OSError:  # it wants no more; what it said is still to be read
            self._said.clear()
            events = select.EPOLLIN
        self.runner.poll.modify(fd, events)

    def _talk(self, event: int) -> None:
        if event & select.EPOLLOUT:
            self._say()
        if event & ~select.EPOLLOUT:
            self._hear()

    def _hear(self) -> bool:
        fd = self.fds.get("talk")
        if fd is None:
            return False
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close("talk")
            return False
        self._heard += data
        while len(self._heard) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._heard)
            if length > _MESSAGE:
                self.kill("output_limit")
                return False
            if len(self._heard) < LENGTH.size + length:
                break
            body = bytes(self._heard[LENGTH.size : LENGTH.size + length])
            del self._heard[: LENGTH.size + length]
            if self.compiles:
                self._compiled(body)
            elif self.do in ("serve", "judge"):
                self.runner.send(pack(self.number, b"M", None, body))
            elif self.made is None:
                self.made = body
        return True

    def _compiled(self, code: bytes) -> None:
        """The first message of a process that compiles: nothing of the program has run yet."""
        self.compiles, self.compile_failed = False, not code
        if code:
            sweep.write(os.path.join(self.runner.box, self.runner.language["made"]), code)

    # limits

    def cpu_s(self) -> float:
        """CPU seconds of every process of the job, living, dead and daemonised."""
        counter = self.runner.meters.cpu_s()
        if counter is not None and self.meter0 is not None:
            return max(counter - self.meter0 - _SLACK_S, self.reaped_cpu)
        return self.reaped_cpu + sum(job_processes().values())

    def wait_s(self) -> float:
        """How long nothing can run out of time."""
        return max(0.001, min(self.next_look, self.started + self.limits["wall_s"]) - time.monotonic())

    def check(self) -> None:
        """Look whether it ended or ran out of something."""
        if self.status is not None:
            self.finish()
            return
        now = time.monotonic()
        if now >= self.started + self.limits["wall_s"]:
            self.kill("wall_limit")
        elif now >= self.next_look:
            left = self.limits["cpu_s"] - (self.cpu_s() if self.next_look else 0.0)
            if left <= 0:
                self.kill("cpu_limit")
            self.next_look = now + max(left / self.limits["cpus"], 0.02)

    def reaped(self, pid: int, status: int, usage: Any) -> None:
        self.reaped_cpu += usage.ru_utime + usage.ru_stime
        self.peak_kb = max(self.peak_kb, usage.ru_maxrss)
        if pid == self.pid:
            self.status = status

    def kill(self, why: str) -> None:
        self.killed = self.killed or why
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)  # the others follow in `finish`; this one frees the pipes at once

    def finish(self) -> None:
        """Kill what is left, read what was written, and report."""
        self._wait_for_status()
        used = self.cpu_s()
        wall = time.monotonic() - self.started
        self.runner.kill_all(self.uid, self._keep if self.do == "compile" else None)
        used = max(used, self.reaped_cpu)
        for stream in (1, 2):
            while self._read(stream):
                pass
        while self._hear():
            pass
        for name in list(self.fds):
            self._close(name)
        stdout, stderr = bytes(self.streams[1]), bytes(self.streams[2][-_STDERR_TAIL:])
        made = self.made or b""
        head = {
            "outcome": self._outcome(used, stderr),
            "stdout": len(stdout),
            "stderr": len(stderr),
            "made": None if self.made is None else len(made),
            "exit_status": os.WEXITSTATUS(self.status) if self.status is not None and self._exited() else None,
            "signal": None if self.status is None or self._exited() else os.WTERMSIG(self.status),
            "cpu_s": used,
            "wall_s": wall,
            "memory_mb": self.peak_kb / 1024,
        }
        self.runner.done(head, stdout + stderr + made)

    def _wait_for_status(self) -> None:
        """It was killed: it ends at once."""
        while self.status is None:
            time.sleep(0.0002)
            self.runner.reap()

    def _exited(self) -> bool:
        return self.status is not None and os.WIFEXITED(self.status)

    def _keep(self) -> None:
        """Before a compiler's folder goes: what it made becomes the runner's."""
        language = self.runner.language
        if self.status != 0 or self.killed:
            return
        while self._hear():
            pass
        if language["compile"]:
            target = os.path.join(self.runner.box, language["made"])
            made = os.path.join(self.runner.cwd(), language["made"])
            sweep.keep(self.uid if self.runner.contained else None, made, target, self.limits["file_mb"] << 20)

    def _outcome(self, used: float, stderr: bytes) -> str:
        if self.runner.meters.oom_kills() > self.oom0 and self.killed not in ("ok", "cancelled"):
            return "memory_limit"  # also where another process of it went on until the time was up
        if self.killed:
            return self.killed
        if used > self.limits["cpu_s"]:
            return "cpu_limit"
        if self.compile_failed:
            return "compile_error"
        if self.status == 0:
            return "ok"
        if any(word in stderr[-4096:] for word in _OUT_OF_MEMORY):
            return "memory_limit"
        if self._exited():
            return "exit"
        assert self.status is not None
        return "cpu_limit" if os.WTERMSIG(self.status) == signal.SIGXCPU else "signal"
