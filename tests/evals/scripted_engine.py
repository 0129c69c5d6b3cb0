"""An engine that speaks by a script, for tests: what it says depends on the seed of the sample and on nothing else.

A test copies this file to its folder and asks for `--backend scripted_engine:Engine`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from rlvr.evals.engines.seeds import seed_of
from rlvr.evals.engines.types import EngineInfo, EngineUnavailable, Generated, Prompt, Sampling

TEXTS = ("So \\boxed{4}.", "<think>Hm, ümlaut 一</think> \\boxed{5}", "no answer", "\\boxed{4", "A: 4")


class Engine:
    """`pause_s` between samples; `broken` samples of 100 fail; `unavailable` is why it cannot start."""

    def __init__(
        self,
        model: str,
        *,
        pause_s: float = 0.0,
        broken: int = 0,
        unavailable: str = "",
        log: str = "",
        drop: int = 0,
        twice: bool = False,
        tensor_parallel_size: int = 1,
        concurrency: int = 1,
        batch_size: int = 1,
        version: str = "1",
    ) -> None:
        self.model, self.pause_s, self.broken, self.unavailable, self.log = model, pause_s, broken, unavailable, log
        self.drop, self.twice = drop, twice
        self.version = version
        self.options = {
            "tensor_parallel_size": tensor_parallel_size,
            "concurrency": concurrency,
            "batch_size": batch_size,
        }

    async def start(self) -> EngineInfo:
        self._note("start")
        if self.unavailable:
            raise EngineUnavailable(self.unavailable)
        return EngineInfo("scripted", self.model, "abc123", {"scripted": self.version}, self.options)

    def render(self, prompt: Prompt) -> str | None:
        return "".join(f"<{m['role']}>{m['content']}" for m in prompt.messages) + prompt.text + prompt.prefix

    async def sample(
        self, prompts: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling
    ) -> AsyncIterator[Generated]:
        asked = [(prompt, sample) for prompt, samples in prompts for sample in samples]
        random.Random(len(asked)).shuffle(asked)  # in an order of its own
        try:
            for prompt, sample in asked[self.drop :]:
                await asyncio.sleep(self.pause_s)
                self._note(f"{prompt.problem_id} {sample}")
                yield self._answer(prompt, sample, seed_of(sampling.seed, prompt.problem_id, sample))
                if self.twice:
                    yield self._answer(prompt, sample, 1)
        finally:
            self._note("ended")

    def _answer(self, prompt: Prompt, sample: int, seed: int) -> Generated:
        draw = random.Random(seed)
        text = draw.choice(TEXTS) + " " + "x" * draw.randint(0, 300)
        if draw.randrange(100) < self.broken:
            return Generated(prompt.problem_id, sample, error="503 Service Unavailable")
        cut = draw.random() < 0.2
        return Generated(
            prompt.problem_id, sample, prompt.prefix + text, "length" if cut else "stop", len(text), 20, seed
        )

    async def aclose(self) -> None:
        self._note("close")

    def _note(self, line: str) -> None:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(line + "\n")
