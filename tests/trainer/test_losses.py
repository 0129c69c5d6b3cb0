"""Losses: values worked out by hand on two completions, and what must not change them. TRL's values: test_trl.py."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.trainer.losses import (
    LOSSES,
    Batch,
    LossConfig,
    kl_divergence,
    loss_config,
    near_policy,
    sampler_correction,
    statistics,
    top_entropy,
)
from torch import Tensor

NAN, INF = float("nan"), float("inf")
PLAIN = LossConfig(kl_coef=0.0, max_tokens=10)


def logs(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).log()


def two(**more: Any) -> Batch:
    """Ratios 1.5, 0.9 at A = 1 and 0.5, padding at A = -2; log-probabilities -1, -2 and -0.5."""
    logps_BT = torch.tensor([[-1.0, -2.0], [-0.5, NAN]])
    return Batch(
        logps_BT=logps_BT,
        advantages_B=torch.tensor([1.0, -2.0]),
        mask_BT=torch.tensor([[True, True], [True, False]]),
        sequences=2,
        tokens=3,
        old_logps_BT=logps_BT - logs([1.5, 0.9], [0.5, 7.0]),
        **more,
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# Clipped to 0.8 … 1.2 the terms -min(r A, clip(r) A) are -1.2, -0.9 and 0.8 · 2 = 1.6.
BY_HAND = {
    "grpo": [(-1.2 - 0.9) / 2 / 2, 1.6 / 2],
    "dr_grpo": [(-1.2 - 0.9) / (2 * 10), 1.6 / (2 * 10)],
    "dapo": [(-1.2 - 0.9) / 3, 1.6 / 3],
    "bnpo": [(-1.2 - 0.9) / 3, 1.6 / 3],
    "reinforce++": [(-1.2 - 0.9) / 3, 1.6 / 3],
    # -min(r, 1.2) A log p: 1.2 · 1, 0.9 · 2 and -0.5 · 2 · 0.5
    "cispo": [(1.2 + 1.8) / 3, -0.5 / 3],
    # the geometric mean √(1.5 · 0.9) = 1.1619 stays below 1.2
    "gspo": [-math.sqrt(1.35) / 2, 1.6 / 2],
    # the product 1.35 does not
    "rloo": [-1.2 / 2, 1.6 / 2],
    # -A σ(τ (r - 1)) 4/τ
    "sapo": [-(sigmoid(0.5) + sigmoid(-0.1)) * 4 / 2 / 2, 2 * sigmoid(1.05 * -0.5) * 4 / 1.05 / 2],
}


def test_every_loss_is_worked_out() -> None:
    assert set(BY_HAND) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_by_hand(name: str) -> None:
    torch.testing.assert_close(LOSSES[name](two(), PLAIN), torch.tensor(BY_HAND[name]), rtol=0, atol=1e-6)


def test_clip_higher_and_the_dual_clip_by_hand() -> None:
    # clip_high 0.28: 1.5 becomes 1.28. A ratio of 5 at A = -2 is kept below 3: 3 · 2
    batch = replace(two(), old_logps_BT=two().logps_BT - logs([1.5, 0.9], [5.0, 7.0]))
    config = replace(PLAIN, clip_high=0.28, clip_dual=3.0)
    torch.testing.assert_close(LOSSES["dapo"](batch, config), torch.tensor([(-1.28 - 0.9) / 3, 6 / 3]))
    torch.testing.assert_close(LOSSES["dapo"](batch, PLAIN)[1], torch.tensor(10 / 3))


def test_kl_by_hand() -> None:
    # d = log 2 and log 0.5: k1 = -d, k2 = 0.6931² / 2 = 0.2402, k3 = 2 - 1 - 0.6931 and 0.5 - 1 + 0.6931
    batch = replace(two(), ref_logps_BT=two().logps_BT + logs([2.0, 0.5], [1.0, 7.0]))
    ln2 = math.log(2)
    expected = {"k1": [-ln2, ln2], "k2": [ln2**2 / 2] * 2, "k3": [1 - ln2, ln2 - 0.5]}
    for estimator, row in expected.items():
        kl_BT = kl_divergence(batch, estimator)  # type: ignore[arg-type]
        torch.testing.assert_close(kl_BT, torch.tensor([row, [0.0, 0.0]]))
        for ratio, weights in ((False, (1.0, 1.0)), (True, (1.5, 0.9))):
            config = replace(PLAIN, kl_coef=0.1, kl=estimator, kl_ratio=ratio)  # type: ignore[arg-type]
            more = 0.1 * sum(k * w for k, w in zip(row, weights, strict=True)) / 2 / 2
            expected_B = torch.tensor([BY_HAND["grpo"][0] + more, BY_HAND["grpo"][1]])
            torch.testing.assert_close(LOSSES["grpo"](batch, config), expected_B)


def test_sampler_correction_by_hand() -> None:
    # old / sampler = 4, 0.5 (product 2) and, where the sampler said nothing, 1
    old_logps_BT = two().old_logps_BT
    assert old_logps_BT is not None
    sampler_BT = old_logps_BT - logs([4.0, 0.5], [1.0, 7.0])
    sampler_BT[1, 0] = NAN
    batch = two(sampler_logps_BT=sampler_BT)
    expected = {
        "token_truncate": [[3.0, 0.6], [1.0, 1.0]],
        "token_mask": [[0.0, 0.0], [1.0, 1.0]],
        "sequence_truncate": [[2.0], [1.0]],
        "sequence_mask": [[2.0], [1.0]],
    }
    for mode, weights in expected.items():
        config = replace(PLAIN, correction=mode, correction_min=0.6, correction_max=3.0)  # type: ignore[arg-type]
        torch.testing.assert_close(sampler_correction(batch, config), torch.tensor(weights))
        first = -1.2 * weights[0][0] - 0.9 * weights[0][-1]
        torch.testing.assert_close(LOSSES["dapo"](batch, config), torch.tensor([first / 3, 1.6 / 3]))
    tight = replace(PLAIN, correction="sequence_mask", correction_max=1.9)
    assert sampler_correction(batch, tight).tolist() == [[0.0], [1.0]]


def test_off_policy_sequences_by_hand() -> None:
    # the second is log 2 = 0.693 nats per token away with A < 0; the first has A > 0 and stays whatever it is
    assert near_policy(two(), 0.6).tolist() == [[True], [False]]
    assert near_policy(two(), 0.7).tolist() == [[True], [True]]
    near = two(sampler_logps_BT=two().logps_BT)
    assert near_policy(near, 0.0).tolist() == [[True], [True]]
    torch.testing.assert_close(LOSSES["dapo"](two(), replace(PLAIN, off_policy_kl=0.6)), torch.tensor([-0.7, 0.0]))


def test_top_entropy_by_hand() -> None:
    entropies_BT = torch.tensor([[0.1, 0.5, 0.3], [0.2, 0.4, 9.0]])
    mask_BT = torch.tensor([[True, True, True], [True, True, False]])
    # 0.6 of the way from the first to the last of five is between 0.3 and 0.4
    assert top_entropy(entropies_BT, mask_BT, 0.4).tolist() == [[False, True, False], [False, True, False]]
    assert torch.equal(top_entropy(entropies_BT, mask_BT, 1.0), mask_BT)
    assert top_entropy(torch.ones(2, 3), mask_BT, 0.2).equal(mask_BT), "ties are all in"
    assert not top_entropy(entropies_BT, torch.zeros_like(mask_BT), 0.2).any()
    selected = two(selected_BT=torch.tensor([[False, True], [True, True]]))
    torch.testing.assert_close(LOSSES["dapo"](selected, PLAIN), torch.tensor([-0.9 / 3, 1.6 / 3]))


def test_statistics_by_hand() -> None:
    batch = replace(two(), ref_logps_BT=two().logps_BT + logs([2.0, 1.0], [1.0, 7.0]))
    found = statistics(batch, PLAIN)
    assert found == {"tokens": 3, "clipped_low": 1, "clipped_high": 1, "kl": pytest.approx(1 - math.log(2))}


def test_the_first_update_is_reinforce() -> None:
    """With the policy that sampled, every token's gradient is -A times its weight in the mean."""
    logps_BT = torch.tensor([[-1.0, -2.0], [-0.5, NAN]], requires_grad=True)
    batch = replace(two(), logps_BT=logps_BT, old_logps_BT=None)
    for name, weights in (("grpo", [[1 / 4, 1 / 4], [1 / 2, 0]]), ("dapo", [[1 / 3, 1 / 3], [1 / 3, 0]])):
        (gradient,) = torch.autograd.grad(LOSSES[name](batch, PLAIN).sum(), logps_BT)
        torch.testing.assert_close(gradient, -batch.advantages_B[:, None] * torch.tensor(weights))


