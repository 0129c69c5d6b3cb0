"""The members of a tuple, set or list, and the rows of a matrix."""

from collections.abc import Sequence

from .scalars import is_name
from .tree import Apply, Items, Matrix, Node, Relation

ORDERED = frozenset({"()", "<>", "[]"})


def brackets(node: Node) -> str:
    return node.kind if isinstance(node, Items) else ","


def members_of(node: Node) -> list[Node] | None:
    r"""The members of a collection, `\pm` written out; None for a single value."""
    if isinstance(node, Items):
        if node.kind in ("{}", ","):
            return [member for item in node.items for member in (_members_of_item(item) or [item])]
        return list(node.items)
    return _members_of_item(node)


def _members_of_item(node: Node) -> list[Node] | None:
    if isinstance(node, Relation) and node.ops == ("=",) and is_name(node.sides[0]):
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


def rows_of(node: Node) -> Sequence[Sequence[Node]] | None:
    if isinstance(node, Matrix):
        return node.rows
    if isinstance(node, Items) and node.kind in ORDERED:
        return [node.items]
    return None
