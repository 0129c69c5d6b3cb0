"""Rewards of published recipes, ready to be named on a command line: `--reward rlvr.verifiers.rewards:r1_zero_math`."""

from .compose import weighted
from .format import verify_format
from .math import verify_math
from .types import Completion, Problem, Verdict

_R1_ZERO_MATH = weighted(correct=(1.0, verify_math), format=(1.0, verify_format))


def r1_zero_math(problem: Problem, completion: Completion, /) -> Verdict:
    """DeepSeek-R1-Zero's on mathematics: 1 for the right answer, and 1 for the form, added with equal weights.

    Source: DeepSeek-R1, doi:10.1038/s41586-025-09422-z, methods, "Rule-based rewards".

    >>> r1_zero_math(Problem("1", answer="4"), Completion("<think>2+2</think> <answer>4</answer>")).score
    2.0
    >>> r1_zero_math(Problem("1", answer="4"), Completion("The answer is 4.")).score
    1.0
    """
    return _R1_ZERO_MATH(problem, completion)
