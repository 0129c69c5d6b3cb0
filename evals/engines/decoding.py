"""A batch of completions drawn token by token from a causal language model. Axes: B rows, V tokens, T positions.

A row's random numbers come from its own seed, so that a sample is the same in any batch, up to the rounding of the
model's own matrix products, which depends on the shape of a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .types import FinishReason

_RANDOM_BITS = 40


@dataclass(slots=True, eq=False)
class Row:
    """One sample to draw: at most `limit` new tokens after `prompt_ids`, and what has been drawn so far."""

    problem_id: str
    sample: int
    prompt_ids: tuple[int, ...]
    prefix: str
    seed: int
    limit: int
    drawn_ids: list[int] = field(default_factory=list[int])
    """The end-of-sequence token included, as vLLM counts."""
    logprobs: list[float] = field(default_factory=list[float])
    finish_reason: FinishReason | None = None

    def afresh(self) -> "Row":
        """The same sample with nothing drawn yet."""
        return replace(self, drawn_ids=[], logprobs=[], finish_reason=None)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are drawn and when they end."""

    temperature: float
    top_p: float
    logprobs: bool
    end_ids: frozenset[int]


@torch.inference_mode()
def decode(model: Any, rows: Sequence[Row], how: Decoding, stopped: Callable[[], bool]) -> Iterator[Row]:
    """Draw all rows at once and yield each as it finishes; a finished row leaves the batch, and its cache with it.

    Every different prompt is read once, whatever the number of its rows. Ends early once `stopped()` is true.
    """
    batch: list[Row] = list(rows)
    generators = [torch.Generator().manual_seed(row.seed) for row in batch]
    logits_BV, cache, mask_BT = _prefill(model, batch)
    position_B = mask_BT.sum(-1)
    while not stopped():
        uniform_B = torch.tensor([_uniform(generator) for generator in generators], dtype=torch.float64)
        token_B = pick(logits_BV, uniform_B, how.temperature, how.top_p).to(mask_BT.device)
        _append(batch, token_B, logits_BV, how)
        yield from (row for row in batch if row.finish_reason is not None)
        alive = [index for index, row in enumerate(batch) if row.finish_reason is None]
        if not alive:
            return
        if len(alive) < len(batch):
            kept = torch.tensor(alive, device=mask_BT.device)
            cache.batch_select_indices(kept)
            token_B, mask_BT, position_B = token_B[kept], mask_BT[kept], position_B[kept]
            generators = [generators[index] for index in alive]
            batch = [batch[index] for index in alive]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(batch), 1)], dim=-1)
        logits_BV = model(
            input_ids=token_B[:, None],
            attention_mask=mask_BT,
            position_ids=position_B[:, None],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        position_B = position_B + 1


def _prefill(model: Any, rows: Sequence[Row]) -> tuple[torch.Tensor, Any, torch.Tensor]:
    """(logits after the prompt, key-value cache, attention mask) of each row; prompts are padded on the left."""
    prompts = list(dict.fromkeys(row.prompt_ids for row in rows))
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    ids_BT = torch.tensor([[0] * pad + list(prompt) for pad, prompt in zip(padding, prompts, strict=True)])
    mask_BT = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
    ids_BT, mask_BT = ids_BT.to(model.device), mask_BT.to(model.device)
    out = model(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        position_ids=(mask_BT.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    owner = {prompt: index for index, prompt in enumerate(prompts)}
    owner_B = torch.tensor([owner[row.prompt_ids] for row in rows], device=model.device)
    out.past_key_values.batch_select_indices(owner_B)
    return out.logits[:, -1][owner_B], out.past_key_values, mask_BT[owner_B]


def _uniform(generator: torch.Generator) -> float:
    """In [0, 1) with 40 bits: multiplied with a sum it stays below that sum, which 53 bits would not promise."""
    return int(torch.randint(1 << _RANDOM_BITS, (), generator=generator)) / (1 << _RANDOM_BITS)


def _append(rows: Sequence[Row], token_B: torch.Tensor, logits_BV: torch.Tensor, how: Decoding) -> None:
    if how.logprobs:
        # Of the model itself, before temperature and top-p, as vLLM states them.
        logprob_BV = logits_BV.float().log_softmax(-1)
        for row, logprob in zip(rows, logprob_BV.gather(-1, token_B[:, None])[:, 0].cpu(), strict=True):
            row.logprobs.append(float(logprob))
    for row, token in zip(rows, map(int, token_B.cpu()), strict=True):
        row.drawn_ids.append(token)
        if token in how.end_ids:
            row.finish_reason = "stop"
        elif len(row.drawn_ids) >= row.limit:
            row.finish_reason = "length"


def pick(logits_BV: torch.Tensor, uniform_B: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token per row: the likeliest at temperature 0, else the inverse of the distribution at `uniform_B`.

    Temperature and top-p in float32, sums in float64. The inverse runs in the order of token ids, so that two tokens
    of nearly one probability that swap their ranks move nothing else.
    """
    if temperature == 0:
        return logits_BV.argmax(-1)
    if logits_BV.device.type == "mps":  # which has no float64
        logits_BV = logits_BV.cpu()
    probability_BV = (logits_BV.float() / temperature).softmax(-1)
    if top_p < 1:
        probability_BV = _nucleus(probability_BV, top_p)
    cumulative_BV = probability_BV.double().cumsum(-1)
    target_B = uniform_B.to(cumulative_BV.device) * cumulative_BV[:, -1]
    return torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]


def _nucleus(probability_BV: torch.Tensor, top_p: float) -> torch.Tensor:
    """The smallest set of likeliest tokens that holds `top_p`, the one that crosses it included; the rest are 0.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    sorted_BV, order_BV = probability_BV.sort(stable=True, dim=-1, descending=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= top_p, 0)
    return torch.zeros_like(probability_BV).scatter(-1, order_BV, kept_BV)
