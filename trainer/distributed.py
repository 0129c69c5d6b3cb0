"""One process or many under `torchrun`: the group of ranks, what they tell each other, and the wrapped model.

Every rank draws its own share of a step's problems. What an equation needs of all of them is gathered here, so that
two ranks take the step that one would take alone.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from ..evals.errors import UsageError

Item = TypeVar("Item")
dist: Any = torch.distributed  # half typed


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `size`. Every method is called by all of them in the same order."""

    rank: int
    size: int
    device: torch.device

    def gather(self, mine: Sequence[Item]) -> list[Item]:
        """What each rank has, dealt out again as it was dealt: item i is item i // size of rank i % size.

        Raises ValueError unless all ranks have equally many.
        """
        if self.size == 1:
            return list(mine)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(mine))
        return [item for items in zip(*parts, strict=True) for item in items]

    def mine(self, items: Sequence[Item]) -> list[Item]:
        """This rank's share."""
        return list(items[self.rank :: self.size])

    def all(self, mine: Sequence[Item]) -> list[Item]:
        """What the ranks have, one after the other."""
        if self.size == 1:
            return list(mine)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(mine))
        return [item for part in parts for item in part]

    def total(self, sums: Mapping[str, float]) -> dict[str, float]:
        """The sums over all ranks, of the names that any of them has."""
        if self.size == 1:
            return dict(sums)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, dict(sums))
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}

    def longest(self, count: int) -> int:
        """The greatest of all ranks' numbers."""
        if self.size == 1:
            return count
        value = torch.tensor(count, device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def ranks(device: str | None) -> Generator[Ranks]:
    """The process group that `torchrun` asked for, or this process alone. Raises UsageError for no such device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device = {device!r}: there is no GPU that torch can use")
    if str(place) == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if size == 1:
        yield Ranks(0, 1, place)
        return
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), size, place)
    finally:
        dist.destroy_process_group()


def wrap(model: nn.Module, how: Literal["ddp", "fsdp"], ranks: Ranks) -> nn.Module:
    """`model` on every rank: copies whose gradients are averaged, or shards, of each layer and then of the rest."""
    if ranks.size == 1:
        return model
    if how == "ddp":
        return DistributedDataParallel(model)
    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    stacks = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    for block in max(stacks, key=len, default=()):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def gradients_stay(model: nn.Module, stay: bool) -> Any:
    """A context in which a backward pass keeps its gradients to this rank: every micro-batch but the last."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(not stay)
        return nullcontext()
    if stay and isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return nullcontext()


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Into a model that is sharded alike, or not at all. All ranks call it."""
    for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
        ours.copy_(theirs if isinstance(ours, DTensor) else full(theirs))


def full(value: Tensor) -> Tensor:
    """A sharded tensor's whole value; any other as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value
