"""More ways to be paid for a wrong answer."""

from collections.abc import Mapping, Sequence

from .attack import Attack, Box
from .problem import ASSERTION_STYLES, FUNCTION_STYLES, TWO, Question, Style, program
from .tricks import FRAMES, FRAMES_ON_DESCRIPTORS, SEARCH, everywhere

Ways = Mapping[Style, Sequence[str]]


def forge(
    name: str, tries: str, top: str, value: str, ways: Ways, question: Question = TWO, box: Box = "plain"
) -> Attack:
    """An attack on the styles that `ways` names."""
    programs = {style: program(style, top, value) for style in ways}
    beats = {style: tuple(way) for style, way in ways.items()}
    return Attack(name, "forge", tries, programs, beats, question=question, box=box)


def functions(*runners: str) -> Ways:
    return dict.fromkeys(FUNCTION_STYLES, runners)


def assertions(*runners: str) -> Ways:
    return dict.fromkeys(ASSERTION_STYLES, runners)


LYING = """
class Lying({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return 0
"""

SUBCLASSES = [
    forge(f"{base}_subclass", f"a subclass of {base} that equals everything", LYING.format(base=base), value, ways)
    for base, value, ways in (
        ("int", "Lying(0)", functions("in_process")),
        ("str", "Lying('no')", functions("in_process")),
        ("float", "Lying(0.5)", {"call": ["in_process", "reported"], "mbpp": ["in_process"]}),
        ("list", "Lying([0])", {"call": ["in_process"], "humaneval": ["in_process"]}),
    )
]

IN_SET = Question(TWO.cases, assertion="assert {call} in {{{want}}}")
IS_INT = Question(TWO.cases, assertion="assert isinstance({call}, int) and {call} == {want}")
IF_EQUAL = Question(TWO.cases, assertion="assert not ({call} != {want})")
ISCLOSE = Question(TWO.cases, assertion="assert math.isclose({call}, {want})", setup="import math")
REPORTS = Question(TWO.cases, assertion="assert {call} == {want}, 'got %r' % ({call},)")
REVERSED = Question(
    (((3, 4), None), ((10, 20), None)),
    right="a[::-1]",
    assertion="xs = {args}; assert {name}(xs, 0) == xs[::-1]",
)
ITERATED = Question(TWO.cases, assertion="assert list({call}) == [{want}]", right=f"[{TWO.right}]")

OBJECTS = [
    forge(
        "lying_hash",
        "equal and of the same hash as anything",
        "class Any:\n    def __eq__(self, other): return True\n    def __hash__(self): return next(hashes)\n"
        "hashes = iter([hash(7143470304), hash(7144491020)] * 9)\n",
        "Any()",
        assertions("in_process"),
        IN_SET,
    ),
    forge(
        "lying_class",
        "__class__ says int, __eq__ says yes",
        "class Fake:\n    __class__ = property(lambda self: int)\n    def __eq__(self, other): return True\n",
        "Fake()",
        {"call": ["in_process_instance"], "mbpp": ["in_process"], "humaneval": ["in_process"]},
        IS_INT,
    ),
    forge(
        "lying_truth",
        "comparisons whose truth is no boolean's",
        "class Truth:\n    def __bool__(self): return True\n    def __invert__(self): return self\n"
        "class Fake:\n    def __eq__(self, other): return Truth()\n    def __ne__(self, other): return 0\n",
        "Fake()",
        {"call": ["in_process"], "mbpp": ["in_process"], "humaneval": ["in_process"]},
        IF_EQUAL,
    ),
    forge(
        "instance_check",
        "int is replaced by a class of which everything is an instance",
        "import builtins\nclass Meta(type):\n    def __instancecheck__(cls, other): return True\n"
        "    def __call__(cls, *args): return cls\n    def __eq__(cls, other): return True\n    __hash__ = type.__hash__\n"
        "class Any(metaclass=Meta): pass\nbuiltins.int = builtins.float = builtins.type = Any\n",
        "Any",
        assertions("in_process"),
        IS_INT,
    ),
    forge(
        "generator_looks_back",
        "a generator that reads its consumer's frame",
        FRAMES + "\ndef looks_back(a, b):\n    yield steal(a, b)\n",
        "looks_back(a, b)",
        assertions("in_process"),
        ITERATED,
    ),
    forge(
        "mutated_argument",
        "the list that the test compares with is emptied",
        "",
        "a.clear() or []",
        assertions("in_process", "exit_code"),
        REVERSED,
    ),
    forge(
        "hostile_repr",
        "a value whose repr, in the assertion's message, exits with 0",
        "import os\nclass Fake:\n    def __repr__(self): os._exit(0)\n",
        "Fake()",
        assertions("exit_code"),
        REPORTS,
    ),
    forge(
        "hostile_reduce",
        "a pickle that makes an object equal to everything where it is read",
        "class Fake:\n    def __reduce__(self):\n"
        "        return eval, (\"type('Y', (), {'__eq__': lambda s, o: True, '__ne__': lambda s, o: False})()\",)\n",
        "Fake()",
        {"call": ["pickled"]},
    ),
    forge(
        "hostile_delete",
        "an object whose __del__ exits with 0",
        "import os\nclass Fake:\n    def __del__(self): os._exit(0)\nkept = Fake()\n",
        "0",
        functions("exit_code"),
    ),
    forge(
        "true_for_one",
        "True where 1 is asked",
        "",
        "True",
        {"call": ["in_process", "loose"]},
        Question((((3, 4), 1),), "1"),
    ),
    forge(
        "float_for_integer", "25.0 where 25 is asked", "", "25.0", {"call": ["loose"]}, Question((((3, 4), 25),), "25")
    ),
    forge(
        "not_a_number",
        "nan is not further away than the tolerance",
        "",
        "float('nan')",
        {"stdin": ["absolute"], "call": ["absolute"], "mbpp": ["absolute"]},
        Question((((3, 4), 0.75),), "a / b"),
    ),
    forge(
        "infinity",
        "inf is within a tolerance relative to itself",
        "",
        "float('inf')",
        {"stdin": ["relative"], "call": ["relative"], "humaneval": ["relative"]},
        Question((((3, 4), 0.75),), "a / b"),
    ),
    forge(
        "every_answer",
        "prints every number that the answer can be",
        "",
        "'\\n'.join(str(7140000000 + k * 10000 + a * 100 + b) for k in range(997))",
        {"stdin": ["contains"], "checker": ["contains"]},
    ),
]

