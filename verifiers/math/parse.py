"""Reads a canonical text (see `normalize`) into a tree. Linear time, depth and tokens bounded, no evaluation.

Precedence, loosest first: list separators; relations; union and intersection; sums; products; signs; powers; postfix.
Letters that are no known word are a product of variables, as in TeX.
"""

from fractions import Fraction
from functools import lru_cache

from .atoms import ATOMS, absolute, bracketed, matrix
from .numerals import decimal, in_base, repeating
from .statements import SAYINGS, conjunction
from .tokens import FUNCTIONS, Reader, Token, Unreadable, tokenize
from .tree import Apply, Items, Node, Num, Quantity, Relation, Sym, Words, words
from .units import UNITS, unit_name

# Mathematics that this grammar does not have, and the symbolic tail may.
_BEYOND = words("int iint oint sum prod lim partial nabla mod bmod pmod sup inf Gamma zeta")
MAX_POSTFIX = 4
_SHORT = 300  # longer texts are not kept

_GREEK = words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell"
)
_RELATIONS = {"=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", "leq": "<=", "geq": ">=",
              "neq": "!=", "in": "in", "equiv": "="}  # fmt: skip
_SETS = {"cap": "cap", "setminus": "setminus", "backslash": "setminus"}
_SIGNS = {"+": "", "-": "neg", "pm": "pm", "mp": "mp"}
_PRODUCTS = {"cdot": "*", "times": "*", "*": "*", "/": "/", "div": "/"}
_CONNECTIVES = frozenset({"and", "or", ", and", ", or", "and/or"})
_OF_SEVERAL = frozenset({"min", "max", "gcd", "lcm", "log"})


def parse(canonical_text: str) -> Node:
    r"""The tree of one answer. Raises Unreadable, and nothing else.

    >>> parse(r"\frac{1}{2}x")
    Apply(op='*', args=(Apply(op='/', args=(Num(value=Fraction(1, 1), places=None, significant=0), ...)), Sym(...)))
    """
    return _parse_short(canonical_text) if len(canonical_text) <= _SHORT else _parse(canonical_text)


def _parse(text: str) -> Node:
    saying = SAYINGS.get(text.lower())
    if saying is not None:
        return saying
    parser = Parser(tokenize(text))
    node = parser.answer()
    parser.expect_end()
    return node


_parse_short = lru_cache(maxsize=4096)(_parse)


