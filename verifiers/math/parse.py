"""Reads a canonical text (see `normalize`) into a tree. Linear time, depth and tokens bounded, no evaluation.

Precedence, loosest first: list separators; relations; union and intersection; sums; products; signs; powers; postfix.
Letters that are no known word are a product of variables, as in TeX.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from .tree import Apply, Items, Matrix, Node, Num, Quantity, Relation, Sym, Words
from .units import UNITS

MAX_DEPTH = 60
MAX_TOKENS = 3000
MAX_DIGITS = 4000
MAX_CELLS = 400


class Unreadable(ValueError):
    """The text is not an answer in the grammar; `reason` is a key of `REASONS` where a bound was passed."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


Token = tuple[str, str]  # kind, text

_TOKEN = re.compile(
    r"""\s+
    | \\text\s?\{(?P<text>[^{}]*)\}
    | \\begin\s?\{(?P<begin>[a-zA-Z*]+)\}(?:\{[^{}]*\}|\[[^\[\]]*\])?
    | \\end\s?\{(?P<end>[a-zA-Z*]+)\}
    | (?P<row>\\\\)
    | \\(?P<cmd>[A-Za-z]+)
    | \\(?P<esc>[{}|])
    | (?P<num>\d+(?:\.\d*)?|\.\d+)
    | (?P<letters>[A-Za-z]+)
    | (?P<op><=|>=|!=|==|\|\||[^\sA-Za-z\d\\])""",
    re.VERBOSE,
)
_GROUPED = re.compile(r"\d{1,3}(?:(?:,\d{3})+|(?:\s\d{3})+)(?![\d,])(?:\.\d+)?")
_E_NOTATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)[eE]([-+]?\d{1,4})(?![\w.])")

_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon "
    "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell".split()
)
_FUNCTIONS = frozenset(
    "sin cos tan sec csc cot arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth ln log lg exp min max gcd lcm "
    "det dim deg arg Re Im".split()
)
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "cosec": "csc", "cotan": "cot", "tg": "tan"}
_PLAIN_WORDS = _FUNCTIONS | {"sqrt", "cbrt", "pi", "infty", "inf", "infinity", "oo", "abs", "floor", "ceil", "theta", "cup"}
_RELATIONS = {"=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", "leq": "<=", "geq": ">=",
              "neq": "!=", "in": "in", "equiv": "="}  # fmt: skip
_CONNECTIVES = frozenset({"and", "or", ", and", ", or", "and/or"})
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "{": ("}",), "langle": ("rangle",), "<": (">",)}
_MATRICES = frozenset({"pmatrix", "bmatrix", "matrix", "Bmatrix", "smallmatrix", "array", "vmatrix"})


@lru_cache(maxsize=4096)
def parse(canonical_text: str) -> Node:
    r"""The tree of one answer. Raises Unreadable.

    >>> parse(r"\frac{1}{2}x")
    Apply(op='*', args=(Apply(op='/', args=(Num(value=Fraction(1, 1), places=None, significant=0), Num(...))), Sym(...)))
    """
    parser = _Parser(tokenize(canonical_text))
    node = parser.answer()
    parser.expect_end()
    return node


def tokenize(text: str) -> list[Token]:
    """Tokens of a canonical text. Raises Unreadable past `MAX_TOKENS`, or on a character of no use."""
    tokens: list[Token] = []
    position = depth = 0
    while position < len(text):
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("more tokens than an answer has", "too_long")
        number = text[position].isdigit() and (
            (depth == 0 and _GROUPED.match(text, position)) or _E_NOTATION.match(text, position)
        )
        if number:
            tokens.append(("num", re.sub(r"[,\s]", "", number[0])))
            position = number.end()
            continue
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise Unreadable(f"cannot read {text[position]!r}")
        position = match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        lexeme = match[kind]
        if kind == "letters":
            tokens += _letters(lexeme)
        elif kind == "esc":
            tokens.append(("op", "\\" + lexeme if lexeme != "|" else "|"))
        else:
            tokens.append((kind, lexeme))
        depth += (lexeme in ("(", "[")) - (lexeme in (")", "]")) if kind == "op" else 0
        depth += 1 if kind == "esc" and lexeme == "{" else -1 if kind == "esc" and lexeme == "}" else 0
    return tokens


