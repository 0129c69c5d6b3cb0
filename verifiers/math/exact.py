"""Functions of rational numbers whose value is rational, and factors; bounded before anything is computed."""

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, gcd, isqrt

from .bounds import TooBig, TooMuch, charge

MAX_FACTORIAL = 3_000
_TRIAL = 4_000


def exact_value(op: str, args: list[Fraction]) -> Fraction | None:
    """The rational value of a function, None where it has none that is known. Raises TooBig."""
    whole = all(arg.denominator == 1 for arg in args)
    x = args[0]
    if op == "abs":
        return abs(x)
    if op == "floor":
        return Fraction(x.numerator // x.denominator)
    if op == "ceil":
        return Fraction(-(-x.numerator // x.denominator))
    if op in ("min", "max"):
        return min(args) if op == "min" else max(args)
    if op == "!" and whole and x >= 0:
        if x > MAX_FACTORIAL:
            raise TooBig
        charge(int(x) // 20)
        return Fraction(factorial(int(x)))
    if op == "binom" and whole and len(args) == 2 and args[1] >= 0:
        if x < 0:
            return None
        if x > MAX_FACTORIAL * 2:
            raise TooBig
        charge(int(x) // 20)
        return Fraction(comb(int(x), int(args[1])))
    if op in ("gcd", "lcm") and whole and len(args) == 2 and all(args):
        divisor = gcd(int(x), int(args[1]))
        return Fraction(divisor) if op == "gcd" else abs(x * args[1]) / divisor
    if op == "log" and len(args) == 2:
        return _exact_log(args[0], args[1])
    if op in ("ln", "log") and x == 1:
        return Fraction(0)
    if op in ("sin", "tan", "arcsin", "arctan", "sinh", "tanh") and x == 0:
        return Fraction(0)
    if op in ("cos", "exp", "cosh") and x == 0:
        return Fraction(1)
    return None


def _exact_log(base: Fraction, x: Fraction) -> Fraction | None:
    """log_base(x) where it is rational: both are powers of the same primes in one proportion."""
    if base <= 0 or base == 1 or x <= 0:
        return None
    powers = [
        {**dict(factors(value.numerator)), **{p: -c for p, c in factors(value.denominator)}} for value in (base, x)
    ]
    if powers[0].keys() != powers[1].keys() and powers[1]:
        return None
    ratios = {Fraction(powers[1].get(p, 0), c) for p, c in powers[0].items()}
    return ratios.pop() if len(ratios) == 1 else None


def factors(n: int) -> Iterable[tuple[int, int]]:
    """(prime, count) pairs. Raises TooMuch where trial division cannot finish."""
    charge(50)
    if n.bit_length() > 256:
        root = isqrt(n) if n.bit_length() < 10_000 else 0
        if root * root != n:
            raise TooMuch
        return [(p, 2 * c) for p, c in factors(root)]
    return _small_factors(n)


@lru_cache(maxsize=4096)
def _small_factors(n: int) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    p = 2
    while p * p <= n and p < _TRIAL:
        count = 0
        while n % p == 0:
            n //= p
            count += 1
        if count:
            found.append((p, count))
        p += 1 if p == 2 else 2
    if n == 1:
        return tuple(found)
    if p * p > n:
        return (*found, (n, 1))
    root = isqrt(n)
    if root * root != n or root >= _TRIAL * _TRIAL:
        raise TooMuch
    return (*found, (root, 2))
