"""The cold start of a generated task: a new model learns to write as its worked solutions do."""

import shutil
from pathlib import Path

import torch

from ..evals.errors import UsageError
from .config import Config
from .distributed import Ranks
from .loading import load_policy
from .log import RunLog
from .puzzles import PUZZLES
from .sft import SftConfig, fine_tune, make_example


def cold_start(config: Config, folder: Path, ranks: Ranks, *, quiet: bool = False) -> str:
    """The folder of the model that GRPO begins with, `cold_start/final` of the run's; made once, by the first rank.

    Raises UsageError for a task that has no worked solutions.
    """
    made = folder / "cold_start"
    if ranks.rank == 0 and not (made / "final").is_dir():
        _make(config, made, ranks.device, quiet=quiet)
    ranks.wait()
    return str(made / "final")


def _make(config: Config, folder: Path, device: torch.device, *, quiet: bool) -> None:
    if config.task not in PUZZLES:
        raise UsageError(
            f"cold_start_steps: only {', '.join(PUZZLES)} have worked solutions; `rlvr sft` takes your own"
        )
    settings = SftConfig(
        steps=config.cold_start_steps,
        batch=config.cold_start_batch,
        learning_rate=config.cold_start_learning_rate,
        final_learning_rate=0.0,
        warmup_steps=min(20, config.cold_start_steps),
        pack=0,  # solutions are of nearly the same length
        micro_batch_tokens=config.micro_batch_tokens,
        logprob_chunk=config.logprob_chunk,
        seed=config.seed,
    )
    policy = load_policy(config, device)
    rows = PUZZLES[config.task].cold_start(config.seed)
    examples = [make_example(row, policy.tokenizer, row["prompt"]) for row in rows]
    with RunLog(folder, steps=settings.steps, after=-1, loggers=(), quiet=quiet) as log:
        fine_tune(policy, examples, settings, log)
    saved = folder / "saving"
    shutil.rmtree(saved, ignore_errors=True)
    policy.save(saved)
    saved.rename(folder / "final")  # whole, or not there
