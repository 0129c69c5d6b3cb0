"""Assertions about a program: a judge in a container of its own, the program in its own, and the bytes between them."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from . import plain
from .image.frames import join
from .pool import Pool, Seat
from .session import WorkerSession, call_result, job_limits, reply_of
from .types import Assertions, AssertionsResult, CallResult, Limits, Program, RunResult, SandboxUnavailable
from .worker import Worker, WorkerDied

_MAX_EXCHANGES = 1_000_000


def judge_limits(limits: Limits) -> Limits:
    """The judge waits for the program, so it has more time than that; its memory holds what the program sends."""
    return replace(limits, cpu_s=limits.cpu_s + 2.0, memory_mb=max(limits.memory_mb, 512))


def judge_head(limits: Limits, do: str, *, contained: bool = True) -> dict[str, Any]:
    """The head of a judge's job."""
    own = judge_limits(limits)
    return {"do": do, "limits": job_limits(own, contained) | {"wall_s": own.wall_s + limits.wall_s}}


class JudgingSession(WorkerSession):
    """See `rlvr.sandbox.types.Session`."""

    def __init__(self, program: Program, limits: Limits, seat: Seat, judges: Pool, *, contained: bool = True) -> None:
        super().__init__(program, limits, seat, contained=contained)
        self._judges = judges

    def judge(self, tests: Iterable[Assertions]) -> Iterator[AssertionsResult]:
        """See `Session.judge`."""
        self.python_only()
        self.quiet()
        for test in tests:
            with self._judges.taken(judge_limits(self.limits)) as seat:
                result = self._judge_twice(seat, test)
                seat.whole = True
            yield result

    def _judge_twice(self, seat: Seat, test: Assertions) -> AssertionsResult:
        """A container that ends gives way to a new one; what ends with the program a second time, the program ended."""
        for last in (False, True):
            conversation = _Conversation(self, seat, test)
            try:
                return conversation.result()
            except WorkerDied as death:
                of_program = self.worker.dead or conversation.exchanges > 0
                out_of_memory = self.worker.dead and death.out_of_memory
                seat.replace()
                self.revive()
                if out_of_memory or (last and of_program):
                    run = RunResult("memory_limit" if out_of_memory else "signal", signal=9)
                    return AssertionsResult(False, run, "the program ended its container")
                if last:
                    raise SandboxUnavailable(f"the judge's container on {self.worker.link.where} died twice") from None
        raise AssertionError


@contextmanager
def open_session(
    pools: tuple[Pool, Pool], program: Program, limits: Limits, *, contained: bool = True
) -> Generator[JudgingSession]:
    """A session on a worker of the first pool, with judges of the second; a session that breaks costs its worker."""
    with pools[0].taken(limits) as seat:
        session = JudgingSession(program, limits, seat, pools[1], contained=contained)
        yield session
        session.quiet()
        seat.whole = True


def call_checker(
    judges: Pool, source: str, arguments: tuple[object, ...], limits: Limits, *, contained: bool = True
) -> CallResult:
    """See `Sandbox.check`."""
    body = join({"source": source, "function": "check"}, plain.encode(arguments))
    own = judge_limits(limits)
    with judges.taken(own) as seat:
        try:
            seat.worker.send(b"J", judge_head(limits, "check", contained=contained), body)
            reply = reply_of(seat.worker.next_frame(own.wall_s + limits.wall_s)[2])
        except WorkerDied as death:
            return CallResult(RunResult("memory_limit" if death.out_of_memory else "signal", signal=9))
        seat.whole = True
    return call_result(reply)


class _Conversation:
    """One test. The program's process and the judge's take turns; only the judge's word that it passed counts."""

    def __init__(self, session: JudgingSession, seat: Seat, test: Assertions) -> None:
        self._session, self._limits = session, session.limits
        self.exchanges = 0
        self._judge: Worker = seat.worker
        self._test = test
        self._job = 0

    def result(self) -> AssertionsResult:
        """Raises WorkerDied when the container of either end ends."""
        contained = self._session.contained
        test = {"setup": self._test.setup, "source": self._test.source, "names": list(self._test.names)}
        judge_job = self._judge.send(b"J", judge_head(self._limits, "judge", contained=contained), join(test))
        head = {"do": "serve", "limits": job_limits(self._limits, contained)}
        self._job = self._session.worker.send(b"J", head)
        while True:
            _, kind, said = self._judge.next_frame(judge_limits(self._limits).wall_s * 2)
            if kind == b"R":
                judge_run, _ = reply_of(said)
                run = self._end_program()
                broken = not self.exchanges
                return AssertionsResult(False, run, f"the judge ended with {judge_run.outcome}", broken)
            if said[:1] == b"D":
                self._judge.next_frame(self._limits.wall_s)  # its result
                done = json.loads(said[1:])
                return AssertionsResult(done["passed"], self._end_program(), done["error"], done["judge_failed"])
            self._session.worker.send(b"M", None, said[1:], self._job)
            _, kind, answer = self._session.worker.next_frame(self._limits.wall_s)
            if kind == b"R":
                run, _ = reply_of(answer)
                self._drop_judge()
                return AssertionsResult(False, run, _last_line(run))
            self.exchanges += 1
            if self.exchanges > _MAX_EXCHANGES:
                self._drop_judge()
                return AssertionsResult(False, self._end_program(), "the test asks the program without end")
            self._judge.send(b"M", None, answer, judge_job)

    def _drop_judge(self) -> None:
        self._judge.drop_jobs(self._limits.wall_s)

    def _end_program(self) -> RunResult:
        """End the program's process; what it used, and "ok" if no limit had ended it before."""
        worker = self._session.worker
        worker.send(b"E", None, b"", self._job)
        while True:
            _, kind, body = worker.next_frame(self._limits.wall_s)
            if kind == b"R":
                return reply_of(body)[0]


def _last_line(run: RunResult) -> str:
    lines = run.stderr.decode("utf-8", "replace").strip().splitlines()
    said = lines and run.outcome in ("exit", "compile_error")
    return lines[-1][:2_000] if said else f"the program ended: {run.outcome}"
