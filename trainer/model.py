"""A small decoder-only transformer of the Llama family, fast on a CPU: the examples need no download.

RMSNorm, rotary positions, SwiGLU, grouped-query attention; one matrix for queries, keys and values and one for gate and
up. Saved as a Llama checkpoint, which transformers and vLLM open.
Axes: P prompts, B rows, T positions, N = B · T, D hidden size, V vocabulary, W queries, keys and values side by side,
H query heads, K key-value heads, d head size.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, scaled_dot_product_attention
from torch.utils import checkpoint

from ..evals.errors import UsageError
from .characters import Characters
from .fused import rms_norm, rotate, swiglu
from .llama import ModelConfig, from_llama, llama_config, read_llama_config, to_llama
from .logprobs import Head
from .products import linear

_files: Any = safetensors.torch  # half typed
_checkpoint: Any = checkpoint

Attend = Callable[[Tensor], Tensor]  # (B, T, W) rotated queries, keys and values -> (N, H · d)


class StaticCache:
    """Keys and values, for each layer one (2, B, K, capacity, d); column `filled` is written next in every row.

    Columns before `start_B` are padding; `ragged`: whether there is any. `turns` are the rotations of every position.
    """

    def __init__(self, layers: list[Tensor], filled: int, start_B: Tensor, turns: Tensor) -> None:
        self.layers, self.filled, self.start_B, self.turns = layers, filled, start_B, turns
        self.ragged = bool(start_B.any())

    def repeat(self, times: int) -> None:
        for index, old in enumerate(self.layers):
            new = old.new_empty(2, old.size(1) * times, *old.shape[2:])
            copies = new.view(2, -1, times, *old.shape[2:])
            copies[..., : self.filled, :] = old[:, :, None, :, : self.filled]
            self.layers[index] = new
        self.start_B = self.start_B.repeat_interleave(times)

    def keep(self, rows_K: Tensor) -> None:
        for index, old in enumerate(self.layers):
            new = old.new_empty(2, len(rows_K), *old.shape[2:])
            new[..., : self.filled, :] = old[..., : self.filled, :].index_select(1, rows_K)
            self.layers[index] = new
        self.start_B = self.start_B[rows_K]
        self.ragged = self.ragged and bool(self.start_B.any())

    def padding(self) -> Tensor | None:
        """(B, 1, 1, filled + 1), True where the next token must not look; None where it may look everywhere."""
        if not self.ragged:
            return None
        columns = torch.arange(self.filled + 1, device=self.start_B.device)
        return (columns < self.start_B[:, None])[:, None, None]


class Block(nn.Module):
    """Attention, then SwiGLU, each on the normalised stream and added to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.attention_norm = nn.Parameter(torch.empty(config.dim))
        self.qkv = nn.Linear(config.dim, sum(config.widths), bias=config.qkv_bias)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.mlp_norm = nn.Parameter(torch.empty(config.dim))
        self.gate_up = nn.Linear(config.dim, 2 * config.inner, bias=False)
        self.down = nn.Linear(config.inner, config.dim, bias=False)

    def forward(self, x_ND: Tensor, attend: Attend) -> Tensor:
        qkv_NW = linear(rms_norm(x_ND, self.attention_norm, self.eps), self.qkv.weight, self.qkv.bias)
        x_ND = linear(attend(qkv_NW), self.out.weight).add_(x_ND)
        gate_up_N = linear(rms_norm(x_ND, self.mlp_norm, self.eps), self.gate_up.weight)
        return linear(swiglu(gate_up_N), self.down.weight).add_(x_ND)


