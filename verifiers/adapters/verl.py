"""verl: a custom reward function, `reward.custom_reward_function.path` and `.name`.

Read: verl 0.9.1, `verl/trainer/ppo/reward.py`, `verl/experimental/reward_loop/`, `verl/workers/reward_manager/`. Run:
the same wheel on a CPU, with its own loading, reward managers and reward loop.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..types import Completion, Verdict, Verifier
from .judging import Judging, Pair, judging
from .rows import problem_of

NAMED = "compute_score"
PLUG = "reward.custom_reward_function.path={file} reward.custom_reward_function.name=compute_score"

_NO_ANSWER = "[INVALID]"  # verl's own word for it


def as_verl(
    reward: Verifier | Judging, *, asynchronous: bool = False, batch: bool = False, parts: bool = True
) -> Callable[..., Any]:
    """verl's `compute_score(data_source, solution_str, ground_truth, extra_info)`.

    It returns a dict: `score`, which verl trains with; `acc`, which its validation reports first; `judged` and the
    score of each part, which its validation averages; `pred`, the answer that its `maj@k` votes with; and `reason`,
    for its dumps of rollouts. The keys are the same for every sample, as verl needs.

    asynchronous: a coroutine function, for verl's reward loop. batch: the form with plurals (`data_sources`, …), for
    the manager `batch`. parts=False: the score alone, for the manager `prime`, which takes no dict.

    A completion that could not be judged raises NotJudged unless `Judging(reward, unjudged=…)` says what to pay. The
    managers `naive`, `dapo`, `gdpo`, `remote` and `batch` let it through: the run ends with the reason.
    `rate_limited` and `prime` log it and pay 0 by themselves; with them say `unjudged=0.0`, and watch `judged`.
    """
    if batch:
        return partial(_compute_scores, judging(reward), parts)
    return partial(_compute_score_async if asynchronous else _compute_score, judging(reward), parts)


def _compute_score(
    judge: Judging,
    parts: bool,
    data_source: object,
    solution_str: str,
    ground_truth: object,
    extra_info: Any = None,
    **_: Any,  # reward_kwargs, and what later versions pass
) -> Any:
    pair = _pair(data_source, solution_str, ground_truth, extra_info)
    return _told(judge, parts, pair, judge.verdict(*pair))


async def _compute_score_async(
    judge: Judging,
    parts: bool,
    data_source: object,
    solution_str: str,
    ground_truth: object,
    extra_info: Any = None,
    **_: Any,
) -> Any:
    pair = _pair(data_source, solution_str, ground_truth, extra_info)
    return _told(judge, parts, pair, (await judge.verdicts_async([pair]))[0])


def _compute_scores(
    judge: Judging,
    parts: bool,
    data_sources: Sequence[object],
    solution_strs: Sequence[str],
    ground_truths: Sequence[object],
    extra_infos: Sequence[Any] | None = None,
    **_: Any,
) -> list[Any]:
    infos = [None] * len(solution_strs) if extra_infos is None else extra_infos
    pairs = [_pair(*each) for each in zip(data_sources, solution_strs, ground_truths, infos, strict=True)]
    verdicts = judge.verdicts(pairs)
    return [_told(judge, parts, pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True)]


def _pair(data_source: object, solution_str: str, ground_truth: object, extra_info: Any) -> Pair:
    return problem_of(extra_info or {}, gold=ground_truth, source=data_source), Completion(solution_str)


def _told(judge: Judging, parts: bool, pair: Pair, verdict: Verdict) -> dict[str, Any] | float:
    if not parts:
        return judge.pay(pair[0], verdict)
    return {**judge.numbers(pair[0], verdict), "pred": verdict.extracted or _NO_ANSWER, "reason": verdict.reason}
