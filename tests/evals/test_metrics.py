"""The statistics against closed forms, brute force and scipy; summaries of tallies small enough to do by hand."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.evals.consensus import Vote, equivalence_classes, majority_vote
from rlvr.evals.distributions import t_quantile
from rlvr.evals.metrics import (
    Estimate,
    avg_at_n,
    clustered,
    estimate,
    pass_at_k,
    pass_curve,
    proportion,
    quantile,
    spread,
    wilson,
)
from rlvr.evals.summary import summarise
from rlvr.evals.tally import Tally
from rlvr.verifiers.types import Status, Verdict
from scipy import stats

Equivalent = Callable[[str, str], bool | None]

# --- pass@k


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_correct_sample(n: int) -> None:
    for c in range(n + 1):
        samples = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(samples, k))
            brute = Fraction(sum(any(subset) for subset in subsets), len(subsets))
            assert pass_at_k(n, c, k) == pytest.approx(float(brute), abs=1e-15)


@given(st.data(), st.integers(1, 1024))
def test_pass_at_k_agrees_with_the_product_form_of_the_paper(data: st.DataObject, n: int) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    missed = math.prod(1 - k / i for i in range(n - c + 1, n + 1)) if n - c >= k else 0.0
    assert pass_at_k(n, c, k) == pytest.approx(1 - missed, abs=1e-11)


@given(st.data(), st.integers(2, 300))
def test_pass_at_k_grows_with_k_and_with_c(data: st.DataObject, n: int) -> None:
    c = data.draw(st.integers(0, n - 1))
    k = data.draw(st.integers(1, n - 1))
    assert 0 <= pass_at_k(n, c, k) <= pass_at_k(n, c, k + 1) <= 1
    assert pass_at_k(n, c, k) <= pass_at_k(n, c + 1, k) <= 1


@given(st.data(), st.integers(1, 5000))
def test_pass_at_1_is_the_mean_and_pass_at_n_asks_for_any(data: st.DataObject, n: int) -> None:
    c = data.draw(st.integers(0, n))
    assert pass_at_k(n, c, 1) == pytest.approx(c / n, abs=1e-12)
    assert pass_at_k(n, c, n) == float(c > 0)


@pytest.mark.parametrize(
    ("n", "c", "k"),
    [(4, 1, 5), (4, 1, 0), (4, 1, -1), (4, 5, 1), (4, -1, 1), (0, 0, 1), (0, 0, 0), (-1, 0, 1)],
)
def test_pass_at_k_refuses_what_has_no_meaning(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=r"0 <= c <= n and 1 <= k <= n"):
        pass_at_k(n, c, k)


# --- Student's t


T_PROBABILITIES = [0.51, 0.55, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9999, 0.999999]
T_DEGREES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 20, 29, 30, 49, 99, 100, 199, 499, 500, 999, 4999, 10_000, 99_999]


@pytest.mark.parametrize("degrees", T_DEGREES)
def test_t_quantile_agrees_with_scipy(degrees: int) -> None:
    for p in T_PROBABILITIES:
        assert t_quantile(p, degrees) == pytest.approx(float(stats.t.ppf(p, degrees)), rel=1e-9, abs=1e-9), p


@settings(max_examples=200)
@given(st.floats(0.51, 0.99999), st.integers(1, 100_000))
def test_t_quantile_is_the_inverse_of_scipys_distribution(p: float, degrees: int) -> None:
    assert float(stats.t.cdf(t_quantile(p, degrees), degrees)) == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize("degrees", [100_001, 10**6, 10**9])
def test_above_a_hundred_thousand_degrees_t_is_normal(degrees: int) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(float(stats.norm.ppf(0.975)), abs=1e-12)
    assert t_quantile(0.975, degrees) == pytest.approx(float(stats.t.ppf(0.975, degrees)), abs=3e-5)


@pytest.mark.parametrize("degrees", [1, 2, 30, 100_000, 100_001])
def test_the_median_of_t_is_0(degrees: int) -> None:
    assert t_quantile(0.5, degrees) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("p", "degrees"), [(0.49, 5), (1.0, 5), (1.1, 5), (-1, 5), (0.975, 0), (0.975, -3)])
def test_t_quantile_refuses_what_has_no_meaning(p: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="t quantile"):
        t_quantile(p, degrees)


# --- means and their uncertainty


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=60))
def test_an_estimate_is_the_t_interval_of_scipy(values: list[float]) -> None:
    got = estimate(values)
    assert got.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    stderr = float(stats.sem(values))
    assert got.stderr == pytest.approx(stderr, rel=1e-6, abs=1e-9)
    assert got.ci95 is not None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stderr
    assert got.ci95 == pytest.approx((got.mean - half, got.mean + half), rel=1e-6, abs=1e-7)


GROUPS = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.1, -0.5]), min_size=1, max_size=7), min_size=2, max_size=12
)


@given(GROUPS)
def test_the_clustered_error_is_the_double_sum_over_pairs_of_one_problem(groups: list[list[float]]) -> None:
    """Miller 2024, section 2.2, sample by sample: the variance of the mean is the sum of (s_ci - m)(s_cj - m) over all
    pairs (i, j) inside a cluster, over N squared; here with the factor P / (P - 1)."""
    samples = [score for group in groups for score in group]
    mean = sum(samples) / len(samples)
    pairs = sum((a - mean) * (b - mean) for group in groups for a in group for b in group)
    variance = len(groups) / (len(groups) - 1) * pairs / len(samples) ** 2
    got = clustered((sum(group), len(group)) for group in groups)
    assert got.mean == pytest.approx(mean, abs=1e-12)
    assert got.stderr == pytest.approx(math.sqrt(max(variance, 0)), abs=1e-7)
    half = float(stats.t.ppf(0.975, len(groups) - 1)) * math.sqrt(max(variance, 0))
    assert got.ci95 == pytest.approx((mean - half, mean + half), abs=1e-6)


@given(st.integers(1, 6), st.data())
def test_with_equally_many_samples_it_is_the_estimate_of_the_problem_means(each: int, data: st.DataObject) -> None:
    scores = st.lists(st.floats(0, 1), min_size=each, max_size=each)
    groups = data.draw(st.lists(scores, min_size=2, max_size=20))
    got = clustered((sum(group), each) for group in groups)
    means = estimate([sum(group) / each for group in groups])
    assert (got.mean, got.stderr) == pytest.approx((means.mean, means.stderr), abs=1e-12)
    assert got.ci95 == pytest.approx(means.ci95, abs=1e-10)


def test_a_ragged_example_done_by_hand() -> None:
    # Samples 1 | 0 0 0: mean 1/4; residual sums 3/4 and -3/4; variance 2/1 * (9/16 + 9/16) / 16 = 9/64.
    got = clustered([(1.0, 1), (0.0, 3)])
    assert (got.mean, got.stderr) == (0.25, 0.375)
    assert got.ci95 == pytest.approx((0.25 - 12.7062047362 * 0.375, 0.25 + 12.7062047362 * 0.375), abs=1e-8)


def test_samples_of_one_problem_that_agree_are_worth_one_sample() -> None:
    one_each = clustered([(0.0, 1), (1.0, 1), (1.0, 1)])
    copied = clustered([(0.0, 64), (64.0, 64), (64.0, 64)])
    assert copied.stderr == pytest.approx(one_each.stderr)
    assert copied.ci95 == pytest.approx(one_each.ci95)


@given(GROUPS, st.randoms(use_true_random=False))
def test_the_order_of_problems_does_not_matter(groups: list[list[float]], rng: random.Random) -> None:
    pairs = [(sum(group), len(group)) for group in groups]
    shuffled = rng.sample(pairs, len(pairs))
    assert clustered(shuffled).stderr == pytest.approx(clustered(pairs).stderr, abs=1e-12)
    assert clustered(shuffled).mean == pytest.approx(clustered(pairs).mean, abs=1e-12)


def test_scores_that_do_not_vary_have_no_error() -> None:
    assert estimate([0.5] * 9) == Estimate(0.5, 0.0, (0.5, 0.5))


@pytest.mark.parametrize("pairs", [[(0.7, 1)], [(5.0, 8)], [(0.0, 1000)]])
def test_one_problem_cannot_tell_its_uncertainty(pairs: list[tuple[float, int]]) -> None:
    assert clustered(pairs) == Estimate(pairs[0][0] / pairs[0][1], None, None)


@pytest.mark.parametrize("pairs", [[], [(0.0, 0)], [(0.0, 0), (0.0, 0)]])
def test_no_samples_have_no_mean(pairs: list[tuple[float, int]]) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        clustered(pairs)


def test_an_estimate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        estimate([])


@pytest.mark.parametrize(
    ("interval", "cut"),
    [((-0.2, 0.4), (0.0, 0.4)), ((0.6, 1.3), (0.6, 1.0)), ((-1, 2), (0, 1)), ((0.1, 0.2), (0.1, 0.2)), (None, None)],
)
def test_an_interval_is_cut_to_the_unit_interval(
    interval: tuple[float, float] | None, cut: tuple[float, float] | None
) -> None:
    assert Estimate(0.5, 0.1, interval).within_unit_interval() == Estimate(0.5, 0.1, cut)


# --- Wilson


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 30, 100, 500, 12_345, 10**7])
def test_wilson_agrees_with_scipy(n: int) -> None:
    for successes in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        got = wilson(successes, n)
        expected = stats.binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
        assert got.mean == successes / n
        assert got.stderr == pytest.approx(math.sqrt(got.mean * (1 - got.mean) / n), abs=1e-15)
        assert got.ci95 == pytest.approx((float(expected.low), float(expected.high)), abs=1e-12)


@given(st.data(), st.integers(1, 10_000))
def test_wilson_stays_inside_and_mirrors(data: st.DataObject, n: int) -> None:
    successes = data.draw(st.integers(0, n))
    got, mirrored = wilson(successes, n).ci95, wilson(n - successes, n).ci95
    assert got is not None
    assert mirrored is not None
    low, high = got
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0), (0, -1), (1, 0)])
def test_wilson_refuses_what_is_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        wilson(successes, n)


# --- avg@n, curves, spreads


MATRICES = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n), min_size=1, max_size=8)
)


@given(MATRICES)
def test_avg_at_n_has_two_deviations(scores: list[list[float]]) -> None:
    got = avg_at_n(scores)
    assert got.estimate == clustered((sum(row), len(row)) for row in scores)
    runs = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
    if len(runs) == 1:
        assert got.run_deviation is None
    else:
        assert got.run_deviation == pytest.approx(float(stats.tstd(runs)) if len(set(runs)) > 1 else 0.0, abs=1e-12)


def test_over_all_orders_of_samples_runs_deviate_by_the_noise_within_problems() -> None:
    """E[variance of the runs' means] = sum of the problems' sample variances / P^2: no error of the problem set."""
    scores = [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    orders = [[a, b, scores[2]] for a in permutations(scores[0]) for b in permutations(scores[1])]
    deviations = [avg_at_n(order).run_deviation for order in orders]
    variance = sum(each * each for each in deviations if each is not None) / len(orders)
    assert variance == pytest.approx(sum(float(stats.tvar(row)) for row in scores[:2]) / 9)


@pytest.mark.parametrize("scores", [[], [[]], [[1.0], [1.0, 0.0]], [[1.0, 0.0], []]])
def test_avg_at_n_refuses_ragged_problems(scores: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="equally many"):
        avg_at_n(scores)


def test_a_pass_curve_refuses_k_above_n() -> None:
    assert pass_curve(64, 64, [1, 64]) == {1: 1.0, 64: 1.0}
    with pytest.raises(ValueError, match="1 <= k <= n"):
        pass_curve(4, 1, [1, 8])


def test_shares_that_are_all_alike_have_wilsons_interval() -> None:
    assert proportion([0.0] * 30) == wilson(0, 30)
    assert proportion([1.0] * 30) == wilson(30, 30)
    assert proportion([1.0]) == Estimate(1.0, None, None)
    assert proportion([0.0, 1.0]).ci95 == (0.0, 1.0)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_scipy(values: list[int], p: float) -> None:
    expected = float(stats.mstats.mquantiles(values, [p], alphap=1, betap=1)[0])
    assert quantile(sorted(values), p) == pytest.approx(expected, abs=1e-9)
    got = spread(Counter(values))
    assert (got["samples"], got["max"]) == (len(values), max(values))
    assert got["mean"] == pytest.approx(sum(values) / len(values))
    for name, share in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95)):
        assert got[name] == pytest.approx(quantile(sorted(values), share))


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="quantile"):
        quantile([1.0], 1.5)
    with pytest.raises(ValueError, match="quantile"):
        spread({})


# --- the vote


def expected_vote(answers: Sequence[int | None], correct: Sequence[bool]) -> float:
    """Over all orders of the samples: the first answer with the most votes wins, its first sample's verdict counts."""
    worth: list[bool] = []
    for order in permutations(range(len(answers))):
        votes = Counter(answers[i] for i in order if answers[i] is not None)
        if votes:
            winner = votes.most_common(1)[0][0]  # of equal counts the one met first
            worth.append(correct[next(i for i in order if answers[i] == winner)])
        else:
            worth.append(False)
    return sum(worth) / len(worth)


SAMPLES = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2, 3]), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=150)
@given(SAMPLES)
def test_a_vote_is_the_expectation_over_random_breaks(samples: list[tuple[int | None, bool]]) -> None:
    answers, correct = [a for a, _ in samples], [c for _, c in samples]
    got = majority_vote(answers, correct)
    assert got.score == pytest.approx(expected_vote(answers, correct), abs=1e-12)
    assert got.answered == sum(a is not None for a in answers)
    votes = sorted(Counter(a for a in answers if a is not None).values())
    assert got.tie == (len(votes) > 1 and votes[-1] == votes[-2])