def _letters(run: str) -> list[Token]:
    """A run of letters: one known word, or variables side by side."""
    if run in _PLAIN_WORDS or run in _ALIASES:
        return [("cmd", _ALIASES.get(run, run))]
    if run in ("and", "or"):
        return [("text", run)]
    if len(run) > 1 and (run in UNITS or run in ("percent", "pct", "percentage")):
        return [("text", run)]
    for size in (6, 5, 4, 3, 2):
        if run[:size] in _PLAIN_WORDS and len(run) > size:
            return [("cmd", run[:size]), *_letters(run[size:])]  # sinx, pir
    return [("let", letter) for letter in run]


class _Parser:
    """Recursive descent with a bounded depth over a list of tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0

    # tokens

    def peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end of text", "")

    def next(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def take(self, *lexemes: str) -> bool:
        """Step over the next token when it is one of these signs or commands."""
        kind, text = self.peek()
        if kind in ("op", "cmd") and text in lexemes:
            self._at += 1
            return True
        return False

    def expect(self, lexeme: str) -> None:
        if not self.take(lexeme):
            raise Unreadable(f"{lexeme} expected, not {self.peek()[1] or self.peek()[0]!r}")

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise Unreadable(f"cannot read from {self.peek()[1]!r} on")

    def deeper(self, rule: "Callable[[], Node]") -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("nested deeper than an answer is", "too_deep")
        node = rule()
        self._depth -= 1
        return node

    # lists and relations

    def answer(self) -> Node:
        """A list of statements, or the one that there is."""
        if not self._tokens:
            raise Unreadable("nothing to read")
        if all(kind == "text" for kind, _ in self._tokens):
            self._at = len(self._tokens)
            return Words(" ".join(text for _, text in self._tokens).lower().strip(" .,;:!"))
        statements = [self.statement()]
        while self._separator():
            if self._at < len(self._tokens):
                statements.append(self.statement())
        return statements[0] if len(statements) == 1 else Items(",", tuple(statements))

    def _separator(self) -> bool:
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
        node = self.ratio()
        while self.peek()[1] in ("cup", "cap", "setminus", "backslash") and self.peek()[0] == "cmd":
            op = self.next()[1]
            node = Apply("setminus" if op == "backslash" else op, (node, self.ratio()))
        return node

    def ratio(self) -> Node:
        parts = [self.sum()]
        while self.take(":"):
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Apply("ratio", tuple(parts))

    # arithmetic

    def sum(self) -> Node:
        return self.deeper(self._sum)

    def _sum(self) -> Node:
        node = self.product()
        while True:
            if self.take("+"):
                node = Apply("+", (node, self.product()))
            elif self.take("-"):
                node = Apply("+", (node, Apply("neg", (self.product(),))))
            elif self.take("pm"):
                node = Apply("pm", (node, self.product()))
            elif self.take("mp"):
                node = Apply("mp", (node, self.product()))
            else:
                return node

    def product(self) -> Node:
        node = self.signed()
        while True:
            if self.take("cdot", "times", "*"):
                node = Apply("*", (node, self.signed()))
            elif self.take("/", "div"):
                node = Apply("/", (node, self.signed()))
            elif self._starts_factor():
                node = self._beside(node)
            else:
                return node

    def _beside(self, left: Node) -> Node:
        """Two factors side by side: a product, a mixed number, or a value and its unit."""
        kind, text = self.peek()
        if kind == "text":
            return self._with_unit(left)
        right = self.power()
        if isinstance(left, Num) and left.value.denominator == 1 and left.places is None and _is_proper_fraction(right):
            if kind == "cmd" and text == "frac":
                return Apply("+", (left, right))
        if isinstance(left, Num) and kind == "num":
            raise Unreadable("two numbers side by side")
        return Apply("*", (left, right))

    def _with_unit(self, value: Node) -> Node:
        words: list[str] = []
        while self.peek()[0] == "text" and self.peek()[1].strip().lower() not in _CONNECTIVES:
            words.append(self.next()[1])
            if self.take("^"):
                words.append("^" + self._index())
            elif self.take("/"):
                words.append("/")
        return Quantity(value, " ".join(" ".join(words).lower().replace(".", "").split())) if words else value

    def _starts_factor(self) -> bool:
        kind, text = self.peek()
        if kind in ("num", "let", "begin"):
            return True
        if kind == "text":
            return text.strip().lower() not in _CONNECTIVES
        if kind == "cmd":
            return text in _FUNCTIONS or text in _GREEK or text in _ATOMS
        return kind == "op" and (text in ("(", "[", "{", "\\{") or (text == "|" and not self._bars))

    def signed(self) -> Node:
        if self.take("-"):
            return Apply("neg", (self.deeper(self.signed),))
        if self.take("+"):
            return self.deeper(self.signed)
        if self.take("pm"):
            return Apply("pm", (Num(Fraction(0)), self.deeper(self.signed)))
        if self.take("mp"):
            return Apply("mp", (Num(Fraction(0)), self.deeper(self.signed)))
        return self.power()

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
            return Apply("neg", (self._exponent(),))
        return self.power()

    def _after_degrees(self, node: Node) -> Node:
        if self.peek() in (("let", "C"), ("let", "F")):
            return Quantity(node.args[0], "degree " + self.next()[1].lower()) if isinstance(node, Apply) else node
        return node

    def postfix(self) -> Node:
        node = self.atom()
        while True:
            if self.take("!"):
                node = Apply("!", (node,))
            elif self.take("%"):
                node = Apply("%", (node,))
            elif self.peek() == ("op", "_"):
                self.next()
                node = self._subscripted(node)
            else:
                return node

    def _subscripted(self, node: Node) -> Node:
        index = self._index()
        if isinstance(node, Num) and node.value.denominator == 1 and index.isdigit():
            return _in_base(node, int(index) if len(index) < 4 else 0)
        if isinstance(node, Sym):
            return Sym(f"{node.name}_{index}")
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
            return self._matrix(text)
        if kind == "text":
            return self._worded(text)
        if text in ("(", "[", "{", "\\{"):
            return self._bracketed(text)
        if text == "|":
            return self._absolute()
        raise Unreadable(f"unexpected {text or kind!r}")

    def _worded(self, text: str) -> Node:
        """A word in the place of a value: a constant, a name, or a unit in front of nothing."""
        word = text.strip()
        if word in ("e", "i"):
            return Sym(word)
        if word in _FUNCTIONS:
            return self._command(word)
        if len(word) == 1 and word.isalpha():
            return Sym(word)
        return Words(" ".join(word.lower().split()).strip(" .,;:!"))

    def _number(self, text: str) -> Node:
        if len(text) > MAX_DIGITS:
            raise Unreadable("a number of more digits than an answer has", "too_long")
        if self.take("overline", "bar", "dot"):
            return self._repeating(text)
        mantissa, _, power = text.lower().partition("e")
        whole, point, decimals = mantissa.partition(".")
        exponent = int(power or "0")
        if abs(exponent) > MAX_DIGITS:
            raise Unreadable("a power of ten past any answer", "too_long")
        value = Fraction(int((whole + decimals) or "0") * 10 ** max(exponent, 0), 10 ** (len(decimals) + max(-exponent, 0)))
        if not point and exponent >= 0:
            return Num(value)
        return Num(value, max(len(decimals) - exponent, 0), len((whole + decimals).lstrip("0")))

    def _repeating(self, text: str) -> Node:
        digits = self._index()
        whole, _, fixed = text.partition(".")
        if "." not in text or not digits.isdigit() or len(text) + len(digits) > 200:
            raise Unreadable("a bar over something else than decimals")
        head = int((whole + fixed) or "0")
        period = Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(fixed))
        return Num(Fraction(head, 10 ** len(fixed)) + period)

    def _command(self, name: str) -> Node:
        if name in _GREEK:
            return Sym(name)
        if name in _FUNCTIONS:
            return self._function(name)
        rule = _ATOMS.get(name)
        if rule is None:
            raise Unreadable(f"\\{name} is not known")
        return rule(self)

    def _function(self, name: str) -> Node:
        base: Node | None = None
        power: Node | None = None
        for _ in range(2):
            if self.take("_"):
                base = self._argument()
            elif self.take("^"):
                power = self._argument()
        argument = self._function_argument()
        arguments = argument.items if isinstance(argument, Items) and argument.kind == "()" else (argument,)
        if name == "lg":
            name, base = "log", Num(Fraction(10))
        node = Apply(name, (base, *arguments) if base is not None else arguments)
        if power == Num(Fraction(-1)) or power == Apply("neg", (Num(Fraction(1)),)):
            return Apply("arc" + name, arguments)
        return Apply("^", (node, power)) if power is not None else node

    def _function_argument(self) -> Node:
        """What a function without brackets takes: factors side by side, up to a sign or another function."""
        if self.peek() == ("op", "("):
            return self.power() if self._at + 1 < len(self._tokens) else self.atom()
        if self.take("-"):
            return Apply("neg", (self._function_argument(),))
        node = self.power()
        while self._starts_factor() and self.peek()[0] != "text" and self.peek()[1] not in _FUNCTIONS | {"("}:
            node = self._beside(node)
        if self.peek() == ("op", "/") and isinstance(node, Num | Sym):
            self.next()
            node = Apply("/", (node, self.power()))
        return node

    def _argument(self) -> Node:
        """A TeX argument: a group in braces, or one token."""
        if self.take("{"):
            node = self.statement()
            self.expect("}")
            return node
        kind, text = self.peek()
        if kind == "num" and len(text) > 1:  # \frac12: one digit each
            self._tokens[self._at] = ("num", text[1:])
            return Num(Fraction(int(text[0])))
        if self.take("-"):
            return Apply("neg", (self._argument(),))
        return self.atom()

    def _bracketed(self, opening: str) -> Node:
        bars, self._bars = self._bars, 0
        closings = _CLOSING[opening]
        items = [self.deeper(self.statement)]
        while self._separator():
            items.append(self.deeper(self.statement))
        kind, closing = self.next()
        if kind != "op" or closing not in closings:
            raise Unreadable(f"{opening} that does not close")
        self._bars = bars
        if opening == "\\{":
            return Items("{}", tuple(items))
        if opening == "{" and len(items) > 1:
            return Items(",", tuple(items))  # braces group in TeX; they make no set
        if len(items) == 1 and opening != "\\{" and (opening, closing) != ("[", ")") and (opening, closing) != ("(", "]"):
            return items[0]
        return Items(opening + closing, tuple(items))

    def _absolute(self) -> Node:
        self._bars += 1
        node = self.sum()
        self.expect("|")
        self._bars -= 1
        return Apply("abs", (node,))

    def _between(self, opening: str, closing: str, op: str) -> Node:
        node = self.sum()
        if not self.take(closing):
            raise Unreadable(f"\\{opening} that does not close")
        return Apply(op, (node,))

    def _vector(self) -> Node:
        items = [self.deeper(self.statement)]
        while self._separator():
            items.append(self.deeper(self.statement))
        self.expect("rangle")
        return Items("<>", tuple(items))

    def _root(self) -> Node:
        index: Node | None = None
        if self.take("["):
            index = self.sum()
            self.expect("]")
        argument = self._argument()
        return Apply("root", (argument, index)) if index is not None else Apply("sqrt", (argument,))

    def _fraction(self) -> Node:
        top = self._argument()
        return Apply("/", (top, self._argument()))

    def _binomial(self) -> Node:
        top = self._argument()
        return Apply("binom", (top, self._argument()))

    def _decorated(self) -> Node:
        node = self._argument()
        return Sym("bar " + repr(node)) if not isinstance(node, Sym) else Sym("bar " + node.name)

    def _matrix(self, name: str) -> Node:
        if name not in _MATRICES:
            raise Unreadable(f"\\begin{{{name}}} is not known")
        rows: list[list[Node]] = [[]]
        cells = 0
        while self.peek()[0] != "end":
            if self.peek()[0] == "row":
                self.next()
                if self.peek()[0] != "end":
                    rows.append([])
                continue
            if self.take("hline") or self.take("&"):
                continue
            rows[-1].append(self.deeper(self.statement))
            cells += 1
            if cells > MAX_CELLS:
                raise Unreadable("a larger matrix than an answer is", "too_long")
        self.next()
        if not rows[0] or any(len(row) != len(rows[0]) for row in rows):
            raise Unreadable("a matrix with ragged rows")
        matrix = Matrix(tuple(tuple(row) for row in rows))
        return Apply("det", (matrix,)) if name == "vmatrix" else matrix


_ATOMS: "dict[str, Callable[[_Parser], Node]]" = {
    "pi": lambda _: Sym("pi"),
    "infty": lambda _: Sym("inf"),
    "inf": lambda _: Sym("inf"),
    "infinity": lambda _: Sym("inf"),
    "oo": lambda _: Sym("inf"),
    "emptyset": lambda _: Items("{}", ()),
    "frac": lambda parser: parser._fraction(),  # pyright: ignore[reportPrivateUsage]
    "sqrt": lambda parser: parser._root(),  # pyright: ignore[reportPrivateUsage]
    "cbrt": lambda parser: Apply("root", (parser._argument(), Num(Fraction(3)))),  # pyright: ignore[reportPrivateUsage]
    "binom": lambda parser: parser._binomial(),  # pyright: ignore[reportPrivateUsage]
    "tbinom": lambda parser: parser._binomial(),  # pyright: ignore[reportPrivateUsage]
    "dbinom": lambda parser: parser._binomial(),  # pyright: ignore[reportPrivateUsage]
    "overline": lambda parser: parser._decorated(),  # pyright: ignore[reportPrivateUsage]
    "bar": lambda parser: parser._decorated(),  # pyright: ignore[reportPrivateUsage]
    "vec": lambda parser: parser._argument(),  # pyright: ignore[reportPrivateUsage]
    "hat": lambda parser: parser._argument(),  # pyright: ignore[reportPrivateUsage]
    "abs": lambda parser: Apply("abs", (parser._argument(),)),  # pyright: ignore[reportPrivateUsage]
    "floor": lambda parser: Apply("floor", (parser._argument(),)),  # pyright: ignore[reportPrivateUsage]
    "ceil": lambda parser: Apply("ceil", (parser._argument(),)),  # pyright: ignore[reportPrivateUsage]
    "lfloor": lambda parser: parser._between("lfloor", "rfloor", "floor"),  # pyright: ignore[reportPrivateUsage]
    "lceil": lambda parser: parser._between("lceil", "rceil", "ceil"),  # pyright: ignore[reportPrivateUsage]
    "langle": lambda parser: parser._vector(),  # pyright: ignore[reportPrivateUsage]
}


def _is_proper_fraction(node: Node) -> bool:
    if not isinstance(node, Apply) or node.op != "/":
        return False
    top, bottom = node.args
    return isinstance(top, Num) and isinstance(bottom, Num) and 0 < top.value < bottom.value


def _in_base(number: Num, base: int) -> Node:
    digits = str(number.value.numerator)
    if not 2 <= base <= 36 or len(digits) > 1000 or any(int(digit) >= base for digit in digits):
        raise Unreadable("digits that the base does not have")
    return Apply("base", (number, Num(Fraction(base))))
