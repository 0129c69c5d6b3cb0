"""Two runs on the same problems: what differs, whether chance would do it, and what could have been seen at all."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import getitem

from .distributions import t_quantile

_EXACT_STEPS = 2_000_000
_DRAWS = 100_000


@dataclass(frozen=True, slots=True)
class PValue:
    """A two-sided p-value, and its standard error where assignments were drawn (0 where all were counted)."""

    p: float
    error: float = 0.0


def sign_flip(differences: Sequence[float | Fraction], *, seed: int = 0) -> PValue:
    """How often the mean difference is as far from 0 as here when each problem's sign is a coin's.

    All 2^P assignments are counted where their sums are few (always up to 20 problems that differ, and for shares of
    samples up to hundreds); else 100,000 are drawn from `seed`. A float is read as the decimal that it prints as.
    Raises ValueError without differences, or where one is not finite.
    Source: Fisher 1935, The Design of Experiments, section 21; drawn p-values as (hits + 1) / (draws + 1), Phipson and
    Smyth 2010, arXiv:1603.05766.

    >>> sign_flip([0.25, 0.5, 0.5, 0.0])
    PValue(p=0.25, error=0.0)
    """
    if not differences or not all(math.isfinite(each) for each in differences):
        raise ValueError("a sign-flip test needs finite differences, one per problem")
    exact = [each if isinstance(each, Fraction) else Fraction(repr(float(each))) for each in differences]
    unit = math.lcm(*(each.denominator for each in exact))
    whole = [int(each * unit) for each in exact if each]
    sizes = sorted(map(abs, whole))
    total = sum(sizes)
    # Flipping problems of sizes that add up to s leaves a sum of total - 2 s. What rounding separates is together.
    most = (total - abs(sum(whole)) + total // 10**12) // 2
    ways = _subsets_up_to(most, sizes)
    if ways is not None:
        return PValue(min(1.0, 2 * ways / 2 ** len(sizes)))
    drawn = _drawn_up_to(most, sizes, random.Random(seed))
    p = min(1.0, (2 * drawn + 1) / (_DRAWS + 1))
    return PValue(p, math.sqrt(p * max(2 - p, 0.0) / _DRAWS))


def _subsets_up_to(most: int, sizes: Sequence[int]) -> int | None:
    """How many subsets have a sum of at most `most`; None where the sums are too many to be counted."""
    ways, steps = {0: 1}, 0
    for size in sizes:
        steps += len(ways)
        if steps > _EXACT_STEPS:
            return None
        grown = ways.copy()
        for total, count in ways.items():
            if total + size <= most:
                grown[total + size] = grown.get(total + size, 0) + count
        ways = grown
    return sum(ways.values())


def _drawn_up_to(most: int, sizes: Sequence[int], rng: random.Random) -> int:
    """How many of `_DRAWS` random subsets have a sum of at most `most`: by tables of the 256 subsets of eight sizes."""
    tables: list[list[int]] = []
    for start in range(0, len(sizes), 8):
        table = [0]
        for size in sizes[start : start + 8]:
            table += [each + size for each in table]
        tables.append(table * (256 // len(table)))
    return sum(sum(map(getitem, tables, rng.randbytes(len(tables)))) <= most for _ in range(_DRAWS))


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value for problems that only one of two runs with one sample each got right.

    Equal to `sign_flip` of those differences. Raises ValueError on negative counts.
    Source: McNemar 1947, Psychometrika 12:153; exact by the binomial distribution.

    >>> mcnemar(1, 5)
    0.21875
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts are not negative: {only_a}, {only_b}")
    n = only_a + only_b
    term, ways = 1, 1
    for i in range(min(only_a, only_b)):
        term = term * (n - i) // (i + 1)
        ways += term
    return min(1.0, 2 * ways / 2**n)


def detectable(stderr: float, problems: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided t-test of level `alpha` finds with probability `power`.

    stderr: of the mean difference over `problems`. Raises ValueError for fewer than two problems, a negative error, or
    unless 0 < alpha < 1 and 0.5 <= power < 1.
    Source: Miller 2024, arXiv:2411.00640, section 5, with t in place of z (off by about 2 % of power at ten problems).

    >>> round(detectable(0.02, 500), 4)
    0.0561
    """
    if problems < 2 or stderr < 0 or not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"no effect to detect: {problems} problems, error {stderr}, alpha {alpha}, power {power}")
    return (t_quantile(1 - alpha / 2, problems - 1) + t_quantile(power, problems - 1)) * stderr


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tasks, adjusted so that the chance of any false finding stays below the level, in order.

    Raises ValueError unless all are in [0, 1].
    Source: Holm 1979, Scand. J. Stat. 6:65.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values are in [0, 1]: {list(p_values)}")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