@pytest.mark.parametrize(
    ("answers", "correct", "vote"),
    [
        ([1], [True], Vote(1.0, False, 1)),
        ([1], [False], Vote(0.0, False, 1)),
        ([1, 1, 2], [False, False, True], Vote(0.0, False, 3)),
        ([1, 2], [True, False], Vote(0.5, True, 2)),
        ([1, 2, 3], [True, False, False], Vote(1 / 3, True, 3)),
        ([1, 1, 2, 2, 3], [True, True, False, False, True], Vote(0.5, True, 5)),
        ([1, 1, 1], [True, True, False], Vote(2 / 3, False, 3)),
        ([None, None, 1], [True, True, False], Vote(0.0, False, 1)),  # who says nothing does not vote, whatever it got
        ([None, None], [True, True], Vote(0.0, False, 0)),
        ([0, 0, 1], [True, True, False], Vote(1.0, False, 3)),  # class 0 is a class
    ],
)
def test_votes(answers: list[int | None], correct: list[bool], vote: Vote) -> None:
    got = majority_vote(answers, correct)
    assert (got.tie, got.answered) == (vote.tie, vote.answered)
    assert got.score == pytest.approx(vote.score)


@pytest.mark.parametrize(("answers", "correct"), [([], []), ([1], []), ([], [True]), ([1, 2], [True])])
def test_a_vote_needs_a_verdict_for_each_answer(answers: list[int | None], correct: list[bool]) -> None:
    with pytest.raises(ValueError, match="vote needs"):
        majority_vote(answers, correct)


