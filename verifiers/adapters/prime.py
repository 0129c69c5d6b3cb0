"""PrimeIntellect's verifiers: a reward of a task (`verifiers.v1`), and a Rubric of the API before it.

Read and run: verifiers 0.4.0 (`v1/task.py`, `v1/utils/decorators.py`, `v1/trace.py`), rollouts of its single-agent
environment through its interception server; 0.3.1 (`legacy/rubrics/rubric.py`), rollouts of its `SingleTurnEnv`.
Their package and ours live in one process: `import verifiers.v1 as vf`, `import rlvr.verifiers`.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module
from typing import Any, cast

from ..types import Completion, Verdict, Verifier
from .judging import Judging, judging
from .rows import completion_of, problem_of

NAMED = "rlvr_reward"
PLUG = "--env.taskset.task.rewards.rlvr.fn {module}:rlvr_reward"

Reward = Callable[..., Coroutine[Any, Any, float]]


def as_prime(reward: Verifier | Judging, *, name: str = "rlvr") -> Reward:
    """A reward function of a task: `MathTask.rlvr = vf.reward(as_prime(reward))`, or plugged in by its import path.

    The gold is a field of the task's data with one of the usual names (`answer`). Each part is a metric of the trace
    (`rlvr/format`), and the reason stands in `trace.info`. What was not judged raises NotJudged: the trace then bears
    a TaskError and no reward, and verifiers' trainers leave it out.
    """
    function = partial(prime_reward, judging(reward), name)
    function.__name__ = name  # pyright: ignore[reportAttributeAccessIssue] - what verifiers records the reward as
    return function


async def prime_reward(judging: Judging, name: str, /, task: Any, trace: Any) -> float:
    """The reward of one trace. `task` is verifiers' `TaskData`, `trace` its `Trace`; both are injected by name."""
    row = task.model_dump()
    problem = problem_of({**row, "id": task.id or task.name or task.idx}, prompt=row["prompt"])
    (verdict,) = await judging.verdicts_async([(problem, _reply(trace))])
    trace.info[name] = _told(verdict)
    numbers = judging.numbers(problem, verdict)
    trace.record_metrics({f"{name}/{part}": value for part, value in numbers.items() if part != "score"})
    return numbers["score"]


def _reply(trace: Any) -> Completion:
    """The last thing the model wrote, its chain of thought in front."""
    if trace.root_reply is not None:
        return Completion(trace.root_reply, finished=not trace.is_truncated)
    messages = [message.model_dump() for message in trace.assistant_messages[-1:]]
    return completion_of(messages[-1] if messages else "", finished=not trace.is_truncated)


def as_rubric(reward: Verifier | Judging, *, name: str = "rlvr") -> Any:
    """A `vf.Rubric` of verifiers 0.3 and before, for its environments: `vf.SingleTurnEnv(rubric=as_rubric(reward), …)`.

    Each part is a metric, a reward function of weight 0. A Rubric pays 0 for whatever a reward function raises; so
    what was not judged also makes the rollout an error (`state["error"]`), as a failed sandbox would, and is logged.
    """
    shared = judging(reward)
    function = partial(_rubric_reward, shared, name)
    function.__name__ = name  # pyright: ignore[reportAttributeAccessIssue]
    rubric = import_module("verifiers").Rubric(funcs=[function])
    for part in ("acc", "judged", *shared.parts):
        metric = partial(_rubric_metric, name, part)
        metric.__name__ = f"{name}/{part}"  # pyright: ignore[reportAttributeAccessIssue]
        rubric.add_metric(metric)
    return rubric


async def _rubric_reward(
    judging: Judging, name: str, /, prompt: Any, completion: Any, answer: Any, info: Any, state: Any
) -> float:
    state[name] = {"numbers": {}}
    try:
        row = {**cast(dict[str, Any], info if isinstance(info, dict) else {}), "id": state.get("example_id")}
        problem = problem_of(row, gold=answer or None, prompt=_plain(prompt))
        finished = not state.get("is_truncated", False)
        (verdict,) = await judging.verdicts_async([(problem, completion_of(_plain(completion), finished=finished))])
        state[name] |= _told(verdict)
        state[name]["numbers"] = judging.numbers(problem, verdict)
    except Exception as error:  # a Rubric makes 0 of it; the rollout must not look as if it had been judged
        state["error"] = import_module("verifiers").InfraError(str(error))
        raise
    return state[name]["numbers"]["score"]


def _rubric_metric(name: str, part: str, /, state: Any) -> float:
    return state[name]["numbers"].get(part, 0.0)


def _plain(messages: Any) -> Any:
    """Text, or messages as dicts, whichever of verifiers' classes they are."""
    if not isinstance(messages, list):
        return messages
    return [
        message.model_dump() if hasattr(message, "model_dump") else message for message in cast(list[Any], messages)
    ]


def _told(verdict: Verdict) -> dict[str, str | None]:
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "extracted": verdict.extracted,
        "detail": verdict.detail,
    }
