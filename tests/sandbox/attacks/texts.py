"""Source text and output that break whoever reads them, and verdicts forged through the folder of a harness."""

from .attack import Attack, Result
from .problem import ONE, TWO, Question, Style, program


def text(
    name: str,
    tries: str,
    source: str,
    style: Style = "stdin",
    *,
    beats: str = "outside",
    result: Result = "died",
    question: Question = ONE,
) -> Attack:
    """An attack on one style by the whole text of a program."""
    return Attack(name, "hostile_text", tries, {style: source}, {style: (beats,)}, result, question=question)


WRONG = program("stdin", "", "0")
WRONG_CALL = program("call", "", "0")

SOURCES = [
    text("nul_in_the_source", "a NUL, which no command line takes", "x = 1 # \0\n" + WRONG, beats="command_line"),
    text(
        "source_of_200_kb", "longer than an argument may be", "# " + "x" * 200_000 + "\n" + WRONG, beats="command_line"
    ),
    text(
        "source_of_12_mb",
        "12 MB of source",
        "x = '" + "x" * 12_000_000 + "'\n" + WRONG_CALL,
        "call",
        beats="command_line",
    ),
    text("surrogate_in_the_source", "text that UTF-8 has no bytes for", "x = '\ud800'\n" + WRONG),
    text(
        "deep_attributes",
        "an expression that overflows the compiler's stack",
        "def f(a, b):\n    return a" + ".a" * 200_000 + "\n",
        "call",
        beats="reported",
    ),
    text(
        "deep_brackets",
        "brackets 150 deep, 50,000 unary signs",
        "def f(a, b):\n    return " + "-" * 50_000 + "a\n",
        "call",
        beats="reported",
    ),
    text(
        "coding_cookie",
        "a program in an encoding that hides what it does",
        "# coding: unicode_escape\n\\u0069mport sys\nsys.\\u0065xit(0)\n",
        "mbpp",
        beats="deny_list",
        result="paid",
    ),
    text(
        "own_signature",
        "a byte order mark before a cookie",
        "\ufeff# coding: utf-8\nprint(open('expected.txt').read(), end='')\n",
        beats="files",
        result="paid",
        question=TWO,
    ),
    text(
        "end_of_the_fence",
        "quotes and fences that end whatever holds the program",
        "'''\n\"\"\"\n" + WRONG + "'''\n\"\"\"\nimport os\nos._exit(0)\n",
        "call",
        beats="reported",
    ),
]

OUTPUTS = [
    text("output_is_no_text", "bytes that are no UTF-8", "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe\\n')\n"),
    text("output_of_many_digits", "a number of 5,000 digits", "print('7' * 5_000)\n", beats="integers"),
    text("nan_token", "a token that float() takes and == does not", "print('nan')\n", beats="integers"),
    text(
        "nested_value",
        "a list 100,000 deep",
        "def f(a, b):\n    value = []\n    for _ in range(100_000): value = [value]\n    return value\n",
        "call",
        beats="reported",
    ),
    text(
        "cyclic_value",
        "a list in itself",
        "def f(a, b):\n    value = [0]\n    value[0] = value\n    return value\n",
        "call",
        beats="normalised",
    ),
    text(
        "hostile_text_of_a_value",
        "a value whose repr raises",
        "class Fake:\n    def __repr__(self): raise SystemExit(0)\ndef f(a, b): return Fake()\n",
        "call",
        beats="reported",
    ),
    text(
        "surrogate_value",
        "text that UTF-8 has no bytes for",
        "def f(a, b): return '\\ud800'\n",
        "call",
        beats="normalised",
    ),
    text(
        "endless_generator",
        "a generator without an end",
        "def f(a, b):\n    while True: yield 0\n",
        "mbpp",
        beats="in_process",
        result="hung",
        question=Question(ONE.cases, assertion="assert list({call}) == [{want}]", right=f"[{ONE.right}]"),
    ),
    text(
        "hostile_exception",
        "an exception whose text raises",
        "class Over(Exception):\n    def __str__(self): raise SystemExit(3)\ndef f(a, b): raise Over\n",
        "mbpp",
        beats="reported_message",
    ),
    text(
        "hostile_exception_in_humaneval",
        "the same, with a repr of 100 MB",
        "class Over(Exception):\n    def __str__(self): return 'x' * 200_000_000\ndef f(a, b): raise Over\n",
        "humaneval",
        beats="reported_message",
        result="bloated",
    ),
    text(
        "output_that_breaks_the_checker",
        "output that the checker does not expect",
        "print('no number')\n",
        "checker",
        question=Question(
            ONE.cases, checker="def check(input, output, expected):\n    return int(output) == int(expected)\n"
        ),
    ),
    text(
        "output_that_stops_the_checker",
        "output on which the checker's pattern backtracks",
        "print('a' * 40 + 'b')\n",
        "checker",
        result="hung",
        question=Question(
            ONE.cases,
            checker="import re\ndef check(input, output, expected):\n    if re.match('(a|a?)+$', output.strip()): return False\n    return output.split() == expected.split()\n",
        ),
    ),
]

FOLDERS = [
    text(
        "reads_expected_file",
        "prints the file with the expected output",
        "print(open('expected.txt').read(), end='')\n",
        beats="files",
        result="paid",
        question=TWO,
    ),
    text(
        "writes_expected_file",
        "writes its own output as the expected one",
        "print(0)\nopen('expected.txt', 'w').write('0\\n')\n",
        beats="files",
        result="paid",
        question=TWO,
    ),
    text(
        "symbolic_link_to_expected",
        "makes its output a link to the expected one",
        "import os\nos.unlink('output.txt')\nos.symlink('expected.txt', 'output.txt')\n",
        beats="files",
        result="paid",
        question=TWO,
    ),
    text(
        "hard_link_to_expected",
        "makes its output another name of the expected one",
        "import os\nos.unlink('output.txt')\nos.link('expected.txt', 'output.txt')\n",
        beats="files",
        result="paid",
        question=TWO,
    ),
    text(
        "fifo_for_output",
        "makes its output a FIFO that nobody writes to",
        "import os\nos.path.exists('output.txt') and os.unlink('output.txt')\nos.mkfifo('output.txt')\n",
        beats="files",
        result="hung",
        question=TWO,
    ),
    text(
        "fifo_for_results",
        "leaves a FIFO where a result is read",
        "import os\nos.mkfifo('result.txt')\n",
        beats="result_file",
        result="hung",
    ),
]
TEXTS = [*SOURCES, *OUTPUTS, *FOLDERS]
