"""The measures of an audit over the steps of a training run: reward hacking shows as a drift."""

from array import array
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from .audit_groups import EQUAL
from .audit_table import Samples

MOST = 60
"""Points of a curve; neighbouring steps share one where there are more."""


def curves(samples: Samples, flags: "array[int]", kinds: Mapping[str, int]) -> list[dict[str, Any]]:
    """One object per point, in order of steps; rows without a step are left out.

    `flags` holds by sample the bits of `kinds`, which are shares of the rewarded samples of the point.
    """
    steps = sorted({step for step in samples.step if step >= 0})
    count = min(len(steps), MOST)
    point_of = {step: place * count // len(steps) for place, step in enumerate(steps)}
    members: list[list[int]] = [[] for _ in range(count)]
    for i, step in enumerate(samples.step):
        if step >= 0:
            members[point_of[step]].append(i)
    groups, flat = [0] * count, [0] * count
    for _, group in samples.groups():
        scores = [samples.score(i) for i in group if samples.judged(i)]
        if samples.step[group[0]] >= 0 and len(scores) > 1:
            point = point_of[samples.step[group[0]]]
            groups[point] += 1
            flat[point] += max(scores) - min(scores) <= EQUAL
    return [
        _point(samples, each, flags, kinds) | {"no_spread": flat[place] / groups[place] if groups[place] else None}
        for place, each in enumerate(members)
    ]


def _point(samples: Samples, members: list[int], flags: "array[int]", kinds: Mapping[str, int]) -> dict[str, Any]:
    judged = [i for i in members if samples.judged(i)]
    rewarded = [i for i in judged if samples.rewarded(i)]
    return {
        "from": min(samples.step[i] for i in members),
        "to": max(samples.step[i] for i in members),
        "samples": len(members),
        "score": fmean(map(samples.score, judged)) if judged else None,
        "correct": len(rewarded) / len(judged) if judged else None,
        "length": fmean(samples.tally.length[i] for i in members),
        "shares": {
            key: sum(flags[i] & bit != 0 for i in rewarded) / len(rewarded) if rewarded else None
            for key, bit in kinds.items()
        },
    }