class TinyTransformer(nn.Module):
    """A `Policy`. Weights are drawn from normal(0, 0.02), those that write to the stream divided by sqrt(2 · layers)
    (GPT-2), by `generator` or torch's global one.
    """

    def __init__(self, config: ModelConfig, tokenizer: Characters, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.gradient_checkpointing = False
        self.embedding = nn.Parameter(torch.empty(tokenizer.size, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.Parameter(torch.empty(config.dim))
        self.unembedding = None if config.tied else nn.Parameter(torch.empty(tokenizer.size, config.dim))
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(1)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                writes = name.endswith(("out.weight", "down.weight"))
                parameter.normal_(0, 0.02 / (2 * self.config.layers) ** (0.5 * writes), generator=generator)

    def head(self, temperature: float = 1.0) -> Head:
        return Head(self.embedding if self.unembedding is None else self.unembedding, temperature=temperature)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.hidden(tokens_BT)

    def hidden(self, tokens_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """(B, T, D). Rows are padded on the right: no token that counts looks at one that does not.

        `positions_BT` as `Policy.hidden` has it, for rows of several examples.
        """
        if positions_BT is None:
            return self._run(tokens_BT, self._turns(tokens_BT.size(1)), lambda _: self._causal)
        example_BT = (positions_BT == 0).cumsum(1)
        mask_B1TT = (example_BT[:, :, None] == example_BT[:, None]).tril()[:, None]
        turns = self._turns(tokens_BT.size(1))[positions_BT]
        return self._run(tokens_BT, turns, lambda _: partial(self._causal, mask_B1TT=mask_B1TT))

    def prefill(self, tokens_PT: Tensor, start_P: Tensor, capacity: int) -> tuple[Tensor, StaticCache]:
        """As `Policy.prefill`. Padding is moved to the right first, where causal attention needs no mask."""
        n_P, n_T = tokens_PT.shape
        shape = (2, n_P, self.config.kv_heads, capacity, self.config.head_dim)
        layers = [self.embedding.new_empty(shape) for _ in range(self.config.layers)]
        turns = self._turns(capacity)
        cache = StaticCache(layers, n_T, start_P, turns)
        columns_PT = torch.arange(n_T, device=start_P.device).expand(n_P, n_T)
        from_left_PT = (columns_PT + start_P[:, None]).clamp(max=n_T - 1)
        from_right_PT = (columns_PT - start_P[:, None]).clamp(min=0)

        def attend(layer: int, qkv_BTW: Tensor) -> Tensor:
            keys_values = self._keys_values(qkv_BTW)
            if cache.ragged:
                keys_values = keys_values.gather(3, from_right_PT[None, :, None, :, None].expand_as(keys_values))
            layers[layer][..., :n_T, :] = keys_values
            return self._causal(qkv_BTW)

        tokens_PT = tokens_PT.gather(1, from_left_PT) if cache.ragged else tokens_PT
        hidden_PTD = self._run(tokens_PT, turns[:n_T], lambda layer: partial(attend, layer))
        last_PD = hidden_PTD[torch.arange(n_P, device=start_P.device), n_T - 1 - start_P]
        return linear(last_PD, self.head().weight_VD), cache

    def step(self, tokens_B: Tensor, cache: StaticCache) -> Tensor:
        """As `Policy.step`. Raises ValueError when the cache is full."""
        if cache.filled == cache.layers[0].size(3):
            raise ValueError(f"the cache holds {cache.filled} positions and is full")
        padding = cache.padding()
        grouped = (-1, self.config.kv_heads, self.config.heads // self.config.kv_heads, self.config.head_dim)

        def attend(layer: int, qkv_B1W: Tensor) -> Tensor:
            keys_values = cache.layers[layer][..., : cache.filled + 1, :]
            keys_values[..., -1:, :] = self._keys_values(qkv_B1W)
            # The query heads that share a key stand where positions would: no key is copied. Written out, because for
            # one position this takes less time on a CPU than `scaled_dot_product_attention`.
            queries = qkv_B1W[..., : self.config.dim].reshape(grouped)
            keys, values = keys_values
            scores = (queries @ keys.transpose(-1, -2)).mul_(self.config.head_dim**-0.5)
            if padding is not None:
                scores.masked_fill_(padding, -torch.inf)
            return (scores.softmax(-1) @ values).reshape(-1, self.config.dim)

        turns = cache.turns[cache.filled - cache.start_B, None] if cache.ragged else cache.turns[cache.filled]
        hidden_B1D = self._run(tokens_B[:, None], turns, lambda layer: partial(attend, layer))
        cache.filled += 1
        return linear(hidden_B1D[:, 0], self.head().weight_VD)

    def _run(self, tokens_BT: Tensor, turns: Tensor, attend: Callable[[int], Attend]) -> Tensor:
        """(B, T, D). `turns` as in `rotate`; `attend(layer)` mixes positions."""
        x_ND = embedding(tokens_BT, self.embedding).flatten(0, 1)
        for layer, block in enumerate(self.blocks):
            rotated = partial(_rotated, shape=tokens_BT.shape, turns=turns, attend=attend(layer))
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x_ND = cast(Tensor, _checkpoint.checkpoint(block, x_ND, rotated, use_reentrant=False))
            else:
                x_ND = block(x_ND, rotated)
        return rms_norm(x_ND, self.norm, self.config.norm_eps).view(*tokens_BT.shape, -1)

    def _turns(self, n_positions: int) -> Tensor:
        """(positions, (H + K) · d / 2) complex: the rotation of each pair of numbers, for all heads at once.

        Made anew on each call: a buffer would be rounded when the model is cast to bfloat16.
        """
        device, size = self.embedding.device, self.config.head_dim
        wide = torch.promote_types(self.embedding.dtype, torch.float32)
        frequencies = 1 / self.config.rope_theta ** (torch.arange(0, size, 2, device=device, dtype=wide) / size)
        angles = torch.arange(n_positions, device=device)[:, None] * frequencies
        return torch.polar(torch.ones_like(angles), angles).repeat(1, self.config.heads + self.config.kv_heads)

    def _causal(self, qkv_BTW: Tensor, mask_B1TT: Tensor | None = None) -> Tensor:
        queries, keys, values = (
            part.view(*qkv_BTW.shape[:2], -1, self.config.head_dim).transpose(1, 2)
            for part in torch.split(qkv_BTW, [*self.config.widths], -1)
        )
        grouped = self.config.heads != self.config.kv_heads
        mixed = scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask_B1TT, is_causal=mask_B1TT is None, enable_gqa=grouped
        )
        return mixed.transpose(1, 2).reshape(-1, self.config.dim)

    def _keys_values(self, qkv_BTW: Tensor) -> Tensor:
        """(2, B, K, T, d), a view."""
        heads = (2, self.config.kv_heads, self.config.head_dim)
        return qkv_BTW[..., self.config.dim :].view(*qkv_BTW.shape[:2], *heads).permute(2, 0, 3, 1, 4)

    def save(self, folder: Path) -> None:
        """A folder for `load`, for transformers and for vLLM."""
        folder.mkdir(parents=True, exist_ok=True)
        _files.save_file(
            to_llama(self.state_dict(), self.config), folder / "model.safetensors", metadata={"format": "pt"}
        )
        ids = {"pad_token_id": self.tokenizer.pad_id, "eos_token_id": self.tokenizer.end_id, "bos_token_id": None}
        config = llama_config(self.config) | {"vocab_size": self.tokenizer.size, **ids}
        dtype = str(self.embedding.dtype).removeprefix("torch.")
        (folder / "config.json").write_text(json.dumps(config | {"dtype": dtype}, indent=2) + "\n")
        (folder / "generation_config.json").write_text(json.dumps(ids, indent=2) + "\n")
        self.tokenizer.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "TinyTransformer":
        """What `save` wrote, bit for bit. Raises UsageError where the folder holds no such model."""
        tokenizer = Characters.load(folder)
        try:
            config = read_llama_config(json.loads((folder / "config.json").read_text()))
            with torch.device("meta"):
                model = cls(config, tokenizer)
            weights = cast(dict[str, Tensor], _files.load_file(folder / "model.safetensors"))
            model.load_state_dict(from_llama(weights, config, model.state_dict()), assign=True)
        except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise UsageError(f"{folder}: not a model that rlvr saved: {error}") from None
        return model


def _rotated(qkv_NW: Tensor, shape: torch.Size, turns: Tensor, attend: Attend) -> Tensor:
    return attend(rotate(qkv_NW.view(*shape, -1), turns))
