"""Checkpoints from which a run goes on as if it had never stopped.

`checkpoints/step_000100/` holds `trained.pt` (weights, optimizer, reference), `state.json` (step and place in the data)
and the random number generator. Everything else that is random is drawn from seeds and the step. A checkpoint is
written beside its place and then renamed: one that has its name is whole.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from ..evals.errors import UsageError
from .distributed import Ranks

FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training changes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    reference: nn.Module | None


def latest(folder: Path) -> Path | None:
    """The last whole checkpoint of a run."""
    found = sorted((folder / FOLDER).glob("step_*[0-9]"))
    return found[-1] if found else None


def save(folder: Path, counters: Mapping[str, int], trained: Trained, keep: int, ranks: Ranks) -> None:
    """Write the checkpoint of step `counters["step"]`, and remove the oldest beyond `keep` (0: none). All ranks call
    it; one writes. A run on other ranks can go on from it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=ranks.size > 1)
    state: dict[str, Any] = {
        "model": get_model_state_dict(trained.model, options=options),
        "optimizer": get_optimizer_state_dict(trained.model, trained.optimizer, options=options),
        "rng": torch.get_rng_state(),
    }
    if trained.reference is not None:
        state["reference"] = get_model_state_dict(trained.reference, options=options)
    if ranks.rank == 0:
        _write(folder / FOLDER / f"step_{counters['step']:06d}", state, counters)
        for old in sorted((folder / FOLDER).glob("step_*[0-9]"))[: -keep or None] if keep else ():
            shutil.rmtree(old)
    ranks.wait()


def load(path: Path, trained: Trained) -> dict[str, int]:
    """Bring `trained` to where the checkpoint is; its counters. Raises UsageError for what is not ours."""
    options = StateDictOptions(full_state_dict=True)
    try:
        state = torch.load(path / "trained.pt", map_location="cpu", weights_only=True)
        counters: dict[str, int] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); remove it to go on from the one before") from None
    if ("reference" in state) != (trained.reference is not None):
        raise UsageError(f"{path}: a run {'with' if 'reference' in state else 'without'} a reference model made it")
    set_model_state_dict(trained.model, state["model"], options=options)
    set_optimizer_state_dict(trained.model, trained.optimizer, state["optimizer"], options=options)
    if trained.reference is not None:
        set_model_state_dict(trained.reference, state["reference"], options=options)
    torch.set_rng_state(state["rng"])
    return counters


def _write(path: Path, state: Mapping[str, Any], counters: Mapping[str, int]) -> None:
    made = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    torch.save(state, made / "trained.pt")
    (made / "state.json").write_text(json.dumps(counters), encoding="utf-8")
    for file in made.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    shutil.rmtree(path, ignore_errors=True)
    made.rename(path)
