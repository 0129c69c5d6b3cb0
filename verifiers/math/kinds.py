"""Two trees compared by what they are: numbers, equations, intervals, tuples, sets, matrices, quantities …

Each function returns True, False, or None where it cannot tell and a slower rung must.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from .algebra import normal_form, proportional, same_form
from .bounds import TooBig, TooMuch
from .numeric import decimal_value, same_value, variables
from .tree import Apply, Items, Matrix, Node, Num, Quantity, Relation, Sym, Words
from .units import UNITS, measure

MAX_STEPS = 1_000
"""What a comparison of two trees may cost: a step is about 20 microseconds."""
T = TypeVar("T")
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_ORDER = frozenset({"<", ">", "<=", ">="})
_ORDERED = frozenset({"()", "<>", "[]"})


@dataclass(slots=True)
class Rung:
    """What a comparison needed: evaluation at points, or the remark that there were several answers."""

    numeric: bool = False
    several: bool = False
    steps: int = 0

    def step(self, cost: int = 1) -> None:
        """Count work. Raises TooMuch past `MAX_STEPS`."""
        self.steps += cost
        if self.steps > MAX_STEPS:
            raise TooMuch


def same(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """Whether the answer is the gold one, by kind. Raises TooMuch past a bound, TooBig where it is the answer that is."""
    rung.step()
    if gold == answer:
        return True
    if isinstance(gold, Num) and isinstance(answer, Num) and gold.places is None and answer.places is None:
        return gold.value == answer.value
    for rule in (_quantities, _chains, _relations, _matrices, _lists, _intervals, _words):
        verdict = rule(gold, answer, rung)
        if verdict is not None:
            return verdict
    if _is_scalar(gold) and _is_scalar(answer):
        return scalars(gold, answer, rung)
    if isinstance(gold, Apply) and isinstance(answer, Apply) and gold.op == answer.op == "ratio":
        return _ratios(gold, answer, rung)
    return None if _is_beyond(gold) or _is_beyond(answer) else False


def _is_beyond(node: Node) -> bool:
    """Whether it is mathematics that is read but not compared here: arithmetic of matrices and of sets."""
    if not isinstance(node, Apply):
        return isinstance(node, Relation) and any(map(_is_beyond, node.sides))
    return node.op in ("cap", "setminus", "det") or any(isinstance(arg, Matrix) or _is_beyond(arg) for arg in node.args)


# numbers and expressions


def scalars(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """Two values: DESIGN's rule for decimals, exact normal forms, then evaluation."""
    rounded = _rounded(gold, answer)
    if rounded is not None:
        return rounded
    rung.step(20)
    try:
        left = normal_form(gold)
    except TooMuch:
        left = None
    except ValueError:
        return _infinities(gold, answer)
    try:
        right = normal_form(answer)
        if left and same_form(left, right):
            return True
        if left and left.exact and right.exact:
            return False
    except TooBig:
        if left:
            raise
    except TooMuch:
        pass
    except ValueError:
        return _infinities(gold, answer) or (False if left else None)
    rung.numeric = True
    rung.step(300)
    return same_value(gold, answer)


def _rounded(gold: Node, answer: Node) -> bool | None:
    """A decimal against something exact that is no fraction; None where the rule does not speak."""
    gold_decimal, answer_decimal = _decimal(gold), _decimal(answer)
    if (gold_decimal is None) == (answer_decimal is None):
        return None
    decimal, exact, enough = (gold_decimal, answer, 4) if gold_decimal else (answer_decimal, gold, 6)
    if decimal is None or decimal.places is None:
        return None
    try:
        value = decimal_value(exact)
    except TooMuch:
        value = None
    if value is None:
        return None
    if value == decimal.value:
        return True
    shift = 10**decimal.places
    nearest = (abs(value) * shift * 2 + 1) // 2 * (1 if value >= 0 else -1)
    return decimal.significant >= enough and nearest == decimal.value * shift and not _terminates(exact)


def _decimal(node: Node) -> Num | None:
    sign = 1
    while isinstance(node, Apply) and node.op == "neg":
        node, sign = node.args[0], -sign
    if isinstance(node, Num) and node.places is not None:
        return Num(sign * node.value, node.places, node.significant)
    return None


