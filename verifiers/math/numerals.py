"""Numerals as they are written: decimals, powers of ten, repeating decimals, digits in a base."""

from fractions import Fraction

from .tokens import Unreadable
from .tree import Num

MAX_DIGITS = 4000


def decimal(text: str) -> Num:
    """`12`, `1.50`, `3.14e5`. Raises Unreadable past `MAX_DIGITS`.

    >>> decimal("1.50")
    Num(value=Fraction(3, 2), places=2, significant=3)
    """
    mantissa, _, power = text.lower().partition("e")
    whole, point, decimals = mantissa.partition(".")
    exponent = int(power or "0")
    if len(mantissa) + abs(exponent) > MAX_DIGITS:
        raise Unreadable("a number of more digits than an answer has", "too_long")
    value = Fraction(int((whole + decimals) or "0") * 10 ** max(exponent, 0), 10 ** (len(decimals) + max(-exponent, 0)))
    if not point and exponent >= 0:
        return Num(value)
    return Num(value, max(len(decimals) - exponent, 0), len((whole + decimals).lstrip("0")))


def repeating(text: str, period: str) -> Num:
    r"""`0.1\overline{6}` as ("0.1", "6"). Raises Unreadable for anything but decimals.

    >>> repeating("0.1", "6").value
    Fraction(1, 6)
    """
    whole, point, fixed = text.partition(".")
    if not point or "e" in text.lower() or not period.isdecimal() or len(text) + len(period) > 200:
        raise Unreadable("a bar over something else than decimals")
    head = Fraction(int((whole + fixed) or "0"), 10 ** len(fixed))
    return Num(head + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed)))


def in_base(text: str, base: int) -> Num:
    """The value of the digits in the base, also behind a point. Raises Unreadable for a digit that the base lacks.

    >>> in_base("0.0011", 2).value
    Fraction(3, 16)
    """
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if not 2 <= base <= 36 or len(digits) > 1000 or not digits.isalnum() or any(int(d, 36) >= base for d in digits):
        raise Unreadable("digits that the base does not have")
    return Num(Fraction(int(digits, base), base ** len(decimals)))
