"""Light normalisation: spellings of one and the same text, in linear time. Nothing here is mathematics."""

import re
from functools import lru_cache

_UNICODE = str.maketrans(
    {
        **{chr(0xFF10 + i): str(i) for i in range(10)},  # full-width digits
        "−": "-", "–": "-", "﹣": "-", "－": "-", "＋": "+", "＝": "=", "＜": "<", "＞": ">", "／": "/", "％": "%",
        "（": "(", "）": ")", "［": "[", "］": "]", "｛": "{", "｝": "}", "，": ",", "：": ":", "；": ";", "。": ".",
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "π": r"\pi ", "∞": r"\infty ",
        "θ": r"\theta ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ",
        "∈": r"\in ", "∅": r"\emptyset ", "√": r"\sqrt ", "°": r"^\circ ", "²": "^2", "³": "^3", "½": r"\frac{1}{2}",
        "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⟨": r"\langle ", "⟩": r"\rangle ", "\u00a0": " ", "\u2009": " ",
        "\u202f": " ", "\u200b": "", "\ufeff": "", "’": "'",
    }
)  # fmt: skip

# What a command is written as; "" drops it. Commands that are not here stay.
_COMMANDS = {
    **dict.fromkeys(("left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr"), ""),
    **dict.fromkeys(("displaystyle", "textstyle", "limits", "nolimits", "allowbreak", "rm", "bf", "it"), ""),
    **dict.fromkeys(("quad", "qquad", ",", ":", ";", ">", " ", "\n", "enspace", "thinspace", "space"), " "),
    **dict.fromkeys(("text", "textbf", "textit", "textrm", "textnormal", "textsf", "texttt", "mbox", "hbox"), r"\text"),
    **dict.fromkeys(("mathrm", "mathbf", "mathit", "mathsf", "mathtt", "operatorname", "bm", "boldsymbol"), r"\text"),
    **dict.fromkeys(("dfrac", "tfrac", "cfrac", "frac"), r"\frac"),
    **dict.fromkeys(("degree", "degrees"), r"^\circ"),
    **dict.fromkeys(("varnothing", "empty"), r"\emptyset"),
    "%": "%", "(": "", ")": "", "[": "", "]": "", "le": r"\leq", "leqslant": r"\leq", "ge": r"\geq",
    "geqslant": r"\geq", "ne": r"\neq", "lt": "<", "gt": ">", "lbrace": r"\{", "rbrace": r"\}", "lvert": "|",
    "rvert": "|", "vert": "|", "ast": r"\cdot", "colon": ":", "dots": r"\ldots", "cdots": r"\ldots",
}  # fmt: skip
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z])")  # a backslash that was escaped twice
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_TEXT_GROUP = re.compile(r"\\text\s?\{([^{}]*)\}")
_NEGATIVE_SPACE = re.compile(r"\\!\s?")
_SPACES = re.compile(r"\s+")
_DEGREE = re.compile(r"\^\s?\{?\s?\^?\\circ\s?\}?|\^o\b")
_ARGUMENT = r"\s?(?:(\d|[A-Za-z]|\\[A-Za-z]+)|\{([^{}]*)\})"
_SHORT_FRAC = re.compile(rf"\\frac(?![A-Za-z]){_ARGUMENT}{_ARGUMENT}")
_SHORT_SQRT = re.compile(r"\\sqrt\s?(\d|[A-Za-z](?![A-Za-z]))")
_SINGLE = re.compile(r"(?<=[\^_])\{(\w)\}")
_ANY_SPACE_BUT_BETWEEN_DIGITS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
CACHED = 300
"""Characters; what is known of longer texts is not kept, or a few thousand of them would fill the memory."""
_CHOICE = re.compile(  # `(C) Plane` is the choice C
    r"\(([A-Z])\)(?!\s*(?:[;,:=<>/&|]|or\b|and\b|\\pm|\\text))(?:(?!\b[A-Z]\b|\bor\b|\band\b).)*", re.DOTALL
)
_DOLLARS = re.compile(r"\A[\s$]*\\\$\s?(-?\d[\d,{}]*(?:\.\d+)?)[\s$]*\Z")  # a sum of money and nothing else
_PLAIN = re.compile(r"-?\d{1,4000}")


def canonical(text: str) -> str:
    r"""One spelling of commands, delimiters, Unicode signs and spaces; `\text{…}` keeps its name, for it may be a unit.

    >>> canonical(r"$\dfrac{1}{2} \mathrm{cm}$")
    '\\frac{1}{2} \\text{cm}'
    """
    if len(text) > CACHED:
        return _canonical(text)
    return text if _PLAIN.fullmatch(text) else _short_canonical(text)


def _canonical(text: str) -> str:
    if not text.isascii():
        text = text.translate(_UNICODE)
    if "\\$" in text:
        text = _DOLLARS.sub(r"\1\\text{ dollars}", text)
    text = text.replace("{,}", ",").replace("{, }", ",").replace("\\$", "").replace("$", "").replace("~", " ")
    if "\\" in text:
        if "\\begin" not in text:
            text = _DOUBLED.sub(r"\\", text)
        text = _NEGATIVE_SPACE.sub("", text)
        text = _DEGREE.sub(r"^\\circ ", _COMMAND.sub(_respell, text))
        text = _SHORT_FRAC.sub(_braced_frac, text)
        text = _SHORT_SQRT.sub(r"\\sqrt{\1}", text)
    if "^" in text or "_" in text:
        text = _SINGLE.sub(r"\1", text)
    return _SPACES.sub(" ", text).strip().rstrip(".\\ ")


_short_canonical = lru_cache(maxsize=4096)(_canonical)


def text_key(canonical_text: str) -> str:
    r"""What is left of a canonical text when text wrappers, case of words and spaces are gone; equal keys, same text.

    >>> text_key(r"\text{Evelyn }") == text_key("evelyn")
    True
    """
    text = _TEXT_GROUP.sub(r" \1 ", canonical_text)
    choice = _CHOICE.fullmatch(text.strip())
    text = choice[1] if choice else _ANY_SPACE_BUT_BETWEEN_DIGITS.sub("", text)
    text = text.rstrip(".")
    return text.lower() if len(text) > 1 and text.isalpha() else text


def _respell(command: re.Match[str]) -> str:
    return _COMMANDS.get(command[1], command[0])


def _braced_frac(fraction: re.Match[str]) -> str:
    top = fraction[1] or fraction[2]
    bottom = fraction[3] or fraction[4]
    return f"\\frac{{{(top or '').strip()}}}{{{(bottom or '').strip()}}}"
