"""The shape of a small model of the Llama family, and its weights as transformers and vLLM name and lay them out.

Ours differ in two ways: queries, keys and values are one matrix, gate and up another; and rotary positions turn
neighbouring numbers, where Llama's checkpoints pair a number with the one half a head further.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModelConfig:
    """The shape. 0.4 million parameters as it stands. Raises ValueError for heads that do not divide."""

    dim: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 4  # fewer than heads: grouped-query attention
    inner: int = 384  # of SwiGLU
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    tied: bool = True  # embedding and head are one matrix
    qkv_bias: bool = False
    context: int = 4096  # positions, as the saved config states them; nothing here depends on it

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.heads % self.kv_heads:
            raise ValueError(f"dim {self.dim} in {self.heads} heads of an even size, {self.kv_heads} kv_heads: no")

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of queries, keys and values."""
        return self.dim, self.kv_heads * self.head_dim, self.kv_heads * self.head_dim


_FIELDS = {
    "dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "inner": "intermediate_size",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
    "tied": "tie_word_embeddings",
    "qkv_bias": "attention_bias",
    "context": "max_position_embeddings",
}
_NAMES = {
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "unembedding": "lm_head.weight",
    "attention_norm": "input_layernorm.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    "out.weight": "self_attn.o_proj.weight",
    "down.weight": "mlp.down_proj.weight",
}


def llama_config(config: ModelConfig) -> dict[str, Any]:
    """What stands in `config.json`, without vocabulary and token ids."""
    shape = {theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()}
    return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", **shape}


def read_llama_config(table: Mapping[str, Any]) -> ModelConfig:
    """What `llama_config` wrote. Raises KeyError for a missing entry."""
    return ModelConfig(**{ours: table[theirs] for ours, theirs in _FIELDS.items()})


def to_llama(weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict as Llama's."""
    out: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        parts = _parts(name)
        rows = {3: [*config.widths], 2: [config.inner] * 2, 1: [len(tensor)]}[len(parts)]
        for theirs, part in zip(parts, torch.split(tensor, rows), strict=True):
            out[theirs] = _swap_pairs(part, 2, config) if _turned(theirs) else part.contiguous()
        if name.endswith("qkv.bias"):  # Llama's `attention_bias` means one behind attention too
            out[parts[0].replace("q_proj", "o_proj")] = tensor.new_zeros(config.dim)
    return out


def from_llama(weights: Mapping[str, Tensor], config: ModelConfig, names: Iterable[str]) -> dict[str, Tensor]:
    """Our state dict, of these names, from Llama's. Raises KeyError for a tensor that is missing."""
    half = config.head_dim // 2

    def part(theirs: str) -> Tensor:
        return _swap_pairs(weights[theirs], half, config) if _turned(theirs) else weights[theirs]

    return {name: torch.cat([part(theirs) for theirs in _parts(name)]) for name in names}


def _turned(name: str) -> bool:
    return "q_proj" in name or "k_proj" in name


def _swap_pairs(rows: Tensor, inner: int, config: ModelConfig) -> Tensor:
    """Each head's rows, a grid `inner` wide, transposed: with 2 neighbours move half a head apart, with d / 2 back."""
    grid = rows.reshape(-1, config.head_dim // inner, inner, *rows.shape[1:])
    return grid.transpose(1, 2).reshape(rows.shape)


def _parts(name: str) -> list[str]:
    """The Llama tensors in one of ours, top to bottom."""
    if not name.startswith("blocks."):
        return [_NAMES[name]]
    _, layer, name = name.split(".", 2)
    module, _, kind = name.partition(".")
    inside = {
        "qkv": [f"self_attn.{part}_proj.{kind}" for part in "qkv"],
        "gate_up": [f"mlp.{part}_proj.{kind}" for part in ("gate", "up")],
    }.get(module) or [_NAMES[name]]
    return [f"model.layers.{layer}.{part}" for part in inside]
