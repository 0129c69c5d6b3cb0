"""What the samples of one problem say together: whether they differ, whether the gold can be right, their length."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import sqrt
from statistics import fmean, median
from typing import Any

from ..verifiers.math.normalize import canonical
from .audit_equal import Equality
from .audit_table import RIGHT, Samples
from .consensus import equivalence_classes
from .metrics import Estimate, estimate

EQUAL = 1e-9
AGREE = 0.5
"""A wrong answer that more than this share of a problem's samples gives speaks against the gold."""
FEWEST = 4
"""Samples of a problem from which on their agreement, or their median length, counts."""
SHORT, SHORT_SHARE = 200, 0.1
_ANSWERS = 12  # different answers of a problem that are compared with one another
_LONGEST = 100  # characters of an answer that is compared as mathematics
DECILES = TENTHS = 10


@dataclass(slots=True)
class Agreement:
    """The answer that most of an unsolved problem's samples give."""

    problem: int
    gold: str | None
    answer: str
    share: float
    samples: list[int]


@dataclass(slots=True)
class Spread:
    """Groups by what they teach. A group is the judged samples of a problem in one step, two at least."""

    groups: int = 0
    all_right: list[int] = field(default_factory=list[int])
    """The first sample of each such group, as in the lists below."""
    all_wrong: list[int] = field(default_factory=list[int])
    all_same: list[int] = field(default_factory=list[int])
    shares: list[float] = field(default_factory=list[float])
    """By problem with two judged samples or more, here and below: the share of them that is right."""
    unsolved: list[int] = field(default_factory=list[int])
    solved: list[int] = field(default_factory=list[int])
    suspects: list[Agreement] = field(default_factory=list[Agreement])

    @property
    def without(self) -> list[int]:
        """The first sample of each group without spread."""
        return [*self.all_wrong, *self.all_right, *self.all_same]

    def row(self) -> dict[str, Any]:
        """The `spread` of the `--json` object."""
        kinds = {"all_right": self.all_right, "all_wrong": self.all_wrong, "all_same": self.all_same}
        return {"groups": self.groups, **{kind: len(each) for kind, each in kinds.items()}, "shares": self._counts()}

    def _counts(self) -> list[int]:
        """Problems of which none, up to each tenth, and all is right."""
        counts = [0] * (TENTHS + 2)
        for share in self.shares:
            counts[0 if share == 0 else TENTHS + 1 if share == 1 else 1 + int(share * TENTHS)] += 1
        return counts


def spread(samples: Samples, equal: Equality) -> Spread:
    """How the scores of the groups differ, which problems nobody or everybody solved, and the answers on which most
    samples agree, by `equal`, where nobody did."""
    found = Spread()
    for _, group in samples.groups():
        judged = [i for i in group if samples.judged(i)]
        if len(judged) < 2:
            continue
        found.groups += 1
        scores = [samples.score(i) for i in judged]
        if max(scores) - min(scores) <= EQUAL:
            right = {samples.rewarded(i) for i in judged}
            kind = found.all_right if right == {True} else found.all_wrong if right == {False} else found.all_same
            kind.append(judged[0])
    for problem, members in samples.problems():
        judged = [i for i in members if samples.judged(i)]
        if len(judged) < 2:
            continue
        right = sum(map(samples.rewarded, judged))
        found.shares.append(right / len(judged))
        if right == len(judged):
            found.solved.append(judged[0])
        elif not right:
            found.unsolved.append(judged[0])
            agreement = _agreement(samples, problem, judged, equal)
            if agreement is not None:
                found.suspects.append(agreement)
    found.suspects.sort(key=lambda each: (-each.share, -len(each.samples)))
    return found


def _agreement(samples: Samples, problem: int, judged: Sequence[int], equal: Equality) -> Agreement | None:
    """The answer of more than `AGREE` of the samples, by equivalence; None where there is none, or too few samples."""
    if len(judged) < FEWEST:
        return None
    # What was called right is no other answer than the gold's, whatever else the reward found missing.
    unlike = [i for i in judged if samples.maths[i] != RIGHT]
    given = {i: answer for i in unlike if (answer := samples.tally.answer(i)) is not None}
    spelled = {i: canonical(answer) if len(answer) <= _LONGEST else answer for i, answer in given.items()}
    counts = Counter(spelled.values())
    common = [text for text, _ in counts.most_common(_ANSWERS)]
    if sum(counts[text] for text in common) <= AGREE * len(judged):
        return None
    short = [text for text in common if len(text) <= _LONGEST]
    classes = equivalence_classes(short, equal)
    for place, text in enumerate(common):
        classes.setdefault(text, -1 - place)  # a long answer is equal to its own text alone
    votes = Counter(dict.fromkeys(classes.values(), 0))
    for text in common:
        votes[classes[text]] += counts[text]
    [(winner, count)] = votes.most_common(1)
    if count <= AGREE * len(judged):
        return None
    voters = [i for i, text in spelled.items() if classes.get(text) == winner]
    return Agreement(problem, samples.golds[problem], given[voters[0]], count / len(judged), voters)


