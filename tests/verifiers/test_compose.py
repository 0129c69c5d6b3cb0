"""Compositions: truth tables, what a part that was not judged does, status and extracted, pickling, nesting."""

import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import Completion, Problem, Verdict, all_of, any_of, by_source, gate, weighted

PROBLEM, COMPLETION = Problem("1", source="aime"), Completion("4")


def always(problem, completion, /, *, verdict):
    return verdict


def never(problem, completion, /):
    raise AssertionError("this part must not run")


def verifier(score, status=None, extracted=None, detail=None):
    status = status or {None: "error", 1: "correct"}.get(score, "wrong")
    reason = {"error": "gold_unreadable", "correct": "same_text"}.get(status, "no_answer")
    return partial(always, verdict=Verdict(score, status, reason, extracted, detail=detail))


RIGHT, WRONG, HALF, UNJUDGED = verifier(1.0), verifier(0.0), verifier(0.5), verifier(None, detail="the gold is empty")
TRUNCATED = verifier(0.0, "truncated")


def score_and_status(reward):
    verdict = reward(PROBLEM, COMPLETION)
    return verdict.score, verdict.status


# ---- weighted


@pytest.mark.parametrize(
    ("parts", "score", "status"),
    [
        ({"correct": (1.0, RIGHT)}, 1.0, "correct"),
        ({"correct": (1.0, RIGHT), "format": (0.1, RIGHT)}, 1.1, "correct"),
        ({"correct": (1.0, RIGHT), "format": (0.1, WRONG)}, 1.0, "correct"),
        ({"correct": (1.0, WRONG), "format": (0.1, RIGHT)}, 0.1, "wrong"),
        ({"correct": (1.0, TRUNCATED), "format": (0.1, RIGHT)}, 0.1, "truncated"),
        ({"correct": (1.0, RIGHT), "length": (-1.0, HALF)}, 0.5, "correct"),
        ({"correct": (1.0, WRONG), "length": (-1.0, HALF)}, -0.5, "wrong"),
        ({"a": (2.0, RIGHT), "b": (3.0, RIGHT)}, 5.0, "correct"),
        ({"a": (2.0, RIGHT), "b": (3.0, HALF)}, 3.5, "wrong"),
        ({"correct": (1.0, UNJUDGED)}, None, "error"),
        ({"correct": (1.0, UNJUDGED), "format": (0.1, RIGHT)}, None, "error"),
        ({"a": (1.0, RIGHT), "b": (0.1, UNJUDGED)}, None, "error"),
    ],
)
def test_weighted(parts, score, status):
    assert score_and_status(weighted(**parts)) == (score, status)


def test_a_weighted_sum_holds_every_part_and_the_answer_of_the_decisive_one():
    reward = weighted(
        format=(0.1, verifier(1.0, extracted="x")), correct=(1.0, verifier(1.0, extracted="4", detail="d"))
    )
    verdict = reward(PROBLEM, COMPLETION)
    assert list(verdict.parts) == ["format", "correct"]
    assert (verdict.extracted, verdict.reason, verdict.detail) == ("4", "same_text", "d")


def test_without_a_decisive_part_the_first_answer_is_the_answer():
    assert weighted(a=(1.0, RIGHT), b=(1.0, verifier(1.0, extracted="4")))(PROBLEM, COMPLETION).extracted == "4"


def test_what_was_not_judged_is_named():
    verdict = weighted(a=(1.0, RIGHT), b=(1.0, UNJUDGED))(PROBLEM, COMPLETION)
    assert (verdict.reason, verdict.detail) == ("part_not_judged", "the gold is empty")
    assert list(verdict.parts) == ["a", "b"]


# ---- gate


@pytest.mark.parametrize(
    ("condition", "then", "score", "status"),
    [
        (RIGHT, RIGHT, 1.0, "correct"),
        (RIGHT, HALF, 0.5, "wrong"),
        (RIGHT, WRONG, 0.0, "wrong"),
        (RIGHT, UNJUDGED, None, "error"),
        (WRONG, never, 0.0, "wrong"),
        (HALF, never, 0.0, "wrong"),  # a gate is open or closed
        (TRUNCATED, never, 0.0, "truncated"),
        (UNJUDGED, never, None, "error"),
        (verifier(0.9, "correct"), RIGHT, 1.0, "correct"),  # it goes by status
    ],
)
def test_gate(condition, then, score, status):
    assert score_and_status(gate(condition, then=then)) == (score, status)


def test_a_gate_holds_what_ran():
    assert list(gate(RIGHT, then=WRONG)(PROBLEM, COMPLETION).parts) == ["gate", "then"]
    assert list(gate(WRONG, then=never)(PROBLEM, COMPLETION).parts) == ["gate"]
    assert gate(RIGHT, then=verifier(1.0, extracted="4"))(PROBLEM, COMPLETION).extracted == "4"


# ---- all_of, any_of


@pytest.mark.parametrize(
    ("a", "b", "score"),
    [
        (RIGHT, RIGHT, 1.0),
        (RIGHT, HALF, 0.5),
        (RIGHT, WRONG, 0.0),
        (HALF, WRONG, 0.0),
        (RIGHT, UNJUDGED, None),
        (HALF, UNJUDGED, None),
        (UNJUDGED, UNJUDGED, None),
        (WRONG, UNJUDGED, 0.0),  # whatever the other is, the smallest is 0
    ],
)
def test_all_of(a, b, score):
    for first, second in ((a, b), (b, a)):
        verdict = all_of(a=first, b=second)(PROBLEM, COMPLETION)
        assert verdict.score == score
        assert (verdict.status == "correct") == (score == 1)
        assert (verdict.reason == "part_not_judged") == (score is None)
        assert list(verdict.parts) == ["a", "b"]


