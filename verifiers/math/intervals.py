"""Sets of real numbers: intervals, inequalities in one variable and unions of them, read into one shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .algebra import normal_form
from .bounds import TooMuch
from .numeric import decimal_value, variables
from .scalars import infinity, is_name, is_scalar
from .tree import Apply, Items, Node, Num, Relation, Sym, is_variable

FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
ORDER = frozenset({"<", ">", "<=", ">="})


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; an infinite end is open."""

    low: Node
    high: Node
    has_low: bool
    has_high: bool


REALS = Sym("reals")
MAX_PARTS = 40
_INF, _MINUS_INF = Sym("inf"), Apply("neg", (Sym("inf"),))


def surely_interval(node: Node) -> bool:
    if node == REALS:
        return True
    if isinstance(node, Relation):
        return bool(ORDER & set(node.ops))
    if isinstance(node, Apply) and node.op in ("cup", "cap"):
        return True
    if isinstance(node, Apply) and node.op == "setminus":
        return surely_interval(node.args[0])
    if isinstance(node, Items) and len(node.items) == 2:
        return node.kind in ("[)", "(]") or any(infinity(item) for item in node.items)
    if isinstance(node, Items) and node.kind == ",":
        return any(isinstance(item, Relation) and bool(ORDER & set(item.ops)) for item in node.items)
    return False


def as_intervals(node: Node) -> "list[Interval | Node] | None":
    """A union of intervals and points; None for anything else."""
    if isinstance(node, Apply) and node.op == "cup":
        parts = [as_intervals(arg) for arg in node.args]
        return None if any(part is None for part in parts) else [i for part in parts if part is not None for i in part]
    if isinstance(node, Apply) and node.op == "cap":
        return _common(node)
    if isinstance(node, Apply) and node.op == "setminus" and isinstance(node.args[1], Items):
        return _without(node.args[0], node.args[1])
    if node == REALS:
        return [Interval(_MINUS_INF, _INF, False, False)]
    if isinstance(node, Items) and node.kind == "{}":
        return list(node.items)
    if isinstance(node, Items) and node.kind == ",":
        parts = [as_intervals(item) if isinstance(item, Relation) else None for item in node.items]
        return None if any(part is None for part in parts) else [i for part in parts if part is not None for i in part]
    if isinstance(node, Items) and len(node.items) == 2 and node.kind in ("()", "[]", "(]", "[)"):
        low, high = node.items
        return [Interval(low, high, node.kind[0] == "[", node.kind[1] == "]")]
    if isinstance(node, Relation) and node.ops == ("in",) and isinstance(node.sides[0], Sym):
        return as_intervals(node.sides[1])
    return _solved(node) if isinstance(node, Relation) else None


def _common(node: Apply) -> "list[Interval | Node] | None":
    """An intersection of unions of intervals; None where the ends cannot be put in order."""
    common = [Interval(_MINUS_INF, _INF, False, False)]
    for arg in node.args:
        parts = as_intervals(arg)
        if parts is None or len(parts) * len(common) > MAX_PARTS:
            return None
        both: list[Interval] = []
        for a in common:
            for b in parts:
                if not isinstance(b, Interval):
                    return None
                try:
                    both += _overlap(a, b)
                except ValueError:
                    return None
        common = both
    return list(common)


def _without(node: Node, points: Items) -> "list[Interval | Node] | None":
    if points.kind != "{}" or len(points.items) > MAX_PARTS:
        return None
    return _common(Apply("cap", (node, *(Relation(("!=",), (Sym("x"), point)) for point in points.items))))


def _overlap(a: Interval, b: Interval) -> list[Interval]:
    """The one interval that two have in common, if there is one. Raises ValueError for ends without an order."""
    lows, highs = _order(a.low, b.low), _order(a.high, b.high)
    low = a if lows > 0 or (lows == 0 and not a.has_low) else b
    high = a if highs < 0 or (highs == 0 and not a.has_high) else b
    size = _order(high.high, low.low)
    if size < 0 or (size == 0 and not (low.has_low and high.has_high)):
        return []
    return [Interval(low.low, high.high, low.has_low, high.has_high)]


def _order(a: Node, b: Node) -> int:
    """1, 0 or -1: whether the one end is above, at or below the other."""
    if infinity(a) or infinity(b):
        return (infinity(a) > infinity(b)) - (infinity(a) < infinity(b))
    left, right = _end(a), _end(b)
    return (left > right) - (left < right)


def _end(node: Node) -> Fraction:
    if isinstance(node, Num):
        return node.value
    try:
        value = decimal_value(node) if is_scalar(node) else None
    except TooMuch:
        value = None
    if value is None:
        raise ValueError("an end that is no real constant")
    return value


def _solved(relation: Relation) -> "list[Interval | Node] | None":
    """`x > 2`, `2 < x <= 5`, `x != 3` with a bare variable; None for anything else."""
    if relation.ops == ("!=",) and isinstance(relation.sides[0], Sym):
        point = relation.sides[1]
        return [Interval(_MINUS_INF, point, False, False), Interval(point, _INF, False, False)]
    if not set(relation.ops) <= ORDER:
        return None
    ops, sides = relation.ops, relation.sides
    if any(op in (">", ">=") for op in ops):
        ops, sides = tuple(FLIP[op] for op in reversed(ops)), tuple(reversed(sides))
    if any(op in (">", ">=") for op in ops):
        return None
    if len(ops) == 2 and is_name(sides[1]):
        return [Interval(sides[0], sides[2], ops[0] == "<=", ops[1] == "<=")]
    if len(ops) == 1 and is_variable(sides[0]) and not is_variable(sides[1]):
        return [Interval(_MINUS_INF, sides[1], False, ops[0] == "<=")]
    if len(ops) == 1 and is_variable(sides[1]):
        return [Interval(sides[0], _INF, ops[0] == "<=", False)]
    return _solved_linear(sides, closed=ops[0] == "<=") if len(ops) == 1 else None


def _solved_linear(sides: Sequence[Node], *, closed: bool) -> "list[Interval | Node] | None":
    """`left < right`, linear in one variable with rational coefficients."""
    names = variables(sides[0]) | variables(sides[1])
    if len(names) != 1 or not all(map(is_scalar, sides)):
        return None
    try:
        form = normal_form(Apply("+", (sides[0], Apply("neg", (sides[1],)))))
    except (TooMuch, ValueError):
        return None
    terms = dict(form.top)
    slope = terms.pop(frozenset({(next(iter(names)), Fraction(1))}), Fraction(0))
    rest = terms.pop(frozenset(), Fraction(0))
    if not slope or terms or not form.polynomial:
        return None
    point = Num(-rest / slope)
    if slope > 0:
        return [Interval(_MINUS_INF, point, False, closed)]
    return [Interval(point, _INF, closed, False)]
