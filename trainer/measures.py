"""What a step looks like from outside: rewards and their parts, lengths, words of reflection."""

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Any

from ..evals.output import verdict_row
from ..verifiers import verify_format, verify_language
from ..verifiers.types import Completion, Verdict
from .batching import Sample
from .config import Config
from .distributed import Ranks
from .reflection import count_reflections

Row = dict[str, Any]
MOST_SKIPS = 10
"""Updates in a row without a finite gradient: the weights, not the data, are broken."""


def why_skipped(bad: Sequence[str], norm: float) -> str:
    """For the notes, of an update whose losses of `bad`, or whose gradient's norm, are not finite."""
    return f"the loss of {', '.join(bad[:3])} is not finite" if bad else f"the gradient's norm is {norm}"


def measure(groups: Sequence[Sequence[Sample]], config: Config, ranks: Ranks) -> Row:
    """The metrics of one rollout over all ranks: means over completions, counts of groups."""
    sums: dict[str, float] = {}
    for group in groups:
        add(sums, _group(group))
        for sample in group:
            add(sums, _completion(sample, config))
    total = ranks.total(sums)
    longest = ranks.longest(max((len(sample.ids) for group in groups for sample in group), default=0))
    return {"length/max": longest, **_means(total)}


def add(sums: dict[str, float], more: Mapping[str, float]) -> None:
    """Add each number to the sum of its name."""
    for name, value in more.items():
        sums[name] = sums.get(name, 0.0) + value


def averages(sums: Mapping[str, float], updates: int) -> Row:
    """The metrics of `updates` updates from their sums: per token, per update, and how many were left out."""
    tokens = max(sums.get("tokens", 0.0), 1.0)
    per_token = {"kl": "kl", "clipped_low": "clip/low", "clipped_high": "clip/high",
                 "correction": "correction"}  # fmt: skip
    row: Row = {name: sums[key] / tokens for key, name in per_token.items() if key in sums}
    for name in ("loss", "grad_norm"):
        if name in sums:
            row[name] = sums[name] / max(updates - sums.get("skipped", 0), 1)
    return row | ({"skipped": round(sums["skipped"])} if sums.get("skipped") else {})


def completion_row(sample: Sample) -> Row:
    """A line of completions.jsonl."""
    return {
        "id": sample.question.problem.id,
        "sample": sample.number,
        "prompt": sample.question.prompt,
        "answer": sample.question.problem.answer,
        "completion": sample.text,
        **verdict_row(sample.verdict),
        "advantage": sample.advantage,
        "tokens": len(sample.ids),
        "finished": sample.finished,
    }


def _group(group: Sequence[Sample]) -> Mapping[str, float]:
    rewards = {sample.reward for sample in group if sample.judged}
    right = {sample.verdict.status == "correct" for sample in group if sample.judged}
    return {
        "groups": 1,
        "groups/no_spread": len(rewards) <= 1,
        "groups/all_right": len(rewards) <= 1 and right == {True},
        "groups/all_wrong": len(rewards) <= 1 and right == {False},
        "groups/unjudged": not rewards,
    }


def _completion(sample: Sample, config: Config) -> Mapping[str, float]:
    counts = count_reflections(sample.text, config.reflection_words)
    problem, completion = sample.question.problem, Completion(sample.text, len(sample.ids), sample.finished)
    language = verify_language(problem, completion, language=config.language).score
    found: dict[str, float] = {
        "completions": 1,
        "tokens": len(sample.ids),
        "truncated": not sample.finished,
        "surprise": -fsum(logp for logp in sample.sampler_logps if logp == logp),
        "format": verify_format(problem, completion).status == "correct",
        "reflection": any(counts.values()),
        **{f"reflection/{word}": count for word, count in counts.items()},
    }
    if language is not None:
        found |= {"language": language, "with words": 1}
    if sample.judged:
        found |= {"judged": 1, "reward": sample.reward, "squares": sample.reward**2}
        found["correct"] = sample.verdict.status == "correct"
        for name, score in _parts(sample.verdict):
            found |= {f"part:{name}": score, f"of:{name}": 1}
    return found


def _parts(verdict: Verdict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The score of each part that was judged, at any depth: `format`, `then/correct`."""
    for name, part in verdict.parts.items():
        if part.score is not None:
            yield f"{prefix}{name}", part.score
        yield from _parts(part, f"{prefix}{name}/")


def _means(total: Mapping[str, float]) -> Row:
    completions, judged = max(total.get("completions", 0), 1), max(total.get("judged", 0), 1)
    mean = total.get("reward", 0.0) / judged
    row: Row = {
        "reward": mean,
        "reward_std": max(total.get("squares", 0.0) / judged - mean**2, 0.0) ** 0.5,
        "correct": total.get("correct", 0.0) / judged,
        "judged": total.get("judged", 0.0) / completions,
        "length": total.get("tokens", 0.0) / completions,
        "truncated": total.get("truncated", 0.0) / completions,
        "format": total.get("format", 0.0) / completions,
        "tokens": int(total.get("tokens", 0)),
        # The mean of -log p over what was sampled: the entropy, by one sample per token.
        "entropy": total.get("surprise", 0.0) / max(total.get("tokens", 0), 1),
    }
    if "language" in total:
        row["language"] = total["language"] / total["with words"]
    for name, value in total.items():
        if name.startswith("part:"):
            row[f"reward/{name[5:]}"] = value / total[f"of:{name[5:]}"]
        elif name.startswith("reflection"):
            row[name] = value / completions
        elif name.startswith("groups"):
            row[name] = int(value)
    return row
