"""The policy on problems that it is not trained on: pass@1 at temperature 1, and greedy."""

from collections.abc import Sequence
from typing import Any

from ..evals.engines.seeds import seed_of
from ..evals.metrics import estimate
from .asking import Asked, ask
from .batching import Sample
from .config import Config
from .data import Question
from .distributed import Ranks
from .judging import Judge
from .measures import completion_row
from .policy import Policy, Tokenizer
from .rollout import Sampler, Sampling

_AT_ONCE = 512  # completions


def evaluate(
    config: Config, questions: Sequence[Question], policy: Policy, sampler: Sampler, judge: Judge, ranks: Ranks
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metrics, and a row for each completion. Seeds are the same at every step: what changes is the policy.

    A completion that was not judged counts for nothing; a problem without a judged one is left out of the mean.
    """
    if not questions:
        return {}, []
    modes = {"sampled": (config.eval_samples, 1.0), "greedy": (1, 0.0)}
    found: dict[str, list[list[Sample]]] = {}
    for mode, (count, temperature) in modes.items():
        if count:
            mine = ranks.mine(questions)
            groups = answers(mine, count, temperature, config, sampler, judge, policy.tokenizer)
            found[mode] = ranks.all(groups)
    row: dict[str, Any] = {"eval/problems": len(questions), "eval/samples": config.eval_samples}
    for mode, name in (("sampled", "eval/pass@1"), ("greedy", "eval/greedy")):
        shares = [share for group in found.get(mode, []) if (share := _share(group)) is not None]
        if shares:
            mean = estimate(shares)
            row |= {name: mean.mean, f"{name}_stderr": mean.stderr}
    rows = [sample for group in found.get("sampled", found["greedy"]) for sample in group]
    row["eval/length"] = sum(len(sample.ids) for sample in rows) / len(rows)
    lines = [
        {"mode": mode, **{name: value for name, value in completion_row(sample).items() if name != "advantage"}}
        for mode, groups in found.items()
        for group in groups
        for sample in group
    ]
    return row, lines


def answers(
    questions: Sequence[Question], count: int, temperature: float, config: Config, sampler: Sampler, judge: Judge,
    tokenizer: Tokenizer,
) -> list[list[Sample]]:  # fmt: skip
    """`count` judged completions of each question; some are judged while others are sampled."""
    sampling = Sampling(config.max_tokens, temperature)
    size = max(1, _AT_ONCE // count)
    asked: list[Asked] = []
    for start in range(0, len(questions), size):
        some = questions[start : start + size]
        seeds = [seed_of(config.seed, f"eval {question.problem.id}", 0) for question in some]
        asked.append(ask(some, count, sampling, seeds, sampler, tokenizer, judge))
    return [group for one in asked for group in one.groups()]


def _share(group: Sequence[Sample]) -> float | None:
    """Of its judged completions that are correct."""
    judged = [sample.verdict.status == "correct" for sample in group if sample.judged]
    return sum(judged) / len(judged) if judged else None
