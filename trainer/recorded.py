"""A step of decoding recorded as a CUDA graph: launching its kernels one by one takes longer than they run."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .policy import Cache, Policy


@runtime_checkable
class FixedShapes(Protocol):
    """A policy that says whether all its steps with a cache have the same shapes and read what changes from tensors."""

    def fixed_shapes(self) -> bool: ...


class RecordedStep:
    """`policy.step` with one cache, recorded where the policy's shapes are fixed. After a change of rows: a new one.

    The first step runs as it is and warms up, the second is recorded, and from then on the record is played.
    """

    def __init__(self, policy: Policy, cache: Cache) -> None:
        self.policy, self.cache = policy, cache
        self.recorded = isinstance(policy, FixedShapes) and policy.fixed_shapes()
        self.count = 0

    def __call__(self, tokens_A: Tensor) -> Tensor:
        """(A, V) logits, overwritten by the next step."""
        self.count += 1
        if not self.recorded or self.count == 1:
            return self.policy.step(tokens_A, self.cache)
        if self.count == 2:
            self.graph, self.tokens_A = torch.cuda.CUDAGraph(), tokens_A.clone()
            with torch.cuda.graph(self.graph):
                self.logits_AV = self.policy.step(self.tokens_A, self.cache)
        self.tokens_A.copy_(tokens_A)
        self.graph.replay()
        return self.logits_AV
