"""BCa intervals against scipy's, and what no resampling can tell."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.evals.bootstrap import bca, bca_columns
from rlvr.evals.metrics import Estimate, estimate, wilson
from scipy import stats

_RNG = random.Random(1)
SETS = {
    "shares of 64": [_RNG.randint(0, 64) / 64 for _ in range(30)],
    "most are 0": [0.0] * 24 + [0.27, 0.5, 0.97, 0.85, 0.81, 0.125],
    "right or wrong": [0.0] * 9 + [1.0] * 21,
    "shares of 22": [_RNG.choice([0, 3, 11, 22]) / 22 for _ in range(40)],
    "far from 0": [1e6 + _RNG.random() for _ in range(25)],
    "tiny": [1e-9 * _RNG.random() for _ in range(25)],
    "below 0": [_RNG.gauss(-1, 3) for _ in range(12)],
    "two": [0.25, 0.75],
}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_it_agrees_with_scipy(values: list[float]) -> None:
    got = bca(values, resamples=40_000).ci95
    expected = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=40_000, rng=np.random.default_rng(0), vectorized=True
    ).confidence_interval
    assert got is not None
    error = float(np.std(values)) / len(values) ** 0.5  # ends of 40,000 resamples vary by about 3 % of this
    lattice = 0.1 if len(values) > 2 else 1.0  # of two values there are three means, and an end is one of them
    assert got == pytest.approx((float(expected.low), float(expected.high)), abs=lattice * error)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=20))
def test_an_interval_holds_the_mean_and_stays_between_the_values(values: list[float]) -> None:
    got = bca(values, resamples=500)
    assert got.mean == pytest.approx(sum(values) / len(values))
    assert got.stderr == pytest.approx(stats.sem(values))
    assert got.ci95 is not None
    low, high = got.ci95
    assert low <= got.mean + 1e-12
    assert high >= got.mean - 1e-12
    if len(set(values)) > 1:
        assert min(values) - 1e-9 <= low
        assert high <= max(values) + 1e-9


def test_a_seed_decides() -> None:
    values = SETS["shares of 64"]
    assert bca(values) == bca(values)
    assert bca(values, seed=1) != bca(values)


def test_columns_share_their_resamples_and_change_nothing() -> None:
    rng = random.Random(5)
    columns = [[rng.random() * scale for _ in range(30)] for scale in (1.0, 1e-6, 1e6)] + [[1.0] * 30]
    together = bca_columns(columns, resamples=2000)
    for column, got in zip(columns, together, strict=True):
        alone = bca(column, resamples=2000)
        assert (got.mean, got.stderr) == (alone.mean, alone.stderr)
        assert got.ci95 == pytest.approx(alone.ci95, rel=1e-9)


def test_what_resampling_cannot_tell() -> None:
    assert bca([0.7]) == Estimate(0.7, None, None)
    assert bca([0.0] * 10) == wilson(0, 10)
    assert bca([1.0] * 10) == wilson(10, 10)
    assert bca([0.5] * 10) == estimate([0.5] * 10)
    with pytest.raises(ValueError, match="at least one"):
        bca([])
    with pytest.raises(ValueError, match="equally long"):
        bca_columns([[0.0, 1.0], [1.0]])
