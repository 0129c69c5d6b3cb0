"""rLLM: `AgentTrainer(evaluator=as_rllm(reward), …)`, and the reward function of its older workflows.

Read: rllm-org/rllm, `rllm/types.py` (Evaluator) at commit 02f0663, `rllm/eval/types.py` at cd24263,
`rllm/eval/_resolution.py` at 99ef53f, `rllm/engine/agentflow_engine.py` at 969979c and `rllm/rewards/reward_fn.py` at
33f147a. Run: a contract test built from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from ..types import Completion, Problem, Verifier
from .judging import Judging, judging
from .rows import problem_of

NAMED = "evaluator"
PLUG = 'verifier.import_path = "{module}:evaluator"   # in dataset.toml; or AgentTrainer(evaluator=evaluator)'


def as_rllm(reward: Verifier | Judging) -> "RllmReward":
    """Both of rLLM's shapes in one object: its `Evaluator` protocol and its `RewardFunction` protocol.

    The gold is a column of the task with one of the usual names (`ground_truth`). The parts are signals, which rLLM
    logs as metrics. What was not judged raises NotJudged unless `Judging(…, unjudged=)` says what to pay: the engine
    tries such a rollout again and then stops, or marks the episode as an error where `raise_on_error` is off. A
    verifier that rLLM loads from a file (`[verifier] module`) is no place for it: exceptions are a reward of 0 there.
    """
    return RllmReward(judging(reward))


@dataclass(frozen=True)
class RllmReward:
    judging: Judging

    def evaluate(self, task: Any, episode: Any) -> Any:
        """rLLM's `EvalOutput` for an episode of a task, or of a task's row: the engine hands over either."""
        problem = _problem(task)
        verdict = self.judging.verdict(problem, Completion(_answer(episode)))
        numbers = self.judging.numbers(problem, verdict)
        types = import_module("rllm.eval.types")
        signals = [types.Signal(name=name, value=value) for name, value in numbers.items() if name != "score"]
        return types.EvalOutput(reward=numbers["score"], is_correct=bool(numbers["acc"]), signals=signals)

    def __call__(self, task_info: dict[str, Any], action: Any) -> Any:
        """rLLM's `RewardOutput`, with the parts in its metadata. `action`: text, or an `Action` that holds it."""
        problem = problem_of(task_info)
        verdict = self.judging.verdict(problem, Completion(str(getattr(action, "action", action))))
        numbers = self.judging.numbers(problem, verdict)
        told = {"status": verdict.status, "reason": verdict.reason, "extracted": verdict.extracted, **numbers}
        output = import_module("rllm.rewards.reward_types").RewardOutput
        return output(reward=numbers["score"], metadata=told, is_correct=bool(numbers["acc"]))


def _problem(task: Any) -> Problem:
    if isinstance(task, Mapping):
        return problem_of(cast(Mapping[str, Any], task))
    return problem_of({"id": task.id, **task.metadata}, prompt=task.instruction)


def _answer(episode: Any) -> str:
    """What the agent answered, where rLLM's own evaluators look for it: an artifact, the last output, the last step."""
    if "answer" in episode.artifacts:
        return str(episode.artifacts["answer"])
    trajectories: Sequence[Any] = episode.trajectories
    if not trajectories:
        return ""
    if trajectories[-1].output:
        return str(trajectories[-1].output)
    steps: Sequence[Any] = trajectories[-1].steps
    last = steps[-1] if steps else None
    return str(getattr(last, "model_response", None) or getattr(last, "output", None) or "")
