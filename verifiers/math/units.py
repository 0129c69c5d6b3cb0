"""Units that answers come with: how they are spelled, what they measure, how many of the base unit they are."""

import re
from fractions import Fraction

from .tree import words

# dimension: {spellings: how many base units}
_TABLE: dict[str, dict[str, str]] = {
    "length": {
        "m meter meters metre metres": "1", "cm centimeter centimeters centimetre centimetres": "1/100",
        "mm millimeter millimeters": "1/1000", "km kilometer kilometers kilometre kilometres": "1000",
        "in inch inches": "127/5000", "ft foot feet": "381/1250", "yd yard yards": "1143/1250",
        "mi mile miles": "201168/125",
    },
    "mass": {"g gram grams": "1", "kg kilogram kilograms": "1000", "mg milligram milligrams": "1/1000",
             "lb lbs pound pounds": "45359237/100000", "oz ounce ounces": "45359237/1600000",
             "tonne tonnes": "1000000"},
    "time": {"s sec secs second seconds": "1", "min mins minute minutes": "60", "h hr hrs hour hours": "3600",
             "day days": "86400", "week weeks": "604800"},
    "volume": {"l liter liters litre litres": "1", "ml milliliter milliliters": "1/1000"},
    "money": {"dollar dollars usd": "1", "cent cents": "1/100"},
    "angle": {"degree degrees deg": "1"},
    "length/time": {"mph": "1397/3125", "kph kmh": "5/18"},
}  # fmt: skip

UNITS: dict[str, tuple[str, Fraction]] = {
    spelling: (dimension, Fraction(factor))
    for dimension, units in _TABLE.items()
    for spellings, factor in units.items()
    for spelling in spellings.split()
}


# Words behind a number that change its value, or that no unit has.
_NO_UNIT = words(
    "and or to not but nor mod base pm if for when where times plus minus over divided approximately about roughly "
    "maybe either both else then is are equals equal hundred hundreds thousand thousands million millions billion "
    "billions trillion trillions dozen dozens half halves third thirds quarter quarters fourth fourths fifth fifths "
    "tenth tenths hundredth hundredths thousandth thousandths squared cubed factorial sin cos tan log ln pi sqrt zero "
    "one two three four five six seven eight nine ten eleven twelve more less than least most"
)
_UNIT_WORD = re.compile(r"[a-z]{2,}|per|a|an")

_RATE = re.compile(r"\s*/\s*|\s+per\s+|\s+an?\s+")


def unit_name(text: str) -> str | None:
    """A unit as one spelling: lower case, singular; None for text that is not a unit.

    >>> unit_name(" Square  units."), unit_name("or 43"), unit_name("million")
    ('square unit', None, None)
    """
    parts = re.sub(r"[.~]", "", text.lower()).replace("^", " ^").replace("/", " / ").replace("-", " ").split()
    if len(parts) > 8:
        return None
    for word in parts:
        if word in _NO_UNIT or not (_UNIT_WORD.fullmatch(word) or word in UNITS or word in ("/", "^2", "^3")):
            return None
    return " ".join(word if word in UNITS else word.rstrip("s") or word for word in parts).replace(" ^", "^")


def measure(unit: str) -> tuple[str, Fraction]:
    """(dimension, factor to its base unit); a unit that is not in the table is a dimension of its own.

    >>> measure("cm^2")
    ('length^2', Fraction(1, 10000))
    """
    rate = _RATE.split(unit)
    if len(rate) == 2 and all(rate):
        (over, factor), (under, divisor) = measure(rate[0]), measure(rate[1])
        return f"{over}/{under}", factor / divisor
    parts = unit.replace("square ", "").replace("cubic ", "").replace("sq ", "").split("^")
    power = 2 if "square" in unit or unit.startswith("sq ") else 3 if "cubic" in unit else 1
    if len(parts) == 2 and parts[1].strip().isdigit() and len(parts[1].strip()) == 1:
        power = int(parts[1])
    name = parts[0].strip()
    if name not in UNITS:
        return " ".join(word.rstrip("s") for word in name.split()) + f"^{power}", Fraction(1)
    dimension, factor = UNITS[name]
    return (dimension if power == 1 else f"{dimension}^{power}"), factor**power
