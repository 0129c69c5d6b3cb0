"""Exact normal forms: rational functions over the rationals in variables, constants and roots of primes.

A monomial is a sorted tuple of (atom, exponent); an atom is a variable's name, `pi`, `e`, `i`, a prime (whose exponent is
a fraction below 1: 2^(1/2) is a root), or a form that is kept whole (`Kept`). Sums of such monomials are equal exactly
when they are the same, unless something was kept whole: then sameness proves equality and difference proves nothing.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, gcd, isqrt

from .tree import Apply, Node, Num, Sym

MAX_TERMS = 300
MAX_POWER = 60
MAX_BITS = 60_000
MAX_FACTORIAL = 3_000
_TRIAL = 20_000


class TooBig(Exception):
    """Past a bound: nothing is known, and nothing was computed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A function of normal forms that is kept whole."""

    op: str
    args: "tuple[Ratio, ...]"


Atom = str | int | Kept
Monomial = tuple[tuple[Atom, Fraction], ...]
Poly = dict[Monomial, Fraction]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of two sums of monomials, each a sorted tuple of (monomial, coefficient)."""

    top: tuple[tuple[Monomial, Fraction], ...]
    bottom: tuple[tuple[Monomial, Fraction], ...]

    @property
    def constant(self) -> Fraction | None:
        """The rational number that it is, None for anything else."""
        if len(self.bottom) != 1 or self.bottom[0][0]:
            return None
        if not self.top:
            return Fraction(0)
        return self.top[0][1] / self.bottom[0][1] if len(self.top) == 1 and not self.top[0][0] else None

    @property
    def exact(self) -> bool:
        """Whether nothing was kept whole, so that another form is another value."""
        return not any(isinstance(atom, Kept) for terms in (self.top, self.bottom) for m, _ in terms for atom, _ in m)


@lru_cache(maxsize=4096)
def normal_form(node: Node) -> Ratio:
    """The normal form of a scalar. Raises TooBig past a bound, ValueError for what is no scalar or undefined."""
    if isinstance(node, Num):
        return _number(node.value)
    if isinstance(node, Sym):
        if node.name == "inf":
            raise ValueError("infinity")
        return _ratio({((node.name, Fraction(1)),): Fraction(1)}, {(): Fraction(1)})
    if isinstance(node, Apply):
        args = tuple(normal_form(arg) for arg in node.args)
        rule = _RULES.get(node.op)
        return rule(*args) if rule else _function(node.op, args)
    raise ValueError("not a scalar")


def same_form(a: Ratio, b: Ratio) -> bool:
    """Whether the two are the same rational function."""
    if a == b:
        return True
    return _times(dict(a.top), dict(b.bottom)) == _times(dict(b.top), dict(a.bottom))


def proportional(a: Ratio, b: Ratio) -> bool:
    """Whether a is a rational multiple of b, and neither is 0."""
    left, right = _times(dict(a.top), dict(b.bottom)), _times(dict(b.top), dict(a.bottom))
    if not left or left.keys() != right.keys():
        return False
    first = next(iter(left))
    factor = left[first] / right[first]
    return all(left[m] == factor * right[m] for m in left)


def _number(value: Fraction) -> Ratio:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise TooBig
    return _ratio({(): value} if value else {}, {(): Fraction(1)})


def _ratio(top: Poly, bottom: Poly) -> Ratio:
    if not bottom:
        raise ValueError("division by zero")
    if len(bottom) == 1:  # a single monomial below goes above, where that keeps the form simple
        (monomial, coefficient), = bottom.items()
        if all(isinstance(atom, int) or atom == "i" for atom, _ in monomial):
            inverse: Poly = {(): 1 / coefficient}
            for atom, exponent in monomial:
                inverse = _times(inverse, _inverse_of_root(atom, exponent))
            top, bottom = _times(top, inverse), {(): Fraction(1)}
    key = _order
    return Ratio(tuple(sorted(top.items(), key=key)), tuple(sorted(bottom.items(), key=key)))