def _terminates(node: Node) -> bool:
    """Whether it is a rational whose decimal expansion ends: then only equality counts."""
    try:
        value = normal_form(node).constant
    except (TooMuch, ValueError):
        return False
    if value is None:
        return False
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1


def _infinities(gold: Node, answer: Node) -> bool | None:
    infinite = [_infinity(gold), _infinity(answer)]
    if any(infinite):
        return infinite[0] == infinite[1]
    return None


def _infinity(node: Node) -> int:
    """1 or -1 for an infinity, 0 for anything else."""
    if isinstance(node, Apply) and node.op == "neg":
        return -_infinity(node.args[0])
    return int(node == Sym("inf"))


def _is_scalar(node: Node) -> bool:
    if isinstance(node, Num | Sym):
        return True
    scalar_op = isinstance(node, Apply) and node.op not in ("cup", "cap", "setminus", "ratio", "pm", "mp", "det")
    return scalar_op and all(_is_scalar(arg) for arg in node.args)


# units, percent, degrees


def _quantities(gold: Node, answer: Node, rung: Rung) -> bool | None:
    gold, gold_unit = _split_unit(gold)
    answer, answer_unit = _split_unit(answer)
    if not gold_unit and not answer_unit:
        return None
    if "%" in (gold_unit, answer_unit):
        return _percent(gold, gold_unit, answer, answer_unit, rung)
    gold, gold_unit = (gold, gold_unit) if gold_unit else _letter_unit(gold)
    answer, answer_unit = (answer, answer_unit) if answer_unit else _letter_unit(answer)
    if not gold_unit or not answer_unit:
        verdict = same(gold, answer, rung)
        if "deg" in (gold_unit, answer_unit) and verdict is False and _is_scalar(gold) and _is_scalar(answer):
            gold, answer = (_radians(gold), answer) if gold_unit else (gold, _radians(answer))
            return scalars(gold, answer, rung)
        return verdict
    (gold_kind, gold_size), (answer_kind, answer_size) = measure(gold_unit), measure(answer_unit)
    if gold_kind != answer_kind:
        return False
    if gold_size == answer_size:
        return same(gold, answer, rung)
    return same(Apply("*", (gold, Num(gold_size))), Apply("*", (answer, Num(answer_size))), rung)


def _split_unit(node: Node) -> tuple[Node, str]:
    if isinstance(node, Quantity):
        value, inner = _split_unit(node.value)
        if node.unit in ("percent", "pct", "percentage"):
            return value, "%"
        return value, node.unit if inner != "%" else "%"
    if isinstance(node, Apply) and node.op in ("%", "deg"):
        return node.args[0], node.op
    if isinstance(node, Apply) and node.op == "neg":
        value, unit = _split_unit(node.args[0])
        return (Apply("neg", (value,)), unit) if unit else (node, "")
    return node, ""


def _letter_unit(node: Node) -> tuple[Node, str]:
    """`1 m` beside `100 cm`: a number and one letter that is a unit."""
    if isinstance(node, Apply) and node.op == "*" and len(node.args) == 2:
        value, letter = node.args
        if isinstance(value, Num) and isinstance(letter, Sym) and letter.name in UNITS:
            return value, letter.name
    return node, ""


def _radians(node: Node) -> Node:
    return Apply("deg", (node,))


def _percent(gold: Node, gold_unit: str, answer: Node, answer_unit: str, rung: Rung) -> bool | None:
    """On both sides: numerals. On one side: the numerals agree, or the values do (50 % ~ 50 and ~ 0.5)."""
    verdict = same(gold, answer, rung)
    if verdict or gold_unit == answer_unit:
        return verdict
    part = Num(Fraction(1, 100))
    gold = Apply("*", (gold, part)) if gold_unit == "%" else gold
    answer = Apply("*", (answer, part)) if answer_unit == "%" else answer
    return same(gold, answer, rung)


# equations and inequalities