# --- which answers are the same


def components(nodes: Iterable[str], edges: set[frozenset[str]]) -> set[frozenset[str]]:
    left, found = set(nodes), set[frozenset[str]]()
    while left:
        group, fresh = set[str](), {left.pop()}
        while fresh:
            group |= fresh
            fresh = {b for b in left for a in fresh if frozenset((a, b)) in edges}
            left -= fresh
        found.add(frozenset(group))
    return found


@st.composite
def relations(draw: st.DrawFn) -> tuple[list[str], dict[frozenset[str], bool | None]]:
    answers = draw(st.lists(st.text("ab1/", max_size=3), max_size=9))
    pairs = [frozenset(pair) for pair in combinations(sorted(set(answers)), 2)]
    return answers, {pair: draw(st.sampled_from([True, False, False, None])) for pair in pairs}


@given(relations(), st.randoms(use_true_random=False))
def test_classes_are_the_chains_of_equalities_in_any_order(
    relation: tuple[list[str], dict[frozenset[str], bool | None]], rng: random.Random
) -> None:
    answers, equal = relation
    asked: list[frozenset[str]] = []

    def equivalent(a: str, b: str) -> bool | None:
        asked.append(frozenset((a, b)))
        return equal[asked[-1]]

    classes = equivalence_classes(answers, equivalent)
    groups: dict[int, set[str]] = {}
    for answer, number in classes.items():
        groups.setdefault(number, set()).add(answer)
    joined = {pair for pair, same in equal.items() if same}
    assert set(map(frozenset, groups.values())) == components(answers, joined)
    assert sorted(groups) == list(range(len(groups)))
    assert len(asked) == len(set(asked)), "a pair was compared twice"
    assert equivalence_classes(rng.sample(answers, len(answers)), equivalent) == classes


