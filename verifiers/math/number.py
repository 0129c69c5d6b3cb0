"""Numbers as they are written: exact rationals, and how many decimals were given."""

import re
from dataclasses import dataclass

from .units import UNITS, unit_name

MAX_DIGITS = 4000
"""Longer digit strings are compared as strings: Python's `int()` stops at 4,300 digits."""

_INTEGER = r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\s\d{3})+|\d+"
_SHORT_UNITS = "|".join(sorted((unit for unit in UNITS if len(unit) in (2, 3)), key=len, reverse=True))
_NUMBER = re.compile(
    rf"""(?P<sign>[-+]?)\s?[€£¥]?\s?
    (?: (?P<whole>{_INTEGER})? \s? \\frac\{{\s?(?P<top>[-+]?\d+)\s?\}}\{{\s?(?P<bottom>[-+]?\d+)\s?\}}
      | (?P<mixed>\d+)\s(?P<mixed_top>\d+)/(?P<mixed_bottom>\d+)
      | (?P<over>{_INTEGER}) \s? / \s? (?P<under>\d+)
      | (?P<ten>10)\^\{{?(?P<ten_power>[-+]?\d{{1,4}})\}}?
      | (?P<integer>{_INTEGER})? (?:\.(?P<decimals>\d*))?
        (?: \s?(?:\\times|\\cdot|\*)\s?10\^\{{?(?P<power>[-+]?\d{{1,4}})\}}? | [eE](?P<e>[-+]?\d{{1,4}}) )?
    )
    \s?(?P<percent>%|\\text\{{\s?(?:percent|pct|percentage)\s?\}}|(?:percent|pct|percentage)$)?
    (?P<unit>(?:\^\\circ\s?[CF]?$|(?:st|nd|rd|th)\b|\^?\{{?\s?\\text\{{[^{{}}]{{1,60}}\}}\s?\}}?(?:\^\d)?|\s(?:[A-Za-z]{{4,}}|[a-z]?[aeiou][a-z]+|{_SHORT_UNITS})[.]?(?![A-Za-z])(?:\^\d)?){{0,6}})""",
    re.VERBOSE,
)
_ORDINAL = re.compile(r"\A\^?\s*(?:st|nd|rd|th)\b")
_UNIT_AT_END = re.compile(r"(?:\s?\\text\s?\{[^{}]{1,60}\}(?:\^\d)?){1,6}$")
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Number:
    """numerator / denominator as written, not reduced; the denominator is positive."""

    numerator: int | str
    """A string of digits where there are more than `MAX_DIGITS`."""
    denominator: int = 1
    places: int | None = None
    """Digits after the point where it was written as a decimal."""
    significant: int = 0
    """Significant digits where it was written as a decimal."""
    percent: bool = False
    unit: str = ""

    @property
    def terminating(self) -> bool:
        """Whether the decimal expansion ends."""
        if isinstance(self.numerator, str) or self.denominator == 1:
            return True
        rest = self.denominator
        for factor in (2, 5):
            while rest % factor == 0:
                rest //= factor
        return self.numerator % rest == 0


def read_number(canonical_text: str) -> Number | None:
    r"""The number that the whole text is, with a unit or a percent sign behind it; None for anything else.

    >>> read_number("2,500.50")
    Number(numerator=250050, denominator=100, places=2, significant=6, percent=False, unit='')
    >>> read_number("5x") is None
    True
    """
    match = _NUMBER.fullmatch(canonical_text)
    if match is None:
        return None
    unit = _plain_unit(match["unit"])
    if unit is None:
        return None
    fields = match.groupdict()
    sign = -1 if fields["sign"] == "-" else 1
    percent = fields["percent"] is not None
    if fields["bottom"] or fields["under"] or fields["mixed_bottom"]:
        return _fraction(fields, sign, percent, unit)
    return _decimal(fields, sign, percent, unit)


def without_unit(canonical_text: str) -> str:
    r"""The text without a unit at its end, for parsers that know none; other words stay, as the letters that they are.

    >>> without_unit(r"3x\text{ cm}^2")
    '3x'
    """
    unit = _UNIT_AT_END.search(canonical_text)
    if unit and unit.start() and _plain_unit(unit[0]):
        canonical_text = canonical_text[: unit.start()]
    return _TEXT.sub(r" \1 ", canonical_text).strip()


