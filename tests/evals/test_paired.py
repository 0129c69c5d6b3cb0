"""Tests on pairs against enumeration, scipy, and one another."""

import random
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.evals import paired
from rlvr.evals.paired import PValue, detectable, holm, mcnemar, sign_flip
from scipy import stats

SHARES = st.integers(-8, 8).map(lambda eighths: Fraction(eighths, 8))


@settings(max_examples=60)
@given(st.lists(SHARES, min_size=1, max_size=9))
def test_sign_flips_are_all_of_them(differences: list[Fraction]) -> None:
    observed = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in product((1, -1), repeat=len(differences))]  # fmt: skip
    assert sign_flip(differences) == PValue(sum(each >= observed for each in sums) / len(sums))
    assert sign_flip([float(each) for each in differences]) == sign_flip(differences)


@given(st.lists(st.sampled_from([-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]), min_size=1, max_size=12))
def test_tenths_are_tenths(differences: list[float]) -> None:
    """0.1 + 0.2 is 0.3 in a sum of rewards, whatever floats say: a tie counts."""
    assert sign_flip(differences) == sign_flip([Fraction(round(10 * each)) for each in differences])


@pytest.mark.parametrize("seed", range(3))
def test_scipy_agrees(seed: int) -> None:
    rng = random.Random(seed)
    differences = [rng.gauss(0.3, 1) for _ in range(11)]
    expected = stats.permutation_test(
        (differences, [0.0] * 11), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=10_000
    )
    assert sign_flip(differences).p == pytest.approx(float(expected.pvalue), abs=1e-12)


def test_what_is_too_much_to_count_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    differences = [Fraction(rng.randint(-7, 9), 8) for _ in range(45)]
    exact = sign_flip(differences)
    monkeypatch.setattr(paired, "_EXACT_STEPS", 0)
    drawn = sign_flip(differences)
    assert exact.error == 0
    assert 0 < drawn.error < 0.005
    assert drawn.p == pytest.approx(exact.p, abs=4 * drawn.error)
    assert sign_flip(differences) == drawn
    assert sign_flip(differences, seed=1).p != drawn.p


def test_a_drawn_p_value_is_never_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "_EXACT_STEPS", 0)
    p = sign_flip([1 + random.Random(i).random() for i in range(300)])
    assert 0 < p.p < 2e-5
    assert p.error > 0


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip([0.0, 0.0]) == PValue(1.0)
    assert sign_flip([0.5, -0.5]) == PValue(1.0)


@pytest.mark.parametrize("differences", [[], [float("nan")], [1.0, float("inf")]])
def test_differences_must_be_numbers(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        sign_flip(differences)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test_and_a_sign_flip(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(float(expected), abs=1e-12)
    flips = sign_flip([Fraction(-1)] * only_a + [Fraction(1)] * only_b + [Fraction(0)] * 5)
    assert mcnemar(only_a, only_b) == pytest.approx(flips.p, abs=1e-15)


def test_mcnemar_of_thousands() -> None:
    assert mcnemar(2400, 2600) == pytest.approx(float(stats.binomtest(2400, 5000).pvalue), rel=1e-9)
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 2)


@pytest.mark.parametrize("problems", [10, 30, 100, 500, 5000])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.9)])
def test_what_is_detectable_is_found_that_often(problems: int, alpha: float, power: float) -> None:
    """By the noncentral t: the chance that a t-test rejects when the difference is what `detectable` says."""
    effect = detectable(0.1, problems, alpha=alpha, power=power) / 0.1
    bound = stats.t.ppf(1 - alpha / 2, problems - 1)
    found = stats.nct.sf(bound, problems - 1, effect) + stats.nct.cdf(-bound, problems - 1, effect)
    assert found == pytest.approx(power, abs=0.025 if problems == 10 else 0.015)


@pytest.mark.parametrize(("error", "problems", "power"), [(0.1, 1, 0.8), (-0.1, 9, 0.8), (0.1, 9, 1.0), (0.1, 9, 0.2)])
def test_detectable_refuses_what_has_no_meaning(error: float, problems: int, power: float) -> None:
    with pytest.raises(ValueError, match="no effect to detect"):
        detectable(error, problems, power=power)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_rejects_step_by_step(p_values: list[float]) -> None:
    """Holm's procedure itself: from the smallest on, while p <= level / (tests left)."""
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set[int]()
        for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[place] * (len(p_values) - rank) > level:
                break
            rejected.add(place)
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))


def test_holm_of_none_and_of_nonsense() -> None:
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.5, 1.5])
