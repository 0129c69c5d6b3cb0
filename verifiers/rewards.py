r"""Rewards of published recipes, ready to be named: `rlvr score --verifier r1_zero_math`, or imported. `rlvr rewards`
lists them.

>>> from rlvr.verifiers import Completion, Problem
>>> from rlvr.verifiers.rewards import r1, r1_zero_math
>>> r1_zero_math(Problem("1", answer="4"), Completion("<think>2+2</think> <answer>4</answer>")).score
2.0
>>> r1_zero_math(Problem("1", answer="4"), Completion("The answer is 4.")).score
1.0
>>> r1(Problem("1", answer="4"), Completion("<think>Two and two are four.</think> It is \\boxed{4}.")).score
3.0
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from .code import verify_code
from .columns import has_tests
from .compose import weighted
from .format import verify_format
from .language import verify_language
from .math import verify_math
from .types import Completion, Problem, Verdict, Verifier

if TYPE_CHECKING:
    from ..sandbox.types import Sandbox


@dataclass(frozen=True)
class Recipe:
    """A composition with its name, what each of its parts pays for, and where it comes from. It is a verifier."""

    name: str
    says: str
    reward: Verifier
    pays: Mapping[str, str]
    """What each part pays for, by the part's name in the verdict."""
    source: str
    reads: Literal["answer", "tests", "either"]
    """What of a problem decides."""
    needs: str = ""

    def __call__(self, problem: Problem, completion: Completion, /) -> Verdict:
        return self.reward(problem, completion)


def verify_code_here(problem: Problem, completion: Completion, /) -> Verdict:
    """`verify_code` in this process's own Docker sandbox, started when it is first needed, a container for each caller.

    For a sandbox with other limits, languages or hosts bind one: `partial(verify_code, sandbox=DockerSandbox(…))`.
    Not judged (`sandbox_unavailable`) where there is no engine, image or client library; the detail says what to do.
    """
    return verify_code(problem, completion, sandbox=_own_sandbox())


def close_own_sandbox() -> None:
    """End the containers that `verify_code_here` started in this process; they also end with it."""
    sandbox = _sandboxes.pop(os.getpid(), None)
    if sandbox is not None:
        sandbox.close()


_MOST_AT_A_TIME = 256
_sandboxes: dict[int, "Sandbox"] = {}


def _own_sandbox() -> "Sandbox":
    from ..sandbox.docker import DockerSandbox

    # By process: after a fork the parent's containers are not ours. No more are started than programs run at a time.
    return _sandboxes.setdefault(os.getpid(), DockerSandbox(workers=_MOST_AT_A_TIME))


def verify_accuracy(problem: Problem, completion: Completion, /) -> Verdict:
    """The rule that the problem brings: its tests where it has some (`verify_code_here`), else its answer."""
    if has_tests(problem.tests):
        return verify_code_here(problem, completion)
    return verify_math(problem, completion)


_R1 = "DeepSeek-R1, doi:10.1038/s41586-025-09422-z"
_TESTS = "a program that passes every test"
_TAGS = "1 for <think>…</think><answer>…</answer>, each tag once and in order, nothing outside"
_SANDBOX = "Docker and its image: rlvr sandbox build"

r1_zero_math = Recipe(
    name="r1_zero_math",
    says="DeepSeek-R1-Zero on mathematics: accuracy and format, added with equal weights",
    reward=weighted(correct=(1.0, verify_math), format=(1.0, verify_format)),
    pays={"correct": "1 for the right final answer", "format": _TAGS},
    source=f"{_R1}, methods, rule-based rewards",
    reads="answer",
)
r1_zero_code = Recipe(
    name="r1_zero_code",
    says="DeepSeek-R1-Zero on programs: tests and format, added with equal weights",
    reward=weighted(correct=(1.0, verify_code_here), format=(1.0, verify_format)),
    pays={"correct": f"1 for {_TESTS}", "format": _TAGS},
    source=f"{_R1}, methods, rule-based rewards",
    reads="tests",
    needs=_SANDBOX,
)
r1 = Recipe(
    name="r1",
    says="DeepSeek-R1 on reasoning: accuracy, format and language consistency, directly summed",
    reward=weighted(
        correct=(1.0, verify_accuracy),
        format=(1.0, partial(verify_format, style="chat")),
        language=(1.0, partial(verify_language, language="en", without_words=0.0)),
    ),
    pays={
        "correct": f"1 for the right final answer; where the problem has tests, for {_TESTS}",
        "format": "1 for <think>…</think> once, nothing before it, and an answer after it",
        "language": "the share of words of the thought that are English",
    },
    source=f"{_R1}, methods, and arXiv:2501.12948, section 2.3.2",
    reads="either",
    needs=f"where problems have tests: {_SANDBOX}",
)
RECIPES = (r1_zero_math, r1_zero_code, r1)
