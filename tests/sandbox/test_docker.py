"""What honest programs may count on, how tests are judged, and what a sandbox does when something is missing."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rlvr.sandbox import (
    Assertions,
    AssertionsResult,
    Call,
    DockerSandbox,
    Limits,
    MissingLanguage,
    Program,
    RunResult,
    SandboxUnavailable,
)


def run(sandbox: DockerSandbox, source: str, stdin: bytes = b"", **limits: Any) -> RunResult:
    with sandbox.open(Program(source), Limits(**limits)) as session:
        assert session.compiled.outcome == "ok", session.compiled
        (result,) = session.run([stdin])
    return result


HONEST = {
    "print": ("print('a', 'é')", b"", "a é\n".encode()),
    "input": ("print(int(input()) + int(input()))", b"1\n2\n", b"3\n"),
    "stdin.buffer": ("import sys; print(len(sys.stdin.buffer.read()))", b"x" * 3_000_000, b"3000000\n"),
    "stdin not read": ("print(1)", b"x" * 3_000_000, b"1\n"),
    "open(0)": ("print(open(0).read())", b"hi", b"hi\n"),
    "/dev/stdin": ("print(open('/dev/stdin').read())", b"hi", b"hi\n"),
    "1 MB of output": ("print('x' * 1_000_000)", b"", b"x" * 1_000_000 + b"\n"),
    "main guard": ("if __name__ == '__main__': print(__name__)", b"", b"__main__\n"),
    "recursion": (
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(100_000))",
        b"",
        b"100000\n",
    ),
    "recursion in C": (
        "import sys, functools\nsys.setrecursionlimit(10**6)\n@functools.lru_cache(None)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(20_000))",
        b"",
        b"20000\n",
    ),
    "big thread": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n"
        "t = threading.Thread(target=lambda: print(f(50_000)))\nt.start(); t.join()",
        b"",
        b"50000\n",
    ),
    "threads": (
        "import threading\nt = [threading.Thread(target=print, args=(1,)) for _ in range(8)]\n[x.start() for x in t]",
        b"",
        b"1\n" * 8,
    ),
    "multiprocessing": (
        "import multiprocessing as m\nif __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(abs, [-1, 2]))",
        b"",
        b"[1, 2]\n",
    ),
    "atexit": ("import atexit; atexit.register(print, 'end'); print('start')", b"", b"start\nend\n"),
    "files": ("open('a', 'w').write('x'); print(open('a').read())", b"", b"x\n"),
    "tempfile": ("import tempfile\nwith tempfile.TemporaryFile() as f: print(f.write(b'abc'))", b"", b"3\n"),
    "argv": ("import sys; print(len(sys.argv), sys.argv[0] == __file__)", b"", b"1 True\n"),
    "modules": ("import sys; print([m for m in sys.modules if 'rlvr' in m or 'runner' in m])", b"", b"[]\n"),
    "names": ("print(sorted(n for n in globals() if not n.startswith('__')))", b"", b"[]\n"),
    "exit 0": ("import sys; print(1); sys.exit()", b"", b"1\n"),
    "dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass A: x: int\nprint(A(1))", b"", b"A(x=1)\n"),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs(sandbox: DockerSandbox, name: str) -> None:
    source, stdin, stdout = HONEST[name]
    result = run(sandbox, source, stdin)
    assert (result.outcome, result.stdout, result.stderr) == ("ok", stdout, b"")


def test_how_a_program_ends(sandbox: DockerSandbox) -> None:
    failed = run(sandbox, "def f():\n    return 1 / 0\nf()")
    assert (failed.outcome, failed.exit_status) == ("exit", 1)
    assert failed.stderr.decode().splitlines()[1:3] == [
        '  File "/box/solution.py", line 3, in <module>',
        "    f()",
    ]
    assert b"rlvr" not in failed.stderr
    assert run(sandbox, "import sys; sys.exit(7)").exit_status == 7
    said = run(sandbox, "import sys; sys.exit('no')")
    assert (said.exit_status, said.stderr) == (1, b"no\n")
    killed = run(sandbox, "import os; os.kill(os.getpid(), 11)")
    assert (killed.outcome, killed.signal) == ("signal", 11)
    assert run(sandbox, "import os; print(1, flush=True); os._exit(3)").exit_status == 3


def test_a_syntax_error_is_a_compile_error(sandbox: DockerSandbox) -> None:
    with sandbox.open(Program("x = (")) as session:
        assert session.compiled.outcome == "compile_error"
        assert b"SyntaxError" in session.compiled.stderr
        assert [run.outcome for run in session.run([b"", b""])] == ["compile_error"] * 2
    with sandbox.open(Program("x = (")) as session:  # not asked before
        (run,) = session.run([b""])
        (called,) = session.call([Call("f")])
        (judged,) = session.judge([Assertions("assert f() == 1", ("f",))])
    assert run.outcome == called.run.outcome == judged.run.outcome == "compile_error"
    assert b"SyntaxError" in run.stderr and not judged.passed


def test_results_stream_in_order_and_stopping_stops_the_rest(sandbox: DockerSandbox) -> None:
    with sandbox.open(Program("print(input())")) as session:
        results = session.run(b"%d\n" % n for n in range(50))
        assert [next(results).stdout for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
        results.close()
        assert [result.stdout for result in session.run([b"x", b"y"])] == [b"x\n", b"y\n"]


def test_calls(sandbox: DockerSandbox) -> None:
    source = (
        "class Solution:\n    def pick(self, x: List[int]) -> int:\n        print('noise'); return (max(x), {1})\n"
        "def odd(): return object()\ndef bad(): raise KeyError('k')\ndef leave(): raise SystemExit(0)\n"
        "if __name__ == '__main__': input()\n"
    )
    calls = [Call("pick", ([3, 1],)), Call("odd"), Call("bad"), Call("leave"), Call("missing")]
    with sandbox.open(Program(source)) as session:
        picked, odd, bad, left, missing = session.call(calls)
    assert (picked.value, picked.error, picked.run.outcome) == ((3, {1}), None, "ok")
    assert picked.run.stdout == b"noise\n"
    assert odd.error is not None and "not plain data" in odd.error
    assert bad.error == "KeyError: 'k'"
    assert left.error is not None and "before" in left.error
    assert missing.error is not None and missing.error.startswith("NameError")


PAIR = (
    "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n    def __eq__(self, other): return True\n"
    "def total(p): return p.a + p.b\ndef same(p): return p\ndef order(x): x.sort()\n"
    "def deep(x): x[0].append(1)\ndef bad(): raise ValueError('no')\ndef items(): yield 1; yield 2\n"
    "def nested(): return {'a': ({1, 2}, 1.5, None)}\ndef leave(): raise SystemExit(0)\nLIMIT = 7\n"
)
NAMES = ("Pair", "total", "same", "order", "deep", "bad", "items", "nested", "leave", "LIMIT", "absent")
TRUE = [
    "assert total(Pair(1, 2)) == 3",
    "p = Pair(1, 2)\nassert same(p) is p and p != Pair(1, 2) and p != 5",
    "x = [3, 1, 2]\norder(x)\nassert x == [1, 2, 3]",
    "x = [[]]\ny = x[0]\ndeep(x)\nassert y == [1]",
    "try:\n    bad()\nexcept ValueError as e:\n    assert str(e) == 'no'\nelse:\n    raise AssertionError",
    "assert list(items()) == [1, 2]",
    "assert nested() == {'a': ({1, 2}, 1.5, None)}",
    "assert LIMIT == 7",
]
FALSE = {
    "assert total(Pair(1, 2)) == 4": "AssertionError",
    "assert Pair(1, 2) == 5": "AssertionError",
    "leave()": "Exception",
    "absent()": "NameError",
    "import sys; sys.exit(0)": "SystemExit",
}


def judge(sandbox: DockerSandbox, source: str, tests: list[Assertions], **limits: Any) -> list[AssertionsResult]:
    with sandbox.open(Program(source), Limits(**limits)) as session:
        return list(session.judge(tests))


def test_assertions(sandbox: DockerSandbox) -> None:
    for source, result in zip(TRUE, judge(sandbox, PAIR, [Assertions(s, NAMES) for s in TRUE]), strict=True):
        assert (source, result.passed, result.error) == (source, True, None)
    results = judge(sandbox, PAIR, [Assertions(s, NAMES) for s in FALSE])
    for (source, error), result in zip(FALSE.items(), results, strict=True):
        assert not result.passed and not result.judge_failed, source
        assert result.error is not None and result.error.startswith(error), (source, result.error)


LIAR = (
    "class Yes:\n    def __getattr__(self, name): return lambda *a: True\n    def __contains__(self, x): return True\n"
    "    def __eq__(self, other): return True\n    def __iter__(self): return iter([1])\n"
    "def f(*a): return Yes()\nclass g:\n    def __new__(cls, *a): return Yes()\n"
)
LIES = [
    "assert f().startswith('a')",
    "assert 3 in f()",
    "assert f() in [1, 2]",
    "assert f() == 3",
    "assert g(1).isupper()",
    "assert f().real.is_integer()",
]


def test_an_object_that_says_yes_to_everything_passes_nothing(sandbox: DockerSandbox) -> None:
    for source, result in zip(LIES, judge(sandbox, LIAR, [Assertions(s, ("f", "g")) for s in LIES]), strict=True):
        assert (source, result.passed, result.judge_failed) == (source, False, False)


def test_methods_of_objects_that_the_test_made(sandbox: DockerSandbox) -> None:
    source = "class Node:\n    def __init__(self, v): self.v, self.left = v, None\n    def get(self): return self.v\n"
    test = "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(5)\nassert root.left.left.get() == 5"
    (result,) = judge(sandbox, source, [Assertions(test, ("Node",))])
    assert result.passed, result.error


def test_test_code_that_is_broken(sandbox: DockerSandbox) -> None:
    broken, setup, own, passes = judge(
        sandbox,
        "def f(x=1): return 1",
        [
            Assertions("assert (", ("f",)),
            Assertions("assert f() == 1", ("f",), setup="1 / 0"),
            Assertions("assert twice(f()) == 2", ("f",), setup="def twice(x): return 2 * x"),
            Assertions("assert f(lambda: 2) == 1", ("f",)),  # a function of the judge's stays in the judge
        ],
    )
    assert passes.judge_failed
    assert broken.judge_failed and setup.judge_failed
    assert own.passed


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("def f():\n    while True: pass", "cpu_limit"),
        ("def f():\n    import os; os._exit(0)", "ok"),
        ("raise SystemExit(0)\ndef f(): return 1", "ok"),
        ("while True: pass", "cpu_limit"),
        ("def f(): return [[0] * 10**6] * 10**6", "ok"),
    ],
)
def test_a_program_that_ends_before_it_answers_fails(sandbox: DockerSandbox, source: str, outcome: str) -> None:
    (result,) = judge(sandbox, source, [Assertions("assert f() == 1", ("f",))], cpu_s=1.0)
    assert not result.passed and result.run.outcome == outcome


def test_a_checker_runs_in_the_judge(sandbox: DockerSandbox) -> None:
    source = "def check(input, output, expected): return sorted(output) == sorted(expected)"
    assert sandbox.check(source, ("", [2, 1], (1, 2))).value is True
    assert sandbox.check(source, ("", [2, 2], (1, 2))).value is False
    broken = sandbox.check("def check(input, output, expected): return output / 0", (1, 2, 3))
    assert broken.error == "ZeroDivisionError: division by zero"


def test_a_checker_inside_a_session(sandbox: DockerSandbox) -> None:
    with DockerSandbox(workers=1) as one, one.open(Program("print(1)")) as session:
        (result,) = session.run([b""])
        assert one.check("def check(a): return a", (result.stdout,)).value == b"1\n"


def test_many_threads_wait_for_few_workers(sandbox: DockerSandbox) -> None:
    def one(number: int) -> bytes:
        return run(sandbox, f"print({number})").stdout

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(60))) == [b"%d\n" % n for n in range(60)]


def test_a_broken_session_gives_its_place_back(sandbox: DockerSandbox) -> None:
    with DockerSandbox(workers=1) as one:
        for _ in range(3):
            with pytest.raises(KeyError), one.open(Program("print(1)")):
                raise KeyError
        done = threading.Event()

        def run_one() -> None:
            if run(one, "print(1)").stdout == b"1\n":
                done.set()

        thread = threading.Thread(target=run_one, daemon=True)
        thread.start()
        assert done.wait(60)


def test_fresh_containers(sandbox: DockerSandbox) -> None:
    with DockerSandbox(workers=1, fresh=True) as fresh:
        for _ in range(2):
            assert run(fresh, "import os; print(os.getpid())").outcome == "ok"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # docker-py leaks the failed socket
def test_what_is_missing(sandbox: DockerSandbox) -> None:
    with pytest.raises(MissingLanguage, match="nolang"), sandbox.open(Program("", "nolang")):
        pass
    with DockerSandbox(image="no-such-image:x") as none, pytest.raises(SandboxUnavailable, match="rlvr sandbox build"):
        run(none, "")
    with (
        DockerSandbox(hosts=["unix:///no/such/socket"]) as none,
        pytest.raises(SandboxUnavailable, match="no Docker engine"),
    ):
        run(none, "")
    with pytest.raises(ValueError, match="worker"):
        DockerSandbox(workers=0)
    gc.collect()


def test_engines_share_the_load(sandbox: DockerSandbox) -> None:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    with DockerSandbox(workers=2, hosts=[host, host]) as own:
        with own.open(Program("print(1)")) as one, own.open(Program("print(2)")) as other:
            assert [next(session.run([b""])).stdout for session in (one, other)] == [b"1\n", b"2\n"]
        assert [engine.load for engine in own._engines] == [1, 1]


def test_a_runtime_is_asked_for(sandbox: DockerSandbox) -> None:
    with DockerSandbox(workers=1, runtime="runc") as own:
        assert run(own, "print(1)").stdout == b"1\n"
    with (
        DockerSandbox(workers=1, runtime="no-such-runtime") as own,
        pytest.raises(SandboxUnavailable, match="no-such-runtime"),
        own.open(Program("print(1)")),
    ):
        pass
