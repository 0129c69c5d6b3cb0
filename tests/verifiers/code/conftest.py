"""A sandbox that answers as a script says and writes down what it was asked."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from rlvr.sandbox.types import Assertions, AssertionsResult, Call, CallResult, Limits, Program, RunResult

OK = RunResult("ok")


def prints(text: str) -> RunResult:
    return RunResult("ok", stdout=text.encode())


def gives(value: object) -> CallResult:
    return CallResult(OK, value)


@dataclass(eq=False)
class FakeSandbox:
    """`answer(asked, session)` decides every run, call and judgement; `session` counts from 0."""

    answer: Callable[[object, int], object]
    compiled: RunResult = OK
    checks: Callable[[tuple[object, ...]], CallResult] = lambda arguments: gives(True)
    opened: list[Program] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    limits: list[Limits | None] = field(default_factory=list)
    inside: int = 0
    most_inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def open(self, program: Program, limits: Limits | None = None) -> Iterator["FakeSession"]:
        with self.lock:
            number = len(self.opened)
            self.opened.append(program)
            self.limits.append(limits)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        try:
            yield FakeSession(self, number, self.compiled)
        finally:
            with self.lock:
                self.inside -= 1

    def check(self, source: str, arguments: tuple[object, ...], limits: Limits | None = None) -> CallResult:
        return self.checks(arguments)

    def close(self) -> None:
        pass


@dataclass
class FakeSession:
    sandbox: FakeSandbox
    number: int
    compiled: RunResult

    def run(self, stdins: Iterable[bytes]) -> Iterator[RunResult]:
        if self.compiled.outcome != "ok":
            yield from (self.compiled for _ in stdins)
        else:
            yield from self._each(stdins)

    def call(self, calls: Iterable[Call]) -> Iterator[CallResult]:
        yield from self._each(calls)

    def judge(self, tests: Iterable[Assertions]) -> Iterator[AssertionsResult]:
        yield from self._each(tests)

    def _each(self, asked: Iterable[object]) -> Iterator:
        for each in asked:
            self.sandbox.asked.append(each)
            answer = self.sandbox.answer(each, self.number)
            if isinstance(answer, BaseException):
                raise answer
            yield answer


@pytest.fixture
def fake() -> type[FakeSandbox]:
    return FakeSandbox