def _order(term: tuple[Monomial, Fraction]) -> str:
    return repr(term[0])


def _inverse_of_root(atom: Atom, exponent: Fraction) -> Poly:
    if atom == "i":
        return {(("i", Fraction(1)),): Fraction(-1)}
    assert isinstance(atom, int)
    return {((atom, 1 - exponent),): Fraction(1, atom)}


def _plus(a: Poly, b: Poly) -> Poly:
    total = dict(a)
    for monomial, coefficient in b.items():
        value = total.get(monomial, Fraction(0)) + coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise TooBig
    return total


def _times(a: Poly, b: Poly) -> Poly:
    if len(a) * len(b) > 20 * MAX_TERMS:
        raise TooBig
    total: Poly = {}
    for m1, c1 in a.items():
        for m2, c2 in b.items():
            monomial, factor = _join(m1, m2)
            coefficient = c1 * c2 * factor
            if coefficient.numerator.bit_length() + coefficient.denominator.bit_length() > MAX_BITS:
                raise TooBig
            value = total.get(monomial, Fraction(0)) + coefficient
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise TooBig
    return total


def _join(a: Monomial, b: Monomial) -> tuple[Monomial, Fraction]:
    """The product of two monomials: whole powers of primes and of i become a rational factor."""
    if not a or not b:
        return a or b, Fraction(1)
    exponents: dict[Atom, Fraction] = dict(a)
    factor = Fraction(1)
    for atom, exponent in b:
        total = exponents.pop(atom, Fraction(0)) + exponent
        if isinstance(atom, int):
            whole = total.numerator // total.denominator
            factor *= Fraction(atom) ** whole
            total -= whole
        elif atom == "i":
            whole = int(total) // 2
            factor *= (-1) ** whole
            total -= 2 * whole
        elif abs(total) > 10 * MAX_POWER:
            raise TooBig
        if total:
            exponents[atom] = total
    return tuple(sorted(exponents.items(), key=repr)), factor


def _add(a: Ratio, b: Ratio) -> Ratio:
    if a.bottom == b.bottom:
        return _ratio(_plus(dict(a.top), dict(b.top)), dict(a.bottom))
    left, right = _times(dict(a.top), dict(b.bottom)), _times(dict(b.top), dict(a.bottom))
    return _ratio(_plus(left, right), _times(dict(a.bottom), dict(b.bottom)))


def _multiply(a: Ratio, b: Ratio) -> Ratio:
    return _ratio(_times(dict(a.top), dict(b.top)), _times(dict(a.bottom), dict(b.bottom)))


def _invert(a: Ratio) -> Ratio:
    if not a.top:
        raise ValueError("division by zero")
    return _ratio(dict(a.bottom), dict(a.top))


def _negate(a: Ratio) -> Ratio:
    return _multiply(_number(Fraction(-1)), a)


def _raise(base: Ratio, exponent: Ratio) -> Ratio:
    power = exponent.constant
    if power is None:
        return _keep("^", (base, exponent))
    value = base.constant
    if value is not None and power.denominator > 1:
        return _root(value, power)
    if value is not None:
        return _number(_rational_power(value, int(power)))
    if power.denominator == 1 and abs(power) <= MAX_POWER:
        result, step = _number(Fraction(1)), base if power > 0 else _invert(base)
        for _ in range(abs(int(power))):
            result = _multiply(result, step)
        return result
    if len(base.top) == 1 and base.top[0][1] == 1 and base.bottom == (((), Fraction(1)),) and len(base.top[0][0]) == 1:
        (atom, inner), = base.top[0][0]
        if isinstance(atom, str) and atom != "i" and inner == 1:
            return _ratio({((atom, power),): Fraction(1)}, {(): Fraction(1)})
    return _keep("^", (base, exponent))


def _rational_power(value: Fraction, power: int) -> Fraction:
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if value not in (0, 1, -1) and bits * abs(power) > MAX_BITS + bits:
        raise TooBig
    if value == 0 and power <= 0:
        raise ValueError("0 to a power that is not positive")
    if value in (1, -1):
        return Fraction(1) if value == 1 or power % 2 == 0 else value
    return value**power


