"""Find the program in what a model wrote. The text is only read here; compilers see it inside the sandbox alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...sandbox.languages import LANGUAGES
from ..extract import split_thought

_BEGIN_THOUGHT = (
    "<think>",
    "<|begin_of_thought|>",
    "<thinking>",
    "<thought>",
    "<seed:think>",
    "[THINK]",
    "◁think▷",
    "<|channel|>analysis<|message|>",
)

# A fence may stand in a quote, in a list, and beside tags: `> ```python`, `1. ```python`, `<answer>```python`.
_FENCE = re.compile(
    r"(?P<quote>(?:[ ]{0,3}>[ \t]?){0,8})"
    r"(?P<indent>[ \t]{0,200}(?:(?:[-*+]|\d{1,9}[.)])[ \t]{1,8})?)"
    r"(?:<[^<>\n]{1,40}>[ \t]{0,8}){0,4}"
    r"(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\r\n]*)"
)
_QUOTE = re.compile(r"(?:[ ]{0,3}>[ \t]?){1,8}")
_NAME = re.compile(r"[^\s{}.,:=\"'\[\]()]+")
_NOTHING_AFTER = re.compile(r"[.,;:]?\s*(?:<.*)?")  # but a tag: "```</answer>", "```<|im_end|>"

# How the first line of a program begins; prose does not.
_BEGINS: Mapping[str, re.Pattern[str]] = {
    "python": re.compile(
        r"import\s+\w|from\s+[\w.]+\s+import\b|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[:(]|@\w|#!|\"\"\"|'''"
        r"|(?:if|for|while|with|try|match)\b.*:\s*(?:\#.*)?$|[\w.]+\(.*[)(\[{,]\s*(?:\#.*)?$"
        r"|\w[\w.\[\]]*(?:\s?,\s?\*?[\w.\[\]]+){0,20},?\s{0,40}(?::[^=]{1,100}|[-+*/%&|^]|//|\*\*)?=(?!=)"
    ),
    "cpp": re.compile(
        r"#\s*(?:include|define|pragma|if)|(?:using|template|typedef|int|void|auto|struct|class|const)\b|/[/*]"
    ),
    "javascript": re.compile(
        r"(?:const|let|var|function|async|class|import|export|console|process|require)\b|['\"]use strict|/[/*]|#!"
    ),
    "java": re.compile(r"(?:import|package|public|final|abstract|class|interface|record|enum)\b|/[/*]|@\w"),
    "go": re.compile(r"package\s+\w|/[/*]"),
    "rust": re.compile(r"(?:use|fn|pub|mod|struct|enum|impl|const|static|extern)\b|#!?\[|/[/*]"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the first word after its fence in lower case, its lines, where it began, whether it ended."""

    name: str
    text: str
    start: int
    closed: bool


def find_program(text: str, language: str = "python", *, whole: bool = False) -> str | None:
    r"""The program in a completion: its last fenced block in `language` outside the chain of thought; None without one.

    A block that names the language outranks one that names nothing, and a closed block one that a cut left open.
    A block that names nothing must begin as a program does. So must a text without fences, which is then the program,
    and a text that ends at a fence which opens nothing (the prompt opened the block). whole: HumanEval's rule, where
    such texts and blocks count whatever they are.

    >>> find_program("It is short:\n```python\nprint(1)\n```\nIt prints:\n```text\n1\n```")
    'print(1)\n'
    """
    answer = _outside_thought(text).replace("\r\n", "\n")
    found = list(blocks(answer))
    named = _last([block for block in found if names_language(block.name, language)])
    if named is not None:
        return named
    if not found:
        return answer if answer.strip() and (whole or begins_as_program(answer, language)) else None
    head = answer[: found[0].start]
    if not found[0].name and (begins_as_program(head, language) or (whole and head.strip() and head[:1] in " \t")):
        return head
    return _last([b for b in found if not b.name and (whole or begins_as_program(b.text, language))])


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a text in order: of backticks or tildes, as CommonMark has them and as models write them.

    A fence ends at one that is as long or longer with nothing after it but a tag. One that is indented four columns
    deeper than the opening is text (in a docstring). One with a word after it, in the opening's own column, begins
    another block: the end of the one before was forgotten. Lines lose the indentation of the opening.
    """
    opened: re.Match[str] | None = None
    lines: list[str] = []
    start = position = 0
    for line in _lines(text):
        begin, position = position, position + len(line)
        inside = _unquoted(line) if opened is not None and opened["quote"] else line
        fence = _fence(inside)
        if opened is None:
            opened, lines, start = fence, [], begin
        elif fence is None or not _ends(fence, opened):
            lines.append(_without_indent(inside, _column(opened)))
        else:
            yield Block(_name(opened), "".join(lines), start, closed=True)
            opened, lines, start = (None if _NOTHING_AFTER.fullmatch(fence["info"]) else fence), [], begin
    if opened is not None:
        yield Block(_name(opened), "".join(lines), start, closed=False)


def names_language(name: str, language: str) -> bool:
    """Whether the word after a fence means the language, with a version or without: `c++17`, `python3`.

    >>> names_language("cpp17", "cpp"), names_language("javascript", "java")
    (True, False)
    """
    fences = LANGUAGES[language].fences
    return name in fences or name.rstrip("0123456789") in fences


def begins_as_program(text: str, language: str = "python") -> bool:
    r"""Whether the first line that is no Python comment looks like the beginning of a program: prose does not.

    >>> begins_as_program("# sums\nn = int(input())"), begins_as_program("For n = 3 we add them.")
    (True, False)
    """
    begins = _BEGINS[language]
    for line in text.lstrip("\ufeff").splitlines():
        first = line.strip()
        if first and not (language == "python" and first.startswith("#") and not first.startswith("#!")):
            return begins.match(first[:1000]) is not None
    return False


def _outside_thought(text: str) -> str:
    """What stands after the chain of thought; nothing where the thought began and never ended."""
    answer = split_thought(text)[1]
    return "" if answer.lstrip().startswith(_BEGIN_THOUGHT) else answer


def _last(found: list[Block]) -> str | None:
    """The last block that is not blank, closed ones first."""
    filled = [block for block in found if block.text.strip()]
    closed = [block for block in filled if block.closed]
    return (closed or filled)[-1].text if filled else None


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, split at line feeds alone: a form feed or U+2028 inside a program stays there."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _unquoted(line: str) -> str:
    quote = _QUOTE.match(line)
    return line[quote.end() :] if quote else line


def _fence(line: str) -> re.Match[str] | None:
    if "```" not in line and "~~~" not in line:
        return None
    fence = _FENCE.match(line)
    return None if fence is None or (fence["fence"][0] == "`" and "`" in fence["info"]) else fence


def _ends(fence: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether a fence ends the block that another opened, as its end or as the beginning of the next."""
    if not fence["fence"].startswith(opened["fence"]):
        return False
    if _NOTHING_AFTER.fullmatch(fence["info"]):
        return _column(fence) < _column(opened) + 4
    return _column(fence) == _column(opened)


def _column(fence: re.Match[str]) -> int:
    return len(fence["indent"].expandtabs(4))


def _without_indent(line: str, columns: int) -> str:
    """The line without up to that many columns of white space."""
    taken = start = 0
    while taken < columns and line[start : start + 1] in (" ", "\t"):
        taken += 1 if line[start] == " " else 4
        start += 1
    return line[start:]


def _name(fence: re.Match[str]) -> str:
    word = _NAME.search(fence["info"])
    return word[0].lower() if word else ""
