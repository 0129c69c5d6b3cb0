"""TRL: `GRPOTrainer(reward_funcs=[as_trl(reward)])`, and every other trainer there that takes `reward_funcs`.

Read: trl 1.16.0, `_calculate_rewards` of `GRPOTrainer` and `RLOOTrainer`. Run: both, three steps on a CPU.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..types import Verdict, Verifier
from .judging import Judging, Pair, judging, leaves
from .rows import completion_of, problem_of

LogMetric = Callable[[str, float], None]
LogExtra = Callable[[str, list[Any]], None]


def as_trl(reward: Verifier | Judging, *, name: str = "rlvr", asynchronous: bool = False) -> "TrlReward":
    """A reward function of TRL. What could not be judged is None there, which TRL leaves out of its group.

    The gold, the tests, the id and the source are columns of the data set, found by their usual names (`solution` too).
    name: what TRL logs it as (`rewards/rlvr/mean`); beside it stand `rlvr/judged`, `rlvr/acc` (of those judged) and
    the mean of each part, `rlvr/<part>`; reason and answer stand beside each completion in TRL's table.
    asynchronous: a coroutine function, which TRL runs beside others.
    """
    return (AsyncTrlReward if asynchronous else TrlReward)(judging(reward), name)


@dataclass(frozen=True)
class TrlReward:
    """A class, not a closure: TRL takes the name from an attribute, and pickles what its workers run."""

    judging: Judging
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> Any:
        """One reward per completion, None where it could not be judged. `columns`: lists as long as the batch."""
        pairs = _pairs(prompts, completions, completion_ids, columns)
        return self._told(self.judging.verdicts(pairs), log_extra, log_metric)

    def _told(
        self, verdicts: Sequence[Verdict], log_extra: LogExtra | None, log_metric: LogMetric | None
    ) -> list[float | None]:
        if log_extra is not None:
            log_extra(f"{self.name}/reason", [verdict.reason for verdict in verdicts])
            log_extra(f"{self.name}/extracted", [verdict.extracted for verdict in verdicts])
        if log_metric is not None:
            for part, mean in _means(verdicts).items():
                log_metric(f"{self.name}/{part}", mean)
        return [verdict.score for verdict in verdicts]


class AsyncTrlReward(TrlReward):
    """The same as a coroutine function."""

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """See `TrlReward`."""
        pairs = _pairs(prompts, completions, completion_ids, columns)
        return self._told(await self.judging.verdicts_async(pairs), log_extra, log_metric)


def _pairs(
    prompts: Sequence[Any], completions: Sequence[Any], ids: Sequence[Sequence[int]] | None, columns: dict[str, Any]
) -> list[Pair]:
    columns = {name: values.tolist() if hasattr(values, "tolist") else values for name, values in columns.items()}
    lists = {name: cast(list[Any], values) for name, values in columns.items() if isinstance(values, list | tuple)}
    rows = [{name: values[i] for name, values in lists.items()} for i in range(len(completions))]
    lengths = [len(each) for each in ids] if ids is not None else [None] * len(completions)
    return [
        (problem_of(row, i, prompt=prompt), completion_of(text, n_tokens=length))
        for i, (row, prompt, text, length) in enumerate(zip(rows, prompts, completions, lengths, strict=True))
    ]


def _means(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """`judged` and `acc` as shares, and the mean of each part over the verdicts that hold it with a score."""
    scores: dict[str, list[float]] = {}
    for verdict in verdicts:
        for name, part in leaves(verdict):
            if part.score is not None:
                scores.setdefault(name, []).append(part.score)
    scores["judged"] = [float(verdict.score is not None) for verdict in verdicts]
    scores["acc"] = [float(verdict.status == "correct") for verdict in verdicts if verdict.score is not None]
    return {name: sum(each) / len(each) for name, each in scores.items() if each}
