"""Our losses, advantages and chunked log-probabilities beside what TRL's trainers computed (`make test-trl`)."""

import os
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from rlvr.trainer.advantages import batch_std, group_mean, group_std, has_spread, leave_one_out, whitened
from rlvr.trainer.logprobs import Head, token_logprobs
from rlvr.trainer.losses import LOSSES, Batch, LossConfig, top_entropy

RECORDS = os.environ.get("RLVR_TRL_RECORDS")
pytestmark = pytest.mark.skipif(RECORDS is None, reason="TRL has an environment of its own: make test-trl")

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    assert RECORDS is not None
    return torch.load(Path(RECORDS), weights_only=True)["records"]


def test_there_are_enough_combinations(records: list[dict[str, Any]]) -> None:
    cases = {str((r["trainer"], sorted(r["case"].items(), key=str))) for r in records}
    assert len(cases) == len(records) > 234
    gradients = [part["logps_gradient"].abs().max() for r in records for part in r["parts"]]
    assert sum(bool(g > 1e-3) for g in gradients) > 0.9 * len(gradients), (
        "the comparison must have something to compare"
    )


def config_of(trainer: str, case: dict[str, Any]) -> LossConfig:
    """The same equation in our words."""
    if trainer == "rloo":
        return LossConfig(clip_low=case["epsilon"], clip_high=case["epsilon_high"], kl_coef=0.0)
    cispo = case["loss_type"] == "cispo"  # TRL's cap is epsilon_high itself
    return LossConfig(
        level=case["importance_sampling_level"],
        clip_low=case["epsilon"],
        clip_high=case["epsilon_high"] - cispo,
        clip_dual=inf if case["delta"] is None or cispo else case["delta"],
        kl_coef=case["beta"],
        kl_ratio=case["use_bias_correction_kl"],
        correction=case["vllm_importance_sampling_mode"] if case["use_vllm"] else "none",
        correction_min=case["vllm_importance_sampling_clip_min"] or 0.0,
        correction_max=case["vllm_importance_sampling_clip_max"],
        off_policy_kl=inf if case["off_policy_mask_threshold"] is None else case["off_policy_mask_threshold"],
        max_tokens=7,
    )


def advantages_of(record: dict[str, Any]) -> Any:
    case, rewards_PG = record["case"], record["rewards"]
    if record["trainer"] == "rloo":
        advantages_PG = leave_one_out(rewards_PG)
        return whitened(advantages_PG) if case["normalize_advantages"] else advantages_PG
    return {"group": group_std, "none": group_mean, "batch": batch_std}[case["scale_rewards"]](rewards_PG)


def compare(ours: Any, theirs: Any, tolerance: float, what: str) -> list[str]:
    error = float(((ours.detach() - theirs).abs() / theirs.abs().clamp(min=1)).max())
    return [] if error <= tolerance else [f"{what}: {error:.2e}"]


def run(record: dict[str, Any], *, through_head: bool) -> list[str]:
    """What differs from TRL, from the recorded log-probabilities on or from the hidden states on."""
    case, parts = record["case"], record["parts"]
    config = config_of(record["trainer"], case)
    masks = [part["completion_mask"].bool() for part in parts]
    wrong: list[str] = []
    rows = len(masks[0])
    advantages = record["advantages"].flatten().split(rows)
    weight = record["weight"].clone().requires_grad_()
    algorithm = "rloo" if record["trainer"] == "rloo" else case["loss_type"]
    for part, mask_BT, advantages_B in zip(parts, masks, advantages, strict=True):
        leaf = (part["hidden"] if through_head else part["logps"]).clone().requires_grad_()
        logps_BT = leaf
        if through_head:
            logps_BT, entropies_BT = token_logprobs(leaf, Head(weight), part["completion_ids"], mask_BT, chunk=5)
            wrong += compare(logps_BT, part["logps"], LOSS_TOLERANCE, "log-probabilities")
            wrong += compare(entropies_BT * mask_BT, part["entropies"] * mask_BT, LOSS_TOLERANCE, "entropies")
        # Selected by TRL's entropies: two first tokens of one prompt tie but for their last bit.
        share = case.get("top_entropy_quantile", 1.0)
        old_BT = part.get("old_per_token_logps")
        if record["trainer"] == "rloo":
            # TRL keeps the sum alone; any split into tokens is the same sequence ratio.
            old_BT = (part["old_logps"] / mask_BT.sum(1).clamp(min=1))[:, None].expand_as(mask_BT)
        batch = Batch(
            logps_BT=logps_BT,
            advantages_B=advantages_B,
            mask_BT=mask_BT,
            sequences=rows * len(parts),
            tokens=int(sum(mask.sum() for mask in masks)),
            old_logps_BT=old_BT,
            ref_logps_BT=part.get("ref_per_token_logps"),
            sampler_logps_BT=part.get("sampling_per_token_logps"),
            selected_BT=top_entropy(part["entropies"], mask_BT, share) if share < 1 else None,
        )
        loss = LOSSES[algorithm](batch, config).sum()
        loss.backward()
        if record["trainer"] == "rloo":
            # TRL counts -A for a completion that is masked out, a constant without gradient; ours counts nothing.
            loss = loss - advantages_B[~mask_BT.any(1)].sum() / batch.sequences
        theirs = part["hidden_gradient"] if through_head else part["logps_gradient"]
        wrong += compare(loss, part["loss"], LOSS_TOLERANCE, "loss")
        wrong += compare(leaf.grad, theirs, GRADIENT_TOLERANCE, "gradient")
    if through_head:
        wrong += compare(weight.grad, record["weight_gradient"], GRADIENT_TOLERANCE, "gradient of the head")
    return wrong


@pytest.mark.parametrize("through_head", [False, True], ids=["log-probabilities", "hidden states"])
def test_loss_and_gradient_are_trls(records: list[dict[str, Any]], through_head: bool) -> None:
    wrong = [(r["trainer"], r["case"], found) for r in records if (found := run(r, through_head=through_head))]
    assert not wrong, f"{len(wrong)} of {len(records)} differ, the first: {wrong[0]}"


def test_advantages_are_trls(records: list[dict[str, Any]]) -> None:
    """But where nobody judged (NaN here, 0 there) and in a group without spread: 0 here, a magnified rounding there."""
    flat = 0
    for record in records:
        ours_PG, theirs_PG = advantages_of(record), record["advantages"]
        assert torch.equal(ours_PG.isnan(), record["rewards"].isnan())
        spread_P = has_spread(record["rewards"]) | bool(record["case"].get("normalize_advantages"))
        torch.testing.assert_close(ours_PG.nan_to_num(nan=0.0)[spread_P], theirs_PG[spread_P], rtol=1e-5, atol=1e-5)
        assert not ours_PG.nan_to_num(nan=0.0)[~spread_P].any()
        assert bool((theirs_PG[~spread_P].abs() < 1e-3).all())
        flat += int((~spread_P).sum())
    assert flat > 0
