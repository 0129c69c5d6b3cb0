"""Log-probabilities of the tokens that were sampled, and entropies, without ever holding the logits of all positions.

Shapes: B sequences, T positions, N of them inside the mask, D hidden size, V vocabulary, C positions in a chunk.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from .products import add_product, times_transposed


@dataclass(frozen=True)
class Head:
    """How hidden states become logits: softcap(scale · (h Wᵀ + b)) / temperature.

    `softcap` is Gemma 2's `final_logit_softcapping`, c · tanh(x / c); `scale` Cohere's `logit_scale`, or 1 / Granite's
    `logits_scaling`. `temperature` is that of sampling: the policy that is trained is the one that was sampled.
    """

    weight_VD: Tensor
    bias_V: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or (self.softcap is not None and self.softcap <= 0):
            raise ValueError("temperature and softcap must be positive")


def token_logprobs(
    hidden_BTD: Tensor, head: Head, targets_BT: Tensor, mask_BT: Tensor, *, chunk: int = 1024
) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies) of the targets, both (B, T), float32 or wider, nats, 0 outside the mask.

    `hidden_BTD[:, t]` is what predicts `targets_BT[:, t]`: the caller shifts. Positions outside the mask cost nothing.
    At most `chunk` × V logits exist at a time, in the forward and the backward pass, which computes them again.
    The gradient flows through the log-probabilities; the entropies, for selection and the log, carry none.

    Raises ValueError unless chunk >= 1 and the hidden states have the dtype of the head's weight.
    """
    if chunk < 1 or hidden_BTD.dtype != head.weight_VD.dtype:
        raise ValueError(f"chunk >= 1, not {chunk}, and one dtype: {hidden_BTD.dtype}, {head.weight_VD.dtype}")
    hidden_ND, targets_N = hidden_BTD[mask_BT], targets_BT[mask_BT]
    chunked: Any = _Chunked  # torch leaves `apply` untyped
    # Autocast would round the forward pass alone: backward runs outside it.
    with torch.autocast(hidden_BTD.device.type, enabled=False):
        parts = chunked.apply(hidden_ND, head.weight_VD, head.bias_V, targets_N, head, chunk)
    logps_N, entropies_N = cast(tuple[Tensor, Tensor], parts)
    empty_BT = logps_N.new_zeros(mask_BT.shape)
    return empty_BT.masked_scatter(mask_BT, logps_N), empty_BT.masked_scatter(mask_BT, entropies_N)


def _logits(hidden_CD: Tensor, head: Head) -> Tensor:
    """(C, V), float32 or wider, before the temperature."""
    logits_CV = times_transposed(hidden_CD, head.weight_VD)
    if head.bias_V is not None:
        logits_CV += head.bias_V
    logits_CV = logits_CV if logits_CV.dtype == torch.float64 else logits_CV.float()
    if head.scale != 1:
        logits_CV *= head.scale
    if head.softcap is not None:
        logits_CV.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits_CV


class _Chunked(torch.autograd.Function):
    """d logp / d logits = onehot - softmax: with that, a chunk's logits are forgotten as soon as it is done."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, head: Head, chunk: int
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, targets_N)
        ctx.head, ctx.chunk = head, chunk
        wide = torch.promote_types(hidden_ND.dtype, torch.float32)
        logps_N = hidden_ND.new_empty(len(hidden_ND), dtype=wide)
        entropies_N = torch.empty_like(logps_N)
        for start in range(0, len(hidden_ND), chunk):
            part = slice(start, start + chunk)
            logps_CV = _log_softmax(_logits(hidden_ND[part], head), head.temperature)
            logps_N[part] = logps_CV.gather(1, targets_N[part, None]).squeeze(1)
            entropies_N[part] = -logps_CV.exp().mul_(logps_CV).sum(-1)
        ctx.mark_non_differentiable(entropies_N)
        return logps_N, entropies_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, bias_V, targets_N = ctx.saved_tensors
        head, gradient_N = ctx.head, gradients[0]
        wide = gradient_N.dtype
        d_hidden_ND = torch.empty_like(hidden_ND) if ctx.needs_input_grad[0] else None
        # Summed over chunks in float32: bfloat16 would lose the later ones.
        d_weight_VD = torch.zeros_like(weight_VD, dtype=wide) if ctx.needs_input_grad[1] else None
        d_bias_V = torch.zeros_like(bias_V, dtype=wide) if ctx.needs_input_grad[2] else None
        for start in range(0, len(hidden_ND), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            d_logits_CV = _d_logits(_logits(hidden_ND[part], head), targets_N[part], gradient_N[part], head)
            narrow_CV = d_logits_CV.to(weight_VD.dtype)
            if d_hidden_ND is not None:
                d_hidden_ND[part] = times_transposed(narrow_CV, weight_VD.T)
            if d_weight_VD is not None:
                add_product(d_weight_VD, narrow_CV, hidden_ND[part])
            if d_bias_V is not None:
                d_bias_V += d_logits_CV.sum(0)
        return (
            d_hidden_ND,
            None if d_weight_VD is None else d_weight_VD.to(weight_VD.dtype),
            None if d_bias_V is None else d_bias_V.to(bias_V.dtype),
            None,
            None,
            None,
        )


def _log_softmax(logits_CV: Tensor, temperature: float) -> Tensor:
    if temperature != 1:
        logits_CV /= temperature
    return logits_CV.log_softmax(-1)


def _d_logits(logits_CV: Tensor, targets_C: Tensor, gradient_C: Tensor, head: Head) -> Tensor:
    """The gradient at h Wᵀ + b, through temperature, softcap and scale."""
    slope = 1 / head.temperature * head.scale
    bend_CV = None if head.softcap is None else 1 - (logits_CV / head.softcap).square()
    d_logits_CV = (logits_CV / head.temperature if head.temperature != 1 else logits_CV).softmax(-1).neg_()
    d_logits_CV.scatter_add_(1, targets_C[:, None], torch.ones_like(gradient_C)[:, None])
    d_logits_CV *= gradient_C[:, None] * slope
    return d_logits_CV if bend_CV is None else d_logits_CV.mul_(bend_CV)