def test_all_of_takes_the_status_of_the_part_that_failed():
    assert score_and_status(all_of(a=RIGHT, b=TRUNCATED)) == (0.0, "truncated")
    assert all_of(a=RIGHT, b=RIGHT)(PROBLEM, COMPLETION).reason == "all_parts"
    assert all_of(a=RIGHT, b=WRONG)(PROBLEM, COMPLETION).reason == "part_failed"


@pytest.mark.parametrize(
    ("a", "b", "score", "status"),
    [
        (WRONG, RIGHT, 1.0, "correct"),
        (UNJUDGED, RIGHT, 1.0, "correct"),
        (WRONG, HALF, 0.5, "wrong"),
        (WRONG, WRONG, 0.0, "wrong"),
        (WRONG, UNJUDGED, None, "error"),  # it might have been right
        (HALF, UNJUDGED, None, "error"),
        (UNJUDGED, UNJUDGED, None, "error"),
        (RIGHT, never, 1.0, "correct"),  # the first that is correct decides
    ],
)
def test_any_of(a, b, score, status):
    assert score_and_status(any_of(a=a, b=b)) == (score, status)


def test_any_of_is_the_verdict_of_the_part_that_is_correct():
    verdict = any_of(a=verifier(0.0, extracted="5"), b=verifier(1.0, extracted="4"))(PROBLEM, COMPLETION)
    assert (verdict.extracted, verdict.reason) == ("4", "same_text")
    assert list(verdict.parts) == ["a", "b"]


# ---- by_source


def test_by_source_routes():
    routes = {"aime": verifier(1.0, extracted="4"), "code": WRONG}
    verdict = by_source(routes)(PROBLEM, COMPLETION)
    assert (verdict.score, verdict.status, verdict.extracted, list(verdict.parts)) == (1.0, "correct", "4", ["aime"])
    assert by_source(routes)(Problem("2", source="code"), COMPLETION).score == 0.0


def test_by_source_without_a_route_takes_the_default():
    reward = by_source({"code": WRONG}, default=HALF)
    assert reward(PROBLEM, COMPLETION).score == 0.5
    assert list(reward(Problem("2"), COMPLETION).parts) == ["default"]


def test_by_source_without_a_route_or_default_is_a_malformed_problem():
    with pytest.raises(ValueError, match=r"problem 1: no route for source 'aime' \(there are code\)"):
        by_source({"code": WRONG})(PROBLEM, COMPLETION)


# ---- all of them


@pytest.mark.parametrize("compose", [weighted, all_of, any_of])
def test_a_composition_of_nothing_is_refused(compose):
    with pytest.raises(ValueError, match="at least one part"):
        compose()


NESTED = by_source(
    {
        "aime": gate(
            all_of(format=RIGHT, finished=RIGHT),
            then=weighted(
                correct=(1.0, any_of(exact=WRONG, symbolic=verifier(1.0, extracted="4"))),
                language=(0.1, HALF),
                length=(-1.0, verifier(0.25)),
            ),
        )
    },
    default=UNJUDGED,
)


def test_nested_compositions_hold_every_verdict():
    verdict = NESTED(PROBLEM, COMPLETION)
    assert verdict.score == pytest.approx(0.8)
    assert (verdict.status, verdict.extracted) == ("correct", "4")
    gated = verdict.parts["aime"]
    assert list(gated.parts["gate"].parts) == ["format", "finished"]
    assert gated.parts["then"].parts["correct"].parts["exact"].score == 0.0
    assert NESTED(Problem("2"), COMPLETION).score is None


def test_compositions_and_verdicts_pickle():
    verdict = pickle.loads(pickle.dumps(NESTED))(PROBLEM, COMPLETION)
    assert pickle.loads(pickle.dumps(verdict)) == verdict == NESTED(PROBLEM, COMPLETION)


scores = st.one_of(st.none(), st.floats(0, 1))
weights = st.floats(-10, 10)
LETTERS = "abcdef"


def named(values):
    return dict(zip(LETTERS, values, strict=False))


@given(st.lists(st.tuples(weights, scores), min_size=1, max_size=6))
def test_weighted_is_the_sum_and_none_where_a_part_is(parts):
    score = weighted(**named((weight, verifier(score)) for weight, score in parts))(PROBLEM, COMPLETION).score
    if any(part is None for _, part in parts):
        assert score is None
    else:
        assert score == pytest.approx(sum(weight * part for weight, part in parts))


@given(st.lists(scores, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_all_of_and_any_of_score_the_same_in_any_order(values, random):
    shuffled = random.sample(values, len(values))
    for compose in (all_of, any_of):
        assert score_of(compose, values) == score_of(compose, shuffled)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_all_of_is_the_minimum_and_any_of_the_maximum(values):
    assert score_of(all_of, values) == min(values)
    assert score_of(any_of, values) == max(values)


@given(st.lists(scores, min_size=1, max_size=6), st.floats(0, 1))
def test_what_is_known_does_not_depend_on_what_is_not(values, instead):
    for compose in (all_of, any_of):
        score = score_of(compose, values)
        if score is not None:
            assert score == score_of(compose, [instead if value is None else value for value in values])


def score_of(compose, values):
    return compose(**named(map(verifier, values)))(PROBLEM, COMPLETION).score
