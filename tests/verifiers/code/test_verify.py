"""verify_code's own decisions, with a sandbox that answers as a script says."""

import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.sandbox.types import AssertionsResult, Call, CallResult, Limits, RunResult, SandboxUnavailable
from rlvr.verifiers import REASONS, Completion, Problem, Verdict, verify_code
from rlvr.verifiers.pool import judge

OK = RunResult("ok")
CODE = "```python\nprint(input())\n```"
LATE = RunResult("cpu_limit", cpu_s=5.0, wall_s=5.1)
SLOW = RunResult("wall_limit", cpu_s=0.1, wall_s=15.0)


def streams(count: int, **more: Any) -> dict[str, Any]:
    return {"inputs": [str(n) for n in range(count)], "outputs": [str(n) for n in range(count)], **more}


def echo(asked: object, session: int) -> object:
    assert isinstance(asked, bytes)
    return RunResult("ok", stdout=asked + b"\n")


def verify(sandbox: Any, tests: Any, text: str = CODE, **options: Any) -> Verdict:
    finished = options.pop("finished", None)
    return verify_code(Problem("p", tests=tests), Completion(text, finished=finished), sandbox=sandbox, **options)


def test_all_tests_pass(fake: Any) -> None:
    sandbox = fake(echo)
    assert verify(sandbox, streams(3)) == Verdict(1.0, "correct", "all_tests_passed", "print(input())\n")
    assert sandbox.asked == [b"0", b"1", b"2"]
    assert [program.source for program in sandbox.opened] == ["print(input())\n"]


def test_tests_may_be_json_text(fake: Any) -> None:
    assert verify(fake(echo), json.dumps(streams(3))).score == 1.0


def test_the_first_failing_test_stops_the_rest(fake: Any) -> None:
    sandbox = fake(lambda asked, session: RunResult("ok", stdout=b"0" if asked == b"2" else asked))
    verdict = verify(sandbox, streams(10))
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, "wrong", "wrong_output")
    assert verdict.detail == 'test 3 of 10: wrong_output: line 1: expected "2", got "0"'
    assert sandbox.asked == [b"0", b"1", b"2"]


def test_fraction_runs_all(fake: Any) -> None:
    sandbox = fake(lambda asked, session: RunResult("ok", stdout=asked if asked in b"0134" else b"x"))
    verdict = verify(sandbox, streams(5), mode="fraction")
    assert (verdict.score, verdict.status, verdict.reason) == (0.8, "wrong", "wrong_output")
    assert verdict.detail == '4 of 5 passed; test 3 of 5: wrong_output: line 1: expected "2", got "x"'
    assert verify(fake(echo), streams(5), mode="fraction").score == 1.0
    assert verify(fake(lambda *_: OK), streams(5), mode="fraction").score == 0.0


RUNS = {
    "exception": (RunResult("exit", exit_status=1, stderr=b"Trace\nValueError: a\x1bb\n\n"), "wrong", "exception",
                  "ValueError: a\\x1bb"),
    "exit status": (RunResult("exit", exit_status=3), "wrong", "exception", "exit status 3"),
    "signal": (RunResult("signal", signal=11), "wrong", "signal", "signal 11"),
    "cpu": (LATE, "timeout", "cpu_limit", "5.0 s of CPU time, 5.1 s, 0 MB"),
    "wall": (SLOW, "timeout", "wall_limit", "0.1 s of CPU time, 15.0 s, 0 MB"),
    "memory": (RunResult("memory_limit", stderr=b"MemoryError", memory_mb=512), "wrong", "memory_limit",
               "0.0 s of CPU time, 0.0 s, 512 MB: MemoryError"),
    "output": (RunResult("output_limit", stdout=b"0"), "wrong", "output_limit", "0.0 s of CPU time, 0.0 s, 0 MB"),
}  # fmt: skip


@pytest.mark.parametrize(("run", "status", "reason", "said"), RUNS.values(), ids=RUNS)
def test_how_a_run_ended(fake: Any, run: RunResult, status: str, reason: str, said: str) -> None:
    verdict = verify(fake(lambda *_: run), streams(2))
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, status, reason)
    assert verdict.detail == f"test 1 of 2: {reason}: {said}"
    assert reason in REASONS


