"""The equations of the policy update: each algorithm a pure function from one micro-batch to a loss per sequence.

Shapes: B sequences (completions), T tokens; what one value per sequence stands for is (B, 1). Log-probabilities are in
nats. The sum of the returned `loss_B` over all micro-batches of an optimizer step is the loss of that step, whatever
the size of the micro-batches (but for `bnpo`, which is defined by them): that is why a `Batch` knows the step's totals.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, log
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Level = Literal["token", "sequence"]
Estimator = Literal["k1", "k2", "k3"]
Correction = Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


@dataclass(frozen=True)
class Batch:
    """One micro-batch. Where `mask_BT` is False (prompt, padding, truncated, not judged) nothing is read.

    `sequences` and `tokens` count the whole optimizer step, divided by the number of ranks because DDP and FSDP average
    gradients over ranks. `old_logps_BT` is the policy that collected the rollout, None on the first update after it;
    `sampler_logps_BT` what the inference engine said of it, NaN where it said nothing; `selected_BT` the tokens whose
    policy gradient counts, None for all (see `top_entropy`).
    """

    logps_BT: Tensor
    advantages_B: Tensor
    mask_BT: Tensor
    sequences: float
    tokens: float
    old_logps_BT: Tensor | None = None
    ref_logps_BT: Tensor | None = None
    sampler_logps_BT: Tensor | None = None
    selected_BT: Tensor | None = None


@dataclass(frozen=True)
class LossConfig:
    """The numbers in the equations, each default with its source. Raises ValueError for one outside its range."""

    level: Level = "token"  # of the ratio; "sequence" is GSPO's
    clip_low: float = 0.2  # the ratio is kept above 1 - clip_low; PPO, arXiv:1707.06347
    clip_high: float = 0.2  # and below 1 + clip_high
    clip_dual: float = inf  # and for A < 0 below this; 3 in arXiv:1912.09729; TRL's `delta`
    kl_coef: float = 0.001  # R1-Zero, doi:10.1038/s41586-025-09422-z, methods; DeepSeekMath: 0.04
    kl: Estimator = "k3"  # DeepSeekMath, equation 4
    kl_ratio: bool = False  # KL times ratio, unbiased off the policy: DeepSeek-V3.2, arXiv:2512.02556; on in TRL
    correction: Correction = "none"  # of the sampler's probabilities, see `sampler_correction`
    correction_min: float = 0.0
    correction_max: float = 3.0  # TRL's
    off_policy_kl: float = inf  # nats per token, see `near_policy`
    max_tokens: int | None = None  # limit of generation, the constant of dr_grpo
    tau_positive: float = 1.0  # SAPO, arXiv:2511.20347
    tau_negative: float = 1.05

    def __post_init__(self) -> None:
        for value, kind in ((self.level, Level), (self.kl, Estimator), (self.correction, Correction)):
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(kind))}")
        if self.clip_low < 0 or self.clip_high < 0 or self.clip_dual < 1 + self.clip_high:
            raise ValueError("clip_low >= 0, clip_high >= 0 and clip_dual >= 1 + clip_high are needed")
        if not 0 <= self.correction_min <= self.correction_max:
            raise ValueError("0 <= correction_min <= correction_max is needed")
        if not isfinite(self.kl_coef) or min(self.tau_positive, self.tau_negative) <= 0:
            raise ValueError("kl_coef must be finite, tau_positive and tau_negative positive")


Loss = Callable[[Batch, LossConfig], Tensor]


def grpo(batch: Batch, config: LossConfig) -> Tensor:
    """The clipped ratio times the advantage, less the KL: mean over a completion's tokens, then over completions.

    Source: DeepSeekMath, arXiv:2402.03300, equation 3; DeepSeek-R1, arXiv:2501.12948, equation 1.
    """
    return _per_sequence(batch, _clipped(batch, config))


def dr_grpo(batch: Batch, config: LossConfig) -> Tensor:
    """Sums over tokens divided by a constant, `max_tokens`. Source: Liu et al. 2025, arXiv:2503.20783, section 3."""
    if config.max_tokens is None:
        raise ValueError("dr_grpo divides by max_tokens, the limit of generation: set it")
    return _clipped(batch, config).sum(-1) / (batch.sequences * config.max_tokens)


def dapo(batch: Batch, config: LossConfig) -> Tensor:
    """Every token of the step weighs the same. Clip-higher is `clip_high`; its overlong shaping `rlvr.verifiers`'
    `length_penalty`; its dynamic sampling `advantages.has_spread`.

    Source: DAPO, arXiv:2503.14476, equations 8 and 12.
    """
    return _per_token(batch, _clipped(batch, config))


def bnpo(batch: Batch, config: LossConfig) -> Tensor:
    """The mean over the tokens of the micro-batch, as TRL's `bnpo`: it changes with the size of micro-batches.

    Source: TRL 1.16, `loss_type="bnpo"`, named after arXiv:2506.02864.
    """
    share = batch.mask_BT.size(0) / batch.sequences
    return _clipped(batch, config).sum(-1) / batch.mask_BT.sum().clamp(min=1) * share


def cispo(batch: Batch, config: LossConfig) -> Tensor:
    """REINFORCE with a capped, constant ratio: no token loses its gradient. The cap is 1 + clip_high.

    TRL's cap is `epsilon_high` itself, 1 more than this one. Source: MiniMax-M1, arXiv:2506.13585, equations 4 and 5.
    """
    cap = _log_ratio(batch, config).clamp(max=log(1 + config.clip_high)).exp().detach()
    policy_BT = -cap * batch.advantages_B[:, None] * _inside(batch, batch.logps_BT)
    return _per_token(batch, _weighed(batch, config, policy_BT))


def gspo(batch: Batch, config: LossConfig) -> Tensor:
    """GRPO with one ratio per sequence, the geometric mean of its tokens'. Source: arXiv:2507.18071, equations 5, 7."""
    return grpo(batch, replace(config, level="sequence"))


