"""Where the program stands in a completion: a table, then properties of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.sandbox.languages import LANGUAGES
from rlvr.verifiers.code.block import _BEGINS, blocks, find_program

P = "x = 1\n"

# name: (completion, language, program or None)
CASES = {
    "one block": (f"Here:\n```python\n{P}```\nDone.", "python", P),
    "the last of several": ("```python\na = 1\n```\nbetter:\n```python\nx = 1\n```", "python", P),
    "upper case": (f"```Python\n{P}```", "python", P),
    "py": (f"```py\n{P}```", "python", P),
    "python3 with an attribute": (f'```python3 title="a.py"\n{P}```', "python", P),
    "pandoc": (f"```{{.python}}\n{P}```", "python", P),
    "file name after a colon": (f"```python:main.py\n{P}```", "python", P),
    "space before the name": (f"``` python\n{P}```", "python", P),
    "tildes": (f"~~~python\n{P}~~~", "python", P),
    "backticks inside tildes": ('~~~python\ns = """\n```\n"""\n~~~', "python", 's = """\n```\n"""\n'),
    "a longer fence holds a shorter": ('````python\ns = """\n```\n"""\n````', "python", 's = """\n```\n"""\n'),
    "a longer fence ends": (f"```python\n{P}`````\nafter", "python", P),
    "untagged": (f"```\n{P}```", "python", P),
    "untagged that is no program": ("```\n3 5\n8 13\n```", "python", None),
    "tagged before an untagged output": (f"```python\n{P}```\nIt prints\n```\nx = 1, I say\n```", "python", P),
    "untagged program before its output": (f"```\n{P}```\nprints\n```\n1\n```", "python", P),
    "shell after it": (f"```python\n{P}```\nRun:\n```bash\npython a.py\n```", "python", P),
    "another language after it": (f"```python\n{P}```\n```cpp\nint main() {{}}\n```", "python", P),
    "only another language": ("```cpp\nint main() {}\n```", "python", None),
    "cpp": ("```python\nx\n```\n```c++\nint x;\n```", "cpp", "int x;\n"),
    "cpp by its other name": ("```cpp17\nint x;\n```", "cpp", "int x;\n"),
    "c is not c++": ("```c\nint x;\n```", "cpp", None),
    "javascript": ("```js\nlet x;\n```", "javascript", "let x;\n"),
    "java is not javascript": ("```javascript\nlet x;\n```", "java", None),
    "go": ("```golang\npackage main\n```", "go", "package main\n"),
    "rust": ("```rs\nfn main() {}\n```", "rust", "fn main() {}\n"),
    "cut open": ("Here:\n```python\nx = 1\ny", "python", "x = 1\ny"),
    "a closed one before a cut one": (f"```python\n{P}```\nTry:\n```python\nprint(", "python", P),
    "cut after the fence": (f"```python\n{P}```\nand\n```python\n", "python", P),
    "nothing but a fence": ("```python\n", "python", None),
    "blank blocks do not count": (f"```python\n{P}```\n```python\n\n```", "python", P),
    "crlf": ("```python\r\nx = 1\r\n```\r\n", "python", P),
    "tab-indented code": ("```python\nif x:\n\ty()\n```", "python", "if x:\n\ty()\n"),
    "in a list": ("1. So:\n   ```python\n   if x:\n       y()\n   ```\n2. Done", "python", "if x:\n    y()\n"),
    "right after a list marker": ("1. ```python\n   x = 1\n   ```", "python", P),
    "indented by a tab": ("\t```python\n\tx = 1\n\t```", "python", P),
    "in a quote": ("> ```python\n> x = 1\n> ```", "python", P),
    "a repl prompt is no quote": ("```python\n>>> x\n```", "python", ">>> x\n"),
    "after a tag": (f"<answer>```python\n{P}```</answer>", "python", P),
    "end of turn after it": (f"```python\n{P}```<|im_end|>", "python", P),
    "a full stop after it": (f"```python\n{P}```.", "python", P),
    "fences in a docstring": (
        '```python\ndef f():\n    """\n    ```python\n    f()\n    ```\n    """\n```',
        "python",
        'def f():\n    """\n    ```python\n    f()\n    ```\n    """\n',
    ),
    "a forgotten end": (f"```python\na = 1\n\nBetter:\n```python\n{P}```", "python", P),
    "a block in markdown": (f"```markdown\n# Answer\n```python\n{P}```\n```", "python", P),
    "code on the fence's line is none": ("```python x = 1```", "python", None),
    "after the thought": (f"<think>```python\na = 1\n```</think>\n```python\n{P}```", "python", P),
    "only in the thought": (f"<think>\n```python\n{P}```\n</think>\nIt is above.", "python", None),
    "a thought that never ends": (f"<think>\n```python\n{P}```", "python", None),
    "another mark of thought": (f"[THINK]```python\na = 1\n```[/THINK]```python\n{P}```", "python", P),
    "no mark of thought": (f"First I think.\n```python\n{P}```", "python", P),
    "no fence, code": ("import sys\nprint(sys.stdin.read())", "python", "import sys\nprint(sys.stdin.read())"),
    "no fence, crlf": ("n = 1\r\nprint(n)", "python", "n = 1\nprint(n)"),
    "no fence, comment first": ("# adds\nn = int(input())", "python", "# adds\nn = int(input())"),
    "no fence, tuple": ("a, b = map(int, input().split())", "python", "a, b = map(int, input().split())"),
    "no fence, call": ("print(3)", "python", "print(3)"),
    "no fence, cpp": ("#include <iostream>\nint main() {}", "cpp", "#include <iostream>\nint main() {}"),
    "prose": ("I would sort the numbers first.", "python", None),
    "prose in cpp": ("I would sort the numbers first.", "cpp", None),
    "prose with an equation": ("For n = 3 we get 5.", "python", None),
    "nothing": ("", "python", None),
    "blank": (" \n\t\n", "python", None),
    "the prompt opened the block": (f"{P}```\nThis sets x.", "python", P),
    "form feed stays": ("```python\nx = 1\x0cy\n```", "python", "x = 1\x0cy\n"),
    "separators stay": ("```python\ns = '\u2028'\n```", "python", "s = '\u2028'\n"),
}

# HumanEval: a body, or the whole function, with or without a fence
WHOLE = {
    "a body": ("    return 1\n", "    return 1\n"),
    "prose counts": ("return the sum", "return the sum"),
    "a nameless block": ("So:\n```\n    return 1\n```", "    return 1\n"),
    "a block outranks the text": ("def f():\n```python\ndef g(): 1\n```", "def g(): 1\n"),
    "a stray end after a body": ("    return 1\n```\nThis returns 1.", "    return 1\n"),
    "after the thought": ("<think>hm</think>    return 1", "    return 1"),
    "only another language": ("```bash\nls\n```", None),
    "nothing": ("  \n", None),
}


@pytest.mark.parametrize(("text", "language", "program"), CASES.values(), ids=CASES)
def test_find_program(text: str, language: str, program: str | None) -> None:
    assert find_program(text, language) == program


@pytest.mark.parametrize(("text", "program"), WHOLE.values(), ids=WHOLE)
def test_find_program_whole(text: str, program: str | None) -> None:
    assert find_program(text, whole=True) == program


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_of_a_language_opens_its_block(language: str) -> None:
    for name in LANGUAGES[language].fences:
        assert find_program(f"```{name}\nx\n```", language) == "x\n"
        assert all(find_program(f"```{name}\nx\n```", other) is None for other in LANGUAGES if other != language)


def test_every_language_has_a_way_to_begin() -> None:
    assert _BEGINS.keys() == LANGUAGES.keys()


@given(st.text(alphabet="`~ \t\nxp>-1.<>/", max_size=200), st.booleans())
def test_any_text_is_read(text: str, whole: bool) -> None:
    program = find_program(text, whole=whole)
    assert program is None or program.strip()
    starts = [block.start for block in blocks(text)]
    assert starts == sorted(set(starts))


@given(
    st.text(alphabet=st.characters(exclude_characters="`\r", exclude_categories=("Cs",)), min_size=1).filter(str.strip)
)
def test_what_is_fenced_is_found_as_it_is(code: str) -> None:
    assert find_program(f"Here it is:\n\n```python\n{code}\n```\n") == f"{code}\n"


@pytest.mark.parametrize("unit", ["```", "```python\n", "> ", "1. ", "<a>", " ", "\t", "~~~\n", "\n", "<think>"])
def test_long_hostile_texts_are_read(unit: str) -> None:
    for text in (unit * 100_000, f"{unit * 100_000}```python\nx = 1\n```", f"    ```python\n{unit * 100_000}"):
        find_program(text)
        find_program(text, whole=True)
