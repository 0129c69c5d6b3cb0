"""What trainers hand over, as problems and completions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import Completion, Problem
from rlvr.verifiers.adapters.rows import completion_of, finished, problem_of, response_of

np = pytest.importorskip("numpy")
TESTS = {"inputs": ["1"], "outputs": ["2"]}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"answer": "4"}, Problem("0", answer="4")),
        ({"solution": r"so \boxed{4}"}, Problem("0", answer=r"so \boxed{4}")),
        ({"solution": "2 + 2 = 4\n#### 4"}, Problem("0", answer="2 + 2 = 4\n#### 4")),
        ({"solution": "x = 4 or \\frac{1}{2}"}, Problem("0", answer="x = 4 or \\frac{1}{2}")),
        ({"solution": "does not exist"}, Problem("0", answer="does not exist")),
        ({"solution": "We add two and two, and get 4."}, Problem("0")),
        ({"ground_truth": 4, "id": "a"}, Problem("a", answer="4")),
        ({"ground_truth": 0.5, "index": 9}, Problem("9", answer="0.5")),
        ({"label": ["4"]}, Problem("0", answer="4")),
        ({"label": ["4", "5"]}, Problem("0")),
        ({"answer": None, "solution": "4"}, Problem("0", answer="4")),
        ({"answer": "4", "tests": TESTS}, Problem("0", answer="4", tests=TESTS)),
        ({"ground_truth": TESTS}, Problem("0", tests=TESTS)),
        ({"ground_truth": TESTS, "tests": ""}, Problem("0", tests=TESTS)),
        ({"answer": "4", "tests": {"inputs": None, "outputs": None}}, Problem("0", answer="4")),
        ({"ground_truth": json.dumps(TESTS)}, Problem("0", tests=json.dumps(TESTS))),
        ({"ground_truth": "{1,2}"}, Problem("0", answer="{1,2}")),
        ({"ground_truth": '{"a": '}, Problem("0", answer='{"a": ')),
        ({"ground_truth": "{" * 100_000}, Problem("0", answer="{" * 100_000)),
        ({"ground_truth": True}, Problem("0")),
        ({"ground_truth": 10**400}, Problem("0", answer="1" + "0" * 400)),
        ({"ground_truth": 10**5000}, Problem("0")),
        ({"ground_truth": float("nan")}, Problem("0")),
        ({"data_source": "aime", "problem": "What?"}, Problem("0", prompt="What?", source="aime")),
        ({}, Problem("0")),
        ({"answer": np.array(["4"]), "id": np.int64(3)}, Problem("3", answer="4")),
        ({"answer": np.float64(0.5), "id": 0}, Problem("0", answer="0.5")),
    ],
)
def test_columns_are_found_by_their_usual_names(row: dict[str, object], problem: Problem) -> None:
    assert problem_of(row) == problem


def test_what_the_trainer_hands_over_outranks_the_columns() -> None:
    chat = [{"role": "system", "content": "Think."}, {"role": "user", "content": "2+2?"}]
    found = problem_of({"answer": "5", "prompt": "x", "source": "b"}, 3, gold="4", prompt=chat, source="a")
    assert found == Problem("3", prompt="system: Think.\n\nuser: 2+2?", answer="4", source="a")


ANSWER = {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4", "4"),
        (ANSWER, "4"),
        ([ANSWER], "4"),
        ([{"role": "assistant", "content": "3"}, {"role": "tool", "content": "x"}, ANSWER], "4"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], ""),
        ([{"role": "assistant", "content": [{"type": "text", "text": "4"}]}], "4"),
        ({"content": "4", "reasoning_content": "t"}, "<think>t</think>4"),
    ],
)  # fmt: skip
def test_a_completion_is_text_or_messages(value: object, text: str) -> None:
    assert completion_of(value, n_tokens=3, finished=True) == Completion(text, 3, True)


@pytest.mark.parametrize("value", [None, 4, [], ["4"], [{"role": "user", "content": "4"}]])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a completion is"):
        completion_of(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["answer", "tests", "id", "prompt", "source", "label", "solution"]), JSON))
def test_no_row_raises(row: dict[str, object]) -> None:
    found = problem_of(row)
    assert isinstance(found.id, str)
    assert found.answer is None or isinstance(found.answer, str)


LONG = "A prompt of more than thirty-two characters: what is 2+2?<|assistant|>"


@pytest.mark.parametrize(
    ("query", "prompt", "response"),
    [
        (LONG + "It is 4.", LONG, "It is 4."),
        ("<s>" + LONG + "It is 4.", LONG, "It is 4."),
        (LONG[9:] + "It is 4.", LONG, "It is 4."),
        (LONG + LONG + "It is 4.", LONG, LONG + "It is 4."),
        (LONG, LONG, ""),
        ("It is 4.", "", "It is 4."),
    ],
    ids=["whole", "behind-a-mark", "cut-from-the-left", "the-model-repeats-it", "nothing-was-written", "no-prompt"],
)
def test_what_follows_a_prompt(query: str, prompt: str, response: str) -> None:
    assert response_of(query, prompt) == response


@pytest.mark.parametrize("query", ["", "It is 4.", LONG[:40], "x" * 65 + LONG, LONG[-20:] + "It is 4."])
def test_a_query_without_its_prompt_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="does not begin with its prompt"):
        response_of(query, LONG)


@given(st.text(), st.text(min_size=1))
def test_what_follows_any_prompt(prompt: str, response: str) -> None:
    assert response_of(prompt + response, prompt) == response


@pytest.mark.parametrize(
    ("text", "kept", "ended"),
    [
        ("4<|im_end|>", "4", True),
        ("4</s></s>", "4", True),
        ("4<｜end▁of▁sentence｜>", "4", True),
        ("4<|user|>", "4", True),
        ("4", "4", None),
        ("<answer>4</answer>", "<answer>4</answer>", None),
        ("4<|im_end|>.", "4<|im_end|>.", None),
        ("<|" + "x" * 60 + "|>", "<|" + "x" * 60 + "|>", None),
        ("<|im_end|>" * 50_000, "", True),
        ("</s>" * 1_000_000, "</s>" * (1_000_000 - (1 << 18)), True),
    ],
)
def test_marks_at_the_end(text: str, kept: str, ended: bool | None) -> None:
    assert finished(text) == Completion(kept, None, ended)
    assert finished(text, n_tokens=3, finished=False) == Completion(kept, 3, False)