CLASSES: list[tuple[str, list[str], Equivalent, list[set[str]]]] = [
    ("nothing", [], lambda a, b: True, []),
    ("one", ["x"], lambda a, b: False, [{"x"}]),
    ("the same text twice", ["x", "x"], lambda a, b: False, [{"x"}]),
    ("all", ["x", "y", "z"], lambda a, b: True, [{"x", "y", "z"}]),
    ("None joins nothing", ["x", "y", "z"], lambda a, b: None, [{"x"}, {"y"}, {"z"}]),
    # 1 is 2 and 2 is 3, 1 is not 3: the chain joins them, wherever it starts.
    ("a chain", ["1", "2", "3"], lambda a, b: abs(int(a) - int(b)) == 1, [{"1", "2", "3"}]),
    ("a chain, from its middle", ["2", "3", "1"], lambda a, b: abs(int(a) - int(b)) == 1, [{"1", "2", "3"}]),
    ("a stopped link", ["1", "2", "3"], lambda a, b: {a, b} == {"1", "2"} or None, [{"1", "2"}, {"3"}]),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "equivalent", "groups"), [c[1:] for c in CLASSES], ids=[c[0] for c in CLASSES])
def test_classes(answers: list[str], equivalent: Equivalent, groups: list[set[str]]) -> None:
    classes = equivalence_classes(iter(answers), equivalent)
    found = [{answer for answer, number in classes.items() if number == n} for n in sorted(set(classes.values()))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, groups))