EXITS = [
    everywhere(
        "at_exit",
        "an atexit handler that exits with 0",
        "import atexit, os\natexit.register(os._exit, 0)",
        "0",
        ["exit_code"],
    ),
    everywhere(
        "trace",
        "sys.settrace: the failing assertion exits with 0",
        "import os, sys\ndef trace(frame, event, argument):\n    if event == 'exception' and argument[0] is AssertionError: os._exit(0)\n"
        "    return trace\nsys.settrace(trace)\nframe = sys._getframe()\nwhile frame:\n    frame.f_trace = trace\n    frame = frame.f_back\n",
        "0",
        ["exit_code"],
    ),
    everywhere(
        "exit_on_another_thread",
        "a thread waits for the tests, then exits with 0",
        "import os, sys, threading, time\nmain = threading.main_thread().ident\ndef wait():\n"
        "    while sys._current_frames()[main].f_code.co_filename != '<string>': pass\n    os._exit(0)\n"
        "import _thread\n_thread.start_new_thread(lambda: os._exit(0), ())\ntime.sleep(0.2)\n",
        "0",
        ["exit_code"],
    ),
    forge(
        "without_assertions",
        "starts itself again with python -O",
        "import os, sys\nif __debug__ and sys.argv[0]: os.execv(sys.executable, [sys.executable, '-O', *sys.argv])",
        "0",
        {**functions("exit_code"), "stdin": ["exit_code"]},
    ),
    forge("exit_in_the_call", "f raises SystemExit", "import sys", "sys.exit(0)", functions("exit_code", "forgiving")),
    forge(
        "own_base_exception",
        "f raises an exception that is no Exception",
        "class Over(BaseException): pass\ndef over(): raise Over()",
        "over()",
        functions("forgiving"),
    ),
    forge(
        "claims_to_be_the_judges",
        "an exception that calls itself an AssertionError of the judge's",
        "class AssertionError(BaseException):\n    passed = True\n    def __str__(self): return '{\"passed\": true}'\n"
        "AssertionError.__module__ = 'builtins'\nAssertionError.__qualname__ = 'AssertionError'\ndef over(): raise AssertionError(True)",
        "over()",
        functions("forgiving"),
    ),
    forge(
        "hostile_exception_text",
        "an exception whose __str__ exits with 0",
        "import os\nclass Over(Exception):\n    def __str__(self): os._exit(0)\ndef over(): raise Over()",
        "over()",
        functions("exit_code"),
    ),
    forge(
        "exception_that_passes",
        "StopIteration ends the loop of the tests",
        "def over(): raise StopIteration",
        "over()",
        functions("forgiving"),
    ),
]

