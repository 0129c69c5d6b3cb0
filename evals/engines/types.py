"""What an engine is asked and what it gives. Everything here is frozen and slotted."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]
UNKNOWN = "unknown"
"""The version of a server that tells none."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. The defaults are DeepSeek-R1's protocol (arXiv:2501.12948, section 3)."""

    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 32_768
    """New tokens per completion."""
    seed: int = 0
    """Of the run; each sample's own seed is derived from it, the problem and the sample number (see `seed_of`)."""
    logprobs: bool = False
    """Keep the log-probability of each sampled token."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given: chat messages, to which the engine applies the model's own template, or plain text."""

    problem_id: str
    messages: tuple[Mapping[str, str], ...] = ()
    """`{"role": …, "content": …}`; empty where `text` is the whole prompt."""
    text: str = ""
    prefix: str = ""
    """What the completion is made to begin with, such as `<think>\\n`; it counts as part of the completion."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One completion, or why there is none."""

    problem_id: str
    sample: int
    text: str = ""
    """With the prompt's `prefix` in front."""
    finish_reason: FinishReason | None = None
    n_tokens: int | None = None
    prompt_tokens: int | None = None
    seed: int | None = None
    """None where the engine takes no seed per sample."""
    logprobs: tuple[float, ...] | None = None
    error: str | None = None
    """What stopped it after every retry; the run goes on, counts it, and asks again when it is continued."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the manifest keeps, so that another person can get the same numbers."""

    name: str
    model: str
    revision: str | None
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


class EngineUnavailable(RuntimeError):
    """The engine cannot start: not installed, no GPU, no such model, no server. The message says what to do."""


class Engine(Protocol):
    """Draws completions. One object serves one run; `aclose` ends it."""

    async def start(self) -> EngineInfo:
        """Load the model or greet the server. Raises EngineUnavailable."""
        ...

    def render(self, prompt: Prompt) -> str | None:
        """The prompt's exact text after the chat template; None where only the server knows it."""
        ...

    def sample(self, prompts: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling) -> AsyncIterator[Generated]:
        """Every asked sample of every prompt (its sample numbers beside it), each as soon as it is finished.

        Yields exactly one Generated per (prompt, sample number), in any order; cancelling the iterator stops the work.
        """
        ...

    async def aclose(self) -> None:
        """Free what `start` took."""
        ...
