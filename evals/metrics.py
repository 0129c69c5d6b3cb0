"""Statistics as pure functions: avg@n, pass@k, and the uncertainty that belongs beside a mean."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import NormalDist, fmean, stdev

from .distributions import t_quantile

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


def proportion(values: Sequence[float]) -> Estimate:
    """The mean of shares in [0, 1], one per problem, with its interval cut to [0, 1].

    Where all are 0 or all are 1, t has no width; Wilson's interval has. Raises ValueError without values.

    >>> proportion([1.0] * 10).ci95
    (0.72246..., 1.0)
    """
    if len(values) > 1 and set(values) in ({0.0}, {1.0}):
        return wilson(int(sum(values)), len(values))
    return estimate(values).within_unit_interval()


@dataclass(frozen=True, slots=True)
class Average:
    """avg@n: the mean of n runs over the problems, and how much one such run differs from the next."""

    estimate: Estimate
    """Its error is over problems: what another set of problems would change."""
    run_deviation: float | None
    """Standard deviation of the runs' means: what another run on these problems would change. None for one run."""


def avg_at_n(scores: Sequence[Sequence[float]]) -> Average:
    """The mean over problems (rows) of n samples each (columns); column i is run i.

    The two deviations answer different questions and are never added: the error clustered by problem already holds the
    noise of the samples. Raises ValueError without samples, or where problems have different numbers of them.
    Source: Miller 2024, arXiv:2411.00640, sections 2.2 and 3.

    >>> average = avg_at_n([[1, 0], [1, 1], [0, 1], [0, 0]])
    >>> average.estimate.mean, average.run_deviation
    (0.5, 0.0)
    """
    sizes = {len(row) for row in scores}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(f"avg@n needs equally many samples of each problem, not {sorted(sizes) or 'none'}")
    runs = [fmean(column) for column in zip(*scores, strict=True)]
    pairs = ((math.fsum(row), len(row)) for row in scores)
    return Average(clustered(pairs), stdev(runs) if len(runs) > 1 else None)


def pass_curve(n: int, c: int, ks: Iterable[int]) -> dict[int, float]:
    """`pass_at_k` for each k.

    >>> pass_curve(4, 1, [1, 2, 4])
    {1: 0.25, 2: 0.5, 4: 1.0}
    """
    return {k: pass_at_k(n, c, k) for k in ks}


def powers(n: int) -> list[int]:
    """The k that curves are drawn over: 1, 2, 4 … and n.

    >>> powers(22)
    [1, 2, 4, 8, 16, 22]
    """
    return sorted({1 << i for i in range(n.bit_length()) if 1 << i <= n} | {n})


def quantile(ordered: Sequence[float], p: float) -> float:
    """The p-quantile of ascending values, interpolated (type 7 of Hyndman and Fan 1996, numpy's default).

    Raises ValueError without values, or unless 0 <= p <= 1.

    >>> quantile([1, 2, 4], 0.75)
    3.0
    """
    return _quantile(ordered.__getitem__, len(ordered), p)


def _quantile(value: Callable[[int], float], size: int, p: float) -> float:
    if not size or not 0 <= p <= 1:
        raise ValueError(f"a quantile needs values and 0 <= p <= 1, not {size} values and p={p}")
    place = p * (size - 1)
    low, high = value(int(place)), value(min(int(place) + 1, size - 1))
    return low + (high - low) * (place - int(place))


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def spread(counts: Mapping[int, int]) -> dict[str, float]:
    """How whole numbers (number: how often) are distributed: samples, mean, quantiles p5 to p95, largest.

    Raises ValueError where there are none.

    >>> spread({10: 1, 20: 2, 90: 1})["p75"]
    37.5
    """
    values = sorted(value for value, count in counts.items() if count)
    ends = list(accumulate(counts[value] for value in values))
    size = ends[-1] if ends else 0
    found = {
        f"p{round(100 * p)}": _quantile(lambda place: values[bisect_right(ends, place)], size, p) for p in QUANTILES
    }
    mean = sum(value * counts[value] for value in values) / size
    return {"samples": size, "mean": mean, **found, "max": values[-1]}
