"""Evaluation at points, for what has no exact normal form: real points first, then complex ones.

A domain error says nothing about that point. Each value is computed twice, to 50 and to 80 digits: where the two differ
is noise, and 40 digits must agree, at several points where there are variables; constants need one.
"""

import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import Any

from .bounds import allow, charge
from .tree import Apply, Node, Num, Sym

LOW, HIGH = 50, 80
AGREE = 40
MAX_EXPONENT = 100_000
MAX_ARGUMENT = 10_000
MAX_WORK = 6_000
_POINTS = ("7/5", "-13/11", "29/17", "5/13", "-3/7", "41/19", "-17/6", "11/23", "37/9", "-8/15")
_COMPLEX = (("3/7", "5/11"), ("-9/8", "4/13"), ("6/5", "-7/17"), ("2/9", "8/7"), ("-4/3", "-5/12"))
_NEEDED = 4
_CONSTANTS = ("pi", "e", "i")
_local = threading.local()


class NoValue(Exception):
    """No value here: a domain error, or a bound."""


class Unknown(Exception):
    """A function without an evaluation."""


def same_value(a: Node, b: Node) -> bool | None:
    """Whether two scalars agree as numbers or as functions of their variables; None where too few points tell.

    Raises TooMuch where they are too long to be evaluated at all the points.
    """
    names = sorted(variables(a) | variables(b))
    allow(MAX_WORK)
    agreed = missing = 0
    try:
        for real, points in ((True, _POINTS), (False, _COMPLEX)):
            agreed = 0
            for start in range(len(points) if names else 1):
                point = _point(names, points, start)
                left = _values(a, point, real=real and bool(names))
                right = _values(b, point, real=real and bool(names)) if left else None
                if left is None or right is None:
                    missing += left is not None
                    continue
                verdict = _close(left, right, constant=not names)
                if verdict is False:
                    return False
                agreed += verdict is True
                if agreed == (_NEEDED if names else 1):
                    return True
    except Unknown:
        return None
    return False if missing and not agreed else None  # a has a value and b has none


def decimal_value(node: Node) -> Fraction | None:
    """A real constant to some 70 digits; None where it is no real constant of everyday size. Raises TooMuch."""
    if variables(node):
        return None
    context = _contexts()[1]
    allow(MAX_WORK)
    try:
        value = _evaluate(node, {}, context, False)
    except (NoValue, Unknown):
        return None
    size = abs(value)
    if abs(context.im(value)) > context.mpf(10) ** -AGREE or not (size == 0 or 1e-100 < size < 1e100):
        return None
    return Fraction(context.nstr(context.re(value), HIGH - 10))


def variables(node: Node) -> set[str]:
    """The names in a scalar that are no constants."""
    if isinstance(node, Sym):
        return set() if node.name in _CONSTANTS else {node.name}
    if isinstance(node, Apply):
        return {name for arg in node.args for name in variables(arg)}
    return set()


def _contexts() -> tuple[Any, Any]:
    """mpmath at few digits and at more, of this thread alone: a context is changed while it computes."""
    contexts = getattr(_local, "contexts", None)
    if contexts is None:
        from mpmath import MPContext  # pyright: ignore

        contexts = _local.contexts = (MPContext(), MPContext())
        for context, digits in zip(contexts, (LOW, HIGH), strict=True):
            context.dps = digits
    return contexts


def _point(names: list[str], points: tuple[Any, ...], start: int) -> "Callable[[Any], Mapping[str, Any]]":
    """The values of the variables at one point, in the digits of a context."""

    def values(context: Any) -> Mapping[str, Any]:
        step = 3 if len(points) > 5 else 2
        return {name: _rational(points[(start + step * i) % len(points)], context) for i, name in enumerate(names)}

    return values


def _rational(value: "str | tuple[str, str]", context: Any) -> Any:
    if isinstance(value, tuple):
        return context.mpc(_rational(value[0], context), _rational(value[1], context))
    return context.mpf(Fraction(value).numerator) / Fraction(value).denominator


