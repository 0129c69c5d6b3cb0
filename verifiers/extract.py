"""Find the final answer in what a model wrote. Linear in the length of the text, whatever the text."""

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Literal

Level = Literal["box", "answer", "any"]
LEVELS: tuple[Level, ...] = ("box", "answer", "any")

# How models end their chain of thought (DeepSeek-R1 and Qwen, Sky-T1, Magistral, Kimi, gpt-oss, Seed-OSS …).
END_OF_THOUGHT = (
    "</think>",
    "<|end_of_thought|>",
    "</thinking>",
    "</thought>",
    "</seed:think>",
    "[/THINK]",
    "◁/think▷",
    "<|channel|>final<|message|>",
)
# The marks by what they begin with, and a character that most texts without them lack: the quickest search there is.
_MARKS = [
    (sign, opening, [mark for mark in END_OF_THOUGHT if mark.startswith(opening)])
    for sign, opening in (("<", "</"), ("<", "<|"), ("K", "[/THINK]"), ("◁", "◁"))
]

_BOX_TOKEN = re.compile(r"\\(?:boxed|fbox)\s{0,20}\{|\\[\\{}]|[{}]")
_BRACE = re.compile(r"\\[\\{}]|[{}]")
# TeX also boxes a single token without braces: a number or a choice; "the \boxed notation" is prose.
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s{1,20}(-?\d[\d.,/]{0,40}(?<![.,/])|[A-Z])(?![A-Za-z])")
_LIST_GAP = re.compile(
    r"(?:[\s$,;]|\\[,;:! ]|\\q?quad|\\[()\[\]]|\\text\s?\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|\\\\)*", re.IGNORECASE
)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_STATED = re.compile(
    r"""\#\#\#\#[^\S\n]{0,8}
      | A\**:\**[^\S\n]{0,8}
      | \b(?:answers?|solution)[\s*_]{0,4}
        (?:(?:is|are|was|equals|would\s{1,3}be|must\s{1,3}be|should\s{1,3}be)\b[\s*_]{0,4}:?|:)[\s*_]{0,8}
      | \banswers?[\s*_]{1,8}(?=\$|\\\(|\\\[)
      | \b(?:réponse|respuesta|antwort|risposta|resposta|ответ)[\s*_]{0,4}:[\s*_]{0,8}
      | 答案(?:是|为|：|:)[\s*_:：]{0,8}
    """,
    re.IGNORECASE | re.VERBOSE,
)
# What each of them holds, in lower case: the search for these is some thirty times as fast as the pattern.
_STATING = (
    "####", "a:", "a*", "answer", "solution", "réponse", "respuesta", "antwort", "risposta", "resposta", "ответ",
    "答案",
)  # fmt: skip
_LINE_START = re.compile(r"[^\S\n]{0,8}\**")
_REMARK = re.compile(r"\s*(?:[,;:(—–]|\b(?:which|because|since|as|so|when|where)\b)[^\d$\\=]*")  # behind an answer
_PLACES = 5000  # of such words that are looked at, from the end
_SENTENCE_END = re.compile(r"\n|[.。!?](?=\s|\*|$)")
_MATH = re.compile(r"\$\$(.{1,2000}?)\$\$|\$(.{1,2000}?)(?<!\\)\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.DOTALL)
_NUMBER = re.compile(
    r"(?:(?<![A-Za-z0-9_.])[-−+])?(?:\\[dt]?frac\{[^{}]{1,40}\}\{[^{}]{1,40}\}"
    r"|(?<![A-Za-z0-9_.])\$?\d+(?:[,.]\d+)*(?:/\d+)?(?:\s?\\?%)?)",
)
_DECIMAL_COMMA = re.compile(r"(-?\d+),(\d{1,2})")
# A text that is nothing but a formula: no delimiters, no prose, no other script.
_COMMAND = re.compile(r"\\(?:begin|end|text\w*|math\w+)\s?\{[^{}]*\}|\\[A-Za-z]+")
_PROSE = re.compile(
    r"(?!(?:sin|cos|tan|log|exp|sqrt|arcsin|arccos|arctan|and|pi)\b)[A-Za-z]{3,}"
    r"|\b(?:so|it|is|we|to|of|in|an|my|no|if|be|at|on|as|by)\b|[^\x00-\u03ff\u2000-\u2fff]|\n|[$#:*]{2}|\$|\\[(\[]"
)
_BARE = 400  # characters
_OTHER_SCRIPT = re.compile(r"[\u0400-\u1fff\u3040-\ud7ff]")
_TAIL = 20_000
_MAX_BRACES = 100_000  # what no completion has, and no scan goes past
_CHUNK = 400  # characters of a stated answer that are looked at


def find_answer(text: str, level: Level = "answer") -> str | None:
    r"""The final answer in a completion, or None. An empty box gives the empty string.

    "box": the last `\boxed{…}` or the last closed `<answer>…</answer>`, which outranks a box outside it.
    "answer": also a stated one (`the answer is …`, `#### …`, `A: …`, `Answer: …`).
    "any": also the last formula or number.
    What stands after the model's end-of-thought mark outranks what stands before it.

    >>> find_answer(r"so \boxed{3}? No. </think> It is \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> find_answer("It costs 5 + 21 dollars.\nA: 26")
    '26'
    """
    if level not in LEVELS:
        raise ValueError(f"extract is one of {', '.join(LEVELS)}, not {level!r}")
    thought, answer = split_thought(text)
    regions = (answer, thought) if thought else (text,)
    for region in regions:
        found = _marked(region)
        if found is None and level != "box":
            found = _stated(region)
        if found is None and level == "any":
            found = _bare_formula(region) or _last_formula_or_number(region)
        if found is not None:
            return found
    return None


def split_thought(text: str) -> tuple[str, str]:
    """(thought, answer part) around the last end-of-thought mark; ("", text) where there is none.

    >>> split_thought("<think>2+2</think>4")
    ('<think>2+2', '4')
    """
    end, length = -1, 0
    for sign, opening, marks in _MARKS:
        if sign in text and opening in text:
            for mark in marks:
                start = text.rfind(mark, end + 1)
                if start >= 0:
                    end, length = start, len(mark)
    return (text[:end], text[end + length :]) if length else ("", text)


def last_box(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` or `\fbox{…}`; boxes that form one list give `a, b`; None without a box.

    Braces balance, an escaped brace does not count, a box that never closes is no box, a box in a box is unwrapped.

    >>> last_box(r"\boxed{(1,2)} and \boxed{(2,1)}")
    '(1,2), (2,1)'
    """
    last = text.rfind("\\boxed")
    last = max(last, text.rfind("\\fbox", max(last, 0)))
    if last < 0:
        return None
    first = _first_neighbour(text, last)
    until = len(text)
    if first == last and text.startswith("\\boxed{", last):
        end = text.find("}", last)  # the usual box: alone, most often without braces inside
        if "{" in text[last + 7 : end] or text[end - 1] == "\\":
            end = _closing_brace(text, last + 6)
        if end >= 0:
            return _unwrap(text[last + 7 : end])
        until = last  # it never closes, and so does none around it
    bare = _BARE_BOX.match(text, last)
    if bare:
        return bare[1]
    spans = _box_spans(text, first, last, until) or _box_spans(text, 0, last, until)
    if not spans:
        return None
    members = [_unwrap(text[spans[-1][1] : spans[-1][2]])]
    for earlier, later in zip(spans[-2::-1], spans[:0:-1], strict=True):
        end, start = earlier[2] + 1, later[0]
        if start - end > 80 or not _LIST_GAP.fullmatch(text, end, start):
            break
        members.append(_unwrap(text[earlier[1] : earlier[2]]))
    return ", ".join(dict.fromkeys(reversed(members)))


def _marked(text: str) -> str | None:
    """The answer in a tag, else in a box."""
    inside = _answer_tag(text)
    if inside is None:
        return last_box(text)
    boxed = last_box(inside)
    return inside.strip() if boxed is None else boxed


def _answer_tag(text: str) -> str | None:
    """The text of the last closed `<answer>…</answer>`."""
    if "<" not in text:
        return None
    opened: int | None = None
    found = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            found, opened = (opened, tag.start()), None
    return None if found is None else text[found[0] : found[1]]


def _first_neighbour(text: str, start: int) -> int:
    """Where to start reading so that no box around or beside the one at `start` is missed: 64 boxes at most."""
    if text.rfind("box", max(start - 2000, 0), start) < 0:  # one search where two would be needed
        return start
    for _ in range(64):
        from_here = max(start - 2000, 0)
        before = max(text.rfind("\\boxed", from_here, start), text.rfind("\\fbox", from_here, start))
        if before < 0:
            break
        start = before
    return start


def _box_spans(text: str, start: int, last: int, until: int) -> list[tuple[int, int, int]]:
    """(start, start of content, end of content) of the closed outermost boxes from `start` on to the one at `last`."""
    spans: list[tuple[int, int, int]] = []
    stack: list[tuple[int, int] | None] = []
    for token in islice(_BOX_TOKEN.finditer(text, start, until), _MAX_BRACES):
        lexeme = token[0]
        if lexeme == "{":
            stack.append(None)
        elif lexeme == "}":
            opened = stack.pop() if stack else None
            if opened is not None:
                while spans and spans[-1][0] > opened[0]:  # boxes inside this one
                    spans.pop()
                spans.append((*opened, token.start()))
            if not stack and token.start() > last:
                break
        elif len(lexeme) > 2:
            stack.append(token.span())
    return spans


def _unwrap(content: str) -> str:
    """The content without boxes inside it, and without braces around the whole."""
    if "box" in content:
        content = re.sub(r"\\(?:boxed|fbox)\s{0,20}(?=\{)", "", content)
    content = content.strip()
    for _ in range(8 if len(content) < _TAIL else 0):
        if not content.startswith("{") or _closing_brace(content) != len(content) - 1:
            break
        content = content[1:-1].strip()
    return content


def _closing_brace(text: str, start: int = 0) -> int:
    """Where the brace at `start` closes; -1 when it does not."""
    depth = 0
    for token in islice(_BRACE.finditer(text, start), _MAX_BRACES):
        depth += (token[0] == "{") - (token[0] == "}")
        if depth == 0:
            return token.start()
    return -1


def _stated(text: str) -> str | None:
    """The last stated answer that says something."""
    lowered = text.replace("\u0130", "I").lower()  # of the same length: no other letter grows
    places = {word: lowered.rfind(word) for word in _STATING}
    for _ in range(_PLACES):
        word = max(places, key=places.__getitem__)
        at = places[word]
        if at < 0:
            break
        places[word] = lowered.rfind(word, 0, at)
        match = _STATED.match(text, at) if word not in ("a:", "a*") or _begins_line(text, at) else None
        found = match and _first_statement(text[match.end() : match.end() + _CHUNK])
        if found:
            return found
    return None


def _begins_line(text: str, place: int) -> bool:
    """Whether nothing but a few spaces and asterisks stands before it on its line."""
    start = text.rfind("\n", max(place - 20, 0), place) + 1
    return (start > 0 or place <= 20) and _LINE_START.fullmatch(text, start, place) is not None


def _first_statement(chunk: str) -> str | None:
    """The answer that a chunk starts with: a formula, a short sentence, or the last formula or number of a long one."""
    chunk = chunk.lstrip()
    formula = _MATH.match(chunk)
    end = _SENTENCE_END.search(chunk, formula.end() if formula else 0)
    sentence = chunk[: end.start()] if end else chunk
    sentence = sentence.strip(" \t*_`")
    if formula and (formula[0] == sentence or _REMARK.fullmatch(sentence, formula.end())):
        return _content(formula)
    if formula or (len(sentence.split()) <= 3 and not _OTHER_SCRIPT.search(sentence)):
        return sentence
    return _last_formula_or_number(sentence)


def _bare_formula(text: str) -> str | None:
    """The whole text where it is a formula and nothing else."""
    text = text.strip()
    if len(text) > _BARE or "boxed" in text or _PROSE.search(rest := _COMMAND.sub(" ", text)):
        return None
    if "=" in rest and not re.search(r"[a-z]", rest.partition("=")[0], re.IGNORECASE):
        return None  # a calculation: what it comes to stands last
    return text


def _last_formula_or_number(text: str) -> str | None:
    """Whichever ends last: a delimited formula, or a number. Only the end of a long text is read."""
    text = text[-_TAIL:]
    formula = _last(_MATH.finditer(text))
    number = _last(_NUMBER.finditer(text, formula.end() if formula else 0))
    if number:
        return _DECIMAL_COMMA.sub(r"\1.\2", number[0]) if _DECIMAL_COMMA.fullmatch(number[0]) else number[0]
    return _content(formula) if formula else None


def _last(matches: Iterator[re.Match[str]]) -> re.Match[str] | None:
    return next(iter(deque(matches, maxlen=1)), None)


def _content(formula: re.Match[str]) -> str:
    """What stands between the delimiters."""
    return next(group for group in formula.groups() if group is not None).strip()
