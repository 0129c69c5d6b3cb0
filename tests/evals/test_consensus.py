"""cons@k, weighted votes and best-of-k against enumeration of every draw, and the figures of real dumps."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.evals import consensus
from rlvr.evals.consensus import Consensus, best_of, consensus_curve, majority_vote, weighted_vote
from rlvr.evals.metrics import powers
from rlvr.evals.summary import summarise
from rlvr.evals.tally import Tally
from rlvr.verifiers.types import Verdict

SAMPLES = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2, 3]), st.booleans()), min_size=1, max_size=9)


def every_draw(answers: Sequence[int | None], correct: Sequence[bool], k: int) -> tuple[Fraction, Fraction]:
    """(score, tie rate) over all subsets of k: a majority vote of each, by its definition."""
    worth: list[Fraction] = []
    ties = 0
    subsets = list(combinations(range(len(answers)), k))
    for subset in subsets:
        votes = Counter(answers[i] for i in subset if answers[i] is not None)
        winners = [answer for answer, count in votes.items() if count == max(votes.values())]
        ties += len(winners) > 1
        shares = [
            Fraction(sum(correct[i] for i in subset if answers[i] == winner), votes[winner]) for winner in winners
        ]
        worth.append(sum(shares, Fraction()) / max(len(shares), 1))
    return sum(worth, Fraction()) / len(subsets), Fraction(ties, len(subsets))


@settings(max_examples=150)
@given(SAMPLES)
def test_cons_at_k_is_the_mean_vote_of_every_draw_of_k(samples: list[tuple[int | None, bool]]) -> None:
    answers, correct = [a for a, _ in samples], [c for _, c in samples]
    curve = consensus_curve(answers, correct, range(1, len(answers) + 1))
    for k, got in curve.items():
        score, tie_rate = every_draw(answers, correct, k)
        assert got.score == pytest.approx(float(score), abs=1e-12)
        assert got.tie_rate == pytest.approx(float(tie_rate), abs=1e-12)
        assert got.error == 0


ANSWERS = st.lists(st.sampled_from([None, *range(12)]), min_size=1, max_size=80)


@settings(max_examples=60)
@given(ANSWERS, st.integers(0, 12), st.data())
def test_at_n_it_is_the_vote_and_k_may_be_asked_for_alone(
    answers: list[int | None], right: int, data: st.DataObject
) -> None:
    correct = [answer == right for answer in answers]
    n = len(answers)
    vote = majority_vote(answers, correct)
    curve = consensus_curve(answers, correct, powers(n))
    assert (curve[n].score, curve[n].tie_rate) == (pytest.approx(vote.score, abs=1e-12), float(vote.tie))
    assert curve[1].score == pytest.approx(fmean(correct), abs=1e-12)  # a vote of one is a sample
    k = data.draw(st.integers(1, n))
    alone = consensus_curve(answers, correct, [k])[k]
    among = consensus_curve(answers, correct, range(1, n + 1))[k]
    assert (alone.score, alone.tie_rate) == pytest.approx((among.score, among.tie_rate), abs=1e-12)
    assert 0 <= alone.score <= 1 + 1e-12


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_and_the_names_of_the_classes_do_not_matter(
    answers: list[int | None], rng: random.Random
) -> None:
    pairs = [(answer, answer == 0) for answer in answers]
    shuffled = rng.sample(pairs, len(pairs))
    names = rng.sample(range(100), 12)
    renamed = [None if answer is None else names[answer] for answer, _ in shuffled]
    ks = powers(len(answers))
    before = consensus_curve(answers, [ok for _, ok in pairs], ks)
    after = consensus_curve(renamed, [ok for _, ok in shuffled], ks)
    assert [before[k].score for k in ks] == pytest.approx([after[k].score for k in ks], abs=1e-12)


def test_64_answers_that_are_all_different() -> None:
    curve = consensus_curve(list(range(64)), [True] + [False] * 63, range(1, 65))
    assert all(value.score == pytest.approx(1 / 64, abs=1e-14) for value in curve.values())
    assert [value.tie_rate for value in curve.values()] == [0.0] + [pytest.approx(1.0)] * 63


def test_two_classes_of_many_samples_are_a_hypergeometric_tail() -> None:
    from scipy import stats

    answers = [0] * 40 + [1] * 24
    curve = consensus_curve(answers, [answer == 0 for answer in answers], range(1, 65))
    for k, got in curve.items():
        drawn = stats.hypergeom(64, 40, k)
        assert got.score == pytest.approx(drawn.sf(k // 2) + (drawn.pmf(k // 2) / 2 if k % 2 == 0 else 0), abs=1e-9)


def test_what_is_too_much_to_count_is_drawn_and_says_how_well(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [0] * 5 + [1] * 4 + [None] * 3 + list(range(2, 10))
    correct = [answer == 0 for answer in answers]
    ks = [1, 2, 4, 8, 16, 20]
    exact = consensus_curve(answers, correct, ks)
    monkeypatch.setattr(consensus, "_EXACT_WORK", 0)
    drawn = consensus_curve(answers, correct, ks)
    assert drawn == consensus_curve(answers, correct, ks)  # the seed decides
    assert drawn != consensus_curve(answers, correct, ks, seed=1)
    for k in ks[:-1]:
        assert 0.001 < drawn[k].error < 0.01
        assert abs(drawn[k].score - exact[k].score) < 4 * drawn[k].error
        assert drawn[k].tie_rate == pytest.approx(exact[k].tie_rate, abs=0.04)
    assert drawn[20] == Consensus(exact[20].score, exact[20].tie_rate, 0.0)


def test_a_thousand_answers_that_are_all_different_are_drawn() -> None:
    curve = consensus_curve(list(range(1024)), [True] + [False] * 1023, [64])
    assert curve[64].error > 0


@pytest.mark.parametrize("ks", [[0], [-1], [4], [1, 2, 9]])
def test_more_votes_than_samples_are_refused(ks: list[int]) -> None:
    with pytest.raises(ValueError, match="1 <= k <= n"):
        consensus_curve([1, 1, 2], [True, True, False], ks)


def test_nobody_answering_is_wrong_and_no_tie() -> None:
    assert consensus_curve([None, None], [True, False], [1, 2]) == dict.fromkeys((1, 2), Consensus(0.0, 0.0, 0.0))


# --- weights


WEIGHTED = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.booleans(), st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0])),
    min_size=1, max_size=8,
)  # fmt: skip


@given(WEIGHTED, st.randoms(use_true_random=False))
def test_the_class_with_the_largest_sum_wins(samples: list[tuple[int | None, bool, float]], rng: random.Random) -> None:
    answers, correct, weights = (list(column) for column in zip(*samples, strict=True))
    sums = {
        each: sum(round(10 * weight) for answer, weight in zip(answers, weights, strict=True) if answer == each)
        for each in answers
        if each is not None
    }
    got = weighted_vote(answers, correct, weights)
    winners = [each for each, total in sums.items() if total == max(sums.values())]
    shares = [fmean(ok for answer, ok in zip(answers, correct, strict=True) if answer == each) for each in winners]
    assert got == weighted_vote(*(list(column) for column in zip(*rng.sample(samples, len(samples)), strict=True)))
    if len(winners) <= 1:  # sums of tenths as floats may break what is a tie on paper, never the other way
        assert got.score == pytest.approx(fmean(shares) if shares else 0.0)
        assert not got.tie


@given(SAMPLES, st.sampled_from([0.125, 1.0, 3.0]))
def test_equal_weights_are_a_majority_vote(samples: list[tuple[int | None, bool]], weight: float) -> None:
    answers, correct = [a for a, _ in samples], [c for _, c in samples]
    assert weighted_vote(answers, correct, [weight] * len(answers)) == majority_vote(answers, correct)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), float("-inf")])
def test_weights_that_no_vote_has_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="not negative"):
        weighted_vote([1, 2], [True, False], [1.0, weight])


@settings(max_examples=100)
@given(WEIGHTED)
def test_best_of_k_is_the_mean_over_every_draw(samples: list[tuple[int | None, bool, float]]) -> None:
    correct, weights = [ok for _, ok, _ in samples], [weight - 0.3 for _, _, weight in samples]
    for k in range(1, len(samples) + 1):
        worth: list[float] = []
        for subset in combinations(range(len(samples)), k):
            top = max(weights[i] for i in subset)
            worth.append(fmean(correct[i] for i in subset if weights[i] == top))
        assert best_of(k, correct, weights) == pytest.approx(fmean(worth), abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_best_of_k_by_the_verdicts_themselves_is_pass_at_k(correct: list[bool]) -> None:
    from rlvr.evals.metrics import pass_at_k

    for k in powers(len(correct)):
        weights = [float(ok) for ok in correct]
        assert best_of(k, correct, weights) == pytest.approx(pass_at_k(len(correct), sum(correct), k), abs=1e-12)
        constant = best_of(k, correct, [7.0] * len(correct))
        assert constant == pytest.approx(fmean(correct), abs=1e-12)  # a weight that says nothing chooses at random


@pytest.mark.parametrize(("k", "weights"), [(0, [1, 2]), (3, [1, 2]), (1, [1]), (1, [1, float("nan")])])
def test_best_of_k_refuses_what_has_no_meaning(k: int, weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"best-of-k|a vote needs"):
        best_of(k, [True, False], weights)


# --- in the summary


def tally_of(rows: Sequence[tuple[str, bool, str | None, float | None]]) -> Tally:
    tally = Tally()
    for problem, ok, answer, weight in rows:
        verdict = Verdict(float(ok), "correct" if ok else "wrong", "same_text", answer)
        tally.add(problem, verdict, 10, weight=weight)
    return tally


def test_a_summary_with_weights_by_hand() -> None:
    rows = [("p", True, "4", 0.9), ("p", False, "5", 0.2), ("p", False, "5", 0.3)]
    rows += [("q", False, "1", 0.9), ("q", True, "2", 0.5), ("q", True, "2", 0.4)]
    summary = summarise(tally_of(rows), equivalent=lambda a, b: a == b)
    assert summary["cons@k"]["3"]["mean"] == 0.5
    assert summary["weighted_cons@k"]["3"]["mean"] == 0.75  # p by 0.9 to 0.5; q is tied at 0.9
    assert (summary["weighted_cons@k"]["3"]["ties"], summary["cons@k"]["3"]["ties"]) == (1, 0)
    assert {k: value["mean"] for k, value in summary["best_of_k"].items()} == {
        "1": pytest.approx(0.5), "2": pytest.approx((2 / 3 + 1 / 3) / 2), "3": 0.5,
    }  # fmt: skip
    assert {k: value["mean"] for k, value in summary["cons_curve"].items()} == {
        "1": pytest.approx(0.5), "2": pytest.approx((1 / 3 + 2 / 3) / 2),
    }  # fmt: skip


def test_weights_below_0_give_best_of_and_no_weighted_vote() -> None:
    summary = summarise(tally_of([("p", True, "4", -0.5), ("p", False, "5", -2.0)]), equivalent=lambda a, b: a == b)
    assert summary["best_of_k"]["2"]["mean"] == 1.0
    assert "weighted_cons@k" not in summary
    assert any("below 0" in note for note in summary["notes"])


def test_without_weights_nothing_is_said_of_them() -> None:
    summary = summarise(tally_of([("p", True, "4", None)] * 2), equivalent=lambda a, b: a == b)
    assert not summary.keys() & {"weighted_cons@k", "best_of_k"}


# --- real completions


DUMP = Path(__file__).resolve().parents[3] / "shared" / "data" / "dumps" / "qwen_math_100x8.jsonl"


@pytest.fixture(scope="module")
def qwen() -> list[dict[str, list[bool] | list[list[float]]]]:
    if not DUMP.exists():
        pytest.skip("the real data is not here: it lies at ../shared/data beside the checkout")
    return [json.loads(line) for line in DUMP.read_text(encoding="utf-8").splitlines()]


def test_best_of_8_with_the_verdicts_that_were_stored(qwen) -> None:  # type: ignore[no-untyped-def]
    weights = [[weight for [weight] in row["pred_score"]] for row in qwen]
    stored = [best_of(8, row["score"], each) for row, each in zip(qwen, weights, strict=True)]
    assert fmean(stored) == 0.94


def test_best_of_8_with_ours(qwen, rlvr) -> None:  # type: ignore[no-untyped-def]
    """Two problems more: of 3 (`4:30 p.m.`) all eight are right, of 72 the one that says `10000` has the best score."""
    done = rlvr(
        "score", DUMP, "--completion-field", "code", "--answer-field", "answer", "--weight-field", "pred_score",
        "--json", "--quiet", "--out", "scored.jsonl",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert summary["score"]["mean"] == 0.92125
    assert summary["pass@k"]["8"]["mean"] == 0.98
    assert (summary["cons@k"]["8"]["mean"], summary["cons@k"]["8"]["ties"]) == (0.935, 4)
    assert summary["best_of_k"]["8"]["mean"] == 0.96
    assert summary["cons_curve"]["1"]["mean"] == pytest.approx(0.92125)