def _values(node: Node, point: "Callable[[Any], Mapping[str, Any]]", *, real: bool) -> tuple[Any, Any] | None:
    """The value to few digits and to more; None where there is none."""
    low, high = _contexts()
    try:
        return _evaluate(node, point(low), low, real), _evaluate(node, point(high), high, real)
    except NoValue:
        return None


def _close(a: tuple[Any, Any], b: tuple[Any, Any], *, constant: bool) -> bool | None:
    """Whether two values agree, each given to few digits and to more: what the two differ in is noise.

    None for a value that is mostly noise, and for constants so large that these digits leave their end out.
    """
    ten = _contexts()[1].mpf(10)
    noise = max(abs(a[0] - a[1]), abs(b[0] - b[1]))
    distance, size = abs(a[1] - b[1]), max(abs(a[1]), abs(b[1]))
    if distance > size / 1000 and noise < size / 1e6:
        return False
    if noise > ten**-20 * max(size, 1) or (constant and size > ten**AGREE):
        return None
    return bool(distance <= size * ten**-AGREE or distance <= noise * ten**-15)


def _evaluate(node: Node, point: Mapping[str, Any], context: Any, real: bool) -> Any:
    charge(2)
    if isinstance(node, Num):
        return context.mpf(node.value.numerator) / node.value.denominator
    if isinstance(node, Sym):
        value = {"pi": +context.pi, "e": +context.e, "i": context.mpc(0, 1)}.get(node.name, point.get(node.name))
        if value is None:
            raise Unknown
        return value
    if not isinstance(node, Apply):
        raise Unknown
    values = [_evaluate(arg, point, context, real) for arg in node.args]
    charge(len(values) if node.op in ("+", "*", "neg", "/") else 6)
    try:
        value = _apply(node.op, values, context, real)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError, ArithmeticError) as error:
        raise NoValue from error
    if not context.isfinite(value) or (value != 0 and abs(context.mag(value)) > 100 * MAX_EXPONENT):
        raise NoValue
    return value


def _apply(op: str, values: list[Any], context: Any, real: bool) -> Any:
    x = values[0]
    if op == "+":
        return sum(values)
    if op == "*":
        return prod(values)
    if op == "/":
        return x / values[1]
    if op == "neg":
        return -x
    if op == "%":
        return x / 100
    if op == "deg":
        return x * context.pi / 180
    if op in ("^", "sqrt", "root"):
        if op == "root" and context.im(x) == 0 and x < 0 and context.isint(values[1]) and int(values[1].real) % 2:
            return -_power(-x, 1 / values[1], context, real)  # the real root
        exponent = values[1] if op == "^" else context.mpf(1) / (2 if op == "sqrt" else values[1])
        return _power(x, exponent, context, real)
    if op in ("log", "ln"):
        argument = values[-1]
        if argument == 0 or (real and (context.im(argument) != 0 or argument < 0)):
            raise NoValue
        return context.ln(argument) / (context.ln(x) if len(values) == 2 else 1)
    if op == "!":
        if context.im(x) != 0 or abs(x) > MAX_ARGUMENT:
            raise NoValue
        return context.gamma(x + 1)
    if op == "binom":
        if any(abs(v) > MAX_ARGUMENT for v in values):
            raise NoValue
        return context.binomial(*values)
    function = getattr(context, _NAMES.get(op, ""), None)
    if function is None:
        raise Unknown
    if abs(x) > context.mpf(10) ** 30:
        raise NoValue
    value = function(*values)
    if real and context.im(value) != 0:
        raise NoValue
    return context.re(value) if real else value


_NAMES = {
    "sin": "sin", "cos": "cos", "tan": "tan", "sec": "sec", "csc": "csc", "cot": "cot", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "coth": "coth", "exp": "exp", "abs": "fabs", "floor": "floor", "ceil": "ceil",
}  # fmt: skip


def _power(x: Any, exponent: Any, context: Any, real: bool) -> Any:
    if x == 0:
        if context.re(exponent) <= 0:
            raise NoValue
        return context.mpf(0)
    if abs(exponent) * (abs(context.ln(abs(x))) + 1) > MAX_EXPONENT:
        raise NoValue
    if real and context.im(x) == 0 and x < 0 and exponent != int(context.re(exponent)):
        raise NoValue
    return context.power(x, exponent)
