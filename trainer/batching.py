"""Completions as tensors: micro-batches of similar lengths, so that little of them is padding.

Axes: B rows of a micro-batch, T positions. A row is prompt and completion, padded on the right; position t predicts
token t + 1, so that everything per token has one position less than the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from ..verifiers.types import Verdict
from .data import Question
from .losses import Batch


@dataclass(slots=True, eq=False)
class Sample:
    """One completion of a question, and what has been found out about it."""

    question: Question
    number: int
    """Among the completions of its group."""
    ids: list[int]
    """Of the completion, the end token included."""
    sampler_logps: list[float]
    finished: bool
    text: str
    verdict: Verdict
    advantage: float = 0.0
    counts: bool = True
    """Whether its tokens are in the loss; not where it was not judged, or cut off and masked."""
    old_logps: Tensor | None = field(default=None, repr=False)
    ref_logps: Tensor | None = field(default=None, repr=False)
    entropies: Tensor | None = field(default=None, repr=False)
    selected: Tensor | None = field(default=None, repr=False)

    @property
    def judged(self) -> bool:
        return self.verdict.score is not None

    @property
    def reward(self) -> float:
        """NaN where it was not judged."""
        return float("nan") if self.verdict.score is None else self.verdict.score

    @property
    def name(self) -> str:
        """For a person."""
        return f"sample {self.number} of problem {self.question.problem.id}"

    @property
    def length(self) -> int:
        """Tokens of the row, the prompt included."""
        return len(self.question.ids) + len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """`tokens_BT`, and the mask (B, T - 1) of the positions that predict a token of a completion."""

    samples: list[Sample]
    tokens_BT: Tensor
    mask_BT: Tensor
    idle: bool = False

    def spread(self, values: Sequence[Sequence[float] | Tensor | None]) -> Tensor | None:
        """Values per token of each sample as (B, T - 1), 0 outside; None where a sample that counts has none."""
        out_BT = torch.zeros(self.mask_BT.shape, dtype=torch.float32)
        for row, (sample, value) in enumerate(zip(self.samples, values, strict=True)):
            if value is None:
                if self.idle:
                    continue
                return None
            start = len(sample.question.ids) - 1
            out_BT[row, start : start + len(sample.ids)] = torch.as_tensor(value)
        return out_BT.to(self.mask_BT.device)

    def batch(self, logps_BT: Tensor, sequences: float, tokens: float) -> Batch:
        """What the loss needs; `sequences` and `tokens` as `Batch` has them."""
        samples, selected_BT = self.samples, self.spread([sample.selected for sample in self.samples])
        return Batch(
            logps_BT,
            torch.tensor([sample.advantage for sample in samples], device=logps_BT.device),
            self.mask_BT,
            sequences=max(1.0, sequences),
            tokens=tokens,
            old_logps_BT=self.spread([sample.old_logps for sample in samples]),
            ref_logps_BT=self.spread([sample.ref_logps for sample in samples]),
            sampler_logps_BT=self.spread([sample.sampler_logps for sample in samples]),
            selected_BT=None if selected_BT is None else selected_BT.bool(),
        )

    def write(self, name: Literal["old_logps", "ref_logps", "entropies"], values_BT: Tensor) -> None:
        """Keep the values at each sample's own tokens, on the CPU."""
        values_BT = values_BT.detach().cpu()
        for row, sample in enumerate(self.samples):
            start = len(sample.question.ids) - 1
            setattr(sample, name, values_BT[row, start : start + len(sample.ids)].clone())


def micro_batches(samples: Sequence[Sample], most_tokens: int, pad_id: int, device: torch.device) -> list[MicroBatch]:
    """All samples, longest first, in batches of at most `most_tokens` padded tokens; a longer row stands alone."""
    waiting = sorted(samples, key=lambda sample: -sample.length)
    found: list[MicroBatch] = []
    while waiting:
        count = max(1, most_tokens // waiting[0].length)
        found.append(_padded(waiting[:count], pad_id, device))
        waiting = waiting[count:]
    return found


def idle(sample: Sample, pad_id: int, device: torch.device) -> MicroBatch:
    """A batch that takes part in the ranks' communication and teaches nothing."""
    batch = _padded([replace(sample)], pad_id, device)
    return MicroBatch(batch.samples, batch.tokens_BT, torch.zeros_like(batch.mask_BT), idle=True)


def _padded(samples: list[Sample], pad_id: int, device: torch.device) -> MicroBatch:
    longest = max(sample.length for sample in samples)
    tokens_BT = torch.full((len(samples), longest), pad_id)
    mask_BT = torch.zeros(len(samples), longest - 1, dtype=torch.bool)
    for row, sample in enumerate(samples):
        start = len(sample.question.ids)
        tokens_BT[row, : sample.length] = torch.tensor(sample.question.ids + sample.ids)
        mask_BT[row, start - 1 : sample.length - 1] = sample.counts
    return MicroBatch(samples, tokens_BT.to(device), mask_BT.to(device))
