"""From rewards to advantages: each estimator a pure function over P prompts × G completions.

NaN is a reward that nobody could judge. It takes no part in its group's mean and spread, its advantage is NaN again,
and `mask_unjudged` takes its tokens out of the loss: a 0 would teach that the completion was average. Everything is
computed in float64, so that a group of equal rewards such as 0.1 gives exactly 0 and no magnified rounding error.
"""

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-4  # beside the standard deviation, as TRL has it


def group_std(rewards_PG: Tensor) -> Tensor:
    """(r - mean) / (std + 1e-4) in each group, the standard deviation that of a sample (n - 1).

    A group with a single judged completion has no spread to divide by: 0.
    Source: DeepSeekMath, arXiv:2402.03300, section 4.1.2; the 1e-4 and n - 1 are TRL's.

    >>> group_std(torch.tensor([[1.0, 0.0, float("nan")]])).round(decimals=3)
    tensor([[ 0.7070, -0.7070,     nan]])
    """
    centred_PG = _centred(rewards_PG, dim=1)
    return (centred_PG / (_std(centred_PG, dim=1) + EPSILON)).float()


def group_mean(rewards_PG: Tensor) -> Tensor:
    """r - mean of the group, not divided by its spread. Source: Dr. GRPO, arXiv:2503.20783."""
    return _centred(rewards_PG, dim=1).float()


def batch_std(rewards_PG: Tensor) -> Tensor:
    """(r - mean of the group) / (std of all rewards + 1e-4), TRL's `scale_rewards="batch"`.

    Source: Liu et al. 2025, "Tricks or Traps?", arXiv:2508.08221.
    """
    return (_centred(rewards_PG, dim=1) / (_std(_centred(rewards_PG, dim=None), dim=None) + EPSILON)).float()


def leave_one_out(rewards_PG: Tensor) -> Tensor:
    """r - mean of the group's other judged completions; 0 where there is no other.

    Source: RLOO, arXiv:2402.14740, equation 6 (Kool et al. 2019).
    """
    judged_P1 = _judged(rewards_PG).sum(1, keepdim=True)
    return (_centred(rewards_PG, dim=1) * judged_P1 / (judged_P1 - 1).clamp(min=1)).float()


def group_mean_whitened(rewards_PG: Tensor) -> Tensor:
    """r - mean of the group, then whitened over the batch. Source: REINFORCE++ with baseline, arXiv:2501.03262."""
    return whitened(_centred(rewards_PG, dim=1))


def whitened(advantages_PG: Tensor) -> Tensor:
    """(A - mean) / (std + 1e-4) over all of them; after `leave_one_out` it is TRL's `normalize_advantages`."""
    centred_PG = _centred(advantages_PG, dim=None)
    return (centred_PG / (_std(centred_PG, dim=None) + EPSILON)).float()


Estimator = Callable[[Tensor], Tensor]
ESTIMATORS: dict[str, Estimator] = {
    "group_std": group_std,
    "group_mean": group_mean,
    "batch_std": batch_std,
    "leave_one_out": leave_one_out,
    "group_mean_whitened": group_mean_whitened,
}

# What each algorithm of losses.LOSSES goes with in its paper.
ADVANTAGES: dict[str, Estimator] = {
    "grpo": group_std,
    "dr_grpo": group_mean,
    "dapo": group_std,
    "bnpo": group_std,
    "cispo": group_std,
    "gspo": group_std,
    "rloo": leave_one_out,
    "sapo": group_std,
    "reinforce++": group_mean_whitened,
}


def mask_unjudged(advantages_B: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """(advantages, mask) with every completion whose advantage is NaN masked out: neither policy nor KL sees it."""
    judged_B = _judged(advantages_B)
    return advantages_B.nan_to_num(nan=0.0), mask_BT & judged_B[:, None]


def mask_truncated(mask_BT: Tensor, truncated_B: Tensor) -> Tensor:
    """The mask without completions cut off at the limit. Their reward still counts in the group, as in TRL.

    Source: DAPO, arXiv:2503.14476, section 3.4, "overlong filtering".
    """
    return mask_BT & ~truncated_B[:, None]


def has_spread(rewards_PG: Tensor) -> Tensor:
    """(P,), False where every judged completion has the same reward or fewer than two are judged: nothing to learn.

    Source: DAPO, arXiv:2503.14476, equation 11, "dynamic sampling": such groups are sampled anew. The paper looks at
    the accuracy alone, so give the correctness and not the shaped reward.
    """
    highest_P = rewards_PG.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf).amax(1)
    lowest_P = rewards_PG.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).amin(1)
    return highest_P > lowest_P


def why_no_spread(rewards_G: Tensor) -> str | None:
    """One line for the log about a group that teaches nothing, None where it teaches something. 1 is right, 0 wrong.

    >>> why_no_spread(torch.zeros(8))
    'all 8 wrong: nothing to learn here'
    >>> why_no_spread(torch.tensor([1.0, 1.0, float("nan")]))
    'all 2 judged of 3 right: nothing to learn here'
    """
    if has_spread(rewards_G[None]):
        return None
    judged_N = rewards_G[_judged(rewards_G)]
    if judged_N.numel() == 0:
        return f"none of {rewards_G.numel()} could be judged: nothing to learn here"
    reward = float(judged_N[0])
    verdict = {0.0: "wrong", 1.0: "right"}.get(reward, f"at {reward:g}")
    of = "" if judged_N.numel() == rewards_G.numel() else f" judged of {rewards_G.numel()}"
    return f"all {judged_N.numel()}{of} {verdict}: nothing to learn here"


def _judged(values: Tensor) -> Tensor:
    return ~values.isnan()


def _centred(values_PG: Tensor, dim: int | None) -> Tensor:
    """Float64; exactly 0 for equal values, because a mean of equal numbers may differ from them by a rounding."""
    values_PG = values_PG.double()
    anchor = values_PG.nan_to_num(nan=torch.inf).amin(() if dim is None else dim, keepdim=True)
    shifted_PG = values_PG - anchor
    return shifted_PG - shifted_PG.nanmean(dim=dim, keepdim=True)


def _std(centred_PG: Tensor, dim: int | None) -> Tensor:
    """Of a sample (n - 1); 0 for a single value."""
    squares = centred_PG.square().nansum(dim=dim, keepdim=True)
    count = _judged(centred_PG).sum(dim=() if dim is None else dim, keepdim=True)
    return (squares / (count - 1).clamp(min=1)).sqrt()
