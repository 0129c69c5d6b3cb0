"""Two trees compared by what they are: numbers, equations, intervals, tuples, sets, matrices, quantities …

Each function returns True, False, or None where it cannot tell and a slower rung must.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeGuard

from .algebra import normal_form, proportional
from .bounds import TooMuch
from .intervals import FLIP, Interval, as_intervals, surely_interval
from .members import ORDERED, brackets, members_of, rows_of
from .numeric import variables
from .pairing import all_of, unordered
from .quantities import in_degrees, letter_unit, split_unit
from .scalars import Rung, is_name, is_scalar, ratios, scalars
from .tree import Apply, Items, Matrix, Node, Num, Relation, Sym, Words, is_variable
from .units import measure

_FUNCTIONS = frozenset({Sym("f"), Sym("g"), Sym("h")})

__all__ = ["Rung", "same"]


def same(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """Whether the answer is the gold one, by kind. Raises TooMuch past a bound, TooBig where that is the answer's."""
    rung.step()
    if gold == answer:
        return True
    if isinstance(gold, Num) and isinstance(answer, Num) and gold.places is None and answer.places is None:
        return gold.value == answer.value
    for rule in (_quantities, _chains, _relations, _matrices, _lists, _intervals, _words):
        verdict = rule(gold, answer, rung)
        if verdict is not None:
            return verdict
    if is_scalar(gold) and is_scalar(answer):
        return scalars(gold, answer, rung)
    if isinstance(gold, Apply) and isinstance(answer, Apply) and gold.op == answer.op == "ratio":
        return ratios(gold, answer, rung)
    return None if _is_beyond(gold) or _is_beyond(answer) else False


def _is_beyond(node: Node) -> bool:
    """Whether it is mathematics that is read but not compared here: arithmetic of matrices and of sets."""
    if not isinstance(node, Apply):
        return isinstance(node, Relation) and any(map(_is_beyond, node.sides))
    return node.op in ("cap", "setminus", "det") or any(isinstance(arg, Matrix) or _is_beyond(arg) for arg in node.args)


# units, percent, degrees


def _quantities(gold: Node, answer: Node, rung: Rung) -> bool | None:
    gold, gold_unit = split_unit(gold)
    answer, answer_unit = split_unit(answer)
    if not gold_unit and not answer_unit:
        return None
    if "%" in (gold_unit, answer_unit):
        return _percent(gold, gold_unit, answer, answer_unit, rung)
    gold, gold_unit = (gold, gold_unit) if gold_unit else letter_unit(gold)
    answer, answer_unit = (answer, answer_unit) if answer_unit else letter_unit(answer)
    if not gold_unit or not answer_unit:
        verdict = same(gold, answer, rung)
        if "deg" in (gold_unit, answer_unit) and verdict is False and is_scalar(gold) and is_scalar(answer):
            gold, answer = (in_degrees(gold), answer) if gold_unit else (gold, in_degrees(answer))
            return scalars(gold, answer, rung)
        return verdict
    (gold_kind, gold_size), (answer_kind, answer_size) = measure(gold_unit), measure(answer_unit)
    if gold_kind != answer_kind:
        return False
    if gold_size == answer_size:
        return same(gold, answer, rung)
    return same(Apply("*", (gold, Num(gold_size))), Apply("*", (answer, Num(answer_size))), rung)


def _percent(gold: Node, gold_unit: str, answer: Node, answer_unit: str, rung: Rung) -> bool | None:
    """On both sides: numerals. On one side: the numerals agree, or the values do (50 % ~ 50 and ~ 0.5)."""
    if gold_unit and answer_unit and gold_unit != answer_unit:
        return False
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
            return all_of(same(gold, side, rung) for side in sides)
        if answer.ops == ("in",):
            return same(gold, answer.sides[1], rung) if isinstance(answer.sides[0], Sym | Items) else False
    if isinstance(gold, Relation) and not isinstance(answer, Relation):
        if set(gold.ops) == {"="} and is_name(gold.sides[0]):
            return same(gold.sides[-1], answer, rung)
        if gold.ops == ("in",) and isinstance(gold.sides[0], Sym | Items):
            return same(gold.sides[1], answer, rung)
        if isinstance(answer, Items) and answer.kind in (",", "{}") and set(gold.ops) == {"="}:
            return None
    return None


def _values(chain: Relation) -> Sequence[Node]:
    sides = list(chain.sides)
    while len(sides) > 1 and (not is_scalar(sides[0]) or variables(sides[0])):
        sides.pop(0)
    return sides


def _relations(gold: Node, answer: Node, rung: Rung) -> bool | None:
    if not isinstance(gold, Relation) or not isinstance(answer, Relation):
        return None
    if gold.ops == answer.ops == ("in",):
        names = [isinstance(side.sides[0], Sym) for side in (gold, answer)]
        alike = True if all(names) else same(gold.sides[0], answer.sides[0], rung)
        return all_of([alike, same(gold.sides[1], answer.sides[1], rung)])
    if gold.ops == ("=",) and len(answer.ops) > 1 and set(answer.ops) == {"="} and isinstance(gold.sides[0], Sym):
        return same(gold.sides[1], answer, rung)
    if gold.ops == answer.ops == ("=",):
        return _equations(gold, answer, rung)
    mirrored = Relation(tuple(FLIP.get(op, op) for op in reversed(answer.ops)), tuple(reversed(answer.sides)))
    for candidate in (answer, mirrored):
        if gold.ops == candidate.ops:
            verdict = all_of(same(a, b, rung) for a, b in zip(gold.sides, candidate.sides, strict=True))
            if verdict:
                return True
    return _interval_verdict(gold, answer, rung)


