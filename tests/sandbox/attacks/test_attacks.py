"""Every attack, in every style that it is for, scores 0; the honest program right after it, on the same worker, 1."""

from dataclasses import replace

import pytest
from rlvr.sandbox import DockerSandbox
from rlvr.sandbox.types import MissingLanguage, Program
from rlvr.verifiers import Completion, Problem, Verdict
from rlvr.verifiers.code import verify_code

from .attack import Attack
from .conftest import LIMITS
from .cpp import HONEST
from .problem import Style
from .table import ATTACKS, COMPILED

CASES = [(attack, style) for attack in ATTACKS for style in attack.programs]


def verdict(
    sandbox: DockerSandbox, attack: Attack, style: Style, source: str, turn: str, language: str = "python"
) -> Verdict:
    """`turn` keeps the verdict of one judgement from being remembered for another."""
    comment = {"python": "#", "cpp": "//"}[language]
    completion = Completion(f"```{language}\n{source}\n{comment} {turn}\n```")
    problem = Problem(attack.name, tests=attack.question.tests(style))
    return verify_code(problem, completion, sandbox=sandbox, language=language, limits=replace(LIMITS, **attack.limits))


@pytest.mark.parametrize(("attack", "style"), CASES, ids=[f"{attack.name}-{style}" for attack, style in CASES])
def test_it_is_not_paid_and_harms_nobody(attack: Attack, style: Style, sandbox: DockerSandbox) -> None:
    paid = verdict(sandbox, attack, style, attack.programs[style], "attack")
    assert paid.score == 0, (attack.tries, paid)
    honest = verdict(sandbox, attack, style, attack.question.honest(style), f"after {attack.name}")
    assert honest.score == 1, (attack.tries, honest)


@pytest.mark.parametrize("attack", COMPILED, ids=[attack.name for attack in COMPILED])
def test_a_compiler_is_not_made_to_harm(attack: Attack, sandbox: DockerSandbox) -> None:
    try:
        with sandbox.open(Program(HONEST, "cpp")):
            pass
    except MissingLanguage as missing:
        pytest.skip(str(missing))
    # What is compiled prints 0, which is wrong: a text that a compiler takes in its limits does no harm either.
    paid = verdict(sandbox, attack, "stdin", attack.programs["stdin"], "attack", "cpp")
    assert paid.score == 0, (attack.tries, paid)
    assert "root:" not in (paid.detail or "") and "PYTHONPATH=" not in (paid.detail or "")
    honest = verdict(sandbox, attack, "stdin", HONEST, f"after {attack.name}", "cpp")
    assert honest.score == 1, (attack.tries, honest)