def test_right_output_with_another_end_is_wrong(fake: Any) -> None:
    assert verify(fake(lambda asked, _: RunResult("exit", stdout=asked, exit_status=1)), streams(1)).score == 0.0
    assert verify(fake(lambda asked, _: RunResult("signal", stdout=asked, signal=9)), streams(1)).score == 0.0


def test_a_compile_error(fake: Any) -> None:
    sandbox = fake(echo, compiled=RunResult("compile_error", stderr=b"line\nSyntaxError: invalid syntax\n"))
    for mode in ("all", "fraction"):
        verdict = verify(sandbox, streams(3), mode=mode)
        assert (verdict.score, verdict.status, verdict.reason) == (0.0, "wrong", "compile_error")
        assert verdict.detail == "SyntaxError: invalid syntax"
    assert sandbox.asked == []


@pytest.mark.parametrize(
    ("text", "finished", "status", "reason"),
    [
        ("I cannot.", None, "unextracted", "no_code"),
        ("I cannot.", True, "unextracted", "no_code"),
        ("<think>I should", False, "truncated", "cut_off"),
        ("", None, "unextracted", "no_code"),
    ],
)
def test_no_code(fake: Any, text: str, finished: bool | None, status: str, reason: str) -> None:
    sandbox = fake(echo)
    assert verify(sandbox, streams(1), text, finished=finished) == Verdict(0.0, status, reason)  # type: ignore[arg-type]
    assert sandbox.opened == []


def test_what_no_compiler_takes(fake: Any) -> None:
    sandbox = fake(echo)
    surrogate = verify(sandbox, streams(1), "```python\nx = '\ud800'\n```")
    assert (surrogate.score, surrogate.reason) == (0.0, "compile_error")
    json.dumps(surrogate.extracted).encode()
    assert str(surrogate.extracted).encode()
    long = verify(sandbox, streams(1), f"```python\n{'x' * 1_000_001}\n```")
    assert (long.score, long.reason) == (0.0, "too_long")
    assert sandbox.opened == []


# ---- time-outs


@pytest.mark.parametrize("late", [LATE, SLOW], ids=["cpu", "wall"])
def test_a_time_out_is_tried_once_more(fake: Any, late: RunResult) -> None:
    sandbox = fake(lambda asked, session: late if (asked, session) == (b"1", 0) else RunResult("ok", stdout=asked))
    assert verify(sandbox, streams(4)).score == 1.0
    assert sandbox.asked == [b"0", b"1", b"1", b"2", b"3"]
    assert len(sandbox.opened) == 3, "the retry has a session of its own"


@pytest.mark.parametrize("late", [LATE, SLOW], ids=["cpu", "wall"])
def test_a_second_time_out_counts(fake: Any, late: RunResult) -> None:
    sandbox = fake(lambda asked, session: late if asked == b"1" else RunResult("ok", stdout=asked))
    verdict = verify(sandbox, streams(4))
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, "timeout", late.outcome)
    assert (verdict.detail or "").startswith(f"test 2 of 4: {late.outcome}: ")
    assert sandbox.asked == [b"0", b"1", b"1"]


def test_the_retry_may_find_another_fault(fake: Any) -> None:
    sandbox = fake(lambda asked, session: LATE if session == 0 else RunResult("ok", stdout=b"x"))
    verdict = verify(sandbox, streams(2))
    assert (verdict.status, verdict.reason) == ("wrong", "wrong_output")


def test_each_test_that_times_out_by_chance_is_tried_again(fake: Any) -> None:
    tried: list[bytes] = []

    def answer(asked: bytes, session: int) -> RunResult:
        tried.append(asked)
        return LATE if tried.count(asked) == 1 else RunResult("ok", stdout=asked)

    assert verify(fake(answer), streams(3)).score == 1.0
    assert tried == [b"0", b"0", b"1", b"1", b"2", b"2"]


def test_in_fraction_mode_a_program_that_is_late_twice_is_not_tried_again(fake: Any) -> None:
    sandbox = fake(lambda asked, session: RunResult("ok", stdout=asked) if asked == b"3" else LATE)
    verdict = verify(sandbox, streams(4), mode="fraction")
    assert (verdict.score, verdict.status, verdict.reason) == (0.25, "timeout", "cpu_limit")
    assert sandbox.asked == [b"0", b"0", b"1", b"2", b"3"]


