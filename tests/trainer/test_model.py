"""The small transformer beside transformers' Llama with the same weights, and its cache beside the whole pass."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rlvr.evals.errors import UsageError
from rlvr.trainer import fused
from rlvr.trainer.characters import Characters
from rlvr.trainer.llama import ModelConfig
from rlvr.trainer.model import TinyTransformer
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

SHAPES: dict[str, ModelConfig] = {
    "plain": ModelConfig(dim=32, heads=4, kv_heads=4, inner=48),
    "grouped": ModelConfig(dim=32, heads=4, kv_heads=2, inner=48, tied=False),
    "one key head, biases": ModelConfig(dim=48, layers=3, heads=6, kv_heads=1, inner=40, qkv_bias=True, rope_theta=500),
}
TOKENIZER = Characters("0123456789+= ", ("<think>",))


def made(name: str, seed: int = 0) -> TinyTransformer:
    """Far from initialisation, so that norms, biases and attention have something to do."""
    generator = torch.Generator().manual_seed(seed)
    model = TinyTransformer(SHAPES[name], TOKENIZER, generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def tokens(*shape: int) -> Tensor:
    return torch.randint(2, TOKENIZER.size, shape, generator=torch.Generator().manual_seed(1))


def logits(model: TinyTransformer, tokens_BT: Tensor) -> Tensor:
    return model.hidden(tokens_BT) @ model.head().weight_VD.T


@pytest.fixture(params=SHAPES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_logits_and_gradients_are_llamas(name: str, tmp_path: Path) -> None:
    model = made(name)
    model.save(tmp_path)
    llama: Any = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    ours, theirs = logits(model, tokens(3, 19)), llama(tokens(3, 19)).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    (ours * weights).mean().backward()
    (theirs * weights).mean().backward()
    ours_grad, theirs_grad = model.embedding.grad, llama.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=0, atol=1e-5)
    grouped = model.blocks[0].qkv.weight.grad.split(model.config.widths)
    value_grad = llama.model.layers[0].self_attn.v_proj.weight.grad
    torch.testing.assert_close(grouped[2], value_grad, rtol=0, atol=1e-5)
    assert float(value_grad.abs().max()) > 1e-4


def test_saved_and_loaded_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = made(name)
    model.save(tmp_path / "new" / "folder")
    loaded = TinyTransformer.load(tmp_path / "new" / "folder")
    assert loaded.config == model.config
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.tokenizer.tokens == TOKENIZER.tokens


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "entry", "tensor"])
def test_a_damaged_folder_is_refused(tmp_path: Path, damage: str) -> None:
    made("plain").save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    if damage == "entry":
        del config["hidden_size"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    elif damage == "tensor":
        (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    else:
        (tmp_path / damage).write_text("{")
    with pytest.raises(UsageError, match="not a model that rlvr saved"):
        TinyTransformer.load(tmp_path)


def test_heads_that_do_not_divide_are_refused() -> None:
    for shape in ({"dim": 30}, {"dim": 4}, {"kv_heads": 3}):
        with pytest.raises(ValueError, match="kv_heads"):
            ModelConfig(**shape)


def test_the_first_weights_are_those_of_the_seed() -> None:
    config = ModelConfig(dim=256, layers=2)
    first, second, other = (
        TinyTransformer(config, TOKENIZER, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.blocks[1].down.weight, second.blocks[1].down.weight)
    assert not torch.equal(first.blocks[1].down.weight, other.blocks[1].down.weight)
    assert float(first.blocks[0].qkv.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(first.blocks[0].out.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(first.blocks[0].down.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert torch.equal(first.norm, torch.ones(256))


def test_padding_on_the_right_changes_nothing(name: str) -> None:
    model = made(name)
    alone, padded = tokens(2, 7), torch.cat([tokens(2, 7), torch.zeros(2, 4, dtype=torch.long)], 1)
    torch.testing.assert_close(model.hidden(padded)[:, :7], model.hidden(alone), rtol=0, atol=1e-5)


def test_examples_in_one_row_do_not_see_one_another(name: str) -> None:
    model = made(name)
    one, two = tokens(1, 5), tokens(1, 12)[:, 5:]
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6]])
    packed = model.hidden(torch.cat([one, two], 1), positions)
    torch.testing.assert_close(packed[:, :5], model.hidden(one), rtol=0, atol=1e-5)
    torch.testing.assert_close(packed[:, 5:], model.hidden(two), rtol=0, atol=1e-5)


@pytest.mark.parametrize("starts", [[0, 0, 0], [0, 2, 5]])
@torch.no_grad()
def test_step_by_step_as_in_one_pass(name: str, starts: list[int]) -> None:
    """Also through `repeat` and `keep`, of which the second makes ragged rows even again."""
    model, start_P, rows_PT = made(name), torch.tensor(starts), tokens(3, 8)
    left_PT = rows_PT.masked_fill(torch.arange(8) < start_P[:, None], 0)
    logits_PV, cache = model.prefill(left_PT, start_P, capacity=11)
    whole = [row[start:].tolist() for row, start in zip(left_PT, starts, strict=True)]
    check(model, whole, logits_PV)
    cache.repeat(2)
    whole = [list(row) for row in whole for _ in range(2)]
    for next_B, kept in (([2, 3, 4, 5, 6, 7], [1, 2, 5]), ([8, 9, 2], [0, 1]), ([4, 5], [0])):
        logits_BV = model.step(torch.tensor(next_B), cache)
        whole = [[*row, token] for row, token in zip(whole, next_B, strict=True)]
        check(model, whole, logits_BV)
        cache.keep(torch.tensor(kept))
        whole = [whole[row] for row in kept]
    assert not cache.ragged
    with pytest.raises(ValueError, match="holds 11 positions and is full"):
        model.step(torch.tensor([2]), cache)


def check(model: TinyTransformer, rows: list[list[int]], logits_BV: Tensor) -> None:
    for row, logits_V in zip(rows, logits_BV, strict=True):
        torch.testing.assert_close(logits_V, logits(model, torch.tensor([row]))[0, -1], rtol=0, atol=1e-5)


def test_checkpointing_gives_the_same_gradients() -> None:
    gradients: list[list[Tensor]] = []
    for checkpointing in (False, True):
        model = made("grouped")
        model.gradient_checkpointing = checkpointing
        loss = logits(model, tokens(2, 9)).square().mean()
        gradients.append(list(torch.autograd.grad(loss, list(model.parameters()))))
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


@torch.no_grad()
def test_in_bfloat16_positions_are_not_rounded() -> None:
    """Attention to what stands 300 tokens before: with angles in bfloat16 it would look elsewhere."""
    model = made("plain")
    wide = logits(model, tokens(1, 400))
    narrow = logits(model.to(torch.bfloat16), tokens(1, 400)).float()
    late, early = (narrow - wide).abs()[0, 300:].mean(), (narrow - wide).abs()[0, :100].mean()
    assert float(late) < 2 * float(early)
    assert float(early) < 0.05


# ---- fused operations


def test_gradients_by_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    turns = torch.polar(torch.ones(5, 4, dtype=torch.float64), torch.randn(5, 4, generator=generator).double())
    assert torch.autograd.gradcheck(fused.rms_norm, (leaf(3, 6), leaf(6), 1e-3))
    assert torch.autograd.gradcheck(fused.swiglu, (leaf(3, 8),))
    assert torch.autograd.gradcheck(lambda qkv: fused.rotate(qkv * 1, turns), (leaf(2, 5, 12),))


def test_fused_values_are_the_plain_ones() -> None:
    x_ND, weight_D = torch.randn(4, 6, requires_grad=True), torch.randn(6)
    expected = functional.rms_norm(x_ND, (6,), weight_D, 1e-6)
    torch.testing.assert_close(fused.rms_norm(x_ND, weight_D, 1e-6), expected)
    torch.testing.assert_close(fused.swiglu(x_ND), functional.silu(x_ND[:, :3]) * x_ND[:, 3:])
    turns = torch.polar(torch.ones(1, 2), torch.tensor([[torch.pi / 2, 0.0]]))
    rotated = fused.rotate(torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), turns)
    torch.testing.assert_close(rotated, torch.tensor([[[-2.0, 1.0, 3.0, 4.0, 5.0]]]))