def _root(value: Fraction, power: Fraction) -> Ratio:
    """value^power for a fraction `power`: roots of primes, with i for the square root of what is negative."""
    if value < 0 and power.denominator != 2:
        if power.denominator % 2 == 0:
            return _keep("^", (_number(value), _number(power)))
        sign = _number(Fraction((-1) ** power.numerator))
        return _multiply(sign, _root(-value, power))  # the real root
    if value == 0:
        return _number(Fraction(0))
    result = _number(Fraction(1))
    if value < 0:
        turns = power.numerator % 4
        i = _ratio({(("i", Fraction(1)),): Fraction(1)}, {(): Fraction(1)})
        for _ in range(turns):
            result = _multiply(result, i)
        value = -value
    for prime, count in (*_factors(value.numerator), *((p, -c) for p, c in _factors(value.denominator))):
        exponent = count * power
        whole = exponent.numerator // exponent.denominator
        if abs(whole) * prime.bit_length() > MAX_BITS:
            raise TooBig
        rest = exponent - whole
        monomial: Monomial = ((prime, rest),) if rest else ()
        result = _multiply(result, _ratio({monomial: Fraction(prime) ** whole}, {(): Fraction(1)}))
    return result


@lru_cache(maxsize=4096)
def _factors(n: int) -> tuple[tuple[int, int], ...]:
    """(prime, count) pairs. Raises TooBig where trial division cannot finish."""
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
    if n > 1:
        if p * p <= n:
            root = isqrt(n) if n.bit_length() < 4000 else 0
            if root * root != n or root > _TRIAL * _TRIAL:
                raise TooBig
            found.append((root, 2))
        else:
            found.append((n, 1))
    return tuple(found)


def _keep(op: str, args: tuple[Ratio, ...]) -> Ratio:
    return _ratio({((Kept(op, args), Fraction(1)),): Fraction(1)}, {(): Fraction(1)})


def _function(op: str, args: tuple[Ratio, ...]) -> Ratio:
    """A function of normal forms: its exact value where there is one, else kept whole."""
    constants = [arg.constant for arg in args]
    if all(value is not None for value in constants):
        value = _exact_value(op, [value for value in constants if value is not None])
        if value is not None:
            return _number(value)
    return _keep(op, args)


def _exact_value(op: str, args: list[Fraction]) -> Fraction | None:
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
        return Fraction(factorial(int(x)))
    if op == "binom" and whole and len(args) == 2 and 0 <= args[1]:
        if x > MAX_FACTORIAL * 2 or x < 0:
            raise TooBig
        return Fraction(comb(int(x), int(args[1])))
    if op in ("gcd", "lcm") and whole and len(args) == 2 and all(args):
        divisor = gcd(int(x), int(args[1]))
        return Fraction(divisor) if op == "gcd" else abs(x * args[1]) / divisor
    if op == "base" and whole:
        return Fraction(int(str(int(x)), int(args[1])))
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
        {**dict(_factors(value.numerator)), **{p: -c for p, c in _factors(value.denominator)}} for value in (base, x)
    ]
    if powers[0].keys() != powers[1].keys() and powers[1]:
        return None
    ratios = {Fraction(powers[1].get(p, 0), c) for p, c in powers[0].items()}
    return ratios.pop() if len(ratios) == 1 else None


_RULES = {
    "+": _add,
    "*": _multiply,
    "/": lambda a, b: _multiply(a, _invert(b)),
    "neg": _negate,
    "^": _raise,
    "sqrt": lambda a: _raise(a, _number(Fraction(1, 2))),
    "root": lambda a, n: _raise(a, _invert(n)),
    "%": lambda a: _multiply(a, _number(Fraction(1, 100))),
    "deg": lambda a: _multiply(a, _ratio({(("pi", Fraction(1)),): Fraction(1, 180)}, {(): Fraction(1)})),
}