def _chains(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """`x = 5` is 5, `2^4 = 16` is 16; closed values that differ are no answer."""
    if isinstance(answer, Relation) and not isinstance(gold, Relation):
        if set(answer.ops) == {"="}:
            sides = _values(answer)
            return _all(same(gold, side, rung) for side in sides)
        if answer.ops == ("in",):
            return same(gold, answer.sides[1], rung) if isinstance(answer.sides[0], Sym | Items) else False
    if isinstance(gold, Relation) and not isinstance(answer, Relation):
        if set(gold.ops) == {"="} and _is_name(gold.sides[0]):
            return same(gold.sides[-1], answer, rung)
        if gold.ops == ("in",) and isinstance(gold.sides[0], Sym | Items):
            return same(gold.sides[1], answer, rung)
        if isinstance(answer, Items) and answer.kind in (",", "{}") and set(gold.ops) == {"="}:
            return None
    return None


def _values(chain: Relation) -> Sequence[Node]:
    sides = list(chain.sides)
    while len(sides) > 1 and (not _is_scalar(sides[0]) or variables(sides[0])):
        sides.pop(0)
    return sides


def _is_name(node: Node) -> bool:
    """What names a value: a variable, `f(x)`, a tuple of variables, `AB:CD`, `|AB|` … anything without a number."""
    if isinstance(node, Sym):
        return node.name != "inf"
    if isinstance(node, Items):
        return all(map(_is_name, node.items))
    return isinstance(node, Apply) and all(map(_is_name, node.args))


def _relations(gold: Node, answer: Node, rung: Rung) -> bool | None:
    if not isinstance(gold, Relation) or not isinstance(answer, Relation):
        return None
    if gold.ops == answer.ops == ("in",):
        names = [isinstance(side.sides[0], Sym) for side in (gold, answer)]
        alike = True if all(names) else same(gold.sides[0], answer.sides[0], rung)
        return _all([alike, same(gold.sides[1], answer.sides[1], rung)])
    if gold.ops == ("=",) and len(answer.ops) > 1 and set(answer.ops) == {"="} and isinstance(gold.sides[0], Sym):
        return same(gold.sides[1], answer, rung)
    if gold.ops == answer.ops == ("=",):
        return _equations(gold, answer, rung)
    mirrored = Relation(tuple(_FLIP.get(op, op) for op in reversed(answer.ops)), tuple(reversed(answer.sides)))
    for candidate in (answer, mirrored):
        if gold.ops == candidate.ops:
            verdict = _all(same(a, b, rung) for a, b in zip(gold.sides, candidate.sides, strict=True))
            if verdict:
                return True
    return _interval_verdict(gold, answer, rung)


def _equations(gold: Relation, answer: Relation, rung: Rung) -> bool | None:
    (gold_left, gold_right), (left, right) = gold.sides, answer.sides
    if _is_name(gold_left) and not (_is_scalar(gold_right) and _is_scalar(left) and _is_scalar(gold_left)):
        return same(gold_right, right, rung) if same(gold_left, left, rung) else None
    if not all(map(_is_scalar, (gold_left, gold_right, left, right))):
        return _all([same(gold_left, left, rung), same(gold_right, right, rung)])
    try:
        forms = [normal_form(Apply("+", (a, Apply("neg", (b,))))) for a, b in (gold.sides, answer.sides)]
        if proportional(forms[0], forms[1]):
            return True
        if all(form.exact for form in forms) and all(form.polynomial for form in forms):
            return False
    except (TooMuch, ValueError):
        pass  # the sides may still agree one by one
    return True if _all([same(gold_left, left, rung), same(gold_right, right, rung)]) else None


# intervals


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; an infinite end is open."""

    low: Node
    high: Node
    has_low: bool
    has_high: bool


_INF, _MINUS_INF = Sym("inf"), Apply("neg", (Sym("inf"),))


def _intervals(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """Only where one side can be nothing else than an interval: `(a, b)` alone is a tuple too."""
    if any(_surely_interval(node) for node in (gold, answer)):
        return _interval_verdict(gold, answer, rung)
    return None


def _surely_interval(node: Node) -> bool:
    if isinstance(node, Relation):
        return bool(_ORDER & set(node.ops))
    if isinstance(node, Apply) and node.op == "cup":
        return True
    if isinstance(node, Items) and len(node.items) == 2:
        return node.kind in ("[)", "(]") or any(_infinity(item) for item in node.items)
    if isinstance(node, Items) and node.kind == ",":
        return any(isinstance(item, Relation) and bool(_ORDER & set(item.ops)) for item in node.items)
    return False


def _interval_verdict(gold: Node, answer: Node, rung: Rung) -> bool | None:
    gold_parts, answer_parts = _as_intervals(gold), _as_intervals(answer)
    if gold_parts is None or answer_parts is None:
        return None
    return _unordered(gold_parts, answer_parts, lambda a, b: _same_interval(a, b, rung))


def _same_interval(a: "Interval | Node", b: "Interval | Node", rung: Rung) -> bool | None:
    if isinstance(a, Interval) and isinstance(b, Interval):
        if (a.has_low, a.has_high) != (b.has_low, b.has_high):
            return False
        return _all([same(a.low, b.low, rung), same(a.high, b.high, rung)])
    if isinstance(a, Interval) or isinstance(b, Interval):
        return False
    return same(a, b, rung)


def _as_intervals(node: Node) -> "list[Interval | Node] | None":
    """A union of intervals and points; None for anything else."""
    if isinstance(node, Apply) and node.op == "cup":
        parts = [_as_intervals(arg) for arg in node.args]
        return None if any(part is None for part in parts) else [i for part in parts if part is not None for i in part]
    if isinstance(node, Items) and node.kind == "{}":
        return list(node.items)
    if isinstance(node, Items) and node.kind == ",":
        parts = [_as_intervals(item) if isinstance(item, Relation) else None for item in node.items]
        return None if any(part is None for part in parts) else [i for part in parts if part is not None for i in part]
    if isinstance(node, Items) and len(node.items) == 2 and node.kind in ("()", "[]", "(]", "[)"):
        low, high = node.items
        return [Interval(low, high, node.kind[0] == "[", node.kind[1] == "]")]
    if isinstance(node, Relation) and node.ops == ("in",) and isinstance(node.sides[0], Sym):
        return _as_intervals(node.sides[1])
    return _solved(node) if isinstance(node, Relation) else None


def _solved(relation: Relation) -> "list[Interval | Node] | None":
    """`x > 2`, `2 < x <= 5`, `x != 3` with a bare variable; None for anything else."""
    if relation.ops == ("!=",) and isinstance(relation.sides[0], Sym):
        point = relation.sides[1]
        return [Interval(_MINUS_INF, point, False, False), Interval(point, _INF, False, False)]
    if not set(relation.ops) <= _ORDER:
        return None
    ops, sides = relation.ops, relation.sides
    if any(op in (">", ">=") for op in ops):
        ops, sides = tuple(_FLIP[op] for op in reversed(ops)), tuple(reversed(sides))
    if any(op in (">", ">=") for op in ops):
        return None
    if len(ops) == 2 and _is_name(sides[1]):
        return [Interval(sides[0], sides[2], ops[0] == "<=", ops[1] == "<=")]
    if len(ops) == 1 and isinstance(sides[0], Sym) and not isinstance(sides[1], Sym | Relation):
        return [Interval(_MINUS_INF, sides[1], False, ops[0] == "<=")]
    if len(ops) == 1 and isinstance(sides[1], Sym):
        return [Interval(sides[0], _INF, ops[0] == "<=", False)]
    return _solved_linear(sides, closed=ops[0] == "<=") if len(ops) == 1 else None


def _solved_linear(sides: Sequence[Node], *, closed: bool) -> "list[Interval | Node] | None":
    """`left < right`, linear in one variable with rational coefficients."""
    names = variables(sides[0]) | variables(sides[1])
    if len(names) != 1 or not all(map(_is_scalar, sides)):
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


# tuples, sets, lists, matrices, words


def _lists(gold: Node, answer: Node, rung: Rung) -> bool | None:
    if _surely_interval(gold) or _surely_interval(answer):
        return None
    gold_members, answer_members = _members(gold), _members(answer)
    if gold_members is None and answer_members is None:
        return None
    if gold_members is None or answer_members is None:
        single = (gold_members or answer_members or [])[:2]
        if len(single) == 1 and _kind(gold if gold_members else answer) in ("{}", ","):  # \{5\} is 5
            return same(gold, single[0], rung) if gold_members is None else same(single[0], answer, rung)
        rung.several = gold_members is None
        return False
    kinds = {_kind(gold), _kind(answer)}
    if "{}" in kinds and kinds & _ORDERED:
        return False
    if not kinds & _ORDERED:  # a member that is written twice is one member
        gold_members, answer_members = list(dict.fromkeys(gold_members)), list(dict.fromkeys(answer_members))
    if len(gold_members) != len(answer_members):
        return False
    ordered = bool(kinds & _ORDERED)
    if ordered and "<>" not in kinds and "," not in kinds and len(kinds) > 1:
        return False  # (1, 2) is not [1, 2]
    if ordered:
        return _all(same(a, b, rung) for a, b in zip(gold_members, answer_members, strict=True))
    return _unordered(gold_members, answer_members, lambda a, b: same(a, b, rung))


def _kind(node: Node) -> str:
    return node.kind if isinstance(node, Items) else ","


def _members(node: Node) -> list[Node] | None:
    r"""The members of a collection, `\pm` written out; None for a single value."""
    if isinstance(node, Items):
        if node.kind in ("{}", ","):
            return [member for item in node.items for member in (_members_of_item(item) or [item])]
        return list(node.items)
    return _members_of_item(node)


def _members_of_item(node: Node) -> list[Node] | None:
    if isinstance(node, Relation) and node.ops == ("=",) and _is_name(node.sides[0]):
        inner = _members_of_item(node.sides[1])
        return inner if inner is not None else None
    if not _has_sign(node):
        return None
    return [_signed(node, upper=True), _signed(node, upper=False)]


def _has_sign(node: Node) -> bool:
    return isinstance(node, Apply) and (node.op in ("pm", "mp") or any(map(_has_sign, node.args)))


def _signed(node: Node, *, upper: bool) -> Node:
    r"""The node with every \pm read as + and every \mp as -, or the other way round."""
    if not isinstance(node, Apply):
        return node
    args = tuple(_signed(arg, upper=upper) for arg in node.args)
    if node.op in ("pm", "mp"):
        return args[0] if (node.op == "pm") == upper else Apply("neg", args)
    return Apply(node.op, args)


def _matrices(gold: Node, answer: Node, rung: Rung) -> bool | None:
    rows = [_rows(gold), _rows(answer)]
    if not any(isinstance(node, Matrix) for node in (gold, answer)) or rows[0] is None or rows[1] is None:
        return None
    left, right = rows
    assert left is not None and right is not None
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        shapes = [(len(r), len(r[0])) for r in (left, right)]
        if shapes[0] != shapes[1] and 1 not in (*shapes[0], *shapes[1]):
            return False
    flat = [[cell for row in r for cell in row] for r in (left, right)]
    if len(flat[0]) != len(flat[1]):
        return False
    return _all(same(a, b, rung) for a, b in zip(*flat, strict=True))


def _rows(node: Node) -> Sequence[Sequence[Node]] | None:
    if isinstance(node, Matrix):
        return node.rows
    if isinstance(node, Items) and node.kind in _ORDERED:
        return [node.items]
    return None


def _ratios(gold: Apply, answer: Apply, rung: Rung) -> bool | None:
    """a:b is c:d where a d = b c."""
    if len(gold.args) != len(answer.args):
        return False
    first, other = gold.args[0], answer.args[0]
    if Num(Fraction(0)) in (*gold.args, *answer.args):
        return None
    pairs = zip(gold.args[1:], answer.args[1:], strict=True)
    return _all(scalars(Apply("*", (first, b)), Apply("*", (other, a)), rung) for a, b in pairs)


def _words(gold: Node, answer: Node, _: Rung) -> bool | None:
    if isinstance(gold, Words) or isinstance(answer, Words):
        if isinstance(gold, Words) and isinstance(answer, Words):
            return _plain(gold.text) == _plain(answer.text)
        return False
    return None


def _plain(text: str) -> str:
    return " ".join(word for word in text.split() if word not in ("the", "a", "an"))


def _all(verdicts: "Iterable[bool | None]") -> bool | None:
    """False when one is False; None when one cannot tell; else True."""
    result: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        if verdict is None:
            result = None
    return result


def _unordered(gold: Sequence[T], answer: Sequence[T], equal: "Callable[[T, T], bool | None]") -> bool | None:
    """Whether the members pair off, each with one of the other side: the identical ones first, at once."""
    if len(gold) != len(answer):
        return False
    counts = Counter(answer)
    rest = [member for member in gold if not _taken(member, counts)]
    left = list(counts.elements())
    unsure = False
    for member in rest:
        for place, candidate in enumerate(left):
            verdict = equal(member, candidate)
            if verdict:
                del left[place]
                break
            unsure = unsure or verdict is None
        else:
            return None if unsure else False
    return True


def _taken(member: T, counts: "Counter[T]") -> bool:
    if counts[member] <= 0:
        return False
    counts[member] -= 1
    return True
