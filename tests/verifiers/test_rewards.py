"""The ready-made rewards: what each pays, part by part, and that they are usable wherever a verifier is."""

import pickle

import pytest
from rlvr.verifiers import Completion, Problem, score_many
from rlvr.verifiers.rewards import Recipe, r1, r1_zero_code, r1_zero_math, verify_accuracy

SUM = {"inputs": ["1 2"], "outputs": ["3"]}
MATH = Problem("1", answer="4")
TAGGED = "<think>two and two</think> <answer>{}</answer>"
CHAT = "<think>{}</think> It is {}."


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        (TAGGED.format("4"), 2.0),
        (TAGGED.format("5"), 1.0),
        ("The answer is 4.", 1.0),
        ("The answer is 5.", 0.0),
        ("", 0.0),
        (TAGGED.format("4") * 2, 1.0),
    ],
)
def test_r1_zero_pays_for_the_answer_and_for_the_form(text: str, paid: float) -> None:
    verdict = r1_zero_math(MATH, Completion(text))
    assert verdict.score == paid
    assert set(verdict.parts) == set(r1_zero_math.pays)


@pytest.mark.parametrize(
    ("thought", "answer", "paid"),
    [
        ("Two and two are four", r"\boxed{4}", 3.0),
        ("Two and two are four", r"\boxed{5}", 2.0),
        ("Two and two 是四个", r"\boxed{4}", 2.0 + 3 / 6),
        ("2+2=4", r"\boxed{4}", 2.0),  # no words, no language: nothing is earned by writing none
        ("", r"\boxed{4}", 1.0),
    ],
)
def test_r1_sums_accuracy_form_and_language(thought: str, answer: str, paid: float) -> None:
    verdict = r1(MATH, Completion(CHAT.format(thought, answer)))
    assert verdict.score == pytest.approx(paid)
    assert set(verdict.parts) == set(r1.pays)


@pytest.mark.parametrize("text", ["", "2+2", "<think>", "</think>", "<think>1</think>2", "\x00\ud800"])
def test_no_completion_makes_itself_unjudgeable(text: str) -> None:
    for recipe in (r1, r1_zero_math):
        assert recipe(MATH, Completion(text)).score is not None


def test_a_gold_that_cannot_be_read_is_not_paid_as_wrong() -> None:
    assert r1_zero_math(Problem("1", answer=""), Completion(TAGGED.format("4"))).score is None
    with pytest.raises(ValueError, match="answer"):
        verify_accuracy(Problem("1"), Completion("4"))


@pytest.mark.parametrize("tests", ["", " {} ", "[]", "null", [], {}, {"inputs": None, "outputs": None}])
def test_an_empty_column_of_tests_leaves_the_answer_to_decide(tests: object) -> None:
    assert verify_accuracy(Problem("1", answer="4", tests=tests), Completion("\\boxed{4}")).score == 1.0


def test_code_without_a_sandbox_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    from rlvr.verifiers import rewards

    monkeypatch.setattr(rewards, "_sandboxes", {})
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    problem = Problem("1", tests=SUM)
    text = TAGGED.format("```python\nprint(3)\n```")
    for recipe in (r1_zero_code, r1):
        verdict = recipe(problem, Completion(text))
        assert verdict.score is None
        assert verdict.parts["correct"].reason == "sandbox_unavailable"


@pytest.mark.parametrize("recipe", [r1_zero_math, r1], ids=lambda recipe: recipe.name)
def test_a_recipe_pickles(recipe: Recipe) -> None:
    copy = pickle.loads(pickle.dumps(recipe))
    assert copy(MATH, Completion("<think>two</think> <answer>4</answer>")) == recipe(
        MATH, Completion("<think>two</think> <answer>4</answer>")
    )


def test_a_recipe_runs_in_worker_processes() -> None:
    pairs = [(MATH, Completion(TAGGED.format(answer))) for answer in ("4", "5", "4")]
    assert [verdict.score for verdict in score_many(r1_zero_math, pairs, workers=2)] == [2.0, 1.0, 2.0]
