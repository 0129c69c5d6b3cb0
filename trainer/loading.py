"""What a configuration names, made: the policy, its reference, the sampler, and the log of this rank."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..evals.errors import UsageError
from .characters import Characters
from .config import Config
from .distributed import Ranks, wrap
from .llama import ModelConfig
from .log import RunLog
from .logprobs import token_logprobs
from .model import TinyTransformer
from .policy import Policy
from .puzzles import PUZZLES
from .rollout import PolicySampler, Sampler


class Scorer(nn.Module):
    """The policy as one function of a micro-batch, which DDP and FSDP can wrap: log-probabilities and entropies."""

    def __init__(self, policy: Policy, temperature: float, chunk: int) -> None:
        super().__init__()
        self.policy = policy
        self.temperature, self.chunk = temperature, chunk

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Both (B, T - 1), of tokens 1 to T - 1; `mask_BT` (B, T - 1) as in `token_logprobs`."""
        hidden_BTD = self.policy.hidden(tokens_BT[:, :-1])
        head = self.policy.head(self.temperature)
        return token_logprobs(hidden_BTD, head, tokens_BT[:, 1:], mask_BT, chunk=self.chunk)


def load_policy(config: Config, device: torch.device) -> Policy:
    """The model that the run begins with. Raises UsageError."""
    dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    if config.model == "tiny":
        policy = _new_tiny(config).to(device, dtype)
    elif (Path(config.model) / "characters.json").is_file():
        policy = TinyTransformer.load(Path(config.model)).to(device, dtype)
    else:
        from .hugging_face import HuggingFacePolicy

        return HuggingFacePolicy.load(
            config.model,
            revision=config.revision,
            dtype=config.dtype,
            device=str(device),
            checkpointing=config.gradient_checkpointing,
        )
    policy.gradient_checkpointing = config.gradient_checkpointing
    return policy


def _new_tiny(config: Config) -> TinyTransformer:
    if config.task not in PUZZLES:
        known = ", ".join(PUZZLES)
        raise UsageError(f"task {config.task}: the tiny model reads {known}; name a model for other tasks")
    puzzle = PUZZLES[config.task]
    shape = ModelConfig(
        dim=config.tiny_dim,
        layers=config.tiny_layers,
        heads=config.tiny_heads,
        kv_heads=config.tiny_heads,
        inner=3 * config.tiny_dim,
    )
    generator = torch.Generator().manual_seed(config.seed)
    return TinyTransformer(shape, Characters(puzzle.alphabet, puzzle.tags), generator=generator)


def load_reference(config: Config, ranks: Ranks) -> nn.Module:
    """The model that the KL divergence is from: a frozen copy of the first policy."""
    policy = load_policy(config, ranks.device)
    frozen = Scorer(policy, config.temperature, config.logprob_chunk).requires_grad_(False)
    return wrap(frozen, "fsdp", ranks) if config.parallel == "fsdp" else frozen


def load_sampler(config: Config, policy: Policy) -> Sampler:
    """Our own, or vLLM's. Raises UsageError where it cannot be had."""
    if config.sampler == "own":
        return PolicySampler(policy)
    from .vllm_rollout import vllm_sampler

    return vllm_sampler(config.sampler, policy, **config.vllm)


class NoLog:
    """What every rank but the first writes: nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        yield

    def completions(self, step: int, rows: Iterable[Mapping[str, Any]]) -> None: ...
    def evaluation(self, step: int, rows: Iterable[Mapping[str, Any]]) -> None: ...
    def note(self, step: int, line: str) -> None: ...
    def metrics(self, step: int, row: Mapping[str, Any]) -> None: ...
    def sync(self) -> None: ...


Log = RunLog | NoLog


def open_log(config: Config, folder: Path, ranks: Ranks, after: int, *, quiet: bool) -> AbstractContextManager[Log]:
    """The run's log on the first rank. What is past step `after`, of the checkpoint, is taken away; -1 is a new run."""
    if ranks.rank:
        return NoLog()
    shown = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
    return RunLog(folder, steps=config.steps, after=after, loggers=config.loggers, config=shown, quiet=quiet)
