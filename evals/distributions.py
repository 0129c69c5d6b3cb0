"""Student's t without a numerical library."""

import math
from functools import lru_cache
from statistics import NormalDist


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
