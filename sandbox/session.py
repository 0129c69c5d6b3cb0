"""A session: one program on one worker."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from . import plain
from .image.frames import join, split
from .languages import LANGUAGES, Language
from .pool import Seat
from .types import Call, CallResult, Limits, MissingLanguage, Program, RunResult
from .worker import Worker, WorkerDied

_AHEAD = 4
_AHEAD_BYTES = 1 << 20
_COMPILER = {"processes": 128, "open_files": 512, "output_kb": 1024, "file_mb": 64, "memory_mb": 1024}
CPUS = 2.0
"""Processors that one worker may use at a time."""

Reply = tuple[RunResult, bytes | None]


def job_limits(limits: Limits, contained: bool) -> dict[str, Any]:
    """What the runner needs of `limits`."""
    return {
        **asdict(limits),
        "wall_s": limits.wall_s,
        "cpus": CPUS,
        "uid_of_its_own": contained,
    }


def compiler_limits(limits: Limits, contained: bool) -> dict[str, Any]:
    """A compiler's limits: seconds from `compile_s`, the rest at least what compilers need."""
    values = job_limits(limits, contained)
    for name, least in _COMPILER.items():
        values[name] = max(values[name], least)
    return values | {"cpu_s": limits.compile_s, "wall_s": limits.compile_s * max(1.0, limits.wall_factor)}


def reply_of(body: bytes) -> Reply:
    """The runner's word on a job: how it ended, and what its process sent."""
    head, raw = split(body)
    middle = head["stdout"]
    end = middle + head["stderr"]
    result = RunResult(
        outcome=head["outcome"],
        stdout=raw[:middle],
        stderr=raw[middle:end],
        exit_status=head["exit_status"],
        signal=head["signal"],
        cpu_s=head["cpu_s"],
        wall_s=head["wall_s"],
        memory_mb=head["memory_mb"],
    )
    return result, None if head["made"] is None else raw[end:]


def call_result(reply: Reply) -> CallResult:
    """What a function gave, from the bytes of a process that nobody trusts."""
    run, said = reply
    if said is None:
        error = None if run.outcome != "ok" else "the program ended before the function returned"
        return CallResult(run, error=error)
    if said[:1] == b"E":
        return CallResult(run, error=said[1:].decode("utf-8", "replace"))
    if run.outcome != "ok":
        return CallResult(run)
    try:
        return CallResult(run, plain.decode(said[1:]))
    except plain.PlainError as error:
        return CallResult(run, error=f"the value is not plain data: {error}")


