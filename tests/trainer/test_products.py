"""Products through oneDNN and through torch itself, beside float64, whichever this processor would get."""

import pytest
import torch
from rlvr.trainer import products
from torch import Tensor
from torch.nn import functional


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"], autouse=True)
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_on_amd", lambda: request.param)
    return request.param


def matrix(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 130])
def test_linear_and_its_gradients(rows: int, with_bias: bool) -> None:
    leaves = [matrix(rows, 48), matrix(33, 48), *([matrix(33)] if with_bias else [])]
    doubles = [leaf.double().requires_grad_() for leaf in leaves]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    ours, exact = products.linear(*leaves), functional.linear(*doubles)
    torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(products.linear(*leaves), ours)
    weights = matrix(rows, 33)
    for mine, theirs in zip(
        torch.autograd.grad(ours, leaves, weights), torch.autograd.grad(exact, doubles, weights.double()), strict=True
    ):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-5, atol=1e-4)


def test_only_the_gradients_that_are_wanted() -> None:
    x, weight = matrix(4, 8), matrix(5, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(products.linear(x, weight).sum(), [weight])
    torch.testing.assert_close(gradient, x.sum(0).expand(5, 8))
    frozen = weight.detach()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(products.linear(x, frozen).sum(), [x])
    torch.testing.assert_close(gradient, frozen.sum(0).expand(4, 8))


def test_no_entries_of_a_strided_factor_are_mixed_up() -> None:
    a, b = matrix(20, 9), matrix(20, 6)
    torch.testing.assert_close(products.times_transposed(a.T, b.T), a.T @ b)
    torch.testing.assert_close(products.times_transposed(a[:, :4], b[:20, 1:5]), a[:, :4] @ b[:, 1:5].T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sums_of_products(dtype: torch.dtype) -> None:
    left, right = matrix(20, 9, dtype=dtype), matrix(20, 6, dtype=dtype)
    wide = torch.promote_types(dtype, torch.float32)
    total = matrix(9, 6, dtype=wide)
    expected = total.double() + left.double().T @ right.double()
    products.add_product(total, left, right)
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(total.double(), expected, rtol=0, atol=tolerance)


def test_other_types_are_torchs_own() -> None:
    a, b = matrix(3, 4, dtype=torch.float64), matrix(5, 4, dtype=torch.float64)
    assert torch.equal(products.linear(a, b), functional.linear(a, b))


def test_which_way_is_taken(onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    taken = torch.ops.mkldnn._linear_pointwise

    class Counted:
        @staticmethod
        def _linear_pointwise(a: Tensor, *rest: object) -> Tensor:
            calls.append(tuple(a.shape))
            return taken(a, *rest)

    monkeypatch.setattr(products, "_mkldnn", Counted)
    products.linear(matrix(3, 4), matrix(5, 4).requires_grad_()).sum().backward()
    assert calls == ([(3, 4), (4, 3)] if onednn else [])
