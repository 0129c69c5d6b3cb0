"""What an answer is read into: a small typed tree. Every node is frozen, slotted and hashable."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Num:
    """A rational number; `places` and `significant` where it was written as a decimal."""

    value: Fraction
    places: int | None = None
    significant: int = 0


@dataclass(frozen=True, slots=True)
class Sym:
    """A variable, or one of the constants `pi`, `e`, `i`, `inf`."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation: `+`, `*`, `/`, `^`, `neg`, `pm`, `sqrt` … or a function, on its arguments."""

    op: str
    args: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Items:
    r"""Several values in brackets. `kind` is the brackets: `()`, `[]`, `(]`, `[)`, `{}` (a set), `<>` (a vector), or
    `,` for a bare list."""

    kind: str
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain `sides[0] ops[0] sides[1] …` with ops among `= < > <= >= != in`."""

    ops: tuple[str, ...]
    sides: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: "tuple[tuple[Node, ...], ...]"


@dataclass(frozen=True, slots=True)
class Words:
    """Text that is not mathematics, in lower case and without punctuation."""

    text: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit (a key of `units.UNITS`, or the words as they stand)."""

    value: "Node"
    unit: str


Node = Num | Sym | Apply | Items | Relation | Matrix | Words | Quantity


CONSTANTS = frozenset({"pi", "e", "i", "inf"})


def is_variable(node: Node) -> bool:
    """Whether it is a letter that stands for no constant."""
    return isinstance(node, Sym) and node.name not in CONSTANTS


def words(text: str) -> frozenset[str]:
    """The words of a table in the code."""
    return frozenset(text.split())
