"""What a value may begin with besides a number or a letter: brackets, bars, roots, matrices, commands."""

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from .tokens import Unreadable
from .tree import Apply, Items, Matrix, Node, Num, Sym

if TYPE_CHECKING:
    from .parse import Parser

MAX_CELLS = 400
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "{": ("}",), "langle": ("rangle",), "<": (">",)}
_MATRICES = frozenset({"pmatrix", "bmatrix", "matrix", "Bmatrix", "smallmatrix", "array", "vmatrix"})


def bracketed(parser: "Parser", opening: str) -> Node:
    bars, parser.bars = parser.bars, 0
    closings = _CLOSING[opening]
    if opening == "\\{" and parser.take("\\}"):
        return Items("{}", ())
    items = [parser.deeper(parser.statement)]
    while parser.separator():
        items.append(parser.deeper(parser.statement))
    kind, closing = parser.next()
    if kind != "op" or closing not in closings:
        raise Unreadable(f"{opening} that does not close")
    parser.bars = bars
    if opening == "\\{":
        return Items("{}", tuple(items))
    if opening == "{" and len(items) > 1:
        return Items(",", tuple(items))  # braces group in TeX; they make no set
    if len(items) == 1 and opening + closing not in ("[)", "(]"):
        return items[0]
    return Items(opening + closing, tuple(items))


def absolute(parser: "Parser") -> Node:
    parser.bars += 1
    node = parser.sum()
    parser.expect("|")
    parser.bars -= 1
    return Apply("abs", (node,))


def _between(parser: "Parser", opening: str, closing: str, op: str) -> Node:
    node = parser.sum()
    if not parser.take(closing):
        raise Unreadable(f"\\{opening} that does not close")
    return Apply(op, (node,))


def _vector(parser: "Parser") -> Node:
    items = [parser.deeper(parser.statement)]
    while parser.separator():
        items.append(parser.deeper(parser.statement))
    parser.expect("rangle")
    return Items("<>", tuple(items))


def _root(parser: "Parser") -> Node:
    index: Node | None = None
    if parser.take("["):
        index = parser.sum()
        parser.expect("]")
    argument = parser.argument()
    return Apply("root", (argument, index)) if index is not None else Apply("sqrt", (argument,))


def _decorated(parser: "Parser") -> Node:
    node = parser.argument()
    return Sym("bar " + repr(node)) if not isinstance(node, Sym) else Sym("bar " + node.name)


def matrix(parser: "Parser", name: str) -> Node:
    if name not in _MATRICES:
        raise Unreadable(f"\\begin{{{name}}} is not known", "" if name == "cases" else "unreadable")
    rows: list[list[Node]] = [[]]
    cells = 0
    while parser.peek()[0] != "end":
        if parser.peek()[0] == "row":
            parser.next()
            if parser.peek()[0] != "end":
                rows.append([])
            continue
        if parser.take("hline") or parser.take("&"):
            continue
        rows[-1].append(parser.deeper(parser.statement))
        cells += 1
        if cells > MAX_CELLS:
            raise Unreadable("a larger matrix than an answer is", "too_long")
    parser.next()
    if not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise Unreadable("a matrix with ragged rows")
    node = Matrix(tuple(tuple(row) for row in rows))
    return Apply("det", (node,)) if name == "vmatrix" else node


def _empty_set(_: "Parser") -> Node:
    return Items("{}", ())


def _infinity(_: "Parser") -> Node:
    return Sym("inf")


def _pi(_: "Parser") -> Node:
    return Sym("pi")


def _blackboard(parser: "Parser") -> Node:
    node = parser.argument()
    if node == Sym("R"):
        return Sym("reals")
    if isinstance(node, Sym):
        return Sym("set " + node.name)
    raise Unreadable("a set of numbers without a letter")


def _quotient(parser: "Parser") -> Node:
    return Apply("/", (parser.argument(), parser.argument()))


def _binomial(parser: "Parser") -> Node:
    return Apply("binom", (parser.argument(), parser.argument()))


def _cube_root(parser: "Parser") -> Node:
    return Apply("root", (parser.argument(), Num(Fraction(3))))


def _bare(parser: "Parser") -> Node:
    return parser.argument()


def _called(op: str) -> "Callable[[Parser], Node]":
    return lambda parser: Apply(op, (parser.argument(),))


def _enclosed(op: str) -> "Callable[[Parser], Node]":
    return lambda parser: _between(parser, "l" + op, "r" + op, op)


ATOMS: "dict[str, Callable[[Parser], Node]]" = {
    **dict.fromkeys(("infty", "inf", "infinity", "oo"), _infinity),
    "pi": _pi,
    "emptyset": _empty_set,
    "mathbb": _blackboard,
    "frac": _quotient,
    **dict.fromkeys(("binom", "tbinom", "dbinom"), _binomial),
    "sqrt": _root,
    "cbrt": _cube_root,
    "overline": _decorated,
    "bar": _decorated,
    "vec": _bare,
    "hat": _bare,
    **{op: _called(op) for op in ("abs", "floor", "ceil")},
    **{"l" + op: _enclosed(op) for op in ("floor", "ceil")},
    "langle": _vector,
}
"""Commands by name, each with the rule that reads what follows."""