def rloo(batch: Batch, config: LossConfig) -> Tensor:
    """The completion as one action: its whole probability's ratio, clipped. Meant for leave-one-out advantages.

    The KL stays in the loss, averaged over tokens (the paper and TRL put it into the reward).
    Source: Ahmadian et al. 2024, arXiv:2402.14740, section 3; clipped as in TRL's RLOOTrainer.
    """
    log_ratio_B1 = _token_log_ratio(batch).sum(-1, keepdim=True)
    return _per_sequence(batch, _weighed(batch, config, _clip(batch, config, log_ratio_B1)))


def sapo(batch: Batch, config: LossConfig) -> Tensor:
    """A sigmoid gate in place of the clip, steeper for negative advantages. Source: arXiv:2511.20347."""
    advantages_B1 = batch.advantages_B[:, None]
    tau_B1 = torch.where(advantages_B1 > 0, config.tau_positive, config.tau_negative)
    gate = torch.sigmoid(tau_B1 * (_log_ratio(batch, config).exp() - 1)) * 4 / tau_B1
    return _per_sequence(batch, _weighed(batch, config, -gate * advantages_B1))


LOSSES: dict[str, Loss] = {
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "dapo": dapo,
    "bnpo": bnpo,
    "cispo": cispo,
    "gspo": gspo,
    "rloo": rloo,
    "sapo": sapo,
    "reinforce++": dapo,  # arXiv:2501.03262: the same equation; what differs is advantages.ADVANTAGES and the KL, k2
}

# What an algorithm's paper sets otherwise than the defaults above.
PAPER_VALUES: dict[str, dict[str, Any]] = {
    "dr_grpo": {"kl_coef": 0.0},
    "dapo": {"clip_high": 0.28, "kl_coef": 0.0},
    "cispo": {"clip_high": 4.0, "kl_coef": 0.0},  # the cap 5 of ScaleRL, arXiv:2510.13786; MiniMax-M1 gives no number
    "gspo": {"clip_low": 3e-4, "clip_high": 4e-4, "kl_coef": 0.0},
    "reinforce++": {"kl": "k2"},
}


