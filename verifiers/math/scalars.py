"""Two numbers or expressions compared: DESIGN's rule for decimals, exact normal forms, evaluation at points."""

from dataclasses import dataclass
from fractions import Fraction

from .algebra import normal_form, same_form
from .bounds import TooBig, TooMuch
from .numeric import decimal_value, same_value
from .pairing import all_of
from .tree import Apply, Items, Node, Num, Sym

MAX_STEPS = 1_000
"""What a comparison of two trees may cost: a step is about 20 microseconds."""

_NO_SCALAR = frozenset({"cup", "cap", "setminus", "ratio", "pm", "mp", "det"})


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
    infinite = [infinity(gold), infinity(answer)]
    if any(infinite):
        return infinite[0] == infinite[1]
    return None


def infinity(node: Node) -> int:
    """1 or -1 for an infinity, 0 for anything else."""
    if isinstance(node, Apply) and node.op == "neg":
        return -infinity(node.args[0])
    return int(node == Sym("inf"))


def is_scalar(node: Node) -> bool:
    if isinstance(node, Num | Sym):
        return True
    if not isinstance(node, Apply) or node.op in _NO_SCALAR:
        return False
    return all(is_scalar(arg) for arg in node.args)


def ratios(gold: Apply, answer: Apply, rung: Rung) -> bool | None:
    """a:b is c:d where a d = b c."""
    if len(gold.args) != len(answer.args):
        return False
    first, other = gold.args[0], answer.args[0]
    if Num(Fraction(0)) in (*gold.args, *answer.args):
        return None
    pairs = zip(gold.args[1:], answer.args[1:], strict=True)
    return all_of(scalars(Apply("*", (first, b)), Apply("*", (other, a)), rung) for a, b in pairs)


def is_name(node: Node) -> bool:
    """What names a value: a variable, `f(x)`, a tuple of variables, `AB:CD`, `|AB|` … anything without a number."""
    if isinstance(node, Sym):
        return node.name != "inf"
    if isinstance(node, Items):
        return all(map(is_name, node.items))
    return isinstance(node, Apply) and all(map(is_name, node.args))
