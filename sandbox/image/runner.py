"""Process 1 of a sandbox container: takes frames on standard input, gives each job a fresh process, sweeps behind it.

It holds what a program must not see, so no program is ever forked from it: a second process (`zygote`), forked before
any frame was read, forks the spare process that waits for the next job. When standard input ends, the caller is gone,
and so is everything here.
"""

from __future__ import annotations

import array
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from collections import deque
from typing import Any, Callable  # noqa: UP035 - Python 3.8

from . import sweep
from .child import preload, serve_zygote
from .frames import Inbox, pack, split
from .job import Job
from .meters import Meters

_READ = 1 << 20
_OUT_HIGH = 4 << 20
_UIDS = 1_000
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
libc = ctypes.CDLL(None, use_errno=True)


class Runner:
    """The event loop: one job at a time, the others wait in order."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.contained: bool = config["contained"]
        self.box: str = config["box"]
        self.scratch: list[str] = config["scratch"]
        self.meters = Meters(self.contained)
        self.poll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.inbox = Inbox()
        self.outbox = bytearray()
        self.waiting: deque[tuple[int, bytes, bytes]] = deque()
        self.early: list[tuple[int, bytes, bytes]] = []  # messages for jobs that wait
        self.job: Job | None = None
        self.language: dict[str, Any] = {}
        self.turn = 0
        self.first_uid = _first_uid()
        self.nothing = os.open(os.devnull, os.O_RDWR)
        self.jobs, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.zygote = os.fork()
        if self.zygote == 0:
            self.jobs.close()
            self.poll.close()
            serve_zygote(child_end, config)
        child_end.close()
        self.jobs.settimeout(30.0)
        self.wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    # the loop

    def run(self) -> None:
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.watch(0, select.EPOLLIN, self._read_frames)
        self.watch(self.wakeup, select.EPOLLIN, self._drain_wakeup)
        self.send(pack(0, b"H", {"python": list(sys.version_info[:3]), "meter": self.meters.kind}))
        while True:
            self._next()
            timeout = self.job.wait_s() if self.job is not None else None
            for fd, event in self.poll.poll(timeout):
                handler = self.handlers.get(fd)
                if handler is not None:
                    handler(event)
            self.reap()
            if self.job is not None:
                self.job.check()

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        if self.handlers.pop(fd, None) is not None:
            self.poll.unregister(fd)

    def _drain_wakeup(self, event: int) -> None:
        os.read(self.wakeup, 4096)

    def _read_frames(self, event: int) -> None:
        try:
            data = os.read(0, _READ)
        except BlockingIOError:
            return
        if not data:
            self.end()
        self.inbox.feed(data)
        for frame in self.inbox.frames():
            self._take(frame)

    def _take(self, frame: tuple[int, bytes, bytes]) -> None:
        number, kind, body = frame
        if kind == b"X":
            self.waiting.clear()
            self.early.clear()
            if self.job is not None:
                self.job.kill("cancelled")
                self.job.finish()
            self.send(pack(number, b"X"))
        elif kind in b"ME":
            if self.job is not None and self.job.number == number:
                self._pass_on(kind, body)
            elif any(number == other for other, _, _ in self.waiting):
                self.early.append(frame)
            # else it is for a job that has ended: its result is on the way
        else:
            self.waiting.append(frame)

    def _pass_on(self, kind: bytes, body: bytes) -> None:
        assert self.job is not None
        if kind == b"M":
            self.job.tell(body)
        else:
            self.job.kill("ok")

    def send(self, frame: bytes) -> None:
        """Never waits: what the pipe does not take now is kept, and no job starts while much is kept."""
        self.outbox += frame
        self._flush(0)

    def _flush(self, event: int) -> None:
        try:
            while self.outbox:
                with memoryview(self.outbox)[: 1 << 18] as view:
                    sent = os.write(1, view)
                del self.outbox[:sent]
        except BlockingIOError:
            if 1 not in self.handlers:
                self.watch(1, select.EPOLLOUT, self._flush)
            return
        except BrokenPipeError:
            self.end()
        self.unwatch(1)

    def _next(self) -> None:
        while self.job is None and self.waiting and len(self.outbox) < _OUT_HIGH:
            number, kind, body = self.waiting.popleft()
            head, raw = split(body)
            if kind == b"O":
                self._open(number, head, raw)
            else:
                self._start(number, head, raw)

    # jobs

    def _open(self, number: int, head: dict[str, Any], source: bytes) -> None:
        """A new program: the old one's files go, its source is written, and its compiler is the first job.

        Python's text is compiled by the first process that runs it.
        """
        sweep.empty(self.box)
        self.language = head["language"]
        found = sweep.which(self.language["needs"], head["limits"].get("path"))
        if found is not None:
            self.send(pack(number, b"R", {"outcome": "missing", "needs": found}))
            return
        sweep.write(os.path.join(self.box, self.language["file"]), source)
        if self.language["compile"]:
            self._start(number, dict(head, do="compile"), b"")
        else:
            self.send(pack(number, b"R", {"outcome": "unknown"}))

    def compiles(self, do: str) -> bool:
        """Whether a process that does this has to compile the program first."""
        if do not in ("run", "call", "serve", "compile") or self.language["compile"]:
            return False
        return not os.path.exists(os.path.join(self.box, self.language["made"]))

    def _start(self, number: int, head: dict[str, Any], raw: bytes) -> None:
        self.job = Job(self, number, self._uid(), head, raw)
        assignment = {
            "uid": self.job.uid,
            "do": head["do"],
            "compiles": self.job.compiles,
            "limits": head["limits"],
            "language": self.language,
            "cwd": self.cwd(),
            "box": self.box,
        }
        self.job.give(json.dumps(assignment).encode())
        early, self.early = self.early, []
        for other, kind, body in early:
            if other == number:
                self._pass_on(kind, body)
            else:
                self.early.append((other, kind, body))

    def cwd(self) -> str:
        """The current job's own folder."""
        return os.path.join(self.scratch[0], f"box{self.turn}")

    def assign(self, assignment: bytes, fds: list[int]) -> int:
        """Give a job to a spare process; its pid, once it sent for a successor. Before, a kill would leave none."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())
        self.jobs.sendmsg([assignment], [rights])
        return int(self.jobs.recv(64))

    def _uid(self) -> int:
        self.turn = self.turn % _UIDS + 1
        return self.first_uid + self.turn if self.contained else os.getuid()

    def reap(self) -> None:
        """Collect every process that ended; what a job's processes used is counted to it."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.zygote:
                raise RuntimeError(f"the zygote died: {status}")
            if self.job is not None:
                self.job.reaped(pid, status, usage)

    def done(self, head: dict[str, Any], raw: bytes) -> None:
        assert self.job is not None
        number, self.job = self.job.number, None
        if head["outcome"] != "cancelled":
            self.send(pack(number, b"R", head, raw))

    def kill_all(self, uid: int, keep: Callable[[], None] | None) -> None:
        """Kill until nothing of the job is left, and remove its files but for what `keep` wants of them."""
        if self.contained:
            sweep.kill_uid(uid, {1, self.zygote}, self.reap)
        else:
            sweep.kill_job(self.reap)
        if keep is not None:
            keep()
        if self.contained:
            sweep.remove_files(uid, self.scratch)
            libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # changing uid may have set it
        else:
            sweep.empty(self.scratch[0])

    def end(self) -> None:
        """The caller is gone. In a container the kernel ends everything with process 1."""
        if not self.contained:
            sweep.kill_job(self.reap)
            os.kill(self.zygote, signal.SIGKILL)
            for folder in (*self.scratch, self.box):
                sweep.empty(folder)
                os.rmdir(folder)
            os.rmdir(os.path.dirname(self.box))
        os._exit(0)


def _first_uid() -> int:
    """Somewhere among the uids that are mapped here: process limits count per uid over all containers of a host."""
    with open("/proc/self/uid_map", "rb") as file:
        mapped = min(sum(int(line.split()[2]) for line in file), 1 << 31)
    low = 100_000 if mapped > 1 << 20 else 1_000
    return low + random.SystemRandom().randrange(max(1, mapped - low - 2 * _UIDS))


def main() -> None:
    config = json.loads(sys.argv[1])
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if not config["contained"]:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    preload()
    gc.collect()
    gc.freeze()
    Runner(config).run()


if __name__ == "__main__":
    main()