def short_winners(samples: Samples) -> list[tuple[float, int]]:
    """Rewarded samples under `SHORT` characters and `SHORT_SHARE` of the median of what they are beside, shortest
    first: (share of that median, sample). Beside the judged samples of their problem, or of the file where these are
    fewer than `FEWEST`."""
    lengths = samples.tally.length
    judged = [lengths[i] for i in range(len(samples)) if samples.judged(i)]
    usual = median(judged) if judged else 0.0
    found: list[tuple[float, int]] = []
    for _, members in samples.problems():
        winners = [i for i in members if lengths[i] < SHORT and samples.rewarded(i)]
        if not winners:
            continue
        beside = [lengths[i] for i in members if samples.judged(i)]
        middle = median(beside) if len(beside) >= FEWEST else usual
        found += [(lengths[i] / middle, i) for i in winners if lengths[i] < SHORT_SHARE * middle]
    return sorted(found)


def same_texts(samples: Samples, equal: Equality) -> list[tuple[int, list[int]]]:
    """Texts that won in several problems with different prompts and golds: (problems, samples), most problems first."""
    winners = sorted((i for i in range(len(samples)) if samples.text[i]), key=samples.text.__getitem__)
    found: list[tuple[int, list[int]]] = []
    for _, same in groupby(winners, key=samples.text.__getitem__):
        members = list(same)
        problems = {samples.tally.problem[i] for i in members}
        if len(problems) > 1 and _really_different(samples, problems, equal):
            found.append((len(problems), members))
    return sorted(found, key=lambda each: -each[0])


def _really_different(samples: Samples, problems: set[int], equal: Equality) -> bool:
    """Whether one text cannot be right for all of them: two golds, or no golds known and two prompts."""
    golds = sorted({canonical(gold) for problem in problems if (gold := samples.golds[problem]) is not None})
    if golds:
        return any(equal(golds[0], gold) is False for gold in golds[1:])
    return len({samples.prompts[problem] for problem in problems}) > 1


def length_bias(samples: Samples) -> dict[str, Any]:
    """Length of right and wrong samples of the same problem, so that hard problems do not decide.

    In tokens where they are known of every sample, else in characters; samples known to be cut are left out. `problems`
    have both right and wrong samples: `difference` is the mean over them of (mean length right - mean length wrong),
    with its interval over problems; `relative` is its share of their mean length. `correlation` is Spearman's of score
    and length within problems, pooled over the `ranked_samples` of the `ranked_problems` with two or more. `deciles`
    go by length over all samples: the mean score, and the mean of the score less that of its problem (`beyond`).
    """
    known = len(samples) > 0 and min(samples.tokens) >= 0
    lengths: Sequence[int] = samples.tokens if known else samples.tally.length
    used = [i for i in range(len(samples)) if samples.judged(i) and samples.tally.finished[i] != 0]
    kept = set(used) if len(used) < len(samples) else None
    differences: list[float] = []
    means: list[float] = []
    products = squares_x = squares_y = 0.0
    ranked = 0
    beyond: dict[int, float] = {}
    for _, members in samples.problems():
        group = [i for i in members if kept is None or i in kept]
        if len(group) < 2:
            continue
        ranked += 1
        mean = fmean(samples.score(i) for i in group)
        beyond.update((i, samples.score(i) - mean) for i in group)
        right = [lengths[i] for i in group if samples.rewarded(i)]
        wrong = [lengths[i] for i in group if not samples.rewarded(i)]
        if right and wrong:
            differences.append(fmean(right) - fmean(wrong))
            means.append(fmean([*right, *wrong]))
        x, y = _ranks([lengths[i] for i in group]), _ranks([samples.score(i) for i in group])
        products += sum(a * b for a, b in zip(x, y, strict=True))
        squares_x += sum(a * a for a in x)
        squares_y += sum(b * b for b in y)
    difference: Estimate | None = estimate(differences) if differences else None
    return {
        "unit": "tokens" if known else "characters",
        "problems": len(differences),
        "cut_left_out": sum(1 for i in range(len(samples)) if samples.judged(i)) - len(used),
        "difference": None if difference is None else difference.mean,
        "ci95": None if difference is None or difference.ci95 is None else list(difference.ci95),
        "mean_length": fmean(means) if means else None,
        "relative": None if difference is None else difference.mean / max(fmean(means), 1),
        "correlation": products / sqrt(squares_x * squares_y) if squares_x > 0 and squares_y > 0 else None,
        "ranked_problems": ranked,
        "ranked_samples": len(beyond),
        "deciles": _deciles(samples, lengths, used, beyond),
    }


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks less their mean; equal values share one.

    >>> _ranks([5, 9, 5])
    [-0.5, 1.0, -0.5]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    place = 0
    for _, ties in groupby(order, key=values.__getitem__):
        members = list(ties)
        for i in members:
            ranks[i] = place + (len(members) - 1) / 2 - (len(values) - 1) / 2
        place += len(members)
    return ranks


def _deciles(
    samples: Samples, lengths: Sequence[int], used: Sequence[int], beyond: dict[int, float]
) -> list[dict[str, Any]]:
    if len(used) < DECILES:
        return []
    ordered = sorted(used, key=lengths.__getitem__)
    cuts = [len(ordered) * place // DECILES for place in range(DECILES + 1)]
    rows: list[dict[str, Any]] = []
    for start, end in pairwise(cuts):
        members = ordered[start:end]
        within = [beyond[i] for i in members if i in beyond]
        rows.append(
            {
                "from": lengths[members[0]],
                "to": lengths[members[-1]],
                "samples": len(members),
                "score": fmean(map(samples.score, members)),
                "beyond": fmean(within) if within else None,
            }
        )
    return rows