class WorkerSession:
    """The part of `rlvr.sandbox.types.Session` that needs no judge."""

    def __init__(self, program: Program, limits: Limits, seat: Seat, *, contained: bool = True) -> None:
        self.program, self.limits, self.contained = program, limits, contained
        self._seat = seat
        self._head = {"limits": job_limits(limits, contained)}
        self._busy = False
        self._compiled = self._compile_twice()

    @property
    def compiled(self) -> RunResult:
        """See `Session.compiled`."""
        if self._compiled is None:
            limits = compiler_limits(self.limits, self.contained)
            ((result, _),) = self.each({"do": "compile", "limits": limits}, [b""])
            self._compiled = _compile_result(result)
        return self._compiled

    @property
    def worker(self) -> Worker:
        """Another one after a program killed the one before."""
        return self._seat.worker

    def run(self, stdins: Iterable[bytes]) -> Iterator[RunResult]:
        """See `Session.run`."""
        for run, _ in self.each(self._head | {"do": "run"}, stdins):
            yield run

    def call(self, calls: Iterable[Call]) -> Iterator[CallResult]:
        """See `Session.call`. Raises PlainError for arguments that are not plain data."""
        self.python_only()
        for reply in self.each(self._head | {"do": "call"}, (_call_body(call) for call in calls)):
            yield call_result(reply)

    def each(self, head: Mapping[str, Any], bodies: Iterable[bytes]) -> Iterator[Reply]:
        """One job for each body, a few of them sent ahead."""
        if self._compiled is not None and self._compiled.outcome != "ok":
            yield from ((self._compiled, None) for _ in bodies)
            return
        waiting: deque[tuple[int, bytes]] = deque()
        bodies = iter(bodies)
        more = True
        self.quiet()
        self._busy = True
        while True:
            while more and len(waiting) < _AHEAD and sum(len(body) for _, body in waiting) < _AHEAD_BYTES:
                body = next(bodies, None)
                if body is None:
                    more = False
                else:
                    waiting.append((self._send(head, body, waiting), body))
            if not waiting:
                break
            reply = self._reply(head, waiting)
            waiting.popleft()
            yield reply
        self._busy = False

    def quiet(self) -> None:
        """End what a caller that stopped early left running."""
        if self._busy:
            self.worker.drop_jobs(self.limits.wall_s)
            self._busy = False

    def _send(self, head: Mapping[str, Any], body: bytes, before: deque[tuple[int, bytes]]) -> int:
        try:
            return self.worker.send(b"J", head, body)
        except WorkerDied:
            if before:
                return -1  # reading the answer to the one before tells why
            self.revive()
            return self.worker.send(b"J", head, body)

    def _reply(self, head: Mapping[str, Any], waiting: deque[tuple[int, bytes]]) -> Reply:
        """The answer to the first that waits; a worker that dies of it twice has been killed by the program."""
        for last in (False, True):
            try:
                return reply_of(self.worker.next_frame(self.limits.wall_s)[2])
            except WorkerDied as death:
                self.revive()
                if death.out_of_memory or last:
                    rest = list(waiting)[1:]
                    waiting_first = waiting[0]
                    waiting.clear()
                    waiting.append(waiting_first)
                    waiting.extend((self.worker.send(b"J", head, body), body) for _, body in rest)
                    return RunResult("memory_limit" if death.out_of_memory else "signal", signal=9), None
                resent = [(self.worker.send(b"J", head, body), body) for _, body in waiting]
                waiting.clear()
                waiting.extend(resent)
        raise AssertionError

    def revive(self) -> None:
        """A new worker with the same program."""
        self._seat.replace()
        self._compile()

    def _compile_twice(self) -> RunResult | None:
        try:
            return self._compile()
        except WorkerDied as death:
            if death.out_of_memory:
                self._seat.replace()
                return RunResult("compile_error", stderr=b"the compiler ran out of memory", signal=9)
        self._seat.replace()
        try:
            return self._compile()
        except WorkerDied as death:
            self._seat.replace()
            return RunResult("compile_error", stderr=f"the compiler ended the container: {death}".encode(), signal=9)

    def _compile(self) -> RunResult | None:
        """How it went; None for Python, whose text the first process compiles that runs it."""
        language = LANGUAGES.get(self.program.language)
        if language is None:
            raise MissingLanguage(f"{self.program.language!r} is none of the languages {', '.join(LANGUAGES)}")
        head = {"language": _language_head(language), "limits": compiler_limits(self.limits, self.contained)}
        source = self.program.source.encode("utf-8", "replace")
        self.worker.send(b"O", head, source)
        body = self.worker.next_frame(head["limits"]["wall_s"])[2]
        answer, _ = split(body)
        if answer["outcome"] == "missing":
            raise MissingLanguage(
                f"the sandbox image has no {answer['needs']}, which {language.name} needs: "
                "build one from a base that has it with `rlvr sandbox build --base IMAGE`"
            )
        return None if answer["outcome"] == "unknown" else _compile_result(reply_of(body)[0])

    def python_only(self) -> None:
        """Raises ValueError for a program in another language."""
        if self.program.language != "python":
            raise ValueError(f"calls and assertions need a Python program, not {self.program.language}")


def _compile_result(result: RunResult) -> RunResult:
    if result.outcome == "ok":
        return result
    return replace(result, outcome="compile_error", stderr=result.stderr or result.stdout or result.outcome.encode())


def _language_head(language: Language) -> dict[str, Any]:
    return asdict(language)


def _call_body(call: Call) -> bytes:
    return join({"function": call.function}, plain.encode(call.args))