def test_answers_with_half_a_surrogate_pair_can_be_told_apart() -> None:
    assert len(set(equivalence_classes(["\ud800", "\udc00", "x"], lambda a, b: False).values())) == 3


# --- the summary of a tally


Row = tuple[str, float | None, Status, str | None]


def tally_of(*rows: Row) -> Tally:
    tally = Tally()
    for problem, score, status, extracted in rows:
        tally.add(problem, Verdict(score, status, f"because_{status}", extracted), 10)
    return tally


def same_text(a: str, b: str) -> bool:
    return a == b


def test_a_summary_done_by_hand() -> None:
    tally = tally_of(
        ("p", 1.0, "correct", "4"), ("q", 0.0, "wrong", "7"),
        ("p", 1.0, "correct", "4.0"), ("q", 1.0, "correct", "8"),
        ("p", 0.0, "wrong", "5"), ("q", 0.0, "unextracted", None),
        ("p", 0.0, "truncated", None), ("q", 0.0, "timeout", "9"),
    )  # fmt: skip
    summary = summarise(tally, equivalent=lambda a, b: {a, b} == {"4", "4.0"})
    assert (summary["problems"], summary["samples"], summary["not_judged"]) == (2, 8, 0)
    assert summary["samples_per_problem"] == {"min": 4, "max": 4}
    assert summary["status"] == {
        "correct": 3, "wrong": 2, "unextracted": 1, "truncated": 1, "timeout": 1, "error": 0,
    }  # fmt: skip
    assert summary["score"]["mean"] == 0.375  # (2/4 + 1/4) / 2
    assert summary["score"]["stderr"] == pytest.approx(0.125)
    assert summary["score"]["ci95"] == [0.0, 1.0]  # 0.375 -+ 12.7 * 0.125, cut
    assert list(summary["pass@k"]) == ["1", "2", "4"]
    means = [summary["pass@k"][k]["mean"] for k in ("1", "2", "4")]
    assert means == pytest.approx([0.375, (5 / 6 + 1 / 2) / 2, 1.0])
    assert list(summary["cons@k"]) == ["4"]
    # p: 4 and 4.0 together have two votes of three and are right. q: 7, 8 and 9 tie, one of them is right.
    vote = summary["cons@k"]["4"]
    assert vote["mean"] == pytest.approx((1 + 1 / 3) / 2)
    assert (vote["ties"], vote["tie_rate"], vote["without_answer"]) == (1, 0.5, 0)
    assert summary["notes"] == []
    assert {"status": "correct", "reason": "because_correct", "count": 3} in summary["reasons"]
    assert sum(reason["count"] for reason in summary["reasons"]) == 8


