"""slime: `--custom-rm-path rlvr_reward.reward_func`, with or without `--group-rm`.

Read: slime 0.4.0 (THUDM/slime), `slime/rollout/rm_hub/__init__.py` at commit 0b420f1, `slime/rollout/sglang_rollout.py`
at 0044b40, `slime/utils/types.py` at 0d234f3, `slime/ray/rollout.py` at a51f071. Not run: there is no package to
install. Its remote rewards, `--rm-type remote_rm --rm-url http://…/remote_rm`, need no adapter: `rlvr serve` speaks
their protocol.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, cast

from ..types import Verifier
from .judging import Judging, Pair, judging
from .rows import finished, problem_of

NAMED = "reward_func"
PLUG = "--custom-rm-path {module}.reward_func"


def as_slime(reward: Verifier | Judging) -> Callable[..., Any]:
    """slime's `async rm(args, sample)`, and `async rm(args, samples)`, which `--group-rm` calls with a group.

    It returns the score, or with `--reward-key` a dict of `score`, `acc`, `judged` and each part. The dict stands in
    `sample.metadata["rlvr"]` too, with the reason, and so in slime's dumps of rollouts.

    A sample that could not be judged has `remove_sample` set: slime leaves it out of the loss, but its reward still
    counts in the group's mean. With `--group-rm` it is paid the mean of those of its group that were judged, which
    leaves that where it was (0 where none was: all of them are left out). Without, it is paid what
    `Judging(reward, unjudged=…)` says; else NotJudged is raised and slime's rollout ends with the reason.
    """
    return partial(_rm, judging(reward))


async def _rm(judge: Judging, args: Any, samples: Any, **_: Any) -> Any:
    if isinstance(samples, list):
        return await _rewards(judge, args, cast(list[Any], samples), whole=bool(args.group_rm))
    return (await _rewards(judge, args, [samples], whole=False))[0]


async def _rewards(judge: Judging, args: Any, samples: Sequence[Any], *, whole: bool) -> list[Any]:
    """whole: the samples are a whole group, whose mean is known."""
    pairs = [_pair(sample) for sample in samples]
    verdicts = await judge.verdicts_async(pairs)
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    mean = fmean(scores) if scores else 0.0
    rewards: list[Any] = []
    for sample, (problem, _), verdict in zip(samples, pairs, verdicts, strict=True):
        numbers = judge.numbers(problem, verdict, instead=mean if whole else None)
        if verdict.score is None:
            sample.remove_sample = True
        sample.metadata = {**_metadata(sample), "rlvr": {**numbers, "reason": verdict.reason}}
        rewards.append(numbers if args.reward_key else numbers["score"])
    return rewards


def _pair(sample: Any) -> Pair:
    ended = {"completed": True, "truncated": False}.get(sample.status.value)
    problem = problem_of(_metadata(sample), sample.index or 0, gold=sample.label, prompt=sample.prompt)
    return problem, finished(sample.response, n_tokens=sample.response_length, finished=ended)


def _metadata(sample: Any) -> Mapping[str, Any]:
    metadata: Any = sample.metadata
    return cast(Mapping[str, Any], metadata) if isinstance(metadata, Mapping) else {}
