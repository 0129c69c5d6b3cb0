"""Advantages: values worked out by hand, and what must not change them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.trainer.advantages import (
    ADVANTAGES,
    ESTIMATORS,
    batch_std,
    group_mean,
    group_mean_whitened,
    group_std,
    has_spread,
    leave_one_out,
    mask_truncated,
    mask_unjudged,
    whitened,
    why_no_spread,
)
from rlvr.trainer.losses import LOSSES

NAN = float("nan")


def near(ours: torch.Tensor, by_hand: list[list[float]]) -> None:
    torch.testing.assert_close(ours, torch.tensor(by_hand), rtol=0, atol=1e-6, equal_nan=True)


def test_group_std_by_hand() -> None:
    # mean 1/2; squares 4 × 1/4 = 1; sample variance 1/3; std 0.5773503; 0.5 / (0.5773503 + 0.0001) = 0.8658755
    near(group_std(torch.tensor([[1.0, 0.0, 0.0, 1.0]])), [[0.8658755, -0.8658755, -0.8658755, 0.8658755]])


def test_group_mean_by_hand() -> None:
    near(
        group_mean(torch.tensor([[1.0, 0.0, 0.5, 0.5], [2.0, 0.0, 0.0, 0.0]])), [[0.5, -0.5, 0, 0], [1.5] + [-0.5] * 3]
    )


def test_leave_one_out_by_hand() -> None:
    # of 1, 0, 0, 1: 1 - (0 + 0 + 1) / 3 = 2/3 and 0 - (1 + 0 + 1) / 3 = -2/3
    near(leave_one_out(torch.tensor([[1.0, 0.0, 0.0, 1.0]])), [[2 / 3, -2 / 3, -2 / 3, 2 / 3]])


def test_batch_std_by_hand() -> None:
    # all: 1 0 0 3, mean 1, squares 0 1 1 4, sample variance 2, std 1.4142136; group means 0.5 and 1.5
    scale = math.sqrt(2) + 1e-4
    rewards = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    near(batch_std(rewards), [[0.5 / scale, -0.5 / scale], [-1.5 / scale, 1.5 / scale]])
    # after the groups' means: ±0.5 ±1.5, sample variance (0.25 + 0.25 + 2.25 + 2.25) / 3 = 5/3
    scale = math.sqrt(5 / 3) + 1e-4
    near(group_mean_whitened(rewards), [[0.5 / scale, -0.5 / scale], [-1.5 / scale, 1.5 / scale]])


def test_whitened_by_hand() -> None:
    # 1 2 3: mean 2, sample std 1
    near(whitened(torch.tensor([[1.0, 2.0, 3.0]])), [[-1 / 1.0001, 0, 1 / 1.0001]])


def test_what_nobody_judged_is_no_zero() -> None:
    # without the NaN: mean 1/2, sample std 0.7071068; a 0 in its place would give mean 1/3
    near(group_std(torch.tensor([[1.0, NAN, 0.0]])), [[0.5 / 0.7072068, NAN, -0.5 / 0.7072068]])
    near(leave_one_out(torch.tensor([[1.0, NAN, 0.0]])), [[1.0, NAN, -1.0]])
    advantages_B, mask_BT = mask_unjudged(torch.tensor([0.7, NAN]), torch.tensor([[True, False], [True, True]]))
    assert advantages_B.tolist() == [pytest.approx(0.7), 0.0]
    assert mask_BT.tolist() == [[True, False], [False, False]]


def test_truncated_completions_leave_the_mask() -> None:
    mask_BT = mask_truncated(torch.ones(2, 2, dtype=torch.bool), torch.tensor([False, True]))
    assert mask_BT.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("reward", [0.0, 0.1, 1.0, 1e6, -0.3])
def test_a_group_without_spread_teaches_nothing(name: str, reward: float) -> None:
    # The mean of three 0.1 differs from 0.1 by a rounding, which 1 / 1e-4 would magnify.
    for dtype in (torch.float32, torch.float64):
        assert ESTIMATORS[name](torch.full((2, 3), reward, dtype=dtype)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ESTIMATORS)
def test_alone_in_its_group(name: str) -> None:
    advantages = ESTIMATORS[name](torch.tensor([[5.0, NAN, NAN], [NAN, NAN, NAN]]))
    near(advantages, [[0.0, NAN, NAN], [NAN, NAN, NAN]])


def test_which_groups_dynamic_sampling_keeps() -> None:
    groups = [[0.0, 0.0, 0.0], [1.0, 1.0, NAN], [1.0, 0.0, NAN], [NAN, NAN, NAN], [1.0, NAN, NAN], [0.1, 0.1, 0.2]]
    assert has_spread(torch.tensor(groups)).tolist() == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("rewards", "line"),
    [
        ([0.0] * 8, "all 8 wrong: nothing to learn here"),
        ([1.0] * 4, "all 4 right: nothing to learn here"),
        ([0.5, 0.5], "all 2 at 0.5: nothing to learn here"),
        ([0.0, NAN, 0.0], "all 2 judged of 3 wrong: nothing to learn here"),
        ([NAN, NAN], "none of 2 could be judged: nothing to learn here"),
        ([1.0, 0.0], None),
    ],
)
def test_a_group_without_spread_is_explained(rewards: list[float], line: str | None) -> None:
    assert why_no_spread(torch.tensor(rewards)) == line


def test_every_algorithm_has_its_advantages() -> None:
    assert set(ADVANTAGES) == set(LOSSES)
    assert set(ADVANTAGES.values()) <= set(ESTIMATORS.values())


rewards_PG = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, NAN]), min_size=width, max_size=width),
        min_size=1,
        max_size=4,
    )
)


@settings(deadline=None)
@given(rewards=rewards_PG, name=st.sampled_from(sorted(ESTIMATORS)), offset=st.sampled_from([-3.0, 0.5, 64.0]))
def test_an_offset_of_the_reward_changes_nothing(rewards: list[list[float]], name: str, offset: float) -> None:
    rewards_PG = torch.tensor(rewards)
    torch.testing.assert_close(ESTIMATORS[name](rewards_PG + offset), ESTIMATORS[name](rewards_PG), equal_nan=True)


@settings(deadline=None)
@given(rewards=rewards_PG, name=st.sampled_from(sorted(ESTIMATORS)), seed=st.integers(0, 99))
def test_order_within_a_group_changes_nothing(rewards: list[list[float]], name: str, seed: int) -> None:
    rewards_PG = torch.tensor(rewards)
    order = torch.randperm(rewards_PG.size(1), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        ESTIMATORS[name](rewards_PG[:, order]), ESTIMATORS[name](rewards_PG)[:, order], equal_nan=True
    )


@settings(deadline=None)
@given(rewards=rewards_PG, name=st.sampled_from(sorted(ESTIMATORS)))
def test_what_nobody_judged_might_as_well_not_exist(rewards: list[list[float]], name: str) -> None:
    rewards_PG = torch.tensor(rewards)
    wider = torch.cat([rewards_PG, torch.full((len(rewards), 2), NAN)], dim=1)
    ours = ESTIMATORS[name](wider)[:, :-2]
    torch.testing.assert_close(ours, ESTIMATORS[name](rewards_PG), equal_nan=True)
    assert torch.equal(ours.isnan(), rewards_PG.isnan())


@settings(deadline=None)
@given(rewards=rewards_PG, name=st.sampled_from(sorted(ESTIMATORS)))
def test_the_advantages_of_a_group_sum_to_nothing(rewards: list[list[float]], name: str) -> None:
    sums = ESTIMATORS[name](torch.tensor(rewards)).double().nansum(1)
    torch.testing.assert_close(sums, torch.zeros_like(sums), rtol=0, atol=1e-5)


def test_doctests() -> None:
    import doctest

    from rlvr.trainer import advantages, losses

    for module in (advantages, losses):
        result = doctest.testmod(module)
        assert result.attempted > 0 and result.failed == 0
