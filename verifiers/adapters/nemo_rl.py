"""NeMo-RL: an environment, as the Ray actor that it registers by import path.

Read: NVIDIA-NeMo/RL, `nemo_rl/environments/interfaces.py` at commit 0b8a793, `environments/utils.py` (`register_env`,
`create_env`) at edc6a57 and their caller `experience/rollouts.py` at a07e8b4. Run: a contract test built from them,
with the actor on a real Ray.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ..types import Verifier
from .judging import Judging, Pair, judging
from .rows import completion_of, problem_of

NAMED = "RlvrEnvironment"
PLUG = (
    'register_env("rlvr", "{module}.RlvrEnvironment"); '
    'ACTOR_ENVIRONMENT_REGISTRY["{module}.RlvrEnvironment"] = PY_EXECUTABLES.SYSTEM'
)


def as_nemo_rl(reward: Verifier | Judging) -> Any:
    """A Ray actor class of an `EnvironmentInterface`, for rows whose `task_name` names it.

    The gold is `ground_truth` in a row's metadata (`extra_env_info`), or a column with another of the usual names.
    `global_post_process_and_metrics` gives the means of score, acc, judged and each part since it was last called.
    NeMo-RL takes only numbers: what was not judged raises NotJudged in `step`, which stops the trainer, unless
    `Judging(…, unjudged=)` says what to pay.
    """
    import ray  # pyright: ignore[reportMissingTypeStubs]

    interfaces = import_module("nemo_rl.environments.interfaces")
    own = {"judging": judging(reward), "returned": interfaces.EnvironmentReturn}
    environment = type("RlvrEnvironment", (_Environment, interfaces.EnvironmentInterface), own)
    remote: Any = ray.remote  # pyright: ignore[reportUnknownMemberType]
    return remote(max_restarts=-1, max_task_retries=-1)(environment)


class _Environment:
    """What `RlvrEnvironment` adds to NeMo-RL's class."""

    judging: Judging
    returned: Any

    def __init__(self, cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._sums: Counter[str] = Counter()
        self._count = 0

    def step(
        self, message_log_batch: Sequence[list[dict[str, Any]]], metadata: Sequence[Mapping[str, Any] | None]
    ) -> Any:
        """NeMo-RL's `EnvironmentReturn`, every field as long as the batch: each episode ends with this turn."""
        import torch

        pairs: list[Pair] = [
            (problem_of(row or {}, i, prompt=_asked(log)), completion_of(log))
            for i, (log, row) in enumerate(zip(message_log_batch, metadata, strict=True))
        ]
        verdicts = self.judging.verdicts(pairs)
        rewards: list[float] = []
        for (problem, _), verdict in zip(pairs, verdicts, strict=True):
            numbers = self.judging.numbers(problem, verdict)
            rewards.append(numbers["score"])
            self._count += 1
            for name, value in numbers.items():
                self._sums[name] += value  # pyright: ignore[reportArgumentType] - Counter holds any number
        return self.returned(
            observations=[{"role": "environment", "content": f"Environment: {v.status}"} for v in verdicts],
            metadata=list(metadata),
            next_stop_strings=[None] * len(pairs),
            rewards=torch.tensor(rewards),
            terminateds=torch.ones(len(pairs)),
            answers=[verdict.extracted for verdict in verdicts],
        )

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """The batch as it is, and the means since the last call."""
        means = {f"rlvr/{name}": total / self._count for name, total in self._sums.items()}
        self._sums, self._count = Counter(), 0
        return batch, means

    def shutdown(self) -> None:
        """End the processes that judge, where there are some."""
        self.judging.close()


def _asked(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What stood before the model's first turn."""
    first = next((i for i, message in enumerate(log) if message["role"] == "assistant"), len(log))
    return list(log[:first])
