"""What stands between the matrix products of a small transformer, in few passes over memory.

On a CPU these passes, and the memory that autograd keeps for them, cost as much as the products themselves: each
function below computes its backward pass by hand. Axes: N rows, D hidden size, B rows of T positions, I inner size,
W queries, keys and values side by side.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import silu

_linalg: Any = torch.linalg  # half typed


def rms_norm(x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x²) + eps) · weight. Source: Zhang and Sennrich 2019, arXiv:1910.07467."""
    if x_ND.is_cuda or not torch.is_grad_enabled():
        return functional.rms_norm(x_ND, weight_D.shape, weight_D, eps)
    return _apply(_RMSNorm, x_ND, weight_D, eps)


def swiglu(gate_up_NI: Tensor) -> Tensor:
    """silu(gate) · up of (N, 2 · I). Source: Shazeer 2020, arXiv:2002.05202."""
    return _apply(_SwiGLU, gate_up_NI)


def rotate(qkv_BTW: Tensor, turns: Tensor) -> Tensor:
    """The leading numbers of each row, in pairs, times `turns`, (T or (B, T), pairs) complex; in place.

    Rotary positions: Su et al. 2021, arXiv:2104.09864.
    """
    return _apply(_Rotate, qkv_BTW, turns)


def _apply(function: Any, *arguments: Any) -> Tensor:  # torch leaves `apply` untyped
    return cast(Tensor, function.apply(*arguments))


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
        wide = torch.promote_types(x_ND.dtype, torch.float32)
        norm_N1: Tensor = _linalg.vector_norm(x_ND, dim=-1, keepdim=True, dtype=wide)
        scale_N1 = (norm_N1.square_() / x_ND.size(-1)).add_(eps).rsqrt_().to(x_ND.dtype)
        ctx.save_for_backward(x_ND, weight_D, scale_N1)
        return (x_ND * scale_N1).mul_(weight_D)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (x_ND, weight_D, scale_N1), (gradient_ND,) = ctx.saved_tensors, gradients
        normed_ND = x_ND * scale_N1
        product_ND = gradient_ND * normed_ND
        d_weight_D = product_ND.sum(0)
        along_N1 = torch.mv(product_ND, weight_D / x_ND.size(-1))[:, None]
        d_x_ND = torch.mul(gradient_ND, weight_D, out=product_ND)
        d_x_ND.addcmul_(normed_ND, along_N1, value=-1).mul_(scale_N1)
        return d_x_ND, d_weight_D, None


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up_NI: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up_NI)
        gate_NI, up_NI = gate_up_NI.chunk(2, -1)
        return silu(gate_NI).mul_(up_NI)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gate_up_NI,), (gradient_NI,) = ctx.saved_tensors, gradients
        gate_NI, up_NI = gate_up_NI.chunk(2, -1)
        d_gate_up_NI = torch.empty_like(gate_up_NI)
        d_gate_NI, d_up_NI = d_gate_up_NI.chunk(2, -1)
        torch.mul(silu(gate_NI), gradient_NI, out=d_up_NI)
        torch.ops.aten.silu_backward(gradient_NI * up_NI, gate_NI, grad_input=d_gate_NI)
        return d_gate_up_NI


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv_BTW: Tensor, turns: Tensor) -> Tensor:
        ctx.mark_dirty(qkv_BTW)
        ctx.save_for_backward(turns)
        return _rotate_(qkv_BTW, turns)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (turns,), (gradient_BTW,) = ctx.saved_tensors, gradients
        return _rotate_(gradient_BTW.clone(), turns.conj()), None


def _rotate_(qkv_BTW: Tensor, turns: Tensor) -> Tensor:
    leading = qkv_BTW[..., : 2 * turns.size(-1)]
    # A view for float32 and float64; narrower numbers are turned as float32 and rounded once.
    wide = leading.to(torch.promote_types(leading.dtype, torch.float32))
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(turns)
    if wide.dtype != leading.dtype:
        leading.copy_(wide)
    return qkv_BTW
