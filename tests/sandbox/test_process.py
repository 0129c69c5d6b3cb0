"""`ProcessSandbox` speaks the same protocol, and says what it is."""

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from rlvr.sandbox import Assertions, Call, Limits, ProcessSandbox, Program
from rlvr.sandbox import process as module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ProcessSandbox is for Linux")


@pytest.fixture
def sandbox() -> Iterator[ProcessSandbox]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ProcessSandbox(workers=1, limits=Limits(cpu_s=1.0)) as process:
            yield process


def test_it_warns_once() -> None:
    module._warned.clear()
    with pytest.warns(UserWarning, match="isolates nothing"):
        ProcessSandbox()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ProcessSandbox()


def test_run_call_judge_check(sandbox: ProcessSandbox) -> None:
    with sandbox.open(Program("def f(x): return x + 1\nprint(input())")) as session:
        assert [(result.stdout, result.stderr) for result in session.run([b"a", b"b"])] == [
            (b"a\n", b""),
            (b"b\n", b""),
        ]
    with sandbox.open(Program("def f(x): return x + 1")) as session:
        assert next(session.call([Call("f", (1,))])).value == 2
        good, bad = session.judge([Assertions(f"assert f(1) == {n}", ("f",)) for n in (2, 3)])
        assert good.passed and not bad.passed
    assert sandbox.check("def check(a): return a", (5,)).value == 5


def test_limits_and_daemons(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    daemon = (
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\nelse: time.sleep(0.5)"
    )
    with sandbox.open(Program("while True: pass")) as session:
        assert [result.outcome for result in session.run([b""])] == ["cpu_limit"]
    with sandbox.open(Program(daemon)) as session:
        assert [result.outcome for result in session.run([b""])] == ["ok"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