def same_value(a: Number, b: Number) -> bool:
    """Exactly the same rational number, whatever the units."""
    if isinstance(a.numerator, str) or isinstance(b.numerator, str):
        return a.numerator == b.numerator
    return a.numerator * b.denominator == b.numerator * a.denominator


def same_unit(a: Number, b: Number) -> bool:
    """Whether the numerals alone decide: no unit on one side, or the same on both."""
    if a.percent != b.percent and (a.unit or b.unit):
        return False
    return not a.unit or not b.unit or a.unit == b.unit


def agree(gold: Number, answer: Number) -> bool:
    """DESIGN's rule for decimals, percent and units.

    Two finite decimals or integers are exact. A gold with at least 4 significant decimals accepts the fraction that
    rounds to it; a gold fraction whose decimal never ends accepts its correct rounding to 6 or more significant digits.
    """
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    if same_value(gold, answer) or _rounds_to(gold, answer):
        return True
    if gold.percent != answer.percent:  # 50 % ~ 50 and ~ 0.5
        part, whole = (gold, answer) if gold.percent else (answer, gold)
        if isinstance(part.numerator, int):
            return same_value(Number(part.numerator, part.denominator * 100), whole)
    return False


def _rounds_to(gold: Number, answer: Number) -> bool:
    if gold.places is not None and answer.places is None and not answer.terminating:
        return gold.significant >= 4 and _rounded(answer, gold.places, gold)
    if answer.places is not None and gold.places is None and not gold.terminating:
        return answer.significant >= 6 and _rounded(gold, answer.places, answer)
    return False


def _rounded(exact: Number, places: int, decimal: Number) -> bool:
    """Whether `exact` rounded half up to `places` is `decimal`."""
    if isinstance(exact.numerator, str):
        return False
    doubled = 2 * exact.numerator * 10**places + (exact.denominator if exact.numerator >= 0 else -exact.denominator)
    quotient = abs(doubled) // (2 * exact.denominator)
    return same_value(Number(quotient if exact.numerator >= 0 else -quotient, 10**places), decimal)


def _fraction(fields: dict[str, str | None], sign: int, percent: bool, unit: str) -> Number | None:
    whole = fields["whole"] or fields["mixed"] or "0"
    top = fields["top"] or fields["over"] or fields["mixed_top"] or ""
    bottom = fields["bottom"] or fields["under"] or fields["mixed_bottom"] or ""
    whole, top = _digits(whole), _digits(top)
    if len(whole) + len(top) + len(bottom) > MAX_DIGITS or int(bottom) == 0:
        return None
    denominator = int(bottom)
    if fields["mixed"] and int(top) >= denominator:
        return None  # neither a mixed number nor, for sure, a thousand
    if whole != "0" and (int(top) < 0 or denominator < 0):
        return None  # `2\frac{-1}{3}` is a product, not a mixed number
    numerator = int(whole) * denominator + int(top)
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    return Number(sign * numerator, denominator, percent=percent, unit=unit)


def _decimal(fields: dict[str, str | None], sign: int, percent: bool, unit: str) -> Number | None:
    if fields["ten"]:
        power = int(fields["ten_power"] or "0")
        return Number(sign * 10 ** max(power, 0), 10 ** max(-power, 0), percent=percent, unit=unit)
    integer, decimals = _digits(fields["integer"] or ""), fields["decimals"] or ""
    if not integer and not decimals:
        return None
    digits = (integer + decimals).lstrip("0") or "0"
    power = int(fields["power"] or fields["e"] or "0")
    if len(digits) > MAX_DIGITS:
        long_integer = not decimals and not power
        return Number(("-" if sign < 0 else "") + digits, percent=percent, unit=unit) if long_integer else None
    shift = power - len(decimals)
    places = max(-shift, 0) if decimals or power < 0 else None
    significant = len(digits) if places is not None else 0
    return Number(sign * int(digits) * 10 ** max(shift, 0), 10 ** max(-shift, 0), places, significant, percent, unit)


def _digits(text: str) -> str:
    return text.replace(",", "").replace(" ", "")


def _plain_unit(text: str) -> str | None:
    r"""`\text{ square  units}` as `square unit`; None where the words are not a unit."""
    if not text.strip():
        return ""
    words = re.sub(r"\\text\s?\{|[{}]", " ", text.replace("^\\circ", " deg "))
    return unit_name(_ORDINAL.sub("", words.strip(), count=1))
