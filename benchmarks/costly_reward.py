"""A reward that needs 5 ms of processor time for each completion: `--verifier costly_reward:five_ms` in this folder."""

from time import thread_time

from rlvr.verifiers import Completion, Problem, Verdict, verify_math


def five_ms(problem: Problem, completion: Completion, /) -> Verdict:
    """`verify_math`, and work until 5 ms of this thread are used up."""
    end = thread_time() + 0.005
    verdict = verify_math(problem, completion)
    while thread_time() < end:
        sum(range(1000))
    return verdict
