"""Exact comparison of what a program gave with what it should give: by tokens, by type and value.

Everything compared here is of exact built-in types (text, or what the plain-data codec made): no code of the program's
runs in a comparison. A difference is described in one short line; no difference is None.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from itertools import zip_longest
from math import isfinite, isnan
from reprlib import Repr
from typing import cast

_SHOWN = 60  # characters of a value in a description
_MAX_BITS = 4000  # integers that are written out
# A token that is written as a float: with a point or an exponent.
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?|[0-9]+[eE][+-]?[0-9]{1,9})")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_BLANK = " \t\r\f\v"
_SPLIT = re.compile(r"[ \t\r\f\v]+")
_WIDE = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def compare_output(expected: str, got: str, tolerance: float) -> str | None:
    """The first difference between two outputs, or None.

    Lines correspond to lines and tokens to tokens; white space around tokens and blank lines at the end do not count.
    A token is the same text, or, where `expected` writes it as a float, a number within `tolerance` (relative).

    >>> compare_output("1 2.5\\n", "1  2.5000000001\\n\\n", 1e-9)
    >>> compare_output("100000000000000000001", "100000000000000000000", 1e-9)
    'line 1: expected "100000000000000000001", got "100000000000000000000"'
    >>> compare_output("1\\n2\\n", "1\\n", 1e-9)
    'line 2: expected "2", got nothing'
    """
    expected, got = _stripped(expected), _stripped(got)
    if expected == got:
        return None
    lines = zip_longest(expected.split("\n") if expected else [], got.split("\n") if got else [])
    for number, (wanted, given) in enumerate(lines, start=1):
        if wanted is None:
            return f"line {number}: expected nothing more, got {show_text(given)}"
        if given is None:
            return f"line {number}: expected {show_text(wanted)}, got nothing"
        if wanted != given:
            difference = _compare_lines(wanted, given, tolerance)
            if difference is not None:
                return f"line {number}{difference}"
    return None


def compare_value(expected: object, got: object, tolerance: float) -> str | None:
    """The first difference between the value that a test expects, as JSON can write it, and a value given; or None.

    Types count: True is not 1, 1.0 is not 1, "1" is not 1. Where a float is expected, a float or an integer within
    `tolerance` (relative) is right. A tuple is right where a list is expected and integer keys where JSON made text of
    them, because JSON can say neither. A set is never a list: it has no order.

    >>> compare_value([1, [2, 3]], (1, [2, 3]), 1e-9)
    >>> compare_value([True], [1], 1e-9)
    'expected True, got 1 at [0]'
    """
    return _compare(expected, got, tolerance, "")


def show_text(text: str) -> str:
    """The text in double quotes with hidden characters written out, cut to a readable length."""
    shown = "".join(_show_character(character) for character in text[: _SHOWN + 1])
    return f'"{shown}"' if len(text) <= _SHOWN else f'"{shown[:_SHOWN]}…" ({len(text):,} characters)'


def show_value(value: object) -> str:
    """A plain value as Python writes it, cut to a readable length; never raises, however long, deep or large it is."""
    written = _SHORT.repr(value)
    return written if len(written) <= 2 * _SHOWN else f"{written[: 2 * _SHOWN]}…"


def _stripped(text: str) -> str:
    """Without the blank lines and white space at the end."""
    return text.rstrip(_BLANK + "\n")


def _compare_lines(expected: str, got: str, tolerance: float) -> str | None:
    wanted, given = _tokens(expected), _tokens(got)
    pairs = list(zip(wanted, given, strict=False))
    for number, (one, other) in enumerate(pairs, start=1):
        if one != other and not _same_number(one, other, tolerance):
            place = f", token {number}" if len(wanted) > 1 else ""
            return f"{place}: expected {show_text(one)}, got {show_text(other)}"
    if len(wanted) != len(given):
        more = f"{len(wanted)} token{'s' * (len(wanted) != 1)}"
        return f": expected {more}, got {len(given)}: {show_text(got.strip(_BLANK))}"
    return None


def _tokens(line: str) -> list[str]:
    """Split at ASCII white space alone: other characters are output."""
    return [token for token in _SPLIT.split(line) if token]


def _same_number(expected: str, got: str, tolerance: float) -> bool:
    """Whether `expected` is written as a float and `got` is a number within the relative tolerance of it."""
    if not (_FLOAT.fullmatch(expected) and _NUMBER.fullmatch(got)):
        return False
    return _within(Decimal(expected), Decimal(got), tolerance)


def _within(expected: Decimal, got: Decimal, tolerance: float) -> bool:
    """In a context of its own: the caller's decimal precision must not change a verdict."""
    difference = _WIDE.abs(_WIDE.subtract(got, expected))
    return _WIDE.compare(difference, _WIDE.multiply(_WIDE.abs(expected), Decimal(tolerance))) <= 0


