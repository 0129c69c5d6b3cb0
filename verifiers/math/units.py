"""Units that answers come with: how they are spelled, what they measure, how many of the base unit they are."""

from fractions import Fraction

# dimension: {spellings: how many base units}
_TABLE: dict[str, dict[str, str]] = {
    "length": {
        "m meter meters metre metres": "1", "cm centimeter centimeters centimetre centimetres": "1/100",
        "mm millimeter millimeters": "1/1000", "km kilometer kilometers kilometre kilometres": "1000",
        "in inch inches": "127/5000", "ft foot feet": "381/1250", "yd yard yards": "1143/1250",
        "mi mile miles": "201168/125",
    },
    "mass": {"g gram grams": "1", "kg kilogram kilograms": "1000", "mg milligram milligrams": "1/1000",
             "lb lbs pound pounds": "45359237/100000", "oz ounce ounces": "45359237/1600000", "tonne tonnes": "1000000"},
    "time": {"s sec secs second seconds": "1", "min mins minute minutes": "60", "h hr hrs hour hours": "3600",
             "day days": "86400", "week weeks": "604800"},
    "volume": {"l liter liters litre litres": "1", "ml milliliter milliliters": "1/1000"},
    "money": {"dollar dollars usd": "1", "cent cents": "1/100"},
    "angle": {"degree degrees deg": "1"},
}  # fmt: skip

UNITS: dict[str, tuple[str, Fraction]] = {
    spelling: (dimension, Fraction(factor))
    for dimension, units in _TABLE.items()
    for spellings, factor in units.items()
    for spelling in spellings.split()
}


def measure(unit: str) -> tuple[str, Fraction]:
    """(dimension, factor to its base unit); a unit that is not in the table is a dimension of its own.

    >>> measure("cm^2")
    ('length^2', Fraction(1, 10000))
    """
    words = unit.replace("square ", "").replace("cubic ", "").replace("sq ", "").split("^")
    power = 2 if "square" in unit or unit.startswith("sq ") else 3 if "cubic" in unit else 1
    if len(words) == 2 and words[1].strip().isdigit() and len(words[1].strip()) == 1:
        power = int(words[1])
    name = words[0].strip()
    if name not in UNITS:
        return " ".join(word.rstrip("s") for word in name.split()), Fraction(1)
    dimension, factor = UNITS[name]
    return (dimension if power == 1 else f"{dimension}^{power}"), factor**power
