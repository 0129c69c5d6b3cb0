"""What OpenRLHF and slime send, as pairs: what of a query is the model's, and which label is an answer or tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers.server.models import BadRequest, OpenRlhfRequest, SlimeRequest
from rlvr.verifiers.server.protocols import finished, openrlhf_pairs, response_of, slime_pair

PROMPT = "<|im_start|>user\nWhat is 2+2? Put it into \\boxed{}.<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "query",
    [
        PROMPT + "It is 4.",
        "<s>" + PROMPT + "It is 4.",
        "<|begin_of_text|>" + PROMPT + "It is 4.",
        PROMPT[20:] + "It is 4.",
    ],
    ids=["whole", "behind a mark", "behind a longer one", "cut from the left"],
)
def test_the_response_is_what_follows_the_prompt(query):
    assert response_of(query, PROMPT, "query[0]") == "It is 4."


@given(st.text(), st.text())
def test_any_prompt_and_any_response(prompt, response):
    assert response_of(prompt + response, prompt, "query[0]") == response


@pytest.mark.parametrize("query", ["It is 4.", "", "x" * 100 + PROMPT + "It is 4.", PROMPT[:30]])
def test_a_prompt_is_never_taken_for_the_models_words(query):
    with pytest.raises(BadRequest, match=r"query\[7\]: does not begin with its prompt"):
        response_of(query, PROMPT, "query[7]")


@pytest.mark.parametrize(
    "mark", ["</s>", "<|im_end|>", "<|eot_id|>", "<｜end▁of▁sentence｜>", "<eos>", "<end_of_turn>"]
)
def test_the_marks_at_the_end_are_no_part_of_it(mark):
    for text in ("It is 4.", "", "</think>", "a\n"):
        assert finished(text + mark) == finished(text + mark + mark)
        assert (finished(text + mark).text, finished(text + mark).finished) == (text, True)
        assert (finished(text).text, finished(text).finished) == (text, None)
    inside = f"it {mark} goes on"
    assert finished(inside).text == inside


def test_a_million_marks_take_no_time():
    assert finished("</s>" * 250_000).text == ""
    assert finished("<|" * 500_000).finished is None


def test_labels():
    tests = {"inputs": ["1"], "outputs": ["2"]}
    request = OpenRlhfRequest(query=["a"] * 5, prompts=[""] * 5, labels=["4", 4, tests, '{"inputs": []}', None])
    problems = [problem for problem, _ in openrlhf_pairs(request)]
    assert [problem.answer for problem in problems] == ["4", "4", None, None, None]
    assert [problem.tests for problem in problems] == [None, None, tests, '{"inputs": []}', None]
    assert [problem.id for problem in problems] == list("01234")


def test_slime_sends_a_prompt_as_text_or_as_messages():
    chat = [{"role": "user", "content": "2+2?"}]
    problem, completion = slime_pair(SlimeRequest.model_validate({"prompt": chat, "response": "4</s>", "label": "4"}))
    assert (problem.prompt, problem.answer, completion.text) == ("user: 2+2?", "4", "4")
    assert slime_pair(SlimeRequest(prompt="2+2?", response="4"))[0].prompt == "2+2?"