def loss_config(algorithm: str, **changes: Any) -> LossConfig:
    """The algorithm's numbers as its paper has them, then `changes`. Raises ValueError for an unknown algorithm.

    >>> loss_config("dapo", kl_coef=0.01).clip_high
    0.28
    """
    if algorithm not in LOSSES:
        raise ValueError(f"{algorithm!r} is none of {', '.join(LOSSES)}")
    return LossConfig(**{**PAPER_VALUES.get(algorithm, {}), **changes})


def _inside(batch: Batch, values_BT: Tensor) -> Tensor:
    return values_BT.masked_fill(~batch.mask_BT, 0)


def _token_log_ratio(batch: Batch) -> Tensor:
    old_logps_BT = batch.logps_BT.detach() if batch.old_logps_BT is None else batch.old_logps_BT
    return _inside(batch, batch.logps_BT - old_logps_BT)


def _log_ratio(batch: Batch, config: LossConfig) -> Tensor:
    log_ratio_BT = _token_log_ratio(batch)
    return log_ratio_BT if config.level == "token" else _mean(batch, log_ratio_BT)


def _mean(batch: Batch, values_BT: Tensor) -> Tensor:
    return values_BT.sum(-1, keepdim=True) / batch.mask_BT.sum(-1, keepdim=True).clamp(min=1)


def _clip(batch: Batch, config: LossConfig, log_ratio: Tensor) -> Tensor:
    """-min(r A, clip(r) A): for A > 0 that is r kept below, for A < 0 r kept above a bound.

    Clipped as logarithms, a ratio beyond float's range leaves the gradient 0 and not 0 * inf.
    """
    advantages_B1 = batch.advantages_B[:, None]
    lowest = log(1 - config.clip_low) if config.clip_low < 1 else -inf
    kept_above = log_ratio.clamp(lowest, log(config.clip_dual))
    kept_below = log_ratio.clamp(max=log(1 + config.clip_high))
    return -torch.where(advantages_B1 > 0, kept_below, kept_above).exp() * advantages_B1


def _clipped(batch: Batch, config: LossConfig) -> Tensor:
    return _weighed(batch, config, _clip(batch, config, _log_ratio(batch, config)))


def _weighed(batch: Batch, config: LossConfig, policy: Tensor) -> Tensor:
    """(B, T): the policy's part on the selected tokens with the sampler's mistake corrected, plus the KL's part."""
    if config.off_policy_kl < inf:
        policy = policy * near_policy(batch, config.off_policy_kl)
    if batch.selected_BT is not None:
        policy = policy * batch.selected_BT
    if config.correction != "none":
        policy = policy * sampler_correction(batch, config)
    if config.kl_coef != 0:
        kl = kl_divergence(batch, config.kl)
        ratio = _log_ratio(batch, config).exp() if config.kl_ratio else 1.0
        policy = policy + config.kl_coef * kl * ratio
    return _inside(batch, policy.expand_as(batch.mask_BT))


def _per_sequence(batch: Batch, terms_BT: Tensor) -> Tensor:
    return _mean(batch, terms_BT).squeeze(-1) / batch.sequences


def _per_token(batch: Batch, terms_BT: Tensor) -> Tensor:
    return terms_BT.sum(-1) / max(batch.tokens, 1.0)


