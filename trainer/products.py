"""Matrix products in float32 on AMD's processors, where torch's own take twice the time they need.

torch multiplies with MKL, which uses AVX-512 on Intel's processors alone; oneDNN, which torch brings along, uses what
there is. Everywhere else these functions are torch's own. Axes: N rows, I and O the sizes of a layer's two sides.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

_mkldnn: Any = torch.ops.mkldnn
# What is prepared for a shape of factors takes a third of a megabyte, and batches of any size have thousands of shapes:
# far fewer are kept than the 1,024 of each of the two caches. Both are read at the first product.
for _name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "64")


def times_transposed(a_NI: Tensor, b_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """a bᵀ + bias, (N, O), without a gradient."""
    if not _by_onednn(a_NI):
        return functional.linear(a_NI, b_OI, bias_O)
    return cast(Tensor, _mkldnn._linear_pointwise(a_NI, b_OI, bias_O, "none", [], ""))


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`, of two dimensions."""
    if not torch.is_grad_enabled() or not _by_onednn(x_NI):
        return times_transposed(x_NI, weight_OI, bias_O)
    function: Any = _Linear  # torch leaves `apply` untyped
    return cast(Tensor, function.apply(x_NI, weight_OI, bias_O))


def add_product(sum_OI: Tensor, left_NO: Tensor, right_NI: Tensor) -> None:
    """sum += leftᵀ right, without a gradient; a wider sum than the factors is one of rounded products."""
    if sum_OI.dtype == left_NO.dtype and not _by_onednn(left_NO):
        sum_OI.addmm_(left_NO.T, right_NI)
    else:
        sum_OI += times_transposed(left_NO.T, right_NI.T)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_NI, weight_OI)
        return times_transposed(x_NI, weight_OI, bias_O)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x_NI, weight_OI), (gradient_NO,) = ctx.saved_tensors, gradients
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            times_transposed(gradient_NO, weight_OI.T) if needs_x else None,
            times_transposed(x_NI.T, gradient_NO.T).T if needs_weight else None,
            gradient_NO.sum(0) if needs_bias else None,
        )


def _by_onednn(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and _on_amd()


@cache
def _on_amd() -> bool:
    cpu = Path("/proc/cpuinfo")
    there = torch.backends.mkldnn.is_available() and hasattr(_mkldnn, "_linear_pointwise")
    return there and cpu.is_file() and "AuthenticAMD" in cpu.read_text()
