"""`verify_code`: 1 when the program in a completion passes the tests of the problem, run where it can do no harm."""

import pickle
from functools import partial
from hashlib import blake2b
from io import BytesIO
from typing import Literal

from ...sandbox.languages import LANGUAGES
from ...sandbox.types import Limits, Program, Sandbox, SandboxUnavailable
from ..types import Completion, Problem, Status, Verdict, correct, not_judged, wrong
from .assemble import assemble
from .block import find_program
from .memory import Gate, memory_of
from .run import TIME_OUTS, Tested, run_tests
from .shapes import AssertionTests, StreamTests, Tests, read_tests

Mode = Literal["all", "fraction"]
MODES: tuple[Mode, ...] = ("all", "fraction")
MAX_PROGRAM = 1_000_000
"""Characters; a longer text is no program."""


def verify_code(
    problem: Problem,
    completion: Completion,
    /,
    *,
    sandbox: Sandbox,
    language: str = "python",
    mode: Mode = "all",
    limits: Limits | None = None,
) -> Verdict:
    """1 when the program in the completion passes all of `problem.tests`, else 0.

    sandbox: where it runs, such as `rlvr.sandbox.DockerSandbox`. language: of the program, a key of
    `rlvr.sandbox.languages.LANGUAGES`; calls and assertions are Python's. mode: "all", where the first failing test
    stops the rest, or "fraction", which scores the part of the tests that pass. limits: of one run; None for the
    sandbox's own.

    What runs out of time is tried once more before it counts (once a program: after a second time-out of a test, later
    ones count at once), alone in this process where the wall clock decided, because that is what other work takes from
    it. Identical programs with identical tests are judged once. `extracted` is the program as the model wrote it.
    Not judged (score None): the sandbox is unavailable, or the problem's own test code breaks.
    Raises ValueError when `problem.tests` is missing or malformed, or an option is unknown.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    if language not in LANGUAGES:
        raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
    try:
        tests = read_tests(problem.tests)
    except ValueError as error:
        raise ValueError(f"problem {problem.id}: {error}") from None
    if language != "python" and not isinstance(tests, StreamTests):
        raise ValueError(f"problem {problem.id}: calls and assertions need a program in python, not {language}")
    continues = isinstance(tests, AssertionTests) and tests.entry_point is not None
    code = find_program(completion.text, language, whole=continues)
    if code is None:
        return _without_program(completion)
    unusable = _unusable(code)
    if unusable is not None:
        return unusable
    memory = memory_of(sandbox)
    judge = partial(_judge, code, tests, sandbox, language, mode, limits, memory.gate)
    return memory.cache.get(_key(code, tests, language, mode, limits), judge)


def _without_program(completion: Completion) -> Verdict:
    if completion.finished is False:
        return Verdict(0.0, "truncated", "cut_off")
    return Verdict(0.0, "unextracted", "no_code")


def _unusable(code: str) -> Verdict | None:
    """What no compiler would take, and no message could carry."""
    if len(code) > MAX_PROGRAM:
        return wrong("too_long", code[:200], f"{len(code):,} characters")
    try:
        code.encode()
    except UnicodeEncodeError as error:
        readable = code.encode("utf-8", "replace").decode()
        return wrong("compile_error", readable, f"not Unicode text: {error.reason} at character {error.start}")
    return None


def _key(code: str, *rest: object) -> bytes:
    buffer = BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.fast = True  # equal values give equal bytes, whether or not they share objects
    pickler.dump((code, *rest))
    return blake2b(buffer.getvalue(), digest_size=20).digest()


def _judge(
    code: str, tests: Tests, sandbox: Sandbox, language: str, mode: Mode, limits: Limits | None, gate: Gate
) -> Verdict:
    source = code
    if isinstance(tests, AssertionTests) and tests.entry_point is not None:
        source = assemble(tests.prompt or "", tests.entry_point, code)
    trial = _Trial(Program(source, language), tests, sandbox, limits, gate, stops=mode == "all")
    try:
        results = trial.results()
    except SandboxUnavailable as error:
        return not_judged("sandbox_unavailable", " ".join(str(error).split())[:300], code)
    return _verdict(code, results, len(tests), mode)


class _Trial:
    """One program against its tests, over as many sessions as time-outs ask for."""

    def __init__(
        self, program: Program, tests: Tests, sandbox: Sandbox, limits: Limits | None, gate: Gate, *, stops: bool
    ) -> None:
        self.program = program
        self.tests = tests
        self.sandbox = sandbox
        self.limits = limits
        self.gate = gate
        self.stops = stops

    def results(self) -> list[Tested]:
        """One result per test, up to the one that stops the rest."""
        results: list[Tested] = []
        retries = True
        while not self._complete(results):
            with self.gate.together():
                done, late = self._session(len(results), len(self.tests), retries=retries)
            results += done
            if late is not None:
                with self.gate.alone() if late.reason == "wall_limit" else self.gate.together():
                    done, _ = self._session(len(results), len(results) + 1, retries=False)
                results += done
                retries = done[0].reason not in TIME_OUTS
        return results

    def _complete(self, results: list[Tested]) -> bool:
        return len(results) == len(self.tests) or (bool(results) and self._stops_at(results[-1]))

    def _stops_at(self, result: Tested) -> bool:
        return result.reason in ("compile_error", "tests_broken") or (self.stops and not result.passed)

    def _session(self, start: int, stop: int, *, retries: bool) -> tuple[list[Tested], Tested | None]:
        """The results of tests `start` to `stop` - 1, and the one after them that ran out of time, to be retried."""
        results: list[Tested] = []
        with self.sandbox.open(self.program, self.limits) as session:
            for result in run_tests(self.sandbox, session, self.tests, start, stop, self.limits):
                if retries and result.reason in TIME_OUTS:
                    return results, result
                results.append(result)
                if self._stops_at(result):
                    return results, None
        if len(results) != stop - start:
            raise RuntimeError(f"the sandbox gave {len(results)} results for {stop - start} tests")
        return results, None


def _verdict(code: str, results: list[Tested], total: int, mode: Mode) -> Verdict:
    failed = next((number for number, result in enumerate(results) if not result.passed), None)
    if failed is None:
        return correct("all_tests_passed", code)
    if results[-1].reason == "tests_broken":
        failed = len(results) - 1
    result = results[failed]
    reason = result.reason or ""
    if reason == "compile_error":
        return wrong(reason, code, result.detail)
    detail = f"test {failed + 1} of {total}: {reason}" + (f": {result.detail}" if result.detail else "")
    if reason == "tests_broken":
        return not_judged(reason, detail, code)
    score = 0.0
    if mode == "fraction":
        passed = sum(result.passed for result in results)
        score = passed / total
        detail = f"{passed} of {total} passed; {detail}"
    status: Status = "timeout" if reason in TIME_OUTS else "wrong"
    return Verdict(score, status, reason, code, detail=detail)