def test_after_a_wall_time_out_the_retry_runs_alone(fake: Any) -> None:
    """Eight threads; a program that is starved by the others gets the machine for itself."""
    inside_at_retry: list[int] = []
    started = threading.Barrier(8, timeout=60)

    def answer(asked: bytes, session: int) -> RunResult:
        if session < 8:
            started.wait()  # all eight sessions are open at once
            return SLOW
        inside_at_retry.append(sandbox.inside)
        return RunResult("ok", stdout=asked)

    sandbox = fake(answer)
    with ThreadPoolExecutor(8) as pool:
        texts = [f"```python\nprint({n})\n```" for n in range(8)]
        verdicts = list(pool.map(lambda text: verify(sandbox, streams(1), text), texts))
    assert [verdict.score for verdict in verdicts] == [1.0] * 8
    assert inside_at_retry == [1] * 8
    assert sandbox.most_inside == 8


# ---- the sandbox


def test_an_unavailable_sandbox_is_not_judged_and_not_remembered(fake: Any) -> None:
    sandbox = fake(
        lambda asked, session: SandboxUnavailable("no engine:\ninstall Docker") if not session else echo(asked, 0)
    )
    verdict = verify(sandbox, streams(1))
    assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "sandbox_unavailable")
    assert verdict.detail == "no engine: install Docker"
    assert verify(sandbox, streams(1)).score == 1.0


@pytest.mark.parametrize("answers", [0, 1])
def test_a_sandbox_that_gives_too_few_results_never_passes(fake: Any, answers: int) -> None:
    sandbox = fake(echo)
    problem = Problem("p", tests=streams(2))
    short = partial(verify_code, sandbox=sandbox)
    session = type(sandbox.open(None).__enter__())
    original = session.run
    session.run = lambda self, stdins: original(self, list(stdins)[:answers])
    try:
        verdict = judge(short, problem, Completion(CODE))
    finally:
        session.run = original
    assert (verdict.score, verdict.reason) == (None, "verifier_raised")


def test_limits_reach_the_sandbox(fake: Any) -> None:
    sandbox = fake(echo)
    limits = Limits(cpu_s=1.0)
    verify(sandbox, streams(1), limits=limits)
    verify(sandbox, streams(1))
    assert sandbox.limits == [limits, None]


def test_the_language_reaches_the_sandbox(fake: Any) -> None:
    sandbox = fake(echo)
    assert verify(sandbox, streams(1), "```c++\nint main() {}\n```", language="cpp").score == 1.0
    assert sandbox.opened[0].language == "cpp"


# ---- the cache


def test_identical_pairs_are_judged_once(fake: Any) -> None:
    sandbox = fake(echo)
    first = verify(sandbox, streams(2))
    assert verify(sandbox, json.loads(json.dumps(streams(2))), f"Again:\n{CODE}\nDone.") == first
    assert len(sandbox.opened) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"tests": streams(3)},
        {"tests": streams(2, tolerance=0.1)},
        {"tests": {"inputs": ["0", "1"], "outputs": ["0", "1\n"]}},
        {"text": "```python\nprint( input())\n```"},
        {"limits": Limits(cpu_s=1.0)},
        {"mode": "fraction"},
    ],
    ids=["a test more", "tolerance", "an output", "program", "limits", "mode"],
)
def test_what_differs_is_judged_again(fake: Any, changed: dict[str, Any]) -> None:
    sandbox = fake(echo)
    verify(sandbox, streams(2))
    verify(sandbox, **{"tests": streams(2), **changed})
    assert len(sandbox.opened) == 2


def test_true_is_not_one_in_the_cache(fake: Any) -> None:
    sandbox = fake(lambda asked, _: CallResult(OK, True))
    tests = {"fn_name": "f", "inputs": [[1]], "outputs": [True]}
    assert verify(sandbox, tests).score == 1.0
    assert verify(sandbox, {**tests, "outputs": [1]}).score == 0.0


def test_another_sandbox_is_asked_again(fake: Any) -> None:
    first, second = fake(echo), fake(lambda *_: OK)
    assert verify(first, streams(1)).score == 1.0
    assert verify(second, streams(1)).score == 0.0