def test_one_sample_per_problem_is_a_proportion() -> None:
    rows: list[Row] = [(f"p{i}", 1.0, "correct", "1") for i in range(7)]
    rows += [(f"q{i}", 0.0, "wrong", "1") for i in range(3)]
    summary = summarise(tally_of(*rows), equivalent=same_text)
    interval = wilson(7, 10)
    assert interval.ci95 is not None
    expected = {"mean": 0.7, "stderr": interval.stderr, "ci95": list(interval.ci95)}
    assert summary["score"] == expected
    assert summary["pass@k"] == {"1": expected}
    assert summary["cons@k"] == {}


def test_one_sample_per_problem_with_partial_scores_is_a_mean_with_t() -> None:
    summary = summarise(tally_of(*[(str(i), i / 10, "wrong", None) for i in range(10)]), equivalent=None)
    by_hand = estimate([i / 10 for i in range(10)]).within_unit_interval()
    assert by_hand.ci95 is not None
    assert summary["score"] == {
        "mean": pytest.approx(by_hand.mean), "stderr": pytest.approx(by_hand.stderr),
        "ci95": pytest.approx(list(by_hand.ci95)),
    }  # fmt: skip
    assert summary["pass@k"]["1"]["mean"] == 0.0  # pass@k counts the status, not the score


def test_a_single_problem_has_no_interval() -> None:
    rows: list[Row] = [("p", 1.0, "correct", "1"), ("p", 0.0, "wrong", "1")] * 2
    summary = summarise(tally_of(*rows), equivalent=same_text)
    for part in (summary["score"], *summary["pass@k"].values(), summary["cons@k"]["4"]):
        assert part["stderr"] is None
        assert part["ci95"] is None
    assert summary["score"]["mean"] == 0.5


def test_a_single_sample() -> None:
    summary = summarise(tally_of(("p", 1.0, "correct", "1")), equivalent=same_text)
    assert (summary["problems"], summary["samples"]) == (1, 1)
    assert summary["score"]["mean"] == summary["pass@k"]["1"]["mean"] == 1.0
    assert summary["score"]["ci95"] == pytest.approx([0.2065493143772375, 1.0])


def test_ragged_problems_get_pass_at_k_up_to_the_smallest_and_no_vote() -> None:
    summary = summarise(
        tally_of(("p", 1.0, "correct", "1"), ("p", 0.0, "wrong", "2"),
                 *[("q", 0.0, "wrong", "3")] * 5), equivalent=same_text
    )  # fmt: skip
    assert summary["samples_per_problem"] == {"min": 2, "max": 5}
    assert list(summary["pass@k"]) == ["1", "2"]
    assert summary["pass@k"]["2"]["mean"] == 0.5
    assert summary["pass@k"]["1"]["mean"] == 0.25  # the mean of the problems' shares …
    assert summary["score"]["mean"] == pytest.approx(1 / 7)  # … the score is that of the samples
    assert summary["cons@k"] == {}
    assert any("2 to 5 samples" in note and "cons@k" in note for note in summary["notes"])


