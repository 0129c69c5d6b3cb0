"""Run the tests of one program in a session of the sandbox: one result for each, streamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from ...sandbox.types import AssertionsResult, Call, CallResult, Limits, RunResult, Sandbox, Session
from .compare import compare_output, compare_value
from .shapes import AssertionTests, CallTests, StreamTests, Tests

TIME_OUTS = frozenset({"cpu_limit", "wall_limit"})
_LIMITS = TIME_OUTS | {"memory_limit", "output_limit"}
_STOPS = _LIMITS | {"compile_error"}
_LONGEST = 200  # characters of an error in a detail


@dataclass(frozen=True, slots=True)
class Tested:
    """How one test went: `reason` is None where it passed, else a key of `REASONS`; `detail` says more."""

    reason: str | None = None
    detail: str | None = None

    @property
    def passed(self) -> bool:
        return self.reason is None


PASSED = Tested()


def run_tests(
    sandbox: Sandbox, session: Session, tests: Tests, start: int, stop: int, limits: Limits | None
) -> Iterator[Tested]:
    """The results of tests number `start` to `stop` - 1. A caller that stops iterating stops the rest."""
    if isinstance(tests, StreamTests):
        stdins = [text.encode("utf-8", "surrogatepass") for text in tests.inputs[start:stop]]
        for number, run in enumerate(session.run(stdins), start):
            yield _stream_result(sandbox, tests, number, run, limits)
    elif isinstance(tests, CallTests):
        calls = [Call(tests.function, arguments) for arguments in tests.inputs[start:stop]]
        for number, called in enumerate(session.call(calls), start):
            yield _call_result(sandbox, tests, number, called, limits)
    else:
        for number, judged in enumerate(session.judge(tests.tests[start:stop]), start):
            yield _assertions_result(tests, number, judged)


def last_line(output: bytes) -> str:
    """The last line of standard error that says something: in Python, the exception."""
    lines = output[-4000:].decode("utf-8", "replace").splitlines()
    return _short(next((line.strip() for line in reversed(lines) if line.strip()), ""))


def _stream_result(sandbox: Sandbox, tests: StreamTests, number: int, run: RunResult, limits: Limits | None) -> Tested:
    if run.outcome != "ok":
        return _stopped(run)
    got = run.stdout.decode("utf-8", "surrogateescape")  # bytes that are no text equal nothing that a test expects
    expected = tests.outputs[number]
    if tests.checker is not None:
        return _check(sandbox, tests.checker, (tests.inputs[number], got, expected), limits)
    difference = compare_output(expected, got, tests.tolerance)
    return PASSED if difference is None else Tested("wrong_output", difference)


def _call_result(sandbox: Sandbox, tests: CallTests, number: int, called: CallResult, limits: Limits | None) -> Tested:
    if called.run.outcome in _STOPS:
        return _stopped(called.run)
    if called.error is not None:
        return Tested("exception", _short(called.error))
    if called.run.outcome != "ok":
        return _stopped(called.run)
    expected = tests.outputs[number]
    if tests.checker is not None:
        return _check(sandbox, tests.checker, (tests.inputs[number], called.value, expected), limits)
    difference = compare_value(expected, called.value, tests.tolerance)
    if difference is None:
        return PASSED
    if tests.wrapped and compare_value(cast(list[object], expected)[0], called.value, tests.tolerance) is None:
        return PASSED
    return Tested("wrong_output", difference)


def _check(sandbox: Sandbox, checker: str, arguments: tuple[object, ...], limits: Limits | None) -> Tested:
    """By the problem's own checker. What it raises on this output is the output's fault: it passes on others."""
    checked = sandbox.check(checker, arguments, limits)
    if checked.run.outcome == "ok" and checked.error is None:
        if checked.value is True:
            return PASSED
        if checked.value is False:
            return Tested("wrong_output", "the checker says no")
        return Tested("checker_raised", f"check returned {type(checked.value).__name__}, not True or False")
    return Tested("checker_raised", _short(checked.error or f"{checked.run.outcome}: {last_line(checked.run.stderr)}"))


def _assertions_result(tests: AssertionTests, number: int, judged: AssertionsResult) -> Tested:
    if judged.run.outcome in _STOPS:
        return _stopped(judged.run)
    if judged.judge_failed:
        return Tested("tests_broken", _short(judged.error or "the judge ended before the tests"))
    if judged.passed:
        return PASSED
    error = judged.error or ""
    if error.startswith("AssertionError"):
        source = tests.tests[number].source.strip().splitlines()[-1]
        said = error.removeprefix("AssertionError").lstrip(": ")
        return Tested(
            "wrong_output", _short(": ".join(filter(None, (said, source if tests.entry_point is None else ""))))
        )
    if judged.run.outcome != "ok":
        return _stopped(judged.run)
    return Tested("exception", _short(error))


def _stopped(run: RunResult) -> Tested:
    """A run that did not end well."""
    said = last_line(run.stderr)
    if run.outcome == "compile_error":
        return Tested(run.outcome, said)
    if run.outcome in _LIMITS:
        cost = f"{run.cpu_s:.1f} s of CPU time, {run.wall_s:.1f} s, {run.memory_mb:.0f} MB"
        return Tested(run.outcome, cost if run.outcome != "memory_limit" or not said else f"{cost}: {said}")
    if run.outcome == "signal":
        return Tested("signal", f"signal {run.signal}" + (f": {said}" if said else ""))
    return Tested("exception", said or f"exit status {run.exit_status}")


def _short(text: str) -> str:
    """One line, hidden characters written out, cut to a readable length."""
    line = " ".join(text.split())[: _LONGEST + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
