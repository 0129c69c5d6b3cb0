"""What goes into a sandbox and what comes out. Everything here is frozen, slotted and pickles."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Outcome = Literal[
    "ok",  # ended by itself with exit status 0
    "exit",  # another exit status, an uncaught exception among them
    "signal",  # died of a signal that no limit sent
    "cpu_limit",
    "wall_limit",
    "memory_limit",
    "output_limit",
    "compile_error",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a program may use. CPU time decides; wall time is a backstop for programs that sleep."""

    cpu_s: float = 5.0
    wall_factor: float = 3.0
    """Wall seconds allowed for each CPU second: a busy machine changes no verdict."""
    memory_mb: int = 512
    processes: int = 32
    file_mb: int = 16
    output_kb: int = 16_384
    """Standard output and standard error together."""
    disk_mb: int = 64
    """Size of the private tmpfs a run may write to."""
    inodes: int = 4_096
    open_files: int = 64
    compile_s: float = 30.0

    @property
    def wall_s(self) -> float:
        """The backstop, in seconds: at least one second, however small `cpu_s` is."""
        return max(1.0, self.cpu_s * self.wall_factor)


@dataclass(frozen=True, slots=True)
class Program:
    """Source text in one of the languages of `rlvr.sandbox.languages`."""

    source: str
    language: str = "python"


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one fresh process ended, and what it cost."""

    outcome: Outcome
    stdout: bytes = b""
    stderr: bytes = b""
    """Its last 64 KB."""
    exit_status: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """Call `function` of the program with plain data (see `rlvr.sandbox.plain`).

    A dotted or bare name; a program whose only definition of it is a method of `class Solution` is called there.
    """

    function: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call gave: `value` where `run.outcome` is "ok" and `error` is None."""

    run: RunResult
    value: object = None
    error: str | None = None
    """What it raised, as `TypeError: …`, or why its value is not plain data."""


@dataclass(frozen=True, slots=True)
class Assertions:
    """Test code that asserts about a program which it never shares a process with.

    `source` runs in the judge: a process in a container of its own, where each of `names` is a proxy for the program's
    object of that name. `setup` runs before it, in the judge alone (helpers that the prompt defines, imports).
    """

    source: str
    names: tuple[str, ...]
    setup: str = ""


@dataclass(frozen=True, slots=True)
class AssertionsResult:
    """`passed` only when the test code ran to its end. `error` is the assertion or exception that stopped the judge."""

    passed: bool
    run: RunResult
    """The program's process: its outcome says whether a limit ended it."""
    error: str | None = None
    judge_failed: bool = False
    """The test code itself broke (a syntax error, its own limit): nothing the program did."""


class SandboxUnavailable(RuntimeError):
    """No engine, no image, or the engine broke: our side, never the program's. The message says what to do."""


class MissingLanguage(SandboxUnavailable):
    """The image lacks the compiler or interpreter of a language; the message names it."""


class Session(Protocol):
    """One program, compiled once on one worker; every run is a fresh process that sees nothing of the others.

    Every run, call and judgement of a program that does not compile has the outcome "compile_error".
    """

    @property
    def compiled(self) -> RunResult:
        """Outcome "compile_error" (the compiler's words in `stderr`) or "ok". Nothing needs to ask before a run."""
        ...

    def run(self, stdins: Iterable[bytes]) -> Iterator[RunResult]:
        """Run once per standard input, in order, streamed; a caller that stops iterating stops the rest."""
        ...

    def call(self, calls: Iterable[Call]) -> Iterator[CallResult]:
        """Python only: load the program in a fresh process per call, in order, streamed as `run` is."""
        ...

    def judge(self, tests: Iterable[Assertions]) -> Iterator[AssertionsResult]:
        """Python only: a fresh process and a fresh judge per test, in order, streamed as `run` is."""
        ...


class Sandbox(Protocol):
    """Runs programs that nobody trusts. Thread-safe; pickles, and reconnects where it arrives."""

    def open(self, program: Program, limits: Limits | None = None) -> AbstractContextManager[Session]:
        """Take a worker (waiting for a free one), compile, and hand back the session; leaving it cleans the worker.

        Raises SandboxUnavailable when the engine, the image or the language is missing.
        """
        ...

    def check(self, source: str, arguments: tuple[object, ...], limits: Limits | None = None) -> CallResult:
        """Call `check(*arguments)` of a problem's own checker in the judge, never in the caller."""
        ...

    def close(self) -> None:
        """End the workers and remove what they left."""
        ...