def test_cispos_ratio_is_a_constant() -> None:
    logps_BT = two().logps_BT.requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES["cispo"](replace(two(), logps_BT=logps_BT), PLAIN).sum(), logps_BT)
    torch.testing.assert_close(gradient, torch.tensor([[-1.2 / 3, -0.9 / 3], [0.5 * 2 / 3, 0.0]]))


def test_bnpo_weighs_a_micro_batch_by_its_sequences() -> None:
    half = LOSSES["bnpo"](replace(two(), sequences=4, tokens=30), PLAIN)
    torch.testing.assert_close(half, torch.tensor([(-1.2 - 0.9) / 3 / 2, 1.6 / 3 / 2]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "word"},
        {"kl": "k4"},
        {"correction": "clip"},
        {"clip_low": -0.1},
        {"clip_dual": 1.1},
        {"correction_min": 4.0},
        {"kl_coef": NAN},
        {"tau_positive": 0.0},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"none of|needed|must be"):
        LossConfig(**wrong)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match="ref_logps_BT"):
        LOSSES["grpo"](two(), LossConfig())
    with pytest.raises(ValueError, match="sampler_logps_BT"):
        LOSSES["grpo"](two(), replace(PLAIN, correction="token_mask"))
    with pytest.raises(ValueError, match="max_tokens"):
        LOSSES["dr_grpo"](two(), replace(PLAIN, max_tokens=None))
    with pytest.raises(ValueError, match="none of grpo"):
        loss_config("ppo")
    with pytest.raises(ValueError, match="share"):
        top_entropy(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool), 0.0)