def test_threads_that_ask_for_the_same_wait_for_one(fake: Any) -> None:
    release = threading.Event()

    def answer(asked: bytes, session: int) -> RunResult:
        assert release.wait(60)
        return RunResult("ok", stdout=asked)

    sandbox = fake(answer)
    with ThreadPoolExecutor(8) as pool:
        verdicts = [pool.submit(verify, sandbox, streams(1)) for _ in range(8)]
        release.set()
        assert {verdict.result().score for verdict in verdicts} == {1.0}
    assert len(sandbox.opened) == 1


# ---- calls


def calls(outputs: list[object], **more: Any) -> dict[str, Any]:
    return {"fn_name": "f", "inputs": [[n] for n in range(len(outputs))], "outputs": outputs, **more}


@pytest.mark.parametrize(
    ("value", "expected", "score"),
    [([1, 2], [1, 2], 1.0), ((1, 2), [1, 2], 1.0), (True, 1, 0.0), ({1, 2}, [1, 2], 0.0), (3, 3, 1.0)],
)
def test_calls(fake: Any, value: object, expected: object, score: float) -> None:
    sandbox = fake(lambda *_: CallResult(OK, value))
    assert verify(sandbox, calls([expected, expected])).score == score
    assert sandbox.asked[0] == Call("f", (0,))


def test_a_list_of_one_is_also_its_element_where_all_are_so(fake: Any) -> None:
    answer = lambda *_: CallResult(OK, 3)  # noqa: E731
    assert verify(fake(answer), calls([[3], [3]])).score == 1.0
    assert verify(fake(lambda *_: CallResult(OK, [3])), calls([[3], [3]])).score == 1.0
    assert verify(fake(answer), calls([[3], 3])).score == 0.0
    assert verify(fake(answer), {"fn_name": "f", "inputs": ["1"], "outputs": ["[3]"]}).score == 0.0


@pytest.mark.parametrize(
    ("called", "reason", "said"),
    [
        (CallResult(OK, error="TypeError: bad\nline"), "exception", "TypeError: bad line"),
        (CallResult(RunResult("exit", exit_status=0)), "exception", "exit status 0"),
        (CallResult(RunResult("memory_limit"), error="killed"), "memory_limit", "0.0 s of CPU time, 0.0 s, 0 MB"),
        (CallResult(OK, 5), "wrong_output", "expected 0, got 5"),
        (CallResult(OK, None), "wrong_output", "expected 0, got None"),
    ],
)
def test_failing_calls(fake: Any, called: CallResult, reason: str, said: str) -> None:
    verdict = verify(fake(lambda *_: called), calls([0]))
    assert (verdict.score, verdict.reason, verdict.detail) == (0.0, reason, f"test 1 of 1: {reason}: {said}")


# ---- checkers

CHECKER = "def check(input, output, expected):\n    return sorted(output.split()) == sorted(expected.split())\n"


@pytest.mark.parametrize(
    ("checked", "score", "reason"),
    [
        (CallResult(OK, True), 1.0, "all_tests_passed"),
        (CallResult(OK, False), 0.0, "wrong_output"),
        (CallResult(OK, 1), 0.0, "checker_raised"),
        (CallResult(OK, None), 0.0, "checker_raised"),
        (CallResult(OK, True, error="ValueError: x"), 0.0, "checker_raised"),
        (CallResult(RunResult("cpu_limit"), True), 0.0, "checker_raised"),
    ],
)
def test_checkers(fake: Any, checked: CallResult, score: float, reason: str) -> None:
    given: list[tuple[object, ...]] = []

    def check(arguments: tuple[object, ...]) -> CallResult:
        given.append(arguments)
        return checked

    verdict = verify(fake(echo, checks=check), {"inputs": ["1"], "outputs": ["2"], "checker": CHECKER})
    assert (verdict.score, verdict.reason) == (score, reason)
    assert given == [("1", "1\n", "2")]
    value = verify(fake(lambda *_: CallResult(OK, (3,)), checks=check), calls([[4]], checker=CHECKER))
    assert value.score == score
    assert given[-1] == ((0,), (3,), [4])


# ---- assertions

MBPP = {"test_list": ["assert f(1) == 2", "assert f(2) == 3"], "test_setup_code": ""}


