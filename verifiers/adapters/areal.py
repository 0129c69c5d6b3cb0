"""AReaL: `RLVRWorkflow(reward_fn=as_areal(reward), …)`, or the import path of such a function.

Read: areal 1.0.4, `api/reward_api.py`, `workflow/rlvr.py` and `infra/workflow_executor.py`. Run: the same release's
`AsyncRewardWrapper` and `RLVRWorkflow`, with an engine that replays a script.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..types import Verifier
from .judging import Judging, judging
from .rows import finished, problem_of

NAMED = "reward_fn"
PLUG = 'workflow_kwargs["reward_fn"] = "{module}.reward_fn"'


def as_areal(reward: Verifier | Judging) -> Callable[..., float]:
    """A reward function of AReaL. It pickles, because AReaL runs it in a pool of processes.

    A completion that was not judged raises NotJudged, whatever AReaL's retries: its rollout is then rejected, with the
    message in the log, and trains nothing. AReaL pays 0 by itself for what takes longer than 15 s four times over;
    `Judging(reward, workers=1, timeout_s=5)` ends it before, with a verdict. The function runs apart from AReaL's
    statistics, which therefore hold the reward but none of its parts.
    """
    return partial(areal_reward, judging(reward))


def areal_reward(
    judging: Judging,
    /,
    prompt: str,
    completions: str,
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    **columns: Any,
) -> float:
    """The reward of one completion, decoded with its end marks as AReaL does. `columns`: the row of the data set."""
    problem = problem_of(columns, prompt=prompt)
    completion = finished(completions, n_tokens=len(completion_ids))
    return judging.pay(problem, judging.verdict(problem, completion))
