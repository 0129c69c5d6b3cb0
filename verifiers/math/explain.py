"""Why a verdict is what it is: what was found, how each side was read, which rung of the ladder decided."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..extract import END_OF_THOUGHT, Level, find_answer
from ..types import REASONS, Completion, Problem, Verdict
from .compare import sides
from .normalize import canonical
from .parse import Unreadable, parse
from .tree import Apply, Items, Matrix, Node, Num, Quantity, Relation, Sym, Words
from .verify import TIMEOUT_S, read_gold, verify_math

MAX_BARE_WORDS = 30
"""A text of more words is a completion, whether an answer is found in it or not."""
MAX_LINES = 60
"""Lines of an outline; what is left out is counted."""

Found = Literal["completion", "bare answer"]

# The ladder, and the reasons that each rung gives.
RUNGS = {
    "extraction": ("empty_answer", "no_answer", "cut_off"),
    "gold": ("gold_unreadable",),
    "text": ("same_text", "different_text", "same_time", "different_time"),
    "number": ("same_number", "different_number"),
    "parser and its bounds": ("unreadable", "too_deep", "too_long", "too_big"),
    "kind and exact algebra": ("same_form", "different_form", "several_answers"),
    "evaluation at points": ("same_value", "different_value"),
    "symbolic tail": ("symbolic_equal", "symbolic_different", "deadline", "memory_limit", "verifier_crashed"),
}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. `tree` is None where our parser cannot read it; `unreadable` then says why."""

    text: str
    """As it stands in the gold, or as it was found in the completion."""
    normalised: str
    tree: Node | None
    unreadable: str | None = None

    @property
    def kind(self) -> str:
        """What it was read as, in a word or two; `unread` where it was not."""
        return "unread" if self.tree is None else _kind(self.tree)

    @property
    def infix(self) -> str | None:
        """The tree on one line, fully typed: products and roots written out."""
        return None if self.tree is None else _guarded(self.tree)

    @property
    def outline(self) -> tuple[str, ...]:
        """The tree, one node to a line, indented by two spaces a level; at most `MAX_LINES` lines."""
        return () if self.tree is None else _outline(self.tree)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `verify_math` said, and what it saw."""

    found: Found
    """Whether the text was taken for a whole completion or for a bare answer, which is judged as if in a tag."""
    gold: Side | None
    """None where the gold cannot be read."""
    answer: Side | None
    """None where no answer was found."""
    verdict: Verdict

    @property
    def rung(self) -> str:
        """The key of `RUNGS` that decided."""
        return next((rung for rung, reasons in RUNGS.items() if self.verdict.reason in reasons), "unknown")

    @property
    def sentence(self) -> str:
        """The reason, for a person."""
        return REASONS[self.verdict.reason]


def explain(gold: str, text: str, *, extract: Level = "answer", timeout_s: float = TIMEOUT_S) -> Explanation:
    r"""Judge a completion, or a bare answer, with `verify_math` and say what it saw. Never raises on any text.

    A text in which an answer is found at the level `extract`, one of more than `MAX_BARE_WORDS` words and one with an
    end-of-thought mark are completions; any other is a bare answer. timeout_s: processor seconds for one comparison in
    the symbolic tail.

    >>> why = explain(r"\frac{1}{2}", r"Halve it: \boxed{0.5}.")
    >>> why.found, why.verdict.status, why.rung, why.sentence
    ('completion', 'correct', 'number', 'the same rational number')
    >>> explain("x>2", r"(2,\infty)").answer.kind
    'pair or interval'
    """
    found = what_it_is(text, extract)
    completion = Completion(text if found == "completion" else f"<answer>{text}</answer>")
    verdict = verify_math(Problem("explain", answer=gold), completion, extract=extract, timeout_s=timeout_s)
    read = read_gold(gold)
    answer = find_answer(completion.text, extract)
    texts = sides(read or "", answer or "")
    return Explanation(
        found,
        None if read is None else _side(read, texts[0]),
        None if answer is None else _side(answer, texts[1]),
        verdict,
    )


def what_it_is(text: str, extract: Level) -> Found:
    """Whether a text is taken for a whole completion or for a bare answer."""
    prose = len(text.split(maxsplit=MAX_BARE_WORDS)) > MAX_BARE_WORDS
    if prose or any(mark in text for mark in END_OF_THOUGHT) or find_answer(text, extract) is not None:
        return "completion"
    return "bare answer"


def side(text: str) -> Side:
    """How one side is normalised and parsed."""
    return _side(text, canonical(text))


def _side(text: str, normalised: str) -> Side:
    try:
        return Side(text, normalised, parse(normalised))
    except Unreadable as error:
        return Side(text, normalised, None, str(error))


_BRACKETS = {"()": "tuple", "<>": "vector", "[]": "bracketed list", "{}": "set", ",": "list"}
_NODES = {
    "+": "sum", "*": "product", "/": "quotient", "^": "power", "neg": "minus", "pm": "plus or minus",
    "mp": "minus or plus", "!": "factorial", "%": "percent", "deg": "degrees", "sqrt": "square root",
    "root": "root (of, index)", "binom": "binomial", "abs": "absolute value", "base": "number in base (digits, base)",
    "cup": "union", "cap": "intersection", "setminus": "set difference", "ratio": "ratio", "det": "determinant",
}  # fmt: skip
_WHOLE = {"%": "percentage", "deg": "angle", "ratio": "ratio", "pm": "two values", "mp": "two values"}


def _kind(node: Node) -> str:
    if isinstance(node, Num):
        if node.places is not None:
            return "decimal"
        return "integer" if node.value.denominator == 1 else "rational number"
    if isinstance(node, Items):
        if len(node.items) == 2 and node.kind in ("()", "[]"):
            return "pair or interval"
        return "interval" if node.kind in ("(]", "[)") else f"{_BRACKETS[node.kind]} of {len(node.items)}"
    if isinstance(node, Relation):
        return "equation" if set(node.ops) == {"="} else "membership" if node.ops == ("in",) else "inequality"
    if isinstance(node, Apply):
        if node.op in ("cup", "cap", "setminus"):
            return "set expression"
        return _WHOLE.get(node.op, "expression")
    if isinstance(node, Matrix):
        return f"{len(node.rows)} by {len(node.rows[0])} matrix"
    return {Sym: "name", Words: "text", Quantity: "quantity"}[type(node)]


# one line

_LOOSE, _SUM, _PRODUCT, _POWER, _ATOM = range(5)
_SIGNS = {"neg": "-", "pm": "+-", "mp": "-+"}
_WORDS = {"cup": " union ", "cap": " intersection ", "setminus": " without ", "ratio": " : ", "base": " in base "}
_SHOWN_BITS = 12_000  # Python's str() stops at 4,300 digits


def _guarded(node: Node) -> str:
    try:
        return _infix(node)[0]
    except RecursionError:
        return "nested too deeply to be shown"


def _infix(node: Node) -> tuple[str, int]:
    """(text, how tightly it holds together)"""
    if isinstance(node, Num):
        return _number(node)
    if isinstance(node, Sym):
        return node.name, _ATOM
    if isinstance(node, Words):
        return f'"{node.text}"', _ATOM
    if isinstance(node, Quantity):
        return f"{_in(node.value, _PRODUCT)} [{node.unit}]", _PRODUCT
    if isinstance(node, Matrix):
        return "[" + "; ".join(", ".join(_infix(cell)[0] for cell in row) for row in node.rows) + "]", _ATOM
    if isinstance(node, Items):
        inside = ", ".join(_infix(item)[0] for item in node.items)
        return (inside, _LOOSE) if node.kind == "," else (node.kind[0] + inside + node.kind[1], _ATOM)
    if isinstance(node, Relation):
        rest = (f" {op} {_in(side, _SUM)}" for op, side in zip(node.ops, node.sides[1:], strict=True))
        return _in(node.sides[0], _SUM) + "".join(rest), _LOOSE
    return _operation(node)


def _operation(node: Apply) -> tuple[str, int]:
    args = node.args
    if node.op in ("+", "*") and len(args) > 1:
        terms = _flat(node)
        if node.op == "*":
            return "*".join(_in(term, _POWER) for term in terms), _PRODUCT
        return _in(terms[0], _SUM) + "".join(map(_signed, terms[1:])), _SUM
    if node.op in _SIGNS:
        leading = "".join(f"{_in(arg, _SUM)} " for arg in args[:-1] if arg != Num(Fraction(0)))
        return leading + _SIGNS[node.op] + "".join(_in(arg, _PRODUCT) for arg in args[-1:]), _SUM
    if node.op == "/" and len(args) == 2:
        return f"{_in(args[0], _POWER)}/{_in(args[1], _POWER)}", _PRODUCT
    if node.op == "^" and len(args) == 2:
        return f"{_in(args[0], _ATOM)}^{_in(args[1], _ATOM)}", _POWER
    if node.op in ("!", "%", "deg"):
        return "".join(_in(arg, _ATOM) for arg in args) + {"deg": " degrees"}.get(node.op, node.op), _POWER
    if node.op in _WORDS:
        return _WORDS[node.op].join(_in(arg, _SUM) for arg in args), _LOOSE
    return f"{node.op}({', '.join(_infix(arg)[0] for arg in args)})", _ATOM


def _in(node: Node, least: int) -> str:
    text, tightness = _infix(node)
    return text if tightness >= least else f"({text})"


def _signed(term: Node) -> str:
    """A term behind another, with its own sign or a plus."""
    if isinstance(term, Apply) and term.op in _SIGNS and len(term.args) == 1:
        return f" {_SIGNS[term.op]} " + "".join(_in(arg, _PRODUCT) for arg in term.args)
    return f" + {_in(term, _PRODUCT)}"


def _flat(node: Apply) -> list[Node]:
    """The terms or factors, where the parser nests them to the left."""
    members: list[Node] = []
    while True:
        members += node.args[:0:-1]
        first = node.args[0]
        if not isinstance(first, Apply) or first.op != node.op or len(first.args) < 2:
            return [first, *reversed(members)]
        node = first


def _number(number: Num) -> tuple[str, int]:
    value = number.value
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _SHOWN_BITS:
        digits = max(value.numerator.bit_length(), value.denominator.bit_length()) * 0.30103
        return f"a number of about {digits:,.0f} digits", _LOOSE
    if number.places is None:
        return (str(value), _ATOM if value.denominator == 1 and value >= 0 else _PRODUCT)
    if number.places == 0 or number.places > 1000:
        return str(value), _ATOM if value.denominator == 1 and value >= 0 else _PRODUCT
    digits = str(abs(value) * 10**number.places).rjust(number.places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[: -number.places]}.{digits[-number.places :]}", _ATOM


# one node to a line


def _outline(node: Node) -> tuple[str, ...]:
    lines: list[str] = []
    more = 0
    for level, label in _lines(node):
        if len(lines) < MAX_LINES:
            lines.append("  " * level + label)
        else:
            more += 1
    return (*lines, f"… and {more:,} more") if more else tuple(lines)


def _lines(root: Node) -> Iterator[tuple[int, str]]:
    """(level, label) of every node, depth first, without recursion."""
    stack: list[tuple[int, Node]] = [(0, root)]
    while stack:
        level, node = stack.pop()
        label, below = _label(node)
        yield level, label
        stack += [(level + 1, child) for child in reversed(below)]


def _label(node: Node) -> tuple[str, "list[Node]"]:
    if isinstance(node, Num):
        decimal = "" if node.places is None else f"  (decimal, {node.significant} significant digits)"
        return f"{_number(node)[0]}{decimal}", []
    if isinstance(node, Sym):
        return node.name, []
    if isinstance(node, Words):
        return f'text "{node.text}"', []
    if isinstance(node, Quantity):
        return f"quantity in [{node.unit}]", [node.value]
    if isinstance(node, Relation):
        return f"{_kind(node)}: {' '.join(node.ops)}", list(node.sides)
    if isinstance(node, Matrix):
        return _kind(node), [cell for row in node.rows for cell in row]
    if isinstance(node, Items):
        brackets = "" if node.kind in ("{}", ",") else f"  {node.kind[0]} {node.kind[1]}"
        return _kind(node) + brackets, list(node.items)
    if node.op in ("+", "*") and len(node.args) > 1:
        return _NODES[node.op], _flat(node)
    return _NODES.get(node.op, f"function {node.op}"), list(node.args)
