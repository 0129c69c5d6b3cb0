"""A value and the unit, percent sign or degree sign behind it."""

from .tree import Apply, Node, Num, Quantity, Sym
from .units import UNITS, measure


def split_unit(node: Node) -> tuple[Node, str]:
    if isinstance(node, Quantity):
        value, inner = split_unit(node.value)
        if node.unit in ("percent", "pct", "percentage"):
            return value, "%"
        return value, node.unit if inner != "%" else "%"
    if isinstance(node, Apply) and node.op in ("%", "deg"):
        return node.args[0], node.op
    if isinstance(node, Apply) and node.op == "neg":
        value, unit = split_unit(node.args[0])
        return (Apply("neg", (value,)), unit) if unit else (node, "")
    if isinstance(node, Apply) and node.op == "+" and any(isinstance(arg, Quantity) for arg in node.args):
        return _total(node)
    return node, ""


def _total(node: Apply) -> tuple[Node, str]:
    """`2 hours + 30 minutes` in the first of its units, where all measure the same."""
    parts = [split_unit(arg) for arg in node.args]
    first = parts[0][1]
    measures = [measure(unit) for _, unit in parts]
    if not all(unit for _, unit in parts) or len({dimension for dimension, _ in measures}) > 1:
        return node, ""
    size = measures[0][1]
    terms = (Apply("*", (value, Num(factor / size))) for (value, _), (_, factor) in zip(parts, measures, strict=True))
    return Apply("+", tuple(terms)), first


def letter_unit(node: Node) -> tuple[Node, str]:
    """`1 m` beside `100 cm`: a number and one letter that is a unit, or `10 m/s`."""
    if isinstance(node, Apply) and node.op == "/":
        (value, over), under = letter_unit(node.args[0]), node.args[1]
        if over and isinstance(under, Sym) and under.name in UNITS:
            return value, f"{over} / {under.name}"
    if isinstance(node, Apply) and node.op == "*" and len(node.args) == 2:
        value, letter = node.args
        if isinstance(value, Num) and isinstance(letter, Sym) and letter.name in UNITS:
            return value, letter.name
    return node, ""


def in_degrees(node: Node) -> Node:
    """The number as the degrees that it is."""
    return Apply("deg", (node,))
