"""Statistics as pure functions: pass@k, cons@k, and the uncertainty that belongs beside a mean."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist, fmean

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems, its standard error and its 95 % interval; None where one problem cannot tell."""

    mean: float
    stderr: float | None
    ci95: tuple[float, float] | None

    def within_unit_interval(self) -> "Estimate":
        """The same with the interval cut to [0, 1], for a quantity that cannot leave it."""
        if self.ci95 is None:
            return self
        return replace(self, ci95=(max(self.ci95[0], 0.0), min(self.ci95[1], 1.0)))


@dataclass(frozen=True, slots=True)
class Vote:
    """What a majority vote over the samples of one problem is worth."""

    score: float
    """Expected share correct of the winning class; a tie scores its expectation under a random break."""
    tie: bool
    answered: int
    """Samples that held an answer; the others do not vote."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased pass@k from n samples of which c are correct: 1 - C(n-c, k) / C(n, k).

    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. 2021, arXiv:2107.03374.

    >>> pass_at_k(n=4, c=1, k=2)
    0.5
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, not n={n}, c={c}, k={k}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of one value per problem, with Student's t over P values (P-1 degrees of freedom).

    Raises ValueError without values. One value has no standard error.
    Source: Miller 2024, arXiv:2411.00640, for equally many samples per problem.

    >>> estimate([0.0, 1.0, 1.0, 1.0]).mean
    0.75
    """
    return clustered([(value, 1) for value in values])


def clustered(problems: Iterable[tuple[float, int]]) -> Estimate:
    """The mean over all samples when samples of one problem go together: a (sum of scores, samples) pair per problem.

    The standard error is clustered by problem with the factor P / (P-1); equal to `estimate` of the problem means where
    all have equally many samples. Raises ValueError without samples.
    Source: Miller 2024, arXiv:2411.00640, section 2.2.

    >>> clustered([(2.0, 4), (4.0, 4)])
    Estimate(mean=0.75, stderr=0.25, ci95=(-2.42655..., 3.92655...))
    """
    pairs = list(problems)
    samples = sum(count for _, count in pairs)
    if samples == 0:
        raise ValueError("a mean needs at least one sample")
    mean = math.fsum(total for total, _ in pairs) / samples
    size = len(pairs)
    if size < 2:
        return Estimate(mean, None, None)
    squares = math.fsum((total - count * mean) ** 2 for total, count in pairs)
    stderr = math.sqrt(squares * size / (size - 1)) / samples
    half = t_quantile(0.975, size - 1) * stderr
    return Estimate(mean, stderr, (mean - half, mean + half))


def wilson(successes: int, n: int) -> Estimate:
    """A proportion with its binomial standard error and Wilson's 95 % interval (n trials, one per problem).

    Raises ValueError unless 0 <= successes <= n and n >= 1.
    Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.

    >>> wilson(0, 10).ci95
    (0.0, 0.27753...)
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"a proportion needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    p, zz = successes / n, Z95 * Z95
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = Z95 / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(p, math.sqrt(p * (1 - p) / n), (low, high))


def majority_vote(answers: Sequence[int | None], correct: Sequence[bool]) -> Vote:
    """The vote over one problem's samples: `answers` holds the class of each sample's answer, None where it has none.

    A class whose members got different verdicts scores their mean. Nobody answering scores 0.
    Raises ValueError when the two differ in length or are empty.
    Source: Wang et al. 2023 (self-consistency), arXiv:2203.11171.

    >>> majority_vote([7, 7, 8, 8, None], [True, True, False, False, False])
    Vote(score=0.5, tie=True, answered=4)
    """
    if len(answers) != len(correct) or not answers:
        raise ValueError(f"a vote needs one verdict per answer, not {len(correct)} for {len(answers)}")
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return Vote(0.0, False, 0)
    most = max(votes.values())
    winners = [answer for answer, count in votes.items() if count == most]
    shares = [fmean(ok for answer, ok in zip(answers, correct, strict=True) if answer == winner) for winner in winners]
    return Vote(fmean(shares), len(winners) > 1, sum(votes.values()))


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


@lru_cache(maxsize=256)
def t_quantile(p: float, degrees: int) -> float:
    """The p-quantile of Student's t, to about 1e-10. Above 100,000 degrees of freedom, the normal quantile.

    Raises ValueError unless 0.5 <= p < 1 and degrees >= 1.
    Source: Abramowitz and Stegun 26.7.1, by bisection.

    >>> round(t_quantile(0.975, 29), 6)
    2.04523
    """
    if not 0.5 <= p < 1 or degrees < 1:
        raise ValueError(f"a t quantile needs 0.5 <= p < 1 and at least one degree of freedom, not {p}, {degrees}")
    if degrees > 100_000:
        return NormalDist().inv_cdf(p)
    low, high = 0.0, 1.0
    while _t_upper_tail(high, degrees) > 1 - p:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_upper_tail(middle, degrees) > 1 - p else (low, middle)
    return (low + high) / 2


def _t_upper_tail(t: float, degrees: int) -> float:
    """P(T > t) for t >= 0, by the incomplete beta function."""
    return 0.5 * _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Numerical Recipes 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d or tiny)
            c = 1 + numerator / c or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction
