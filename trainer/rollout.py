"""Sampling from the policy that is trained: a group of completions for each prompt, with their log-probabilities.

Axes: P prompts, G completions of each, B = P · G rows, T positions of a prompt, N new tokens, V vocabulary; A rows that
are still generated, R of them that stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from .policy import Policy
from .recorded import RecordedStep


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; temperature 0 takes the likeliest."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0  # the fewest tokens that together reach it: Holtzman et al. 2020, arXiv:1904.09751

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1 are needed: {self}")


@dataclass(frozen=True)
class Rollout:
    """B rows; those of a group stand side by side and share their prompt's list."""

    prompts: list[list[int]]
    completions: list[list[int]]  # the end token included, where the model gave one
    logps: list[list[float]]  # of each token under the distribution it was drawn from, nats; NaN where unknown
    finished: list[bool]  # False: cut at max_tokens


class Sampler(Protocol):
    """Our own, or another engine."""

    def __call__(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        """`group` completions for each prompt, whose seed alone decides how they are drawn."""
        ...

    def sync(self, policy: Policy) -> None:
        """The policy's weights into the engine."""
        ...

    def close(self) -> None: ...


class PolicySampler:
    """Samples from the policy itself, without a copy of its weights."""

    def __init__(self, policy: Policy, *, look_every: int | None = None) -> None:
        self.policy = policy
        self.device = next(iter(policy.parameters())).device
        # Steps between two looks for finished rows; on a GPU each look waits for all work that is under way.
        self.look_every = look_every or (16 if self.device.type == "cuda" else 1)
        # Rows are dropped when this share or less goes on: the cache is copied, and on a GPU the step recorded anew.
        self.drop_at = 0.5 if self.device.type == "cuda" else 0.75

    def sync(self, policy: Policy) -> None:
        self.policy = policy

    def close(self) -> None:
        return

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        """Raises ValueError for an empty prompt or another number of seeds than of prompts."""
        if len(seeds) != len(prompts) or not all(prompts):
            raise ValueError(f"{len(prompts)} prompts with {len(seeds)} seeds, or an empty prompt")
        tokens_BN, logps_BN = self._generate(prompts, group, sampling, seeds)
        ended_BN = torch.isin(tokens_BN, self._ends())
        finished_B = ended_BN.any(1)
        lengths_B = torch.where(finished_B, ended_BN.int().argmax(1) + 1, sampling.max_tokens)
        return Rollout(
            prompts=[row for prompt in prompts for row in [list(prompt)] * group],
            completions=_cut(tokens_BN, lengths_B),
            logps=_cut(logps_BN, lengths_B),
            finished=cast(Any, finished_B).tolist(),
        )

    def _generate(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Tokens and log-probabilities, both (B, N); what stands behind a row's end token means nothing."""
        tokens_PT, start_P = self._left_padded(prompts)
        logits_PV, cache = self.policy.prefill(tokens_PT, start_P, tokens_PT.size(1) + sampling.max_tokens)
        cache.repeat(group)
        step = RecordedStep(self.policy, cache)
        logits_AV = logits_PV.repeat_interleave(group, 0)
        uniforms_BN = _uniforms(seeds, group, sampling.max_tokens).to(self.device)
        tokens_BN = torch.full(uniforms_BN.shape, self.policy.tokenizer.pad_id, device=self.device)
        logps_BN = torch.full(uniforms_BN.shape, torch.nan, device=self.device)
        ends_E, rows_A = self._ends(), torch.arange(len(uniforms_BN), device=self.device)
        ended_A = torch.zeros_like(rows_A, dtype=torch.bool)
        for n in range(sampling.max_tokens):
            tokens_A, logps_A = draw(logits_AV, uniforms_BN[rows_A, n], sampling)
            tokens_BN[rows_A, n], logps_BN[rows_A, n] = tokens_A, logps_A
            ended_A |= torch.isin(tokens_A, ends_E)
            if n + 1 == sampling.max_tokens:
                break
            if (n + 1) % self.look_every == 0:
                alive_R = (~ended_A).nonzero().squeeze(1)
                if len(alive_R) == 0:
                    break
                if len(alive_R) <= self.drop_at * len(rows_A):
                    cache.keep(alive_R)
                    step = RecordedStep(self.policy, cache)
                    rows_A, tokens_A, ended_A = rows_A[alive_R], tokens_A[alive_R], ended_A[alive_R]
            logits_AV = step(tokens_A)
        return tokens_BN, logps_BN

    def _ends(self) -> Tensor:
        return torch.tensor(sorted(self.policy.tokenizer.end_ids), device=self.device)

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(P, T) tokens and (P,) padding of each row."""
        longest = max(map(len, prompts))
        pad = [self.policy.tokenizer.pad_id]
        tokens = [pad * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        starts = [longest - len(prompt) for prompt in prompts]
        return torch.tensor(tokens, device=self.device), torch.tensor(starts, device=self.device)


def _cut(values_BN: Tensor, lengths_B: Tensor) -> list[list[Any]]:
    rows, lengths = cast(Any, values_BN).tolist(), cast(Any, lengths_B).tolist()
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]


def draw(logits_AV: Tensor, uniforms_A: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """One token of each row and its log-probability under the distribution it was drawn from, both (A,).

    The inverse of the cumulative distribution: the first token whose sum of probabilities exceeds u times their total.
    In float64, u < 1 keeps the product below the total, so that no token of probability 0 is ever drawn.
    """
    if sampling.temperature == 0:
        tokens_A = logits_AV.argmax(-1)
        return tokens_A, torch.zeros_like(tokens_A, dtype=torch.float32)
    probabilities_AV = (logits_AV.float() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        probabilities_AV = _top_p(probabilities_AV, sampling.top_p)
    sums_AV = probabilities_AV.cumsum(-1, dtype=torch.float64)
    totals_A1 = sums_AV[:, -1:]
    tokens_A1 = torch.searchsorted(sums_AV, uniforms_A[:, None] * totals_A1, right=True)
    logps_A1 = (probabilities_AV.gather(1, tokens_A1) / totals_A1).log()
    return tokens_A1.squeeze(1), logps_A1.squeeze(1).float()


def _top_p(probabilities_AV: Tensor, top_p: float) -> Tensor:
    """0 outside the fewest likeliest tokens that together reach top_p; of equal ones the first stays."""
    ranked_AV, tokens_AV = torch.sort(probabilities_AV, dim=-1, descending=True, stable=True)
    before_AV = ranked_AV.cumsum(-1, dtype=torch.float64) - ranked_AV
    return torch.zeros_like(probabilities_AV).scatter_(1, tokens_AV, ranked_AV * (before_AV < top_p))


def _uniforms(seeds: Sequence[int], group: int, n_tokens: int) -> Tensor:
    """(B, N) float64 in [0, 1), each prompt's from its own seed: a group is the same in any batch."""
    shape = (n_tokens, group)  # one position after another: a higher limit changes nothing before it
    drawn = [torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(drawn).transpose(1, 2).flatten(0, 1)