def _compare(expected: object, got: object, tolerance: float, path: str) -> str | None:
    if isinstance(expected, list | tuple):
        return _compare_sequences(cast(Sequence[object], expected), got, tolerance, path)
    if isinstance(expected, Mapping):
        return _compare_tables(cast(Mapping[object, object], expected), got, tolerance, path)
    if isinstance(expected, float):
        same = type(got) in (float, int) and _close(expected, cast(float | int, got), tolerance)
    else:
        same = type(got) is type(expected) and got == expected
    return None if same else _differs(expected, got, path)


def _close(expected: float, got: float | int, tolerance: float) -> bool:
    if not isfinite(expected) or (type(got) is float and not isfinite(got)):
        return got == expected or (isnan(expected) and type(got) is float and isnan(got))
    if type(got) is int and abs(got).bit_length() > 1100:  # past every float
        return False
    return _within(Decimal(expected), Decimal(got), tolerance)


def _compare_sequences(expected: Sequence[object], got: object, tolerance: float, path: str) -> str | None:
    if type(got) not in (list, tuple):
        return _differs(expected, got, path)
    given = cast(Sequence[object], got)
    for index, (one, other) in enumerate(zip(expected, given, strict=False)):
        difference = _compare(one, other, tolerance, f"{path}[{index}]")
        if difference is not None:
            return difference
    if len(expected) != len(given):
        return f"expected {len(expected)} items, got {len(given)}{_at(path)}: {show_value(got)}"
    return None


def _compare_tables(expected: Mapping[object, object], got: object, tolerance: float, path: str) -> str | None:
    kind: type[object] = type(got)
    if kind is not dict:
        return _differs(expected, got, path)
    given = cast(dict[object, object], got)
    named = {_json_key(key): value for key, value in given.items()}
    wanted = {_json_key(key): value for key, value in expected.items()}
    if len(named) != len(given) or named.keys() != wanted.keys():
        return _differs(expected, given, path)
    for key, value in wanted.items():
        difference = _compare(value, named[key], tolerance, f"{path}[{show_value(key)}]")
        if difference is not None:
            return difference
    return None


def _json_key(key: object) -> object:
    """An integer key as JSON writes it; every other key as it is, with its type."""
    if type(key) is int and key.bit_length() <= _MAX_BITS:
        return "str", str(key)
    return type(key).__name__, key


def _differs(expected: object, got: object, path: str) -> str:
    return f"expected {show_value(expected)}, got {show_value(got)}{_at(path)}"


def _at(path: str) -> str:
    return f" at {path[:_SHOWN]}" if path else ""


def _show_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


class _Short(Repr):
    """As Python writes a value, cut in depth, in items and in length."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxdict = 20
        self.maxother = _SHOWN

    def repr_str(self, x: str, level: int) -> str:
        return show_text(x)

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= _MAX_BITS else f"an integer of {x.bit_length():,} bits"


_SHORT = _Short()
