"""What statements make together, and texts that are mathematics."""

from collections.abc import Sequence

from .tree import Apply, Items, Node, Quantity, Relation, Sym, is_variable
from .units import measure

MAX_BOUNDS = 8
_COUNTED = frozenset({"time", "money"})
_ORDER = frozenset({"<", ">", "<=", ">=", "!="})
# Texts that are mathematics.
_NO_SOLUTION = (
    "no solution",
    "no solutions",
    "no real solution",
    "no real solutions",
    "none",
    "empty set",
    "the empty set",
)
_REALS = (
    "all real numbers",
    "all reals",
    "all real",
    "real numbers",
    "the real numbers",
    "all real values",
    "all real x",
)
SAYINGS: dict[str, Node] = {
    **dict.fromkeys(_NO_SOLUTION, Items("{}", ())),
    **dict.fromkeys(_REALS, Sym("reals")),
}


def conjunction(statements: Sequence[Node]) -> Node:
    """Statements joined by `and`: bounds of one variable are an intersection (`x>2 and x<5`), hours and minutes a sum,
    all else is a list."""
    names = set(map(_bounded_name, statements))
    if len(names) == 1 and "" not in names and len(statements) <= MAX_BOUNDS:
        return Apply("cap", tuple(statements))
    measures = [measure(node.unit) for node in statements if isinstance(node, Quantity)]
    if len(measures) == len(statements) == 2:
        (dimension, size), (other, smaller) = measures
        if dimension == other and dimension in _COUNTED and size > smaller:
            return Apply("+", tuple(statements))  # 2 hours and 30 minutes
    return Items(",", tuple(statements))


def _bounded_name(node: Node) -> str:
    """The variable of an inequality with a bare variable, "" for anything else."""
    if not isinstance(node, Relation) or not _ORDER.issuperset(node.ops):
        return ""
    names = [side.name for side in node.sides if isinstance(side, Sym) and is_variable(side)]
    return names[0] if len(names) == 1 else ""
