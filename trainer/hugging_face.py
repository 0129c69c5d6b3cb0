"""Any causal language model of Hugging Face as a policy: training pass, sampling with a static cache, saving.

Axes: P prompts, B rows, T positions, S positions of the cache, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
import transformers
from torch import Tensor, nn
from torch.utils import checkpoint
from transformers import cache_utils
from transformers.modeling_layers import GradientCheckpointingLayer

from ..evals.engines.checkpoint import find_model
from ..evals.engines.types import EngineUnavailable
from ..evals.errors import UsageError
from .logprobs import Head, token_logprobs

Dtype = Literal["float32", "bfloat16"]
_StaticLayer: Any = cache_utils.StaticLayer  # half typed


class HuggingFaceTokenizer:
    """`inner` is the tokenizer of transformers."""

    def __init__(self, inner: Any, end_ids: frozenset[int]) -> None:
        self.inner = inner
        self.end_ids = end_ids
        self.end_id: int = inner.eos_token_id if inner.eos_token_id is not None else min(end_ids, default=0)
        # Never read: which id pads is of no account, as long as the embedding has it.
        self.pad_id: int = inner.pad_token_id if inner.pad_token_id is not None else min(end_ids, default=0)

    def encode(self, text: str) -> list[int]:
        return self.inner.encode(text, add_special_tokens=False)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        if not self.inner.chat_template:
            raise UsageError("this model has no chat template: choose a prompt that is plain text, such as r1-zero")
        rows = [dict(message) for message in messages]
        return self.inner.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)

    def decode(self, ids: Sequence[int]) -> str:
        """Without end, padding and other special tokens, as `rlvr eval` decodes."""
        said = [token for token in ids if token not in self.end_ids and token != self.pad_id]
        return self.inner.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def save(self, folder: Path) -> None:
        self.inner.save_pretrained(folder)


class HuggingFacePolicy(nn.Module):
    """`model` and its tokenizer. `checkpointing` computes each layer anew in the backward pass: less memory, more time.

    The model is always in evaluation mode. Dropout would make the policy that is trained another than the one that was
    sampled.
    """

    def __init__(self, model: Any, tokenizer: HuggingFaceTokenizer, *, checkpointing: bool = False) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self._longest: float = getattr(model.config.get_text_config(), "max_position_embeddings", None) or torch.inf
        if checkpointing:
            for layer in model.modules():
                if isinstance(layer, GradientCheckpointingLayer):
                    # Inside the layer, so that FSDP's hooks stay outside; a partial, so that a deep copy is one.
                    layer.forward = partial(
                        cast(Any, checkpoint).checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
                    )
        self.train()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        revision: str | None = None,
        dtype: Dtype = "float32",
        device: str = "cpu",
        attention: str | None = None,
        checkpointing: bool = False,
    ) -> Self:
        """A folder or a model on the hub, at a `revision` (branch, tag or commit).

        `attention` is what transformers calls it: `sdpa` (its default), `eager`, `flash_attention_2`, …
        Raises UsageError for what is not there, cannot be loaded, or has logits that `Head` cannot express.
        """
        cast(Any, transformers).utils.logging.disable_progress_bar()
        try:
            path, commit = find_model(name, revision)
            inner = cast(Any, transformers.AutoTokenizer).from_pretrained(path, revision=commit)
            model = cast(Any, transformers.AutoModelForCausalLM).from_pretrained(
                path, revision=commit, dtype=getattr(torch, dtype), attn_implementation=attention
            )
        except EngineUnavailable as missing:
            raise UsageError(str(missing)) from None
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as broken:
            why = str(broken).strip().partition("\n")[0] or type(broken).__name__
            raise UsageError(f"transformers cannot load {name}: {why}") from broken
        _make_writable(model)
        tokenizer = HuggingFaceTokenizer(inner, _end_ids(model, inner))
        policy = cls(model.to(device), tokenizer, checkpointing=checkpointing)
        policy.check_head()
        return policy

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def hidden(self, tokens_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        self._check_length(tokens_BT.shape[1])
        # Where positions begin anew transformers sees another example, and lets no token look across.
        packed = {} if positions_BT is None else {"position_ids": positions_BT}
        return self.model.get_decoder()(input_ids=tokens_BT, **packed, use_cache=False).last_hidden_state

    def head(self, temperature: float = 1.0) -> Head:
        """Softcap and scale are what the config says: Gemma's, Cohere's and Granite's names for them."""
        config, linear = self.model.config.get_text_config(), self.model.get_output_embeddings()
        return Head(
            linear.weight,
            getattr(linear, "bias", None),
            scale=getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1),
            softcap=getattr(config, "final_logit_softcapping", None),
            temperature=temperature,
        )

    @torch.no_grad()
    def prefill(self, tokens_PT: Tensor, start_P: Tensor, capacity: int) -> "tuple[Tensor, HuggingFaceCache]":
        """Raises UsageError for a model whose state is more than keys and values, or that is too short."""
        self._check_length(capacity)
        fixed = self.fixed_shapes()
        cache = HuggingFaceCache(_layers(self.model.config, capacity, fixed), start_P, capacity, fixed)
        positions_PT = torch.arange(tokens_PT.shape[1], device=tokens_PT.device) - start_P[:, None]
        logits_PV = self._next(tokens_PT, positions_PT.clamp(min=0), cache)
        cache.position_B = positions_PT[:, -1] + 1
        return logits_PV, cache

    @torch.no_grad()
    def step(self, tokens_B: Tensor, cache: "HuggingFaceCache") -> Tensor:
        logits_BV = self._next(tokens_B[:, None], cache.position_B[:, None], cache)
        cache.position_B += 1  # in place: a recorded step reads it there
        return logits_BV

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save(folder)

    def fixed_shapes(self) -> bool:
        """Whether every step has the same shapes and can be recorded as a CUDA graph; flash attention cannot."""
        return self.model.device.type == "cuda" and self.model.config._attn_implementation == "sdpa"

    def check_head(self) -> None:
        """Raises UsageError where hidden states and head do not give the model's own probabilities."""
        tokens_1T = torch.arange(4, device=self.model.device)[None]
        everywhere_1T = torch.ones_like(tokens_1T, dtype=torch.bool)
        with torch.no_grad():
            logps_1TV = self.model(input_ids=tokens_1T, use_cache=False).logits.float().log_softmax(-1)
            ours_1T, entropy_1T = token_logprobs(self.hidden(tokens_1T), self.head(), tokens_1T, everywhere_1T)
        theirs_1T = logps_1TV.gather(2, tokens_1T[..., None])[..., 0]
        off = torch.stack([ours_1T - theirs_1T, entropy_1T + (logps_1TV.exp() * logps_1TV).sum(-1)]).abs().max()
        # bfloat16 has 8 bits: a logit of 30 is right to 0.1.
        if not off <= (1e-3 if self.model.dtype == torch.float32 else 0.3):
            raise UsageError(
                f"{type(self.model).__name__} computes its logits in a way that the trainer does not know "
                f"(log-probabilities differ by {off:.2g}): only a linear head with scale and softcap"
            )

    def _next(self, tokens_BT: Tensor, positions_BT: Tensor, cache: "HuggingFaceCache") -> Tensor:
        """(B, V) logits after these tokens, which the cache then has."""
        cache.length += tokens_BT.shape[1]
        out = self.model(
            input_ids=tokens_BT,
            attention_mask=cache.mask_BS(),
            position_ids=positions_BT,
            past_key_values=cache.layers,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]

    def _check_length(self, length: int) -> None:
        if length > self._longest:
            raise UsageError(f"{length} tokens, prompt and completion together: this model takes {self._longest}")


