"""What the model is given, to the letter: a published figure belongs to its wording."""

import pytest
from rlvr.evals.errors import UsageError
from rlvr.evals.prompts import STYLES, Template, choose_template
from rlvr.evals.tasks import SHAPES, Task, benchmarks
from rlvr.verifiers import Problem

PROBLEM = Problem("p", "What is {x} + 1?")
MATH = benchmarks()["aime24"]


def test_r1_is_the_protocols_wording_without_a_system_prompt() -> None:
    prompt = choose_template(MATH, "r1").prompt(PROBLEM)
    assert prompt.messages == (
        {
            "role": "user",
            "content": "What is {x} + 1?\nPlease reason step by step, and put your final answer within \\boxed{}.",
        },
    )
    assert (prompt.problem_id, prompt.text, prompt.prefix) == ("p", "", "")


def test_r1_zero_is_the_papers_template_as_plain_text() -> None:
    prompt = choose_template(MATH, "r1-zero").prompt(PROBLEM)
    assert prompt.messages == ()
    assert prompt.text == (
        "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
        "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
        "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
        "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
        "User: What is {x} + 1?. Assistant:"
    )


def test_plain_is_the_problem_alone() -> None:
    prompt = choose_template(MATH, "plain").prompt(PROBLEM)
    assert prompt.messages == ({"role": "user", "content": "What is {x} + 1?"},)


def test_system_prompt_and_think_prefix() -> None:
    prompt = choose_template(MATH, None, system="Be brief.", think_prefix=True).prompt(PROBLEM)
    assert prompt.messages[0] == {"role": "system", "content": "Be brief."}
    assert prompt.prefix == "<think>\n"
    with pytest.raises(UsageError, match="--system: the r1-zero prompt is plain text"):
        choose_template(MATH, "r1-zero", system="Be brief.")


def test_a_tasks_own_prompt_unless_another_is_asked_for() -> None:
    task = Task(name="mine", hub="a/b", prompt="Q: {problem}\nOne word.")
    assert choose_template(task, None).prompt(PROBLEM).messages[0]["content"] == "Q: What is {x} + 1?\nOne word."
    assert choose_template(task, None).style == "task"
    assert choose_template(task, "plain").prompt(PROBLEM).messages[0]["content"] == "What is {x} + 1?"


def test_every_shape_is_worded() -> None:
    wordings = {
        shape: choose_template(Task(name="t", hub="a/b", shape=shape), None).prompt(PROBLEM).messages[0]["content"]
        for shape in SHAPES
    }
    assert len(set(wordings.values())) == len(SHAPES)
    assert all("What is {x} + 1?" in text for text in wordings.values())
    assert all(("```python" in wordings[shape]) == (shape not in ("math", "choice")) for shape in SHAPES)
    assert "'Answer: $LETTER'" in wordings["choice"]


def test_a_prompt_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="--prompt r2: there is no such prompt; one of r1, r1-zero, plain"):
        choose_template(MATH, "r2")


def test_the_hash_follows_everything_that_a_template_adds() -> None:
    templates = [
        *(choose_template(MATH, style) for style in STYLES),
        choose_template(MATH, "r1", system=""),
        choose_template(MATH, "r1", system="Be brief."),
        choose_template(MATH, "r1", think_prefix=True),
        Template("r1", "{problem}?", chat=True),
        Template("r1", "{problem}?", chat=False),
    ]
    assert len({template.digest() for template in templates}) == len(templates)
    assert choose_template(MATH, "r1").digest() == choose_template(benchmarks()["math500"], "r1").digest()