def test_papers_and_changes() -> None:
    assert (loss_config("dapo").clip_high, loss_config("dapo", clip_high=0.3).clip_high) == (0.28, 0.3)
    assert loss_config("grpo") == LossConfig()


@pytest.mark.parametrize("advantage", [2.0, -2.0])
@pytest.mark.parametrize("name", ["grpo", "gspo", "rloo"])
def test_a_ratio_beyond_floats_keeps_the_gradient_finite_where_it_is_clipped(name: str, advantage: float) -> None:
    logps_BT = torch.tensor([[-1.0, -1.0]], requires_grad=True)
    away = 500.0 if advantage > 0 else -500.0
    mask_BT = torch.ones(1, 2, dtype=torch.bool)
    batch = Batch(logps_BT, torch.tensor([advantage]), mask_BT, 1, 2, old_logps_BT=logps_BT.detach() - away)
    LOSSES[name](batch, PLAIN).sum().backward()
    assert logps_BT.grad is not None
    assert logps_BT.grad.tolist() == [[0.0, 0.0]]


def test_the_sample_that_is_not_a_number_is_known() -> None:
    batch = replace(two(), advantages_B=torch.tensor([1.0, NAN]))
    for name, loss in LOSSES.items():
        assert loss(batch, PLAIN).isfinite().tolist() == [True, False], name


CONFIGS = [
    PLAIN,
    LossConfig(kl_coef=0.1, kl="k2", max_tokens=10),
    LossConfig(level="sequence", kl_coef=0.1, kl_ratio=True, max_tokens=10, correction="sequence_truncate"),
    LossConfig(kl_coef=0.1, max_tokens=10, correction="token_mask", off_policy_kl=0.1, clip_dual=1.5),
]
every_loss = given(
    name=st.sampled_from(sorted(LOSSES)),
    config=st.sampled_from(CONFIGS),
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5)),
)


