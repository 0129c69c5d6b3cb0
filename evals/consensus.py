"""What n samples of one problem are worth together: the majority vote (cons@k), weighted votes, and best-of-k."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from statistics import fmean

_EXACT_WORK = 600_000_000
"""Digits of big numbers multiplied for one problem, half a second at most; beyond, drawing is as fast."""
_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Vote:
    """What a majority vote over the samples of one problem is worth."""

    score: float
    """Expected share correct of the winning class; a tie scores its expectation under a random break."""
    tie: bool
    answered: int
    """Samples that held an answer; the others do not vote."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """What a vote of k out of n samples is worth, over all ways to choose the k."""

    score: float
    tie_rate: float
    """The share of the ways in which several classes have the most votes."""
    error: float
    """Standard error of `score` where votes were drawn, 0 where all ways were counted."""


def majority_vote(answers: Sequence[int | None], correct: Sequence[bool]) -> Vote:
    """The vote over one problem's samples: `answers` holds the class of each sample's answer, None where it has none.

    A class whose members got different verdicts scores their mean. Nobody answering scores 0.
    Raises ValueError when the two differ in length or are empty.
    Source: Wang et al. 2023 (self-consistency), arXiv:2203.11171.

    >>> majority_vote([7, 7, 8, 8, None], [True, True, False, False, False])
    Vote(score=0.5, tie=True, answered=4)
    """
    return weighted_vote(answers, correct, [1.0] * len(answers))


def weighted_vote(answers: Sequence[int | None], correct: Sequence[bool], weights: Sequence[float]) -> Vote:
    """`majority_vote` with the weight of each sample, e.g. a reward model's probability; the largest sum wins.

    Raises ValueError when lengths differ, nothing is given, or a weight is negative or not finite: a negative weight
    would count an answer for less the more often it is given.
    Source: Li et al. 2023 (voting verifier), arXiv:2206.02336, section 3.2.

    >>> weighted_vote([7, 7, 8], [False, False, True], [0.25, 0.25, 0.75])
    Vote(score=1.0, tie=False, answered=3)
    """
    _check(answers, correct, weights)
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError("a weighted vote needs weights that are finite and not negative")
    classes: defaultdict[int, list[tuple[float, bool]]] = defaultdict(list)
    for answer, ok, weight in zip(answers, correct, weights, strict=True):
        if answer is not None:
            classes[answer].append((weight, ok))
    if not classes:
        return Vote(0.0, False, 0)
    sums = {answer: math.fsum(weight for weight, _ in members) for answer, members in classes.items()}
    most = max(sums.values())
    shares = [fmean(ok for _, ok in classes[answer]) for answer, total in sums.items() if total == most]
    return Vote(fmean(shares), len(shares) > 1, sum(map(len, classes.values())))


def best_of(k: int, correct: Sequence[bool], weights: Sequence[float]) -> float:
    """best-of-k: the expected worth of the sample with the largest weight among k drawn without replacement.

    Equal weights are broken at random. Every sample takes part, with or without an answer.
    Raises ValueError when lengths differ, unless 1 <= k <= n, or where a weight is not finite.
    Source: the closed form over ranks, as for pass@k (Chen et al. 2021, arXiv:2107.03374).

    >>> best_of(2, [True, False, False], [0.9, 0.5, 0.1])
    0.66666...
    """
    _check(weights, correct, weights)
    n = len(correct)
    if not 1 <= k <= n or not all(map(math.isfinite, weights)):
        raise ValueError(f"best-of-k needs 1 <= k <= n and finite weights, not k={k}, n={n}")
    worth, below = 0.0, 0
    for _, members in groupby(sorted(zip(weights, correct, strict=True)), key=itemgetter(0)):
        right = [ok for _, ok in members]
        upto = below + len(right)
        worth += (math.comb(upto, k) - math.comb(below, k)) / math.comb(n, k) * fmean(right)
        below = upto
    return worth


def consensus_curve(
    answers: Sequence[int | None], correct: Sequence[bool], ks: Iterable[int], *, seed: int = 0
) -> dict[int, Consensus]:
    """cons@k for each k: the expected `majority_vote` over k of the n samples, drawn without replacement.

    All C(n, k) ways are counted by class, with whole numbers; where that takes longer than half a second
    (n of 256 and more), 4,000 orders are drawn from `seed` and `error` says how well they tell.
    Raises ValueError when lengths differ or unless 1 <= k <= n.
    Source: our derivation, checked against enumeration.

    >>> consensus_curve([7, 7, 8], [True, True, False], [1, 2, 3])[2]
    Consensus(score=0.66666..., tie_rate=0.66666..., error=0.0)
    """
    _check(answers, correct, correct)
    n, wanted = len(answers), sorted(set(ks))
    if wanted and not 1 <= wanted[0] <= wanted[-1] <= n:
        raise ValueError(f"cons@k needs 1 <= k <= n, not n={n}, k={wanted[0]} to {wanted[-1]}")
    votes = Counter(answer for answer in answers if answer is not None)
    right = Counter(answer for answer, ok in zip(answers, correct, strict=True) if ok and answer is not None)
    classes = [(count, right[answer]) for answer, count in sorted(votes.items(), key=lambda vote: (vote[1], vote[0]))]
    if _work(classes, n) <= _EXACT_WORK:
        return _counted(classes, n, wanted)
    return _drawn(answers, {answer: right[answer] / count for answer, count in votes.items()}, wanted, seed)


def _counted(classes: Sequence[tuple[int, int]], n: int, ks: Sequence[int]) -> dict[int, Consensus]:
    """Every way to draw k samples, by the votes j of the winners and their number t.

    `classes` holds (samples, correct ones). A polynomial in x, where x is one sample drawn, is one whole number: its
    coefficients stand `slot` bits apart, so that Python multiplies polynomials at the speed of its big numbers.
    """
    scores: dict[int, list[float]] = {k: [] for k in ks}
    ties: dict[int, list[float]] = {k: [] for k in ks}
    slot = n + n.bit_length() + 1  # no coefficient exceeds n 2^n
    drawn = (1 << slot * (max(ks, default=0) + 1)) - 1  # what more would draw is cut off
    for j in range(1, max((size for size, _ in classes), default=0) + 1):
        able = [(size, right) for size, right in classes if size >= j]
        ways, worth = [1], [0]  # by t; the worth of a way is j times the sum over its winners of their share correct
        for size, right in able:
            fewer = sum(math.comb(size, i) << i * slot for i in range(j))
            wins = math.comb(size, j) << j * slot
            share = right * math.comb(size - 1, j - 1) << j * slot
            ways.append(0)
            worth.append(0)
            for t in range(len(ways) - 1, -1, -1):
                before = (ways[t - 1], worth[t - 1]) if t else (0, 0)
                worth[t] = (worth[t] * fewer + before[1] * wins + before[0] * share) & drawn
                ways[t] = (ways[t] * fewer + before[0] * wins) & drawn
        others = (1 + (1 << slot)) ** (n - sum(size for size, _ in able))
        for t in range(1, len(ways)):
            if not ways[t]:
                break  # more winners would be more samples than the largest k
            all_ways, all_worth = ways[t] * others, worth[t] * others
            for k in ks:
                scores[k].append(_coefficient(all_worth, k, slot) / (t * j * math.comb(n, k)))
                if t > 1:
                    ties[k].append(_coefficient(all_ways, k, slot) / math.comb(n, k))
    return {k: Consensus(math.fsum(scores[k]), math.fsum(ties[k]), 0.0) for k in ks}


def _coefficient(polynomial: int, power: int, slot: int) -> int:
    return polynomial >> power * slot & (1 << slot) - 1


def _work(classes: Sequence[tuple[int, int]], n: int) -> int:
    """How many digits `_counted` multiplies, about; a digit of Python's has 30 bits."""
    digits = (n + n.bit_length()) // 30 + 1
    largest = max((size for size, _ in classes), default=0)
    able = (sum(size >= j for size, _ in classes) for j in range(1, largest + 1))
    return sum(count**2 * j * n * digits**2 for j, count in enumerate(able, 1))


