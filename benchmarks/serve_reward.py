"""The reward of the soak: `verify_math`, and what a hostile completion could do to a reward that is not so careful."""

import os
import signal
import time

from rlvr.verifiers import Completion, Problem, Verdict, verify_math

MARK = "DO: "


def reward(problem: Problem, completion: Completion) -> Verdict:
    """Judge; a completion that begins with MARK has its way instead."""
    if completion.text.startswith(MARK):
        _do(completion.text.removeprefix(MARK))
    return verify_math(problem, completion)


def _do(what: str) -> None:
    if what == "hang":
        while True:
            pass
    elif what == "sleep":
        time.sleep(1)
    elif what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "eat":
        hoard: list[bytes] = []
        while True:
            hoard.append(os.urandom(1 << 10) * (1 << 14))
