"""verify_code with real sandboxes: every shape of `tests`, the benchmarks' own solutions, and every way to score many.

The sandbox's own tests hold the attacks; here it is the path from a completion to a verdict that counts.
"""

import asyncio
import gc
import json
import os
import pickle
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rlvr.sandbox import DockerSandbox, Limits, SandboxUnavailable
from rlvr.sandbox.process import ProcessSandbox
from rlvr.sandbox.types import Sandbox
from rlvr.verifiers import Completion, Problem, Verdict, score_async, score_many, score_threads, verify_code

GENEROUS = Limits(cpu_s=20, memory_mb=1024)
"""For solutions that are right by definition, on a machine that others use too."""


@pytest.fixture(scope="module")
def docker() -> Iterator[DockerSandbox]:
    """Skipped without an engine or the image; in CI that fails."""
    with DockerSandbox(workers=2, limits=GENEROUS) as sandbox:
        try:
            sandbox.describe()
        except SandboxUnavailable as error:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                gc.collect()  # docker-py leaks the socket that did not connect
            if os.environ.get("CI") == "true":
                pytest.fail(f"Docker tests must run in CI: {error}")
            pytest.skip(f"no Docker sandbox here: {error}")
        yield sandbox


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessSandbox]:
    """Runs only what stands in this file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        sandbox = ProcessSandbox(workers=2, limits=GENEROUS)
    with sandbox:
        yield sandbox


STREAM = {"inputs": ["1 2\n", ["3 4"]], "outputs": ["3\n", ["7"]]}
CALL = {"fn_name": "pair", "inputs": [[1, [2]], ["a", []]], "outputs": [[1, [2]], ["a", []]]}
LINES = {"fn_name": "pair", "inputs": ['1\n"b"'], "outputs": ['[1, "b"]']}
LISTED = {"test_list": ["assert pair(1, 2) == (1, 2)", "assert math.isclose(pair(0.5, 0)[0], 0.5)"]}
PROMPT = 'def flip(x):\n    return -x\n\n\ndef pair(a, b):\n    """a and b, a with another sign"""\n'
HUMAN = {
    "entry_point": "pair",
    "prompt": PROMPT,
    "test": """
def check(candidate):
    assert candidate(1, 2) == (flip(1), 2)
    assert candidate(0, "x") == (0, "x")
""",
}
CHECKER = {
    "inputs": ["3"],
    "outputs": [""],
    "checker": """
def check(input, output, expected):
    return sorted(map(int, output.split())) == [1, 2, int(input)]
""",
}

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
DEF = "def pair(a, b):\n    "
PAIR = f"{DEF}return a, b\n"
YES = "class Yes(list):\n    def __eq__(self, other):\n        return True\n"
METHOD = "class Solution:\n    def pair(self, a, b):\n        return [a, b]\n"
# name: (tests, program, score, reason, what the detail begins with)
CASES: dict[str, tuple[Any, str, float, str, str | None]] = {
    "stream": (STREAM, ADD, 1.0, "all_tests_passed", None),
    "stream, wrong": (STREAM, "print(3)", 0.0, "wrong_output", 'test 2 of 2: wrong_output: line 1: expected "7"'),
    "stream, raises": (STREAM, "print(1 / 0)", 0.0, "exception", "test 1 of 2: exception: ZeroDivisionError"),
    "stream, exits": (STREAM, f"{ADD}raise SystemExit(3)", 0.0, "exception", "test 1 of 2: exception: exit status 3"),
    "stream, exits with 0 early": (STREAM, f"raise SystemExit(0)\n{ADD}", 0.0, "wrong_output", "test 1 of 2"),
    "stream, does not compile": (STREAM, "def f(:", 0.0, "compile_error", "SyntaxError"),
    "stream, null byte": (STREAM, "x = 1\0", 0.0, "compile_error", None),
    "call": (CALL, PAIR, 1.0, "all_tests_passed", None),
    "call, class": (CALL, METHOD, 1.0, "all_tests_passed", None),
    "call, wrong": (CALL, f"{DEF}return b, a\n", 0.0, "wrong_output", "test 1 of 2: wrong_output"),
    "call, says equal to all": (CALL, f"{YES}{DEF}return Yes()\n", 0.0, "wrong_output", "test 1 of 2"),
    "call, not defined": (CALL, "x = 1\n", 0.0, "exception", "test 1 of 2: exception: "),
    "call, lines": (LINES, PAIR, 1.0, "all_tests_passed", None),
    "assertions": (LISTED, PAIR, 1.0, "all_tests_passed", None),
    "assertions, wrong": (LISTED, f"{DEF}return 1, 2\n", 0.0, "wrong_output", "test 2 of 2: wrong_output: assert math"),
    "assertions, raises": (LISTED, f"{DEF}raise KeyError(a)\n", 0.0, "exception", "test 1 of 2: exception: KeyError"),
    "function": (HUMAN, f"{DEF}return flip(a), b\n", 1.0, "all_tests_passed", None),
    "function, wrong": (HUMAN, PAIR, 0.0, "wrong_output", "test 1 of 1: wrong_output"),
    "function, its own helper": (HUMAN, f"def flip(x):\n    return x\n{PAIR}", 0.0, "wrong_output", "test 1 of 1"),
    "checker": (CHECKER, "print(2, input(), 1)", 1.0, "all_tests_passed", None),
    "checker, no": (CHECKER, "print(2, 2, 2)", 0.0, "wrong_output", "test 1 of 1: wrong_output: the checker says no"),
    "checker, raises": (CHECKER, "print('x')", 0.0, "checker_raised", "test 1 of 1: checker_raised: ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["docker", "process"])
@pytest.mark.parametrize(("tests", "program", "score", "reason", "said"), CASES.values(), ids=CASES)
def test_from_completion_to_verdict(
    request: pytest.FixtureRequest, kind: str, tests: Any, program: str, score: float, reason: str, said: str | None
) -> None:
    sandbox: Sandbox = request.getfixturevalue(kind)
    completion = Completion(f"<think>hm</think>So:\n```python\n{program}\n```")
    verdict = verify_code(Problem("p", tests=tests), completion, sandbox=sandbox)
    assert (verdict.score, verdict.reason) == (score, reason), verdict.detail
    assert said is None or (verdict.detail or "").startswith(said)


def test_a_body_continues_the_prompt(docker: DockerSandbox) -> None:
    assert verify_code(Problem("p", tests=HUMAN), Completion("    return flip(a), b\n"), sandbox=docker).score == 1.0


def test_a_time_out_counts_after_the_second_try(docker: DockerSandbox) -> None:
    completion = Completion("```python\nwhile True: pass\n```")
    verdict = verify_code(
        Problem("p", tests=STREAM), completion, sandbox=docker, limits=Limits(cpu_s=0.5, wall_factor=200)
    )
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, "timeout", "cpu_limit")


def test_fraction(docker: DockerSandbox) -> None:
    verdict = verify_code(
        Problem("p", tests=STREAM), Completion("```python\nprint(7)\n```"), sandbox=docker, mode="fraction"
    )
    assert (verdict.score, verdict.status) == (0.5, "wrong")


def test_one_worker_is_enough_for_a_checker() -> None:
    """The judge of the checker is no place of the program's pool: they never wait for each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        sandbox = ProcessSandbox(workers=1)
    with sandbox:
        assert verify_code(Problem("p", tests=CHECKER), Completion("print(2, 3, 1)"), sandbox=sandbox).score == 1.0


