"""A sandbox that was pickled or forked starts containers of its own where it arrives."""

import os
import pickle
import traceback

from rlvr.sandbox import Call, CallResult, DockerSandbox, Limits, Program, RunResult


def answer(sandbox: DockerSandbox) -> bytes:
    with sandbox.open(Program("print(input())")) as session:
        (result,) = session.run([b"7"])
    return result.stdout


def test_a_pickled_sandbox_reconnects(sandbox: DockerSandbox) -> None:
    own = DockerSandbox(workers=1, limits=Limits(cpu_s=2.0))
    with own, pickle.loads(pickle.dumps(own)) as copy:
        assert answer(own) == answer(copy) == b"7\n"
        assert copy.limits == Limits(cpu_s=2.0)


def test_a_forked_copy_leaves_its_parents_workers_alone(sandbox: DockerSandbox) -> None:
    assert answer(sandbox) == b"7\n"
    child = os.fork()
    if child == 0:
        try:
            code = 0 if answer(sandbox) == b"7\n" else 1
            sandbox.close()
        except BaseException:  # noqa: BLE001 - a forked copy of pytest must end here, whatever happens
            traceback.print_exc()
            code = 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answer(sandbox) == b"7\n"


def test_results_pickle() -> None:
    for value in (RunResult("ok", b"x"), CallResult(RunResult("ok"), [1]), Call("f", (1,)), Program("x"), Limits()):
        assert pickle.loads(pickle.dumps(value)) == value