class HuggingFaceCache:
    """Keys and values of all layers, where the padding ends, and each row's next position."""

    def __init__(self, layers: Any, start_B: Tensor, capacity: int, fixed: bool) -> None:
        self.layers = layers
        self.length = 0
        self.position_B = torch.zeros_like(start_B)
        self._fixed = fixed
        slots_S = torch.arange(capacity, device=start_B.device)
        # Without padding there is nothing to mask, and attention without a mask is faster.
        self._mask_BS = slots_S >= start_B[:, None] if bool(start_B.any()) else None

    def repeat(self, times: int) -> None:
        self._change(lambda rows: rows.repeat_interleave(times, 0))

    def keep(self, rows_K: Tensor) -> None:
        self._change(lambda rows: rows[rows_K])

    def mask_BS(self) -> Tensor | None:
        """True where there is a token; of what is not written yet causality takes care, where it can be seen at all."""
        return self._mask_BS if self._fixed or self._mask_BS is None else self._mask_BS[:, : self.length]

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        self.position_B = change(self.position_B)
        self._mask_BS = None if self._mask_BS is None else change(self._mask_BS)
        for layer in self.layers.layers:
            if isinstance(layer, _StaticLayer):  # a layer that uses another's keys has none
                layer.keys, layer.values = change(layer.keys), change(layer.values)
                layer.batch_size = len(layer.keys)


class _Written(_StaticLayer):
    """A static layer that shows attention what is written and not its whole memory: on a CPU that is time.

    A sliding window is the mask's matter; its layers keep all positions too.
    """

    is_compileable = False

    def __init__(self, capacity: int, sliding: bool) -> None:
        _StaticLayer.__init__(self, capacity)
        self.is_sliding = sliding
        self._length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self._length = self._length, self._length + key_states.shape[2]
        self.keys[:, :, start : self._length] = key_states
        self.values[:, :, start : self._length] = value_states
        return self.keys[:, :, : self._length], self.values[:, :, : self._length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        return self._length


def _layers(config: Any, capacity: int, fixed: bool) -> Any:
    """transformers' own static cache where a step must have fixed shapes (CUDA graphs), `_Written` layers elsewhere."""
    cache = cast(Any, transformers.StaticCache)(config=config, max_cache_len=capacity)
    for index, layer in enumerate(cache.layers):
        if type(layer) in (_StaticLayer, cache_utils.StaticSlidingWindowLayer):
            cache.layers[index] = layer if fixed else _Written(capacity, layer.is_sliding)
        elif type(layer).__name__ != "DummyLayer":
            raise UsageError(f"our sampler has no cache for this model's {type(layer).__name__}: sample with vLLM")
    return cache


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends: Any = model.generation_config.eos_token_id
    known: list[int | None] = [*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id]
    return frozenset(token for token in known if token is not None)


def _make_writable(model: Any) -> None:
    """Several checkpoints on the hub state a temperature without sampling: transformers reads that and refuses to
    write it. Of such a generation config the ids are kept."""
    config = model.generation_config
    try:
        config.validate(strict=True)
    except ValueError:
        ids = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model.generation_config = transformers.GenerationConfig(**ids)
