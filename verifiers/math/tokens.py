"""The tokens of a canonical text (see `normalize`), and a reader of them with a bounded depth. Linear time."""

import re
from collections.abc import Callable, Container

from .tree import Node, words
from .units import UNITS

MAX_CHARACTERS = 20_000
MAX_DEPTH = 60
MAX_TOKENS = 3000


class Unreadable(ValueError):
    """The text is not an answer in the grammar; `reason` is a key of `REASONS`; "" for
    mathematics that the grammar does not have, such as an integral."""

    def __init__(self, message: str, reason: str = "unreadable") -> None:
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
    re.VERBOSE | re.ASCII,
)
_GROUPED = re.compile(r"\d{1,3}(?:(?:,\d{3}){1,30}|(?:\s\d{3}){1,30})(?![\d,])(?:\.\d+)?", re.ASCII)
_JOINED = re.compile(r"\s*(\w+)\s+(and|or)\s*")  # `hours and`
_E_NOTATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)[eE]([-+]?\d{1,4})(?![\w.])", re.ASCII)

FUNCTIONS = words(
    "sin cos tan sec csc cot arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth ln log lg exp min max gcd "
    "lcm det dim arg Re Im"
)
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "cosec": "csc", "cotan": "cot", "tg": "tan"}
_PLAIN_WORDS = FUNCTIONS | _ALIASES.keys() | words("sqrt cbrt pi infty inf infinity oo abs floor ceil theta cup")
_WORD_SIZES = range(max(map(len, _PLAIN_WORDS)), 1, -1)

# `apples`, but not `abcd`, `ABCD`, `sinx`
_WORD = re.compile(
    rf"(?!(?:{'|'.join(_PLAIN_WORDS)})[a-zA-Z]{{0,2}}$)(?!abc|xyz)(?=.?[^aeiou])(?=.*[aeiou])[A-Za-z][a-z]{{3,}}"
)


def tokenize(text: str) -> list[Token]:
    """Tokens of a canonical text. Raises Unreadable past `MAX_TOKENS`, or on a character of no use."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("more characters than an answer has", "too_long")
    tokens: list[Token] = []
    position = depth = 0
    while position < len(text):
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
        elif kind == "text" and (joined := _JOINED.fullmatch(lexeme)):
            tokens += [("text", joined[1]), ("text", joined[2])]
        elif kind == "esc":
            tokens.append(("op", "\\" + lexeme if lexeme != "|" else "|"))
        else:
            tokens.append((kind, lexeme))
        if kind in ("op", "esc"):
            depth += (lexeme in ("(", "[") or match[0] == "\\{") - (lexeme in (")", "]") or match[0] == "\\}")
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("more tokens than an answer has", "too_long")
    return tokens


def _letters(run: str) -> list[Token]:
    """A run of letters: a known word, a unit, or variables side by side, with functions among them (`sinx`, `2pir`)."""
    if len(run) > 1 and (run in UNITS or run in ("percent", "pct", "percentage")) and run not in _PLAIN_WORDS:
        return [("text", run)]
    if run in ("and", "or") or _WORD.fullmatch(run):
        return [("text", run)]
    tokens: list[Token] = []
    start = 0
    while start < len(run):
        pieces = (run[start : start + size] for size in _WORD_SIZES)
        word = next((piece for piece in pieces if piece in _PLAIN_WORDS), "")
        tokens.append(("cmd", _ALIASES.get(word, word)) if word else ("let", run[start]))
        start += len(word) or 1
    return tokens


_END: Token = ("end of text", "")


class Reader:
    """Steps over a list of tokens; the last one is the end of the text, and it is never stepped over."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, _END]
        self._at = 0
        self._depth = 0

    def peek(self) -> Token:
        return self._tokens[self._at]

    def next(self) -> Token:
        token = self._tokens[self._at]
        if token is not _END:
            self._at += 1
        return token

    def at_end(self) -> bool:
        return self._tokens[self._at] is _END

    def take(self, *lexemes: str) -> bool:
        """Step over the next token when it is one of these signs or commands."""
        kind, text = self._tokens[self._at]
        if text in lexemes and (kind in ("op", "cmd")):
            self._at += 1
            return True
        return False

    def taken(self, lexemes: Container[str]) -> str:
        """Step over the next token when it is one of these signs or commands, and say which; "" for none of them."""
        kind, text = self._tokens[self._at]
        if text in lexemes and (kind in ("op", "cmd")):
            self._at += 1
            return text
        return ""

    def expect(self, lexeme: str) -> None:
        if not self.take(lexeme):
            raise Unreadable(f"{lexeme} expected, not {self.peek()[1] or self.peek()[0]!r}")

    def expect_end(self) -> None:
        if not self.at_end():
            raise Unreadable(f"cannot read from {self.peek()[1]!r} on")

    def deeper(self, rule: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("nested deeper than an answer is", "too_deep")
        node = rule()
        self._depth -= 1
        return node