def kl_divergence(batch: Batch, estimator: Estimator) -> Tensor:
    """KL(policy || reference) by one sample per token, (B, T), nats: k1 = -d, k2 = d²/2, k3 = exp(d) - 1 - d, where
    d = log reference - log policy.

    As a loss on the policy's own samples, k2 has the gradient of the KL; k1's is 0 on average (arXiv:2506.09477).
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    if batch.ref_logps_BT is None:
        raise ValueError("a KL needs ref_logps_BT; kl_coef=0 does without")
    difference_BT = _inside(batch, batch.ref_logps_BT - batch.logps_BT)
    if estimator == "k1":
        return -difference_BT
    return difference_BT.square() / 2 if estimator == "k2" else difference_BT.exp() - difference_BT - 1


def sampler_correction(batch: Batch, config: LossConfig) -> Tensor:
    """policy that trains / policy that sampled: per token (B, T) or per sequence, their product (B, 1).

    `truncate` keeps the ratio within [correction_min, correction_max], `mask` makes it 0 outside. A token the sampler
    gave no number for (NaN) has ratio 1.
    Source: Yao et al. 2025, https://fengyao.notion.site/off-policy-rl (truncated); IcePop, arXiv:2510.18855 (masked).
    """
    if batch.sampler_logps_BT is None:
        raise ValueError(f"correction={config.correction!r} needs sampler_logps_BT")
    old_logps_BT = (batch.logps_BT if batch.old_logps_BT is None else batch.old_logps_BT).detach()
    log_ratio = _inside(batch, (old_logps_BT - batch.sampler_logps_BT).nan_to_num(nan=0.0))
    ratio = (log_ratio.sum(-1, keepdim=True) if config.correction.startswith("sequence") else log_ratio).exp()
    if config.correction.endswith("truncate"):
        return ratio.clamp(config.correction_min, config.correction_max)
    return ratio.masked_fill((ratio < config.correction_min) | (ratio > config.correction_max), 0)


def near_policy(batch: Batch, most: float) -> Tensor:
    """(B, 1), True where A >= 0 or the sampler is at most `most` nats per token away. Source: arXiv:2512.02556."""
    log_ratio_BT = _token_log_ratio(batch).detach()
    if batch.sampler_logps_BT is not None:
        log_ratio_BT = _inside(batch, (batch.logps_BT.detach() - batch.sampler_logps_BT).nan_to_num(nan=0.0))
    return (batch.advantages_B[:, None] >= 0) | (_mean(batch, -log_ratio_BT) <= most)


def top_entropy(entropies_BT: Tensor, mask_BT: Tensor, share: float) -> Tensor:
    """(B, T), True at the `share` of the tokens inside the mask with the highest entropy; ties at the edge are all in.

    Raises ValueError unless 0 < share <= 1. Source: Wang et al. 2025, "Beyond the 80/20 rule", arXiv:2506.01939 (0.2).
    """
    if not 0 < share <= 1:
        raise ValueError(f"0 < share <= 1, not {share}")
    inside_N = entropies_BT[mask_BT].detach()
    if inside_N.numel() == 0:
        return mask_BT
    # The quantile's upper neighbour. torch.quantile refuses 16 million tokens, which is one step of R1-Zero.
    rank = ceil(round((1 - share) * (inside_N.numel() - 1), 6)) + 1
    return mask_BT & (entropies_BT >= inside_N.kthvalue(rank).values)


@torch.no_grad()
def statistics(batch: Batch, config: LossConfig) -> dict[str, float]:
    """Sums over tokens for the log, to be added up over micro-batches and divided by the step's tokens."""
    log_ratio_BT = _log_ratio(batch, config).expand_as(batch.mask_BT)
    advantages_B1 = batch.advantages_B[:, None]
    low_BT = (log_ratio_BT.exp() < 1 - config.clip_low) & (advantages_B1 < 0) & batch.mask_BT
    high_BT = (log_ratio_BT.exp() > 1 + config.clip_high) & (advantages_B1 > 0) & batch.mask_BT
    sums = {"tokens": batch.mask_BT.sum(), "clipped_low": low_BT.sum(), "clipped_high": high_BT.sum()}
    if batch.ref_logps_BT is not None:
        sums["kl"] = kl_divergence(batch, "k3").sum()
    if config.correction != "none":
        sums["correction"] = _inside(batch, sampler_correction(batch, config).expand_as(batch.mask_BT)).sum()
    return {name: float(value) for name, value in sums.items()}