class Parser(Reader):
    """Recursive descent. A run of terms or factors is one node, so that a tree is no deeper than its brackets."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.bars = 0

    # lists and relations

    def answer(self) -> Node:
        """A list of statements, or the one that there is."""
        if self.at_end():
            raise Unreadable("nothing to read")
        texts = [text for kind, text in self._tokens if kind == "text"]
        if len(texts) == len(self._tokens) - 1:
            self._at = len(texts)
            said = " ".join(" ".join(texts).lower().split()).strip(" .,;:!")
            return SAYINGS.get(said) or Words(said)
        statements = [self.statement()]
        both = True
        while self.separator():
            kind, text = self._tokens[self._at - 1]
            both = both and ("and" in text.split() if kind == "text" else text in ("land", "wedge"))
            if not self.at_end():
                statements.append(self.statement())
        if len(statements) == 1:
            return statements[0]
        return conjunction(statements) if both else Items(",", tuple(statements))

    def separator(self) -> bool:
        start = self._at
        while self.take(",", ";", "land", "lor", "vee", "wedge") or self._connective():
            pass
        return self._at > start

    def _connective(self) -> bool:
        kind, text = self.peek()
        if kind == "text" and text.strip().lower() in _CONNECTIVES:
            self._at += 1
            return True
        return False

    def statement(self) -> Node:
        sides = [self.sets()]
        ops: list[str] = []
        while self.peek()[0] in ("op", "cmd") and self.peek()[1] in _RELATIONS:
            ops.append(_RELATIONS[self.next()[1]])
            sides.append(self.sets())
        return Relation(tuple(ops), tuple(sides)) if ops else sides[0]

    def sets(self) -> Node:
        parts = [self.ratio()]
        while self.take("cup"):
            parts.append(self.ratio())
        node = _several("cup", parts)
        op = self.taken(_SETS)
        return Apply(_SETS[op], (node, self.ratio())) if op else node

    def ratio(self) -> Node:
        parts = [self.sum()]
        while self.take(":"):
            parts.append(self.sum())
        return _several("ratio", parts)

    # arithmetic

    def sum(self) -> Node:
        return self.deeper(self._sum)

    def _sum(self) -> Node:
        terms = [self.product()]
        while sign := self.taken(_SIGNS):
            terms.append(_signed(sign, self.product()))
        return _several("+", terms)

    def product(self) -> Node:
        depth = self._depth
        factors = [self.signed()]
        while True:
            op = self.taken(_PRODUCTS)
            if op and _PRODUCTS[op] == "*":
                factors.append(self.signed())
            elif op:
                factors[:] = [Apply("/", (_several("*", factors), self.deeper(self.signed)))]
                self._depth += 1  # a quotient of quotients nests
            elif self.starts_factor():
                self.beside(factors)
            else:
                self._depth = depth
                return _several("*", factors)

    def beside(self, factors: list[Node]) -> None:
        """Add a factor without a sign in front: a mixed number, or a unit for what stands before."""
        kind, text = self.peek()
        if kind == "text" and not _is_letter(text):
            factors[:] = [self._with_unit(_several("*", factors))]
            return
        left, right = factors[-1], self.power()
        if isinstance(left, Quantity) and kind == "num" and len(factors) == 1 and self.peek()[0] == "text":
            factors[-1] = Apply("+", (left, self._with_unit(right)))  # 2 hours 30 minutes
            return
        whole = isinstance(left, Num) and left.value.denominator == 1 and left.places is None
        if whole and (kind, text) == ("cmd", "frac") and _is_proper_fraction(right):
            factors[-1] = Apply("+", (left, right))
            return
        if isinstance(left, Num) and kind == "num":
            raise Unreadable("two numbers side by side")
        factors.append(right)

    def _with_unit(self, value: Node) -> Node:
        names: list[str] = []
        while self.peek()[0] == "text" and self.peek()[1].strip().lower() not in _CONNECTIVES:
            names.append(self.next()[1])
            if self.take("^"):
                names.append("^" + self._index())
            elif self.take("/"):
                names.append("/")
                if self.peek()[0] == "let" and self.peek()[1] in UNITS:
                    names.append(self.next()[1])
        unit = unit_name(" ".join(names)) if names else ""
        if unit is None:
            raise Unreadable(f"{' '.join(names)!r} is neither mathematics nor a unit")
        return Quantity(value, unit) if unit else value

    def starts_factor(self) -> bool:
        kind, text = self.peek()
        if kind in ("num", "let", "begin"):
            return True
        if kind == "text":
            return text.strip().lower() not in _CONNECTIVES
        if kind == "cmd":
            return text in FUNCTIONS or text in _GREEK or text in ATOMS
        return kind == "op" and (text in ("(", "[", "{", "\\{") or (text == "|" and not self.bars))

    def signed(self) -> Node:
        sign = self.taken(_SIGNS)
        return _signed(sign, self.deeper(self.signed)) if sign else self.power()

    def power(self) -> Node:
        base = self.postfix()
        if not self.take("^"):
            return base
        if self.take("circ"):
            return self._after_degrees(Apply("deg", (base,)))
        if self.take("prime", "'"):
            raise Unreadable("a derivative")
        if self.take("{"):
            if self.take("circ"):
                self.expect("}")
                return self._after_degrees(Apply("deg", (base,)))
            exponent = self.sum()
            self.expect("}")
        else:
            exponent = self.deeper(self._exponent)
        return Apply("^", (base, exponent))

    def _exponent(self) -> Node:
        if self.take("-"):
            return Apply("neg", (self.deeper(self._exponent),))
        return self.power()

    def _after_degrees(self, node: Node) -> Node:
        if self.peek() in (("let", "C"), ("let", "F")):
            return Quantity(node.args[0], "degree " + self.next()[1].lower()) if isinstance(node, Apply) else node
        return node

    def postfix(self) -> Node:
        node = self.atom()
        for _ in range(MAX_POSTFIX):
            op = self.taken("!%_")
            if not op:
                return node
            node = self._subscripted(node) if op == "_" else Apply(op, (node,))
        raise Unreadable("more signs behind a value than an answer has", "too_deep")

    def _subscripted(self, node: Node) -> Node:
        if isinstance(node, Sym):
            return Sym(f"{node.name}_{self._index()}")
        raise Unreadable("a subscript of neither a name nor a number")

    def _index(self) -> str:
        """The text of a subscript or of a unit's power."""
        if not self.take("{"):
            return self.next()[1]
        parts: list[str] = []
        while not self.take("}"):
            kind, text = self.next()
            if kind == "end of text":
                raise Unreadable("a brace that does not close")
            parts.append(text.strip())
        return "".join(parts)

    # atoms

    def atom(self) -> Node:
        return self.deeper(self._atom)

    def _atom(self) -> Node:
        kind, text = self.next()
        if kind == "num":
            return self._number(text)
        if kind == "let":
            return Sym(text)
        if kind == "cmd":
            return self._command(text)
        if kind == "begin":
            return matrix(self, text)
        if kind == "text":
            return self._worded(text)
        if text in ("(", "[", "{", "\\{"):
            return bracketed(self, text)
        if text == "|":
            return absolute(self)
        raise Unreadable(f"unexpected {text or kind!r}")

    def _worded(self, text: str) -> Node:
        """A word in the place of a value: a constant, a name, or a unit in front of nothing."""
        word = text.strip()
        if word in FUNCTIONS:
            return self._command(word)
        if len(word) == 1 and word.isalpha():
            return Sym(word)
        return Words(" ".join(word.lower().split()).strip(" .,;:!"))

    def _number(self, text: str) -> Node:
        if self.take("overline", "bar", "dot"):
            return repeating(text, self._index())
        if self.take("_"):
            index = self._index()
            return in_base(text, int(index) if index.isdecimal() and len(index) < 4 else 0)
        return decimal(text)

    def _command(self, name: str) -> Node:
        if name in _GREEK:
            return Sym(name)
        if name in FUNCTIONS:
            named = self.peek() == ("op", "=")  # `lcm = 36`
            return Sym(name) if named else self._function(name)
        rule = ATOMS.get(name)
        if rule is None:
            raise Unreadable(f"\\{name} is not known", "" if name in _BEYOND else "unreadable")
        return rule(self)

    def _function(self, name: str) -> Node:
        base: Node | None = None
        power: Node | None = None
        for _ in range(2):
            if self.take("_"):
                base = self.argument()
            elif self.take("^"):
                power = self.argument()
        argument = self._function_argument()
        arguments = argument.items if isinstance(argument, Items) and argument.kind == "()" else (argument,)
        if base is not None and name != "log":
            raise Unreadable(f"\\{name} with a subscript", "")
        if len(arguments) > 1 and name not in _OF_SEVERAL:
            raise Unreadable(f"\\{name} of several values")
        if name == "lg":
            name, base = "log", Num(Fraction(10))
        node = Apply(name, (base, *arguments) if base is not None else arguments)
        if power == Num(Fraction(-1)) or power == Apply("neg", (Num(Fraction(1)),)):
            return Apply("arc" + name, arguments)
        return Apply("^", (node, power)) if power is not None else node

    def _function_argument(self) -> Node:
        """What a function without brackets takes: factors side by side, up to a sign or another function."""
        if self.peek() == ("op", "("):
            return self.power() if self._at + 2 < len(self._tokens) else self.atom()
        if self.take("-"):
            return Apply("neg", (self.deeper(self._function_argument),))
        factors = [self.power()]
        while self.starts_factor() and self.peek()[0] != "text" and self.peek()[1] not in FUNCTIONS | {"("}:
            self.beside(factors)
        node = _several("*", factors)
        if self.peek() == ("op", "/") and isinstance(node, Num | Sym):
            self.next()
            node = Apply("/", (node, self.power()))
        return node

    def argument(self) -> Node:
        """A TeX argument: a group in braces, or one token."""
        if self.take("{"):
            node = self.statement()
            self.expect("}")
            return node
        kind, text = self.peek()
        if kind == "num" and len(text) > 1:  # \frac12: one digit each
            if not text.replace(".", "").isdecimal() or text[0] == ".":
                raise Unreadable("a number behind a command that takes one digit")
            self._tokens[self._at] = ("num", text[1:])
            return Num(Fraction(int(text[0])))
        if self.take("-"):
            return Apply("neg", (self.deeper(self.argument),))
        return self.atom()


def _is_letter(text: str) -> bool:
    """A variable or constant in upright or bold type, which is no unit of one letter."""
    return len(text) == 1 and text.isalpha() and text not in UNITS


def _signed(sign: str, node: Node) -> Node:
    return Apply(_SIGNS[sign], (node,)) if sign != "+" else node


def _several(op: str, parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Apply(op, tuple(parts))


def _is_proper_fraction(node: Node) -> bool:
    if not isinstance(node, Apply) or node.op != "/":
        return False
    top, bottom = node.args
    return isinstance(top, Num) and isinstance(bottom, Num) and 0 < top.value < bottom.value
