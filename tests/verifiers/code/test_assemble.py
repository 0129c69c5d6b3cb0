"""HumanEval programs: what the prompt begins and the model ends."""

import pytest
from rlvr.verifiers.code.assemble import assemble, defines

PROMPT = 'import math\n\ndef helper(x):\n    return x + 1\n\n\ndef f(n):\n    """Twice n, plus one."""\n'
BODY = "    total = 0\n    for _ in range(2):\n        total += n\n    return helper(total)\n"

# Every one of these must give f(5) == 11.
ANSWERS = {
    "body": BODY,
    "body with crlf": BODY.replace("\n", "\r\n"),
    "body after blank lines": f"\n\n{BODY}",
    "body with tabs": BODY.replace("    ", "\t"),
    "first line stripped": BODY.strip(),
    "first line stripped, ends in a colon": "for _ in range(1):\n        pass\n    return helper(2 * n)",
    "all lines dedented": "total = 0\nfor _ in range(2):\n    total += n\nreturn helper(total)",
    "dedented, begins with a colon": "if n:\n    return helper(2 * n)",
    "dedented, two levels": "if n:\n    if n > 1:\n        return helper(2 * n)\nreturn 0",
    "one line": "return helper(2 * n)",
    "one indented line": "    return helper(2 * n)",
    "comment at the left, then body": f"# twice\n{BODY}",
    "whole function": "def f(n):\n    return helper(2 * n)\n",
    "whole function with a helper of its own": "def g(n):\n    return 2 * n\n\ndef f(n):\n    return helper(g(n))\n",
    "prompt again": PROMPT + BODY,
    "future import": "from __future__ import annotations\n\ndef f(n: Missing) -> int:\n    return helper(2 * n)\n",
    "lambda": "f = lambda n: helper(2 * n)\n",
    "its own import": "import functools\n\ndef f(n):\n    return functools.reduce(lambda a, b: a + b, [n, n, 1])\n",
    "byte order mark": "\ufeffdef f(n):\n    return helper(2 * n)\n",
}


@pytest.mark.parametrize("code", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    "prompt", [PROMPT, PROMPT.rstrip("\n"), PROMPT.replace("\n", "\r\n")], ids=["lf", "no end", "crlf"]
)
def test_the_program_is_whole(code: str, prompt: str) -> None:
    if code == ANSWERS["body with tabs"]:
        prompt = prompt.replace("    ", "\t")
    names: dict[str, object] = {}
    exec(
        compile(assemble(prompt, "f", code), "answer", "exec", dont_inherit=True), names
    )  # our own text, not a model's
    assert names["f"](5) == 11  # type: ignore[operator]


def test_without_a_prompt_the_code_is_the_program() -> None:
    assert assemble("", "f", "def f(): pass") == "def f(): pass"


@pytest.mark.parametrize(
    ("code", "there"),
    [
        ("def f(x): pass", True),
        ("async def f(x): pass", True),
        ("def  f (x): pass", True),
        ("f = g", True),
        ("f: object = g", True),
        ("from a import g as f", True),
        ("def ff(x): pass", False),
        ("    def f(x): pass", False),
        ("class A:\n    def f(x): pass", False),
        ("f == g", False),
        ("f(1)", False),
        ("x = f", False),
    ],
)
def test_defines(code: str, there: bool) -> None:
    assert defines(code, "f") is there