def _drawn(
    answers: Sequence[int | None], share: dict[int, float], ks: Sequence[int], seed: int
) -> dict[int, Consensus]:
    """`_DRAWS` random orders; the first k samples of each are a draw of k."""
    rng, order = random.Random(seed), list(answers)
    sums = dict.fromkeys(ks, 0.0)
    squares, ties = sums.copy(), sums.copy()
    for _ in range(_DRAWS):
        rng.shuffle(order)
        votes: Counter[int] = Counter()
        voted = 0
        for k in ks:
            votes.update(answer for answer in order[voted:k] if answer is not None)
            voted = k
            most = max(votes.values(), default=0)
            winners = [share[answer] for answer, count in votes.items() if count == most]
            worth = fmean(winners) if winners else 0.0
            sums[k] += worth
            squares[k] += worth * worth
            ties[k] += len(winners) > 1
    return {
        k: Consensus(
            sums[k] / _DRAWS,
            ties[k] / _DRAWS,
            math.sqrt(max(squares[k] / _DRAWS - (sums[k] / _DRAWS) ** 2, 0.0) / (_DRAWS - 1))
            if k < len(order)
            else 0.0,
        )
        for k in ks
    }


def _check(answers: Sequence[object], correct: Sequence[bool], weights: Sequence[object]) -> None:
    if not len(answers) == len(correct) == len(weights) or not answers:
        raise ValueError(
            f"a vote needs one verdict and one weight per answer, not {len(correct)} and {len(weights)} "
            f"for {len(answers)}"
        )


def equivalence_classes(answers: Iterable[str], equivalent: Callable[[str, str], bool | None]) -> dict[str, int]:
    """A class number for each distinct answer: two answers share one when a chain of equalities joins them.

    All pairs that are not joined yet are compared, so the order of the answers does not matter; a comparison that was
    stopped (None) joins nothing. Equality is chained where it is not transitive.

    >>> equivalence_classes(["0.5", "1/2", "2"], lambda a, b: {a, b} == {"0.5", "1/2"})
    {'0.5': 0, '1/2': 0, '2': 1}
    """
    distinct = sorted(set(answers))
    parent = {answer: answer for answer in distinct}

    def root(answer: str) -> str:
        while parent[answer] != answer:
            parent[answer] = answer = parent[parent[answer]]
        return answer

    for a, b in combinations(distinct, 2):
        if root(a) != root(b) and equivalent(a, b):
            parent[root(b)] = root(a)
    numbers: dict[str, int] = {}
    return {answer: numbers.setdefault(root(answer), len(numbers)) for answer in distinct}
