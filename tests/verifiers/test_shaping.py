"""length_penalty and repetition_penalty: amounts from 0 to 1 that a weighted sum subtracts."""

import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import REASONS, Completion, Problem, Verdict, length_penalty, repetition_penalty, weighted

PROBLEM = Problem("1")
DAPO = partial(length_penalty, max_tokens=16384 + 4096, cache_tokens=4096)


def right(problem, completion, /):
    return Verdict(1.0, "correct", "same_text")


@pytest.mark.parametrize(
    ("n_tokens", "amount"),
    [
        (0, 0.0),
        (16384, 0.0),
        (16385, 1 / 4096),
        (17408, 0.25),
        (18432, 0.5),
        (20479, 4095 / 4096),
        (20480, 1.0),
        (20481, 1.0),
        (10**9, 1.0),
    ],
)
def test_soft_overlong_punishment_of_dapo(n_tokens, amount):
    verdict = DAPO(PROBLEM, Completion("", n_tokens=n_tokens))
    assert verdict.score == amount
    assert (verdict.status, verdict.reason) == (("wrong", "over_length") if amount else ("correct", "within_length"))


@pytest.mark.parametrize(("n_tokens", "amount"), [(10, 0.0), (11, 1.0), (12, 1.0)])
def test_without_a_cache_it_is_a_step(n_tokens, amount):
    assert length_penalty(PROBLEM, Completion("", n_tokens), max_tokens=10, cache_tokens=0).score == amount


@pytest.mark.parametrize(("n_tokens", "amount"), [(0, 0.0), (1, 0.1), (10, 1.0)])
def test_the_cache_may_be_the_whole_length(n_tokens, amount):
    assert length_penalty(PROBLEM, Completion("", n_tokens), max_tokens=10, cache_tokens=10).score == amount


def test_length_detail():
    detail = DAPO(PROBLEM, Completion("", n_tokens=18432)).detail
    assert detail == "18432 tokens, 16384 without penalty, 20480 at most"


@pytest.mark.parametrize("finished", [True, False, None])
def test_a_length_that_nobody_counted_is_not_judged(finished):
    verdict = DAPO(PROBLEM, Completion("some text", finished=finished))
    assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "no_token_count")


@pytest.mark.parametrize(("max_tokens", "cache_tokens"), [(10, 11), (10, -1), (-1, 0)])
def test_wrong_lengths_are_refused(max_tokens, cache_tokens):
    with pytest.raises(ValueError, match="0 <= cache_tokens <= max_tokens"):
        length_penalty(PROBLEM, Completion("", n_tokens=1), max_tokens=max_tokens, cache_tokens=cache_tokens)


def test_with_a_negative_weight_it_lowers_a_reward_and_not_its_status():
    reward = weighted(correct=(1.0, right), length=(-1.0, DAPO))
    verdict = reward(PROBLEM, Completion("", n_tokens=18432))
    assert (verdict.score, verdict.status) == (0.5, "correct")
    assert reward(PROBLEM, Completion("", n_tokens=99_999)).score == 0.0


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 100), st.integers(0, 100))
def test_length_penalty_never_falls_with_length(shorter, longer, free, cache):
    shorter, longer = sorted((shorter, longer))
    amounts = [
        length_penalty(PROBLEM, Completion("", n), max_tokens=free + cache, cache_tokens=cache).score
        for n in (shorter, longer)
    ]
    assert 0 <= amounts[0] <= amounts[1] <= 1


REPETITIONS = [
    # text, n, amount
    ("", 1, 0.0),
    ("one", 2, 0.0),
    ("one two three", 4, 0.0),
    ("one two three four", 4, 0.0),
    ("one two one two", 2, 1 / 3),
    ("one one one one", 1, 3 / 4),
    ("one one one one", 4, 0.0),
    ("one one one one one", 4, 1 / 2),
    ("Wait, No wait, no", 2, 1 / 3),  # case and white space do not count
    ("one\ntwo  one\ttwo", 2, 1 / 3),
    ("中文中文中文", 2, 3 / 5),  # by the character where no spaces are written
    ("ไทยไทย", 3, 1 / 4),
    ("a 中文 a 中文", 3, 1 / 4),
    ("!" * 100, 2, 3 / 4),  # a loop without spaces is 5 words of 20 characters
    ("abcde" * 80, 2, 18 / 19),
    ("x" * 19, 1, 0.0),
    (" \n" * 1000, 1, 0.0),
    ("\0 \0", 1, 1 / 2),
    ("\ud800 \ud800", 1, 1 / 2),
]


@pytest.mark.parametrize(("text", "n", "amount"), REPETITIONS)
def test_repetition(text, n, amount):
    verdict = repetition_penalty(PROBLEM, Completion(text), n=n)
    assert verdict.score == pytest.approx(amount)
    assert (verdict.status, verdict.reason) == (("wrong", "repetitive") if amount else ("correct", "not_repetitive"))
    assert verdict.reason in REASONS


def test_by_default_only_a_loop_counts():
    sentence = "Let me check whether the remainder is smaller than the divisor, as it has to be. "
    assert repetition_penalty(PROBLEM, Completion(sentence * 2)).score == 0.0
    looped = repetition_penalty(PROBLEM, Completion(sentence * 200))
    assert looped.detail == "3145 of 3161 40-grams stood before"
    assert looped.score == 3145 / 3161


@pytest.mark.parametrize(("at_most", "status"), [(0.0, "wrong"), (0.3, "wrong"), (1 / 3, "correct"), (1.0, "correct")])
def test_at_most_moves_the_status_and_not_the_score(at_most, status):
    verdict = repetition_penalty(PROBLEM, Completion("one two one two"), n=2, at_most=at_most)
    assert (verdict.score, verdict.status) == (pytest.approx(1 / 3), status)


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": -3}, {"at_most": -0.1}, {"at_most": 1.1}, {"at_most": float("nan")}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="n >= 1 and 0 <= at_most <= 1"):
        repetition_penalty(PROBLEM, Completion("one"), **options)


@pytest.mark.parametrize("verifier", [DAPO, partial(repetition_penalty, n=3, at_most=0.2)])
def test_they_pickle_with_their_options(verifier):
    completion = Completion("one two three", n_tokens=3)
    assert pickle.loads(pickle.dumps(verifier))(PROBLEM, completion) == verifier(PROBLEM, completion)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.integers(1, 20))
def test_repetition_is_1_less_distinct_over_total(words, n):
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    expected = 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0
    assert repetition_penalty(PROBLEM, Completion(" ".join(words)), n=n).score == pytest.approx(expected)


@given(st.text(), st.integers(1, 50))
def test_any_text_gets_an_amount(text, n):
    score = repetition_penalty(PROBLEM, Completion(text), n=n).score
    assert score is not None
    assert 0 <= score < 1


@pytest.mark.parametrize(
    "text",
    [
        "a " * 500_000,
        " ".join(map(str, range(150_000))),
        "a" * 1_000_000,
        "中" * 1_000_000,
        " " * 1_000_000,
        "\ud800" * 1_000_000,
        "word " * 2_000_000,
    ],
    ids=["letters", "numbers", "one word", "han", "spaces", "surrogates", "ten megabytes"],
)
def test_long_text(text):
    for n in (1, 40, 1000):
        score = repetition_penalty(PROBLEM, Completion(text), n=n).score
        assert score is not None
        assert 0 <= score < 1
