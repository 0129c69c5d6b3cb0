"""SkyRL-gym: an environment of one turn, `register(id="rlvr", entry_point=as_skyrl_gym(reward))`, for SkyRL's trainer.

Read: skyrl-gym 0.4.0 (`envs/base_text_env.py`, `envs/registration.py`) and SkyRL's `skyrl_gym_generator.py` at bc2dea2.
Run: skyrl-gym 0.4.0, the generator's calls through `register`, `make`, `init`, `step` and `get_metrics`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from ..types import Verifier
from .judging import Judging, judging
from .rows import finished, problem_of

NAMED = "RlvrEnv"
PLUG = 'skyrl_gym.register(id="rlvr", entry_point="{module}:RlvrEnv")   # and env_class "rlvr" in the data'


def as_skyrl_gym(reward: Verifier | Judging) -> Any:
    """A subclass of `BaseTextEnv`, which `skyrl_gym.register` takes as it is or by its import path.

    SkyRL hands a row over as `extras`: the gold is its `reward_spec["ground_truth"]`, else a column with one of the
    usual names; those of `extra_info` count too. What the reward and its parts scored is SkyRL's
    `environment/` metrics. An environment cannot leave a sample out: what was not judged raises NotJudged out of
    `step`, which stops the trainer, unless `Judging(…, unjudged=)` says what to pay.
    """
    base = import_module("skyrl_gym.envs.base_text_env").BaseTextEnv
    return type("RlvrEnv", (_OneTurn, base), {"judging": judging(reward)})


class _OneTurn:
    """What `RlvrEnv` adds to SkyRL's class."""

    judging: Judging

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        row = dict(extras or {})
        self._row = {**_inside(row, "extra_info"), **row}
        self._gold = _inside(row, "reward_spec").get("ground_truth")
        self._prompt: list[dict[str, str]] | None = None
        self._numbers: dict[str, float] = {}

    def init(self, prompt: list[dict[str, str]]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """The prompt goes to the model as it is."""
        self._prompt = prompt
        return prompt, {}

    def step(self, action: str) -> dict[str, Any]:
        """SkyRL's `BaseTextEnvStepOutput`: the reward for what the model wrote, and the end of the episode."""
        problem = problem_of(self._row, gold=self._gold, prompt=self._prompt)
        verdict = self.judging.verdict(problem, finished(action))
        self._numbers = self.judging.numbers(problem, verdict)
        told = {"status": verdict.status, "reason": verdict.reason, "extracted": verdict.extracted, **self._numbers}
        return {"observations": [], "reward": self._numbers["score"], "done": True, "metadata": told}

    def get_metrics(self) -> dict[str, float]:
        """What SkyRL averages over the batch: score, acc, judged, and each part."""
        return self._numbers


def _inside(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value: object = row.get(name)
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