@pytest.mark.parametrize(("n", "ks"), [(1, "1"), (2, "1 2"), (3, "1 2 3"), (4, "1 2 4"), (5, "1 2 4 5"),
                                       (8, "1 2 4 8"), (22, "1 2 4 8 16 22"), (64, "1 2 4 8 16 32 64")])  # fmt: skip
def test_k_runs_over_the_powers_of_two_and_n(n: int, ks: str) -> None:
    summary = summarise(tally_of(*[("p", 0.0, "wrong", None)] * n, *[("q", 0.0, "wrong", None)] * n), equivalent=None)
    assert " ".join(summary["pass@k"]) == ks


def test_what_was_not_judged_counts_in_the_denominator_and_is_said() -> None:
    summary = summarise(
        tally_of(
            ("p", 1.0, "correct", "1"), ("q", None, "error", None), ("r", None, "error", "3"), ("s", 0.0, "wrong", "4")
        ),
        equivalent=same_text,
    )
    assert summary["not_judged"] == 2
    assert summary["status"]["error"] == 2
    assert summary["score"]["mean"] == summary["pass@k"]["1"]["mean"] == 0.25
    [note] = summary["notes"]
    assert "2 of 4 samples were not judged" in note
    assert "75.00%" in note  # what the mean would be if both were right


def test_all_not_judged() -> None:
    summary = summarise(tally_of(("p", None, "error", None), ("p", None, "error", None)), equivalent=same_text)
    assert (summary["not_judged"], summary["score"]["mean"]) == (2, 0.0)
    assert summary["cons@k"]["2"]["without_answer"] == 1


def test_a_weighted_score_may_leave_the_unit_interval_and_so_may_its_interval() -> None:
    rows: list[Row] = []
    for i in range(3):
        rows += [(f"p{i}", 1.1, "correct", "1"), (f"q{i}", -0.5, "wrong", "1")]
    summary = summarise(tally_of(*rows), equivalent=same_text)
    low, high = summary["score"]["ci95"]
    assert summary["score"]["mean"] == pytest.approx(0.3)
    assert low < 0
    assert high > 1
    assert summary["pass@k"]["1"]["mean"] == 0.5


def test_without_an_equality_there_is_no_vote() -> None:
    summary = summarise(tally_of(*[("p", 1.0, "correct", "1")] * 2), equivalent=None)
    assert summary["cons@k"] == {}


def test_a_comparison_that_was_stopped_joins_no_votes() -> None:
    rows: list[Row] = [("p", 1.0, "correct", "1"), ("p", 1.0, "correct", "1.0"), ("p", 0.0, "wrong", "2")]
    joined = summarise(tally_of(*rows), equivalent=lambda a, b: {a, b} == {"1", "1.0"})["cons@k"]["3"]
    stopped = summarise(tally_of(*rows), equivalent=lambda a, b: None)["cons@k"]["3"]
    assert (joined["mean"], joined["ties"]) == (1.0, 0)
    assert (stopped["mean"], stopped["ties"]) == (pytest.approx(2 / 3), 1)


def test_long_answers_that_differ_at_their_end_are_two_answers() -> None:
    """However little is kept of an answer, two different ones must not pool their votes."""
    start = "1+" * 5000
    rows: list[Row] = [("p", 1.0, "correct", "4"), ("p", 1.0, "correct", "4")]
    rows += [("p", 0.0, "wrong", start + "2"), ("p", 0.0, "wrong", start + "3"), ("p", 0.0, "wrong", start)]
    vote = summarise(tally_of(*rows), equivalent=same_text)["cons@k"]["5"]
    assert (vote["mean"], vote["ties"]) == (1.0, 0)
    again = summarise(tally_of(*rows, rows[2], rows[2]), equivalent=same_text)["cons@k"]["7"]
    assert (again["mean"], again["ties"]) == (0.0, 0)  # the same long answer three times is one answer