# ---- many


def some(count: int) -> list[tuple[Problem, Completion]]:
    """Every third is wrong."""
    tests = {"inputs": ["5"], "outputs": ["5"]}
    texts = [f"```python\nprint(int(input()) + {int(n % 3 == 0)})  # {n}\n```" for n in range(count)]
    return [(Problem(str(n), tests=tests), Completion(text)) for n, text in enumerate(texts)]


def expected(count: int) -> list[float]:
    return [float(n % 3 != 0) for n in range(count)]


def test_the_reward_pickles_with_its_sandbox(docker: DockerSandbox) -> None:
    reward = pickle.loads(pickle.dumps(partial(verify_code, sandbox=docker)))
    with reward.keywords["sandbox"]:
        assert [reward(*pair).score for pair in some(4)] == expected(4)


def test_score_many_in_worker_processes(docker: DockerSandbox) -> None:
    verdicts = list(score_many(partial(verify_code, sandbox=docker), some(30), workers=2))
    assert [verdict.score for verdict in verdicts] == expected(30), {verdict.detail for verdict in verdicts}


def test_scoring_in_threads(docker: DockerSandbox) -> None:
    verdicts = score_threads(partial(verify_code, sandbox=docker), some(60), workers=4)
    assert [verdict.score for verdict in verdicts] == expected(60)


def test_scoring_in_an_event_loop(docker: DockerSandbox) -> None:
    async def run() -> list[Verdict]:
        return [verdict async for verdict in score_async(partial(verify_code, sandbox=docker), some(30), workers=2)]

    assert [verdict.score for verdict in asyncio.run(run())] == expected(30)


@pytest.mark.slow
def test_no_verdict_flips_where_four_times_as_many_workers_as_cores_run(docker: DockerSandbox) -> None:
    """1,000 honest programs that each need 50 ms of CPU time, a fifth of their limit."""
    source = "import time\nn = int(input())\nwhile time.process_time() < 0.05: pass\nprint(n + 1)"
    tests = {"inputs": ["5"], "outputs": ["6"]}
    pairs = [(Problem(str(n), tests=tests), Completion(f"```python\n{source}  # {n}\n```")) for n in range(1000)]
    workers = 4 * (os.cpu_count() or 1)
    with DockerSandbox(workers=workers, limits=Limits(cpu_s=0.25, wall_factor=100.0, memory_mb=128)) as many:
        verdicts = score_threads(partial(verify_code, sandbox=many), pairs, workers=workers)
        assert {(verdict.score, verdict.reason) for verdict in verdicts} == {(1.0, "all_tests_passed")}


# ---- the benchmarks' own solutions: all of them are right


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def failures(sandbox: Sandbox, pairs: list[tuple[Problem, Completion]]) -> dict[str, str]:
    verdicts = score_threads(partial(verify_code, sandbox=sandbox), pairs, workers=2)
    return {p.id: f"{v.reason}: {v.detail}" for (p, _), v in zip(pairs, verdicts, strict=True) if v.score != 1.0}


@pytest.mark.slow
def test_human_eval(docker: DockerSandbox, data: Path) -> None:
    pairs = [
        (
            Problem(row["task_id"], tests={name: row[name] for name in ("entry_point", "test", "prompt")}),
            Completion(row["canonical_solution"]),
        )
        for row in rows(data / "benchmarks" / "humaneval.jsonl")
    ]
    assert len(pairs) == 164
    assert failures(docker, pairs) == {}


@pytest.mark.slow
def test_mbpp(docker: DockerSandbox, data: Path) -> None:
    pairs = [
        (
            Problem(str(row["task_id"]), tests={name: row[name] for name in ("test_list", "test_setup_code")}),
            Completion(f"```python\n{row['code']}\n```" if row["task_id"] % 2 else row["code"]),
        )
        for row in rows(data / "benchmarks" / "mbpp.jsonl")
    ]
    assert len(pairs) == 974
    assert failures(docker, pairs) == {}