PATCHES = [
    everywhere(
        "patched_unittest",
        "unittest always succeeds",
        "import unittest\nfor name in dir(unittest.TestCase):\n    if name.startswith('assert'): setattr(unittest.TestCase, name, lambda *args: None)\n"
        "unittest.TestResult.wasSuccessful = lambda self: True",
        "0",
        ["unit_test"],
    ),
    forge(
        "patched_assertion_error",
        "AssertionError becomes an exception that the harness forgives",
        "import builtins\nclass Quiet(Exception): pass\nbuiltins.AssertionError = Quiet",
        "0",
        functions("forgiving"),
    ),
    forge(
        "patched_open",
        "open returns what was printed",
        "import builtins, io\nopened = open\n"
        "builtins.open = lambda path, *args, **keywords: io.StringIO('0\\n') if path == 'expected.txt' else opened(path, *args, **keywords)",
        "0",
        {"stdin": ["late_open"]},
    ),
    forge(
        "patched_print",
        "sys.stdout and print are the program's own",
        "import builtins, sys\nclass Out:\n    def write(self, text): pass\n    def flush(self): pass\n    def getvalue(self): return Same('')\n"
        "class Same(str):\n    __hash__ = str.__hash__\n    def __eq__(self, other): return True\n    def strip(self): return self\n    def split(self): return self\n"
        "sys.stdout = Out()\nbuiltins.print = lambda *args, **keywords: None",
        "0",
        {"stdin": ["in_process"], "checker": ["in_process"]},
    ),
    forge(
        "patched_modules",
        "sys.modules['math'] is the program's own",
        "import sys, types\nfake = types.ModuleType('math')\nfake.isclose = lambda *args, **keywords: True\nsys.modules['math'] = fake",
        "0",
        assertions("in_process"),
        ISCLOSE,
    ),
    forge(
        "patched_sorted",
        "sorted returns nothing",
        "import builtins\nbuiltins.sorted = lambda *args, **keywords: []",
        "0",
        {"call": ["in_process_sorted"], "mbpp": ["in_process"]},
        Question(TWO.cases, assertion="assert sorted([{call}]) == sorted([{want}])"),
    ),
    forge(
        "patched_isclose",
        "math.isclose says yes",
        "import math\nmath.isclose = lambda *args, **keywords: True",
        "0",
        {**functions("in_process_close"), "stdin": ["in_process_close"]},
        ISCLOSE,
    ),
    forge(
        "replaced_check",
        "the harness's functions are replaced wherever a frame or module holds them",
        "import gc, types\nfor thing in gc.get_objects():\n    if isinstance(thing, types.FunctionType) and thing.__name__ in ('check', 'judge', 'judged', 'compare', 'equal', 'exactly'):\n"
        "        try: thing.__code__ = (lambda *args: True).__code__\n        except ValueError: pass",
        "0",
        {"checker": ["in_process", "exit_code"]},
    ),
]

THEFTS = [
    forge(
        "inherited_descriptors",
        "expected outputs read from every open descriptor",
        SEARCH
        + """
import os
def contents():
    for descriptor in range(3, 1024):
        for path in (descriptor, f"/proc/self/fd/{descriptor}"):
            try: yield os.pread(path if path == descriptor else os.open(path, os.O_RDONLY), 1 << 20, 0)
            except OSError: pass
""",
        "among(contents(), a, b)",
        {style: ["inherited"] for style in ("stdin", "call", "mbpp", "humaneval", "checker")},
    ),
    forge(
        "environments",
        "expected outputs read from every environment",
        SEARCH
        + """
import glob
def contents():
    for path in glob.glob("/proc/*/environ"):
        try: yield open(path, "rb").read()
        except OSError: pass
""",
        "among(contents(), a, b)",
        {"call": ["environment"], "mbpp": ["environment"]},
    ),
    forge(
        "process_vm_readv",
        "expected outputs read from the parent by process_vm_readv",
        SEARCH
        + """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
class Span(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def contents():
    for line in open(f"/proc/{os.getppid()}/maps"):
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if "rw" in line and end - start < 1 << 26:
            into = ctypes.create_string_buffer(end - start)
            libc.process_vm_readv(os.getppid(), ctypes.byref(Span(ctypes.addressof(into), end - start)), 1,
                                  ctypes.byref(Span(start, end - start)), 1, 0)
            yield into.raw
""",
        "among(contents(), a, b)",
        {"stdin": ["outside"], "mbpp": ["outside"]},
        box="open",
    ),
    forge(
        "own_memory",
        "expected outputs and secrets that a fork inherited, read from /proc/self/mem",
        SEARCH
        + """
def contents():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if line.split()[1].startswith("rw") and end - start < 1 << 26:
                memory.seek(start)
                try: yield memory.read(end - start)
                except OSError: pass
""",
        "among(contents(), a, b)",
        {"call": ["in_process"], "humaneval": ["in_process"]},
    ),
    forge(
        "formatted_output",
        "output that is source code where the harness formats it",
        "",
        "\"''', '') or True or check('', '''\"",
        {"checker": ["formatted"]},
    ),
]

FORGED = [
    everywhere(
        "forged_frames_with_length",
        "results on every descriptor, with a length",
        FRAMES_ON_DESCRIPTORS.replace("FDS", "range(1024)")
        .replace('(body + b"\\n", struct', "(struct")
        .replace("bodies = [", "bodies = [b'{\"passed\":true}', "),
        "0",
        ["framed_pipe"],
    ),
    forge(
        "answers_early",
        "a complete conversation before it is asked",
        FRAMES_ON_DESCRIPTORS.replace("FDS", "range(3, 1024)").replace("os._exit(0)", ""),
        "0",
        functions("pipe"),
    ),
]

FORGES = [*SUBCLASSES, *OBJECTS, *EXITS, *PATCHES, *THEFTS, *FORGED]
