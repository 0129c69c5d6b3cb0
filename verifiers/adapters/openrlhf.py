"""OpenRLHF: `--reward.remote_url rlvr_reward.py`, a file that holds `reward_func(queries, prompts, labels)`.

Read: openrlhf 0.11.2, `openrlhf/utils/agent.py` (`SingleTurnAgentExecutor`) and
`openrlhf/trainer/ppo_utils/samples_generator.py`. Run: the first of them, from the published wheel, on a CPU. Its
remote rewards, `--reward.remote_url http://…/get_reward`, need no adapter: `rlvr serve` speaks their protocol.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..types import Verifier
from .judging import Judging, Pair, judging
from .rows import finished, problem_of, response_of

NAMED = "reward_func"
PLUG = "--reward.remote_url {file}"


def as_openrlhf(reward: Verifier | Judging) -> Callable[..., dict[str, Any]]:
    """OpenRLHF's `reward_func(queries, prompts, labels)`, called with lists of one or more.

    A query is the prompt and the completion in one text, special tokens included; what follows the prompt is judged.
    It returns tensors of shape (n,): `rewards`, the scores, which OpenRLHF trains with; `scores`, 1 where the
    completion is correct, which its dynamic filtering goes by; and `extra_logs`: `acc`, `judged` and each part.

    A completion that could not be judged raises NotJudged unless `Judging(reward, unjudged=…)` says what to pay.
    OpenRLHF logs the message ("Failed to fetch reward") and ends when it misses the reward.
    """
    return partial(_reward_func, judging(reward))


def _reward_func(
    judge: Judging, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[object], **_: Any
) -> dict[str, Any]:
    import torch

    pairs = [_pair(*each) for each in zip(range(len(queries)), queries, prompts, labels, strict=True)]
    verdicts = judge.verdicts(pairs)
    rows = [judge.numbers(problem, verdict) for (problem, _), verdict in zip(pairs, verdicts, strict=True)]
    columns = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    return {"rewards": columns.pop("score"), "scores": columns["acc"], "extra_logs": columns}


def _pair(number: int, query: str, prompt: str, label: object) -> Pair:
    response = response_of(query, prompt, f"queries[{number}]")
    return problem_of({}, number, gold=label, prompt=prompt), finished(response)