def _equations(gold: Relation, answer: Relation, rung: Rung) -> bool | None:
    (gold_left, gold_right), (left, right) = gold.sides, answer.sides
    if _is_call(gold_left) and _is_call(left) and gold_left.args[0] == left.args[0]:
        answer = _renamed(answer, left.args[1], gold_left.args[1])
        left, right = answer.sides
    if is_name(gold_left) and not (is_scalar(gold_right) and is_scalar(left) and is_scalar(gold_left)):
        return same(gold_right, right, rung) if same(gold_left, left, rung) else None
    if not all(map(is_scalar, (gold_left, gold_right, left, right))):
        return all_of([same(gold_left, left, rung), same(gold_right, right, rung)])
    try:
        forms = [normal_form(Apply("+", (a, Apply("neg", (b,))))) for a, b in (gold.sides, answer.sides)]
        if proportional(forms[0], forms[1]):
            return True
        if all(form.exact for form in forms) and all(form.polynomial for form in forms):
            return False
    except (TooMuch, ValueError):
        pass  # the sides may still agree one by one
    return True if all_of([same(gold_left, left, rung), same(gold_right, right, rung)]) else None


def _is_call(node: Node) -> TypeGuard[Apply]:
    """`f(x)`, which is read as a product."""
    if not isinstance(node, Apply) or node.op != "*" or len(node.args) != 2:
        return False
    return node.args[0] in _FUNCTIONS and is_variable(node.args[1])


def _renamed(equation: Relation, old: Node, new: Node) -> Relation:
    """The equation with one variable called as another, unless that one is in it."""
    if not all(map(is_scalar, equation.sides)) or any(new in _symbols(side) for side in equation.sides):
        return equation
    return Relation(equation.ops, tuple(_swapped(side, old, new) for side in equation.sides))


def _symbols(node: Node) -> set[Node]:
    return {Sym(name) for name in variables(node)}


def _swapped(node: Node, old: Node, new: Node) -> Node:
    if isinstance(node, Apply):
        return Apply(node.op, tuple(_swapped(arg, old, new) for arg in node.args))
    return new if node == old else node


# intervals


def _intervals(gold: Node, answer: Node, rung: Rung) -> bool | None:
    """Only where one side can be nothing else than an interval: `(a, b)` alone is a tuple too."""
    if any(surely_interval(node) for node in (gold, answer)):
        return _interval_verdict(gold, answer, rung)
    return None


def _interval_verdict(gold: Node, answer: Node, rung: Rung) -> bool | None:
    gold_parts, answer_parts = as_intervals(gold), as_intervals(answer)
    if gold_parts is None or answer_parts is None:
        return None
    return unordered(gold_parts, answer_parts, lambda a, b: _same_interval(a, b, rung))


def _same_interval(a: "Interval | Node", b: "Interval | Node", rung: Rung) -> bool | None:
    if isinstance(a, Interval) and isinstance(b, Interval):
        if (a.has_low, a.has_high) != (b.has_low, b.has_high):
            return False
        return all_of([same(a.low, b.low, rung), same(a.high, b.high, rung)])
    if isinstance(a, Interval) or isinstance(b, Interval):
        return False
    return same(a, b, rung)


# tuples, sets, lists, matrices, words


def _lists(gold: Node, answer: Node, rung: Rung) -> bool | None:
    if surely_interval(gold) or surely_interval(answer):
        return None
    gold_members, answer_members = members_of(gold), members_of(answer)
    if gold_members is None and answer_members is None:
        return None
    if gold_members is None or answer_members is None:
        single = (gold_members or answer_members or [])[:2]
        if len(single) == 1 and brackets(gold if gold_members else answer) in ("{}", ","):  # \{5\} is 5
            return same(gold, single[0], rung) if gold_members is None else same(single[0], answer, rung)
        rung.several = gold_members is None and bool(answer_members)
        return False
    kinds = {brackets(gold), brackets(answer)}
    if "{}" in kinds and kinds & ORDERED:
        return False
    if not kinds & ORDERED:  # a member that is written twice is one member
        gold_members, answer_members = list(dict.fromkeys(gold_members)), list(dict.fromkeys(answer_members))
    if len(gold_members) != len(answer_members):
        return False
    ordered = bool(kinds & ORDERED)
    if ordered and "<>" not in kinds and "," not in kinds and len(kinds) > 1:
        return False  # (1, 2) is not [1, 2]
    if ordered:
        return all_of(same(a, b, rung) for a, b in zip(gold_members, answer_members, strict=True))
    return unordered(gold_members, answer_members, lambda a, b: same(a, b, rung))


def _matrices(gold: Node, answer: Node, rung: Rung) -> bool | None:
    rows = [rows_of(gold), rows_of(answer)]
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
    return all_of(same(a, b, rung) for a, b in zip(*flat, strict=True))


def _words(gold: Node, answer: Node, _: Rung) -> bool | None:
    if isinstance(gold, Words) or isinstance(answer, Words):
        if isinstance(gold, Words) and isinstance(answer, Words):
            return _plain(gold.text) == _plain(answer.text)
        return False
    return None


def _plain(text: str) -> str:
    return " ".join(word for word in text.split() if word not in ("the", "a", "an"))
