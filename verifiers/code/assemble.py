"""The whole program of a HumanEval answer: a function that the prompt begins, and what the model wrote for it."""

import re

_FUTURE = re.compile(r"^from __future__ import [^\n]*\n?", re.MULTILINE)


def assemble(prompt: str, entry_point: str, code: str) -> str:
    """The prompt's imports and helpers with the model's code: the function again as a whole, or the rest of its body.

    A body may have lost the indentation of its first line (a strip took it) or of all lines.

    >>> print(assemble("def twice(n):\\n    '''n and n'''\\n", "twice", "return 2 * n"))
    def twice(n):
        '''n and n'''
        return 2 * n
    """
    prompt = prompt.replace("\r\n", "\n")
    code = code.replace("\r\n", "\n").lstrip("\ufeff")
    if not prompt.strip():
        return code
    future = "".join(_FUTURE.findall(code))
    code = _FUTURE.sub("", code)
    prompt = prompt if prompt.endswith("\n") else f"{prompt}\n"
    if not defines(code, entry_point):
        code = _as_body(code)
    return f"{future}{prompt}{code}"


def defines(code: str, name: str) -> bool:
    """Whether the code binds the name at its top level: by `def`, by an assignment or by an import.

    >>> defines("def f(x):\\n    return x", "f"), defines("    return f(x)", "f")
    (True, False)
    """
    word = re.escape(name)
    bindings = (
        rf"(?:async[ \t]+)?def[ \t]+{word}\b",
        rf"{word}[ \t]*(?::[^=\n]+)?=(?!=)",
        rf"from[ \t][^\n]*\bimport\b[^\n]*\b{word}\b",
    )
    return re.search(rf"^(?:{'|'.join(bindings)})", code, re.MULTILINE) is not None


def _as_body(code: str) -> str:
    """The code indented by four columns where it is not."""
    lines = code.split("\n")
    filled = [line for line in lines if line.strip()]
    if not filled or filled[0][0] in " \t":
        return code
    rest = [_indent(line) for line in filled[1:]]
    # After a colon the next line stands one level deeper: at 8 columns it belongs to a first line that was at 4.
    deeper = 8 if filled[0].rstrip().endswith(":") else 4
    if rest and min(rest) >= 4 and rest[0] >= deeper:
        return f"    {code.lstrip()}"
    return "\n".join(f"    {line}" if line.strip() else line for line in lines)


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip())