@pytest.mark.parametrize(
    ("judged", "score", "status", "reason", "said"),
    [
        (AssertionsResult(True, OK), 1.0, "correct", "all_tests_passed", None),
        (AssertionsResult(False, OK, "AssertionError"), 0.0, "wrong", "wrong_output", "assert f(1) == 2"),
        (AssertionsResult(False, OK, "AssertionError: no"), 0.0, "wrong", "wrong_output", "no: assert f(1) == 2"),
        (AssertionsResult(False, OK, "NameError: f"), 0.0, "wrong", "exception", "NameError: f"),
        (AssertionsResult(False, RunResult("exit", exit_status=0), "gone"), 0.0, "wrong", "exception", "exit status 0"),
        (AssertionsResult(False, LATE, "gone"), 0.0, "timeout", "cpu_limit", "5.0 s of CPU time, 5.1 s, 0 MB"),
        (AssertionsResult(True, LATE), 0.0, "timeout", "cpu_limit", "5.0 s of CPU time, 5.1 s, 0 MB"),
        (AssertionsResult(False, OK, "NameError: x", judge_failed=True), None, "error", "tests_broken", "NameError: x"),
        (
            AssertionsResult(True, OK, None, judge_failed=True),
            None,
            "error",
            "tests_broken",
            "the judge ended before the tests",
        ),
    ],
)
def test_assertions(
    fake: Any, judged: AssertionsResult, score: float | None, status: str, reason: str, said: str | None
) -> None:
    verdict = verify(fake(lambda *_: judged), MBPP)
    detail = None if said is None else f"test 1 of 2: {reason}: {said}"
    assert (verdict.score, verdict.status, verdict.reason, verdict.detail) == (score, status, reason, detail)


def test_broken_tests_are_not_judged_in_fraction_mode_either(fake: Any) -> None:
    results = [AssertionsResult(False, OK, "AssertionError"), AssertionsResult(False, OK, "x", judge_failed=True)]
    verdict = verify(fake(lambda *_: results.pop(0)), MBPP, mode="fraction")
    assert (verdict.score, verdict.reason) == (None, "tests_broken")


def test_human_eval_programs_hold_the_prompt_and_judges_too(fake: Any) -> None:
    prompt = "import math\n\ndef f(x):\n    '''doc'''\n"
    tests = {"entry_point": "f", "test": "def check(candidate):\n    assert candidate(1) == 2\n", "prompt": prompt}
    sandbox = fake(lambda *_: AssertionsResult(True, OK))
    verdict = verify(sandbox, tests, "    return x + 1\n")
    assert verdict == Verdict(1.0, "correct", "all_tests_passed", "    return x + 1\n")
    assert sandbox.opened[0].source == f"{prompt}    return x + 1\n"
    assert sandbox.asked[0].setup == prompt
    assert sandbox.asked[0].names == ("f",)


# ---- the contract


def test_options_and_malformed_problems_raise_value_errors(fake: Any) -> None:
    sandbox = fake(echo)
    for tests, options, said in [
        (streams(1), {"mode": "some"}, "mode is one of all, fraction"),
        (streams(1), {"language": "cobol"}, "language is one of python, cpp"),
        (None, {}, "problem p: there are no `tests`"),
        ({"inputs": ["1"]}, {}, "problem p: `tests.outputs` is missing"),
        (MBPP, {"language": "cpp"}, "problem p: calls and assertions need a program in python"),
        (calls([1]), {"language": "go"}, "problem p: calls and assertions need a program in python"),
    ]:
        with pytest.raises(ValueError, match=said) as raised:
            verify(sandbox, tests, **options)
        assert type(raised.value) is ValueError
    assert (
        judge(partial(verify_code, sandbox=sandbox), Problem("p", tests={}), Completion("")).reason
        == "malformed_problem"
    )


@given(st.text(), st.sampled_from([streams(1), MBPP, calls([1])]), st.booleans())
def test_any_completion_gets_a_verdict(text: str, tests: Any, fenced: bool) -> None:
    from .conftest import FakeSandbox

    def answer(asked: object, session: int) -> object:
        if isinstance(asked, bytes):
            return RunResult("ok", stdout=text.encode("utf-8", "surrogatepass"))
        return CallResult(OK, text) if isinstance(asked, Call) else AssertionsResult(False, OK, text)

    verdict = verify(FakeSandbox(answer), tests, f"```python\n{text}\n```" if fenced else text)
    assert verdict.score == 0.0 or tests == streams(1)
    assert verdict.reason in REASONS
    if verdict.detail is not None:
        assert verdict.detail.isprintable()
        assert len(verdict.detail) < 400
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    if verdict.extracted is not None:
        verdict.extracted.encode()