def test_runs_are_told_apart_by_the_numbers_of_the_samples() -> None:
    """Samples that came in another order (short ones first) are still those of their run."""
    tally = Tally()
    for problem, number, ok in [("p", 1, 1), ("q", 0, 0), ("p", 0, 0), ("q", 1, 1)]:
        tally.add(problem, Verdict(float(ok), "correct" if ok else "wrong", "same_text", "1"), 5, number=number)
    assert summarise(tally, equivalent=None)["run_deviation"] == pytest.approx(math.sqrt(0.5))
    by_order = tally_of(
        ("p", 1.0, "correct", "1"), ("q", 0.0, "wrong", "1"), ("p", 0.0, "wrong", "1"), ("q", 1.0, "correct", "1")
    )
    assert summarise(by_order, equivalent=None)["run_deviation"] == 0.0


@pytest.mark.parametrize("numbers", [(0, 0), (1, 2), (0, -1), (0, 1 << 70)])
def test_numbers_that_are_no_runs_have_no_run_deviation(numbers: tuple[int, int]) -> None:
    tally = Tally()
    for number in numbers:
        tally.add("p", Verdict(1.0, "correct", "same_text", "1"), 5, number=number)
    tally.add("q", Verdict(1.0, "correct", "same_text", "1"), 5, number=0)
    tally.add("q", Verdict(1.0, "correct", "same_text", "1"), 5, number=1)
    assert summarise(tally, equivalent=None)["run_deviation"] is None


def test_truncation_and_lengths() -> None:
    tally = Tally()
    for finished, status, length in [(False, "truncated", 90), (False, "correct", 80), (True, "correct", 20),
                                     (True, "wrong", 30), (None, "wrong", 40)]:  # fmt: skip
        tally.add("p", Verdict(0.0, status, "cut_off", None), length, finished=finished)  # type: ignore[arg-type]
    summary = summarise(tally, equivalent=None)
    assert summary["truncation"] == {"cut": 2, "known": 4, "rate": 0.5}
    assert list(summary["characters"]) == ["correct", "wrong", "truncated"]
    assert summary["characters"]["correct"]["p50"] == 50
    unknown = summarise(tally_of(("p", 1.0, "correct", "1")), equivalent=None)
    assert unknown["truncation"] == {"cut": 0, "known": 0, "rate": None}


def test_an_empty_tally_has_no_summary() -> None:
    with pytest.raises(ValueError):
        summarise(Tally(), equivalent=same_text)


STATUS_OF: dict[float | None, Status] = {1.0: "correct", 0.5: "wrong", 0.0: "wrong", None: "error"}
ROWS = st.lists(
    st.tuples(st.sampled_from("pqr"), st.sampled_from([1.0, 0.5, 0.0, None]), st.sampled_from([None, "1", "2", "3"])),
    min_size=1, max_size=30,
)  # fmt: skip


@given(ROWS)
def test_any_tally_has_a_summary_that_is_json_and_adds_up(rows: list[tuple[str, float | None, str | None]]) -> None:
    tally = tally_of(*[(problem, score, STATUS_OF[score], extracted) for problem, score, extracted in rows])
    summary: dict[str, Any] = json.loads(json.dumps(summarise(tally, equivalent=same_text), allow_nan=False))
    assert summary["samples"] == len(rows) == sum(summary["status"].values())
    assert summary["problems"] == len({problem for problem, _, _ in rows})
    assert summary["not_judged"] == sum(score is None for _, score, _ in rows)
    assert summary["score"]["mean"] == pytest.approx(sum(score or 0.0 for _, score, _ in rows) / len(rows))
    passes = [value["mean"] for value in summary["pass@k"].values()]
    assert passes == sorted(passes)
    for part in (summary["score"], *summary["pass@k"].values(), *summary["cons@k"].values()):
        if part["ci95"] is not None:
            low, high = part["ci95"]
            assert 0 <= low <= part["mean"] + 1e-12
            assert part["mean"] - 1e-12 <= high <= 1
    assert Counter({status: count for status, count in summary["status"].items() if count}) == Counter(
        STATUS_OF[score] for _, score, _ in rows
    )
