"""Chunked log-probabilities beside the plain computation, and that the full logits never exist."""

from typing import Any

import pytest
import torch
from rlvr.trainer.logprobs import Head, token_logprobs
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature": {"temperature": 0.6},
    "softcap": {"softcap": 2.0},
    "scale": {"scale": 0.25},
    "all": {"temperature": 1.3, "softcap": 3.0, "scale": 0.5},
}


def made(dtype: torch.dtype, n_vocabulary: int = 23) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden_BTD = torch.randn(3, 7, 5, generator=generator).to(dtype).requires_grad_()
    weight_VD = torch.randn(n_vocabulary, 5, generator=generator).to(dtype).requires_grad_()
    bias_V = torch.randn(n_vocabulary, generator=generator).to(dtype).requires_grad_()
    targets_BT = torch.randint(n_vocabulary, (3, 7), generator=generator)
    mask_BT = torch.rand(3, 7, generator=generator) < 0.7
    return hidden_BTD, weight_VD, bias_V, targets_BT, mask_BT


def plain(hidden_BTD: Tensor, head: Head, targets_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    logits_BTV = hidden_BTD @ head.weight_VD.T
    logits_BTV = (logits_BTV if head.bias_V is None else logits_BTV + head.bias_V) * head.scale
    if head.softcap is not None:
        logits_BTV = head.softcap * torch.tanh(logits_BTV / head.softcap)
    logps_BTV = (logits_BTV / head.temperature).log_softmax(-1)
    entropies_BT = -(logps_BTV.exp() * logps_BTV).sum(-1)
    return logps_BTV.gather(-1, targets_BT[..., None]).squeeze(-1) * mask_BT, entropies_BT * mask_BT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_as_the_plain_computation(chunk: int, name: str, with_bias: bool, dtype: torch.dtype) -> None:
    hidden_BTD, weight_VD, bias_V, targets_BT, mask_BT = made(dtype)
    head = Head(weight_VD, bias_V if with_bias else None, **HEADS[name])
    leaves = [hidden_BTD, weight_VD, *([bias_V] if with_bias else [])]
    ours = token_logprobs(hidden_BTD, head, targets_BT, mask_BT, chunk=chunk)
    theirs = plain(hidden_BTD, head, targets_BT, mask_BT)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-6, atol=1e-6)
    assert not ours[1].requires_grad
    weights_BT = torch.linspace(-1, 1, mask_BT.numel(), dtype=dtype).view_as(mask_BT)
    for mine, reference in zip(
        torch.autograd.grad((ours[0] * weights_BT).sum(), leaves),
        torch.autograd.grad((theirs[0] * weights_BT).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, rtol=0, atol=1e-5)


def test_by_hand() -> None:
    # logits 0, log 3: probabilities 1/4 and 3/4; entropy log 4 - 3/4 log 3
    weight_VD = torch.tensor([[1.0], [3.0]]).log()
    ours = token_logprobs(torch.ones(1, 2, 1), Head(weight_VD), torch.tensor([[0, 1]]), torch.tensor([[True, True]]))
    torch.testing.assert_close(ours[0].exp(), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(ours[1], (torch.tensor(4.0).log() - 0.75 * torch.tensor(3.0).log()).expand(1, 2))


def test_in_bfloat16_the_head_sums_its_gradient_in_float32() -> None:
    """Thousands of equal small parts: summed in bfloat16 they would stop growing at 256 of them."""
    n = 2048
    weight_VD = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    hidden_BTD = torch.ones(1, n, 1, dtype=torch.bfloat16)
    mask_BT = torch.ones(1, n, dtype=torch.bool)
    logps_BT, _ = token_logprobs(hidden_BTD, Head(weight_VD), torch.zeros(1, n, dtype=torch.long), mask_BT, chunk=1)
    assert logps_BT.dtype == torch.float32
    logps_BT.sum().backward()
    assert weight_VD.grad is not None
    assert weight_VD.grad.tolist() == [[n / 2], [-n / 2]]  # 1 - 1/2 and -1/2 a token


def test_nothing_inside_the_mask() -> None:
    hidden_BTD, weight_VD, _, targets_BT, mask_BT = made(torch.float32)
    logps_BT, entropies_BT = token_logprobs(hidden_BTD, Head(weight_VD), targets_BT, torch.zeros_like(mask_BT))
    assert not logps_BT.any() and not entropies_BT.any()
    logps_BT.sum().backward()
    assert weight_VD.grad is not None and not weight_VD.grad.any()


def test_what_is_refused() -> None:
    hidden_BTD, weight_VD, _, targets_BT, mask_BT = made(torch.float32)
    with pytest.raises(ValueError, match="chunk >= 1"):
        token_logprobs(hidden_BTD, Head(weight_VD), targets_BT, mask_BT, chunk=0)
    with pytest.raises(ValueError, match="one dtype"):
        token_logprobs(hidden_BTD.bfloat16(), Head(weight_VD), targets_BT, mask_BT)
    for wrong in ({"temperature": 0.0}, {"softcap": -1.0}):
        with pytest.raises(ValueError, match="positive"):
            Head(weight_VD, **wrong)


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returns, the backward pass included."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [value.numel() for value in tree_flatten(out)[0] if isinstance(value, Tensor)]
        self.elements = max([self.elements, *sizes])
        return out


def test_the_logits_of_all_positions_never_exist() -> None:
    vocabulary, chunk = 301, 2
    hidden_BTD, weight_VD, _, targets_BT, mask_BT = made(torch.float32, vocabulary)

    def largest(compute: Any) -> int:
        with Largest() as seen:
            compute()[0].sum().backward()
        return seen.elements

    head = Head(weight_VD)
    most = max(chunk * vocabulary, weight_VD.numel())
    assert largest(lambda: token_logprobs(hidden_BTD, head, targets_BT, mask_BT, chunk=chunk)) <= most
    assert largest(lambda: plain(hidden_BTD, head, targets_BT, mask_BT)) == mask_BT.numel() * vocabulary
