"""Evaluation at points, for what has no exact normal form: real points first, then complex ones.

A domain error says nothing about that point. 60 digits are carried and 40 must agree, at several points where there are
variables; constants need one.
"""

import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .tree import Apply, Node, Num, Sym

DIGITS = 60
AGREE = 40
MAX_EXPONENT = 100_000
MAX_ARGUMENT = 10_000
_POINTS = ("7/5", "-13/11", "29/17", "5/13", "-3/7", "41/19", "-17/6", "11/23", "37/9", "-8/15")
_COMPLEX = (("3/7", "5/11"), ("-9/8", "4/13"), ("6/5", "-7/17"), ("2/9", "8/7"), ("-4/3", "-5/12"))
_NEEDED = 4
_CONSTANTS = ("pi", "e", "i")
_local = threading.local()


class NoValue(Exception):
    """No value here: a domain error, a function without an evaluation, or a bound."""


def same_value(a: Node, b: Node) -> bool | None:
    """Whether two scalars agree as numbers or as functions of their variables; None where too few points tell."""
    names = sorted(variables(a) | variables(b))
    context = _context()
    if not names:
        return _agree_at(a, b, {}, context, real=False)
    for real, points in ((True, _real_points(names, context)), (False, _complex_points(names, context))):
        agreed = 0
        for point in points:
            verdict = _agree_at(a, b, point, context, real=real)
            if verdict is False:
                return False
            agreed += verdict is True
            if agreed == _NEEDED:
                return True
    return None


def decimal_value(node: Node) -> Fraction | None:
    """A real constant to 60 digits; None where it is no real constant."""
    if variables(node):
        return None
    try:
        value, _ = _evaluate(node, {}, _context(), False)
    except NoValue:
        return None
    context = _context()
    if abs(context.im(value)) > context.mpf(10) ** -AGREE:
        return None
    return Fraction(context.nstr(context.re(value), DIGITS))


def variables(node: Node) -> set[str]:
    """The names in a scalar that are no constants."""
    if isinstance(node, Sym):
        return set() if node.name in _CONSTANTS else {node.name}
    if isinstance(node, Apply):
        return set().union(*map(variables, node.args))
    return set()


def _context() -> Any:
    context = getattr(_local, "context", None)
    if context is None:
        from mpmath import MPContext  # pyright: ignore

        context = _local.context = MPContext()
        context.dps = DIGITS
    return context


def _real_points(names: list[str], context: Any) -> list[dict[str, Any]]:
    values = [context.mpf(Fraction(p).numerator) / Fraction(p).denominator for p in _POINTS]
    return [{name: values[(i + 3 * j) % len(values)] for j, name in enumerate(names)} for i in range(len(values))]


def _complex_points(names: list[str], context: Any) -> list[dict[str, Any]]:
    values = [context.mpc(*(context.mpf(Fraction(p).numerator) / Fraction(p).denominator for p in z)) for z in _COMPLEX]
    return [{name: values[(i + 2 * j) % len(values)] for j, name in enumerate(names)} for i in range(len(values))]


def _agree_at(a: Node, b: Node, point: Mapping[str, Any], context: Any, *, real: bool) -> bool | None:
    try:
        (x, scale_x), (y, scale_y) = _evaluate(a, point, context, real), _evaluate(b, point, context, real)
    except NoValue:
        return None
    distance = abs(x - y)
    largest = max(abs(x), abs(y))
    scale = max(scale_x, scale_y)
    tiny = context.mpf(10)
    if distance <= largest * tiny**-AGREE or distance <= scale * tiny ** -(AGREE + 10):
        return True
    return False


def _evaluate(node: Node, point: Mapping[str, Any], context: Any, real: bool) -> tuple[Any, Any]:
    """(value, largest magnitude met in a sum on the way): what cancellation may have cost."""
    if isinstance(node, Num):
        value = context.mpf(node.value.numerator) / node.value.denominator
        return value, abs(value)
    if isinstance(node, Sym):
        value = {"pi": +context.pi, "e": +context.e, "i": context.mpc(0, 1)}.get(node.name, point.get(node.name))
        if value is None:
            raise NoValue
        return value, abs(value)
    if not isinstance(node, Apply):
        raise NoValue
    parts = [_evaluate(arg, point, context, real) for arg in node.args]
    values = [value for value, _ in parts]
    scale = max((s for _, s in parts), default=context.mpf(0))
    try:
        value = _apply(node.op, values, context, real)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError, ArithmeticError) as error:
        raise NoValue from error
    if not context.isfinite(value):
        raise NoValue
    if node.op == "+":
        return value, max(scale, abs(value))
    return value, abs(value) if node.op in ("^", "/", "exp") else max(scale, abs(value)) if node.op == "neg" else abs(value)


def _apply(op: str, values: list[Any], context: Any, real: bool) -> Any:
    x = values[0]
    if op == "+":
        return x + values[1]
    if op == "*":
        return x * values[1]
    if op == "/":
        return x / values[1]
    if op == "neg":
        return -x
    if op == "%":
        return x / 100
    if op == "deg":
        return x * context.pi / 180
    if op in ("^", "sqrt", "root"):
        exponent = values[1] if op == "^" else context.mpf(1) / (2 if op == "sqrt" else values[1])
        return _power(x, exponent, context, real)
    if op == "base":
        raise NoValue
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
    if function is None or abs(x) > context.mpf(10) ** 30:
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