def random_batch(seed: int, shape: tuple[int, int]) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def around(values_BT: Tensor) -> Tensor:
        return values_BT + 0.3 * torch.randn(values_BT.shape, generator=generator, dtype=torch.float64)

    logps_BT = -3 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    mask_BT = torch.rand(*shape, generator=generator) < 0.7
    advantages_B = torch.randn(shape[0], generator=generator, dtype=torch.float64)
    others = [around(logps_BT) for _ in range(3)]
    return Batch(logps_BT, advantages_B, mask_BT, shape[0], max(int(mask_BT.sum()), 1), *others)


def value_and_gradient(name: str, batch: Batch, config: LossConfig) -> tuple[Tensor, Tensor]:
    logps_BT = batch.logps_BT.clone().requires_grad_()
    loss_B = LOSSES[name](replace(batch, logps_BT=logps_BT), config)
    (gradient_BT,) = torch.autograd.grad(loss_B.sum(), logps_BT)
    return loss_B.detach(), gradient_BT


def rows(batch: Batch, index: Any) -> Batch:
    return replace(batch, **{name: value[index] for name, value in vars(batch).items() if isinstance(value, Tensor)})


@settings(deadline=None)
@every_loss
def test_what_stands_in_the_padding_changes_nothing(
    name: str, config: LossConfig, seed: int, shape: tuple[int, int]
) -> None:
    batch = random_batch(seed, shape)
    junk = {}
    for field, bad in (("logps_BT", NAN), ("old_logps_BT", -INF), ("ref_logps_BT", INF), ("sampler_logps_BT", NAN)):
        values_BT = torch.nn.functional.pad(vars(batch)[field].masked_fill(~batch.mask_BT, bad), (0, 2), value=bad)
        junk[field] = values_BT
    wider = replace(batch, mask_BT=torch.nn.functional.pad(batch.mask_BT, (0, 2)), **junk)
    loss_B, gradient_BT = value_and_gradient(name, batch, config)
    wider_B, wider_BT = value_and_gradient(name, wider, config)
    torch.testing.assert_close(wider_B, loss_B)
    torch.testing.assert_close(wider_BT, torch.nn.functional.pad(gradient_BT, (0, 2)))
    assert not gradient_BT[~batch.mask_BT].any()


@settings(deadline=None)
@every_loss
def test_the_order_of_the_batch_changes_nothing(
    name: str, config: LossConfig, seed: int, shape: tuple[int, int]
) -> None:
    batch = random_batch(seed, shape)
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    loss_B, gradient_BT = value_and_gradient(name, batch, config)
    other_B, other_BT = value_and_gradient(name, rows(batch, order), config)
    torch.testing.assert_close(other_B, loss_B[order])
    torch.testing.assert_close(other_BT, gradient_BT[order])


@settings(deadline=None)
@every_loss
def test_micro_batches_of_any_size_add_up_to_the_step(
    name: str, config: LossConfig, seed: int, shape: tuple[int, int]
) -> None:
    if name == "bnpo":
        return  # defined by its micro-batches
    batch = random_batch(seed, shape)
    cut = seed % (shape[0] + 1)
    parts = [value_and_gradient(name, rows(batch, part), config) for part in (slice(cut), slice(cut, None))]
    loss_B, gradient_BT = value_and_gradient(name, batch, config)
    torch.testing.assert_close(torch.cat([loss for loss, _ in parts]), loss_B)
    torch.testing.assert_close(torch.cat([gradient for _, gradient in parts]), gradient_BT)


@settings(deadline=None)
@every_loss
def test_twice_the_advantage_is_twice_the_policy_loss(
    name: str, config: LossConfig, seed: int, shape: tuple[int, int]
) -> None:
    batch, config = random_batch(seed, shape), replace(config, kl_coef=0.0)
    loss_B, gradient_BT = value_and_gradient(name, batch, config)
    double_B, double_BT = value_and_gradient(name, replace(batch, advantages_B=batch.advantages_B * 2), config)
    torch.testing.assert_close(double_B, loss_B * 2)
    torch.testing.assert_close(double_BT, gradient_BT * 2)
