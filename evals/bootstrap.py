"""Bias-corrected and accelerated bootstrap intervals, for sets too small for Student's t."""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist, fmean
from typing import Any

from .metrics import Estimate, estimate, proportion, quantile

RESAMPLES = 10_000
SMALL = 100
"""Problems up to which a set counts as small, and its rows get BCa intervals too."""
_FRACTION = 40  # bits behind the point: shares of n samples differ by far more than 2^-40


def bca(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of one value per problem with its 95 % BCa interval over resampled problems; the same for a seed.

    One problem has no interval. Where all values are equal there is nothing to resample, and `estimate`'s is given
    (`proportion`'s, thus Wilson's, where all are 0 or all are 1). Raises ValueError without values.
    Source: Efron 1987, J. Am. Stat. Assoc. 82:171; ties half below, as in scipy.stats.bootstrap.

    >>> bca([0.0] * 6 + [0.5] * 2 + [1.0] * 2).ci95
    (0.1, 0.6...)
    """
    return bca_columns([values], resamples=resamples, seed=seed)[0]


def bca_columns(columns: Sequence[Sequence[float]], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """`bca` of several statistics of the same problems (pass@1, pass@2 …), from the same resamples at little more cost.

    Each column holds one value per problem, in the same order. Raises ValueError where columns differ in length.

    >>> [each.mean for each in bca_columns([[0.0, 1.0, 1.0], [0.5, 1.0, 0.75]])]
    [0.66666..., 0.75]
    """
    sizes = {len(column) for column in columns}
    if len(sizes) > 1:
        raise ValueError(f"columns of the same problems are equally long, not {sorted(sizes)}")
    varied = [column for column in columns if len(set(column)) > 1]
    intervals = iter(_intervals(varied, resamples, random.Random(seed)) if varied else [])
    return [
        replace(estimate(column), ci95=next(intervals)) if len(set(column)) > 1 else _constant(column)
        for column in columns
    ]


class SmallSet:
    """Rows of the summary whose `ci95_bca` is still to come, so that all of them come from the same resamples."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._columns: list[Sequence[float]] = []

    def row(self, row: dict[str, Any], values: Sequence[float]) -> dict[str, Any]:
        """The same object, remembered with its value of each problem."""
        self._rows.append(row)
        self._columns.append(values)
        return row

    def resample(self) -> None:
        """Add `ci95_bca` to every row, as [low, high]; to none unless there are 2 to `SMALL` problems."""
        if self._columns and 2 <= len(self._columns[0]) <= SMALL:
            for row, found in zip(self._rows, bca_columns(self._columns), strict=True):
                row["ci95_bca"] = None if found.ci95 is None else list(found.ci95)


def _constant(column: Sequence[float]) -> Estimate:
    return proportion(column) if set(column) in ({0.0}, {1.0}) else estimate(column)


def _intervals(columns: Sequence[Sequence[float]], resamples: int, rng: random.Random) -> list[tuple[float, float]]:
    """A problem is one whole number that holds its value in every column, as fixed-point numbers side by side: one sum
    over the drawn problems adds up all columns at once."""
    size = len(columns[0])
    lows = [min(column) for column in columns]
    units = [2.0 ** (_FRACTION - math.frexp(max(column) - low)[1]) for column, low in zip(columns, lows, strict=True)]
    whole = [
        [round((value - low) * unit) for value in column]
        for column, low, unit in zip(columns, lows, units, strict=True)
    ]
    slot = _FRACTION + size.bit_length() + 1
    packed = [sum(value << i * slot for i, value in enumerate(row)) for row in zip(*whole, strict=True)]
    sums = [sum(rng.choices(packed, k=size)) for _ in range(resamples)]
    mask = (1 << slot) - 1
    found: list[tuple[float, float]] = []
    for i, (values, low, unit) in enumerate(zip(whole, lows, units, strict=True)):
        ordered = sorted(total >> i * slot & mask for total in sums)
        ends = (quantile(ordered, level) for level in _levels(values, ordered))
        lower, upper = (low + end / unit / size for end in ends)
        found.append((lower, upper))
    return found


def _levels(values: Sequence[int], ordered: Sequence[int]) -> tuple[float, float]:
    """Which quantiles of the resampled sums (ascending) are the ends of the interval."""
    normal = NormalDist()
    total, rounding = sum(values), len(values)
    below, upto = bisect_left(ordered, total - rounding), bisect_right(ordered, total + rounding)
    bias = normal.inv_cdf((below + upto) / (2 * len(ordered)))
    mean = fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    acceleration = math.fsum((value - mean) ** 3 for value in values) / (6 * squares**1.5)
    lower, upper = (
        normal.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        for z in (normal.inv_cdf(0.025), normal.inv_cdf(0.975))
    )
    return lower, upper
