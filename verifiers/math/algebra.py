"""Exact normal forms: rational functions over the rationals in variables, constants and roots of primes.

A monomial is a set of (atom, exponent); an atom is a variable's name, `pi`, `e`, `i`, a prime (whose exponent is a
fraction below 1: 2^(1/2) is a root), or a form that is kept whole (`Kept`). Sums of such monomials are equal exactly
when they are the same, unless something was kept whole: then sameness proves equality and difference proves nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .bounds import TooMuch, allow, bounded, charge
from .exact import exact_value, factors
from .tree import Apply, Node, Num, Sym

MAX_TERMS = 300
MAX_POWER = 60
MAX_WORK = 2_000
"""Products of two monomials in one normal form, each weighed by its digits: some 10 milliseconds."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A function of normal forms that is kept whole."""

    op: str
    args: "tuple[Ratio, ...]"
    hash: int

    def __hash__(self) -> int:
        return self.hash


Atom = str | int | Kept
Monomial = frozenset[tuple[Atom, Fraction]]
Poly = dict[Monomial, Fraction]
_ONE: Monomial = frozenset()
_WHOLE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of two sums of monomials, each a set of (monomial, coefficient)."""

    top: frozenset[tuple[Monomial, Fraction]]
    bottom: frozenset[tuple[Monomial, Fraction]]

    @property
    def constant(self) -> Fraction | None:
        """The rational number that it is, None for anything else."""
        if self.bottom != _UNIT or len(self.top) > 1:
            return None
        for monomial, coefficient in self.top:
            return None if monomial else coefficient
        return Fraction(0)

    @property
    def polynomial(self) -> bool:
        """Whether nothing stands below."""
        return self.bottom == _UNIT

    @property
    def exact(self) -> bool:
        """Whether nothing was kept whole, so that another form is another value."""
        return not any(isinstance(atom, Kept) for terms in (self.top, self.bottom) for m, _ in terms for atom, _ in m)


_UNIT = frozenset({(_ONE, Fraction(1))})


@lru_cache(maxsize=1024)
def normal_form(node: Node) -> Ratio:
    """The normal form of a scalar. Raises TooMuch past a bound, ValueError for what is no scalar or undefined."""
    allow(MAX_WORK)
    return _form(node)


def same_form(a: Ratio, b: Ratio) -> bool:
    """Whether the two are the same rational function. Raises TooMuch."""
    if a == b:
        return True
    if a.bottom == b.bottom == _UNIT:
        return False
    left, right = _crossed(a, b)
    return left == right


def proportional(a: Ratio, b: Ratio) -> bool:
    """Whether a is a rational multiple of b, and neither is 0. Raises TooMuch."""
    left, right = _crossed(a, b)
    if not left or left.keys() != right.keys():
        return False
    first = next(iter(left))
    factor = left[first] / right[first]
    return all(left[m] == factor * right[m] for m in left)


def _crossed(a: Ratio, b: Ratio) -> tuple[Poly, Poly]:
    allow(MAX_WORK)
    return _times(dict(a.top), dict(b.bottom)), _times(dict(b.top), dict(a.bottom))


def _form(node: Node) -> Ratio:
    if isinstance(node, Num):
        return _number(node.value)
    if isinstance(node, Sym):
        if node.name == "inf":
            raise ValueError("infinity")
        return Ratio(frozenset({(frozenset({(node.name, Fraction(1))}), Fraction(1))}), _UNIT)
    if isinstance(node, Apply):
        args = tuple(_form(arg) for arg in node.args)
        rule = _RULES.get(node.op)
        return rule(*args) if rule else _function(node.op, args)
    raise ValueError("not a scalar")


def _number(value: Fraction) -> Ratio:
    bits = value.numerator.bit_length() + value.denominator.bit_length()
    charge(1 + bounded(bits) // 5)
    return Ratio(frozenset({(_ONE, value)}) if value else frozenset(), _UNIT)


def _ratio(top: Poly, bottom: Poly) -> Ratio:
    if not bottom:
        raise ValueError("division by zero")
    if len(bottom) == 1:  # a single monomial below goes above, where that keeps the form simple
        ((monomial, coefficient),) = bottom.items()
        if all(isinstance(atom, int) or atom == "i" for atom, _ in monomial):
            inverse: Poly = {_ONE: 1 / coefficient}
            for atom, exponent in monomial:
                inverse = _times(inverse, _inverse_of_root(atom, exponent))
            return Ratio(frozenset(_times(top, inverse).items()), _UNIT)
    return Ratio(frozenset(top.items()), frozenset(bottom.items()))


def _inverse_of_root(atom: Atom, exponent: Fraction) -> Poly:
    if atom == "i":
        return {frozenset({("i", Fraction(1))}): Fraction(-1)}
    assert isinstance(atom, int)
    return {frozenset({(atom, 1 - exponent)}): Fraction(1, atom)}


def _plus(total: Poly, more: Iterable[tuple[Monomial, Fraction]]) -> None:
    for monomial, coefficient in more:
        before = total.get(monomial)
        value = coefficient if before is None else before + coefficient
        charge(1 + (value.numerator.bit_length() + value.denominator.bit_length()) // 100)
        if value:
            total[monomial] = value
        else:
            del total[monomial]
    if len(total) > MAX_TERMS:
        raise TooMuch


def _times(a: Poly, b: Poly) -> Poly:
    if b == {_ONE: 1}:
        return a
    total: Poly = {}
    for m1, c1 in a.items():
        for m2, c2 in b.items():
            monomial, factor = _join(m1, m2)
            coefficient = c1 * c2 if factor is _WHOLE else c1 * c2 * factor
            bits = coefficient.numerator.bit_length() + coefficient.denominator.bit_length()
            charge(2 + bounded(bits))
            before = total.get(monomial)
            value = coefficient if before is None else before + coefficient
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise TooMuch
    return total


def _join(a: Monomial, b: Monomial) -> tuple[Monomial, Fraction]:
    """The product of two monomials: whole powers of primes and of i become a rational factor."""
    if not a or not b:
        return a or b, _WHOLE
    charge(len(a) + len(b))
    exponents: dict[Atom, Fraction] = dict(a)
    factor = _WHOLE
    for atom, exponent in b:
        before = exponents.pop(atom, None)
        total = exponent if before is None else before + exponent
        if isinstance(atom, int):
            whole = total.numerator // total.denominator
            if whole:
                factor *= Fraction(atom) ** whole
                total -= whole
        elif atom == "i":
            whole = int(total) // 2
            factor *= (-1) ** whole
            total -= 2 * whole
        elif abs(total) > 10 * MAX_POWER:
            raise TooMuch
        if total:
            exponents[atom] = total
    return frozenset(exponents.items()), factor


def _add(*terms: Ratio) -> Ratio:
    total: Poly = {}
    rest: list[Ratio] = []
    for term in terms:
        if term.bottom == _UNIT:
            _plus(total, term.top)
        else:
            rest.append(term)
    result = _ratio(total, dict(_UNIT))
    for term in rest:
        result = _add_two(result, term)
    return result


def _add_two(a: Ratio, b: Ratio) -> Ratio:
    if a.bottom == b.bottom:
        total = dict(a.top)
        _plus(total, b.top)
        return _ratio(total, dict(a.bottom))
    left, right = dict(_times(dict(a.top), dict(b.bottom))), _times(dict(b.top), dict(a.bottom))
    _plus(left, right.items())
    return _ratio(left, _times(dict(a.bottom), dict(b.bottom)))


def _multiply(*factors: Ratio) -> Ratio:
    top, bottom = dict(factors[0].top), dict(factors[0].bottom)
    for factor in factors[1:]:
        top, bottom = _times(top, dict(factor.top)), _times(bottom, dict(factor.bottom))
    return _ratio(top, bottom)


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
    name = _bare_name(base)
    if name is not None and abs(power) <= 10 * MAX_POWER:
        return Ratio(frozenset({(frozenset({(name, power)}), Fraction(1))}), _UNIT)
    return _keep("^", (base, exponent))


def _bare_name(form: Ratio) -> str | None:
    """The variable or constant that the form is, None for anything else; `i` has powers of its own."""
    if len(form.top) != 1 or form.bottom != _UNIT:
        return None
    ((monomial, coefficient),) = form.top
    if len(monomial) != 1 or coefficient != 1:
        return None
    ((atom, exponent),) = monomial
    return atom if isinstance(atom, str) and atom != "i" and exponent == 1 else None


def _rational_power(value: Fraction, power: int) -> Fraction:
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if value not in (0, 1, -1):
        bounded(bits * (abs(power) - 1))
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
    if value == 0 and power <= 0:
        raise ValueError("0 to a power that is not positive")
    if value == 0:
        return _number(value)
    result = _number(Fraction(1))
    if value < 0:
        turns = power.numerator % 4
        for _ in range(turns):
            result = _multiply(result, _form(Sym("i")))
        value = -value
    for prime, count in (*factors(value.numerator), *((p, -c) for p, c in factors(value.denominator))):
        exponent = count * power
        whole = exponent.numerator // exponent.denominator
        bounded(abs(whole) * prime.bit_length())
        rest = exponent - whole
        monomial: Monomial = frozenset({(prime, rest)}) if rest else _ONE
        result = _multiply(result, Ratio(frozenset({(monomial, Fraction(prime) ** whole)}), _UNIT))
    return result


def _keep(op: str, args: tuple[Ratio, ...]) -> Ratio:
    kept = Kept(op, args, hash((op, args)))
    return Ratio(frozenset({(frozenset({(kept, Fraction(1))}), Fraction(1))}), _UNIT)


def _function(op: str, args: tuple[Ratio, ...]) -> Ratio:
    """A function of normal forms: its exact value where there is one, else kept whole."""
    constants = [arg.constant for arg in args]
    if all(value is not None for value in constants):
        value = exact_value(op, [value for value in constants if value is not None])
        if value is not None:
            return _number(value)
    return _keep(op, args)


def _divide(a: Ratio, b: Ratio) -> Ratio:
    return _multiply(a, _invert(b))


def _square_root(a: Ratio) -> Ratio:
    return _raise(a, _number(Fraction(1, 2)))


def _nth_root(a: Ratio, n: Ratio) -> Ratio:
    return _raise(a, _invert(n))


def _percent(a: Ratio) -> Ratio:
    return _multiply(a, _number(Fraction(1, 100)))


def _degrees(a: Ratio) -> Ratio:
    return _multiply(a, _form(Sym("pi")), _number(Fraction(1, 180)))


_RULES: dict[str, Callable[..., Ratio]] = {
    "+": _add,
    "*": _multiply,
    "/": _divide,
    "neg": _negate,
    "^": _raise,
    "sqrt": _square_root,
    "root": _nth_root,
    "%": _percent,
    "deg": _degrees,
}
