"""The shapes of `tests`, as a dict and as JSON text, and what is said of malformed ones."""

import json
from typing import Any

import pytest
from rlvr.verifiers.code.shapes import AssertionTests, CallTests, StreamTests, read_tests

CHECK = "def check(candidate):\n    assert candidate(1) == 2\n"
CHECKER = "def check(input, output, expected) -> bool:\n    return True\n"


def both(tests: dict[str, Any]) -> Any:
    """Read as a dict and as its JSON text: the same."""
    read = read_tests(tests)
    assert read_tests(json.dumps(tests)) == read
    return read


@pytest.mark.parametrize(
    ("given", "text"),
    [("3\n4\n", "3\n4\n"), (["3", "4"], "3\n4"), ("", ""), ([], ""), (5, "5"), (2.5, "2.5"), ([1, "a"], "1\na")],
)
def test_streams(given: Any, text: str) -> None:
    read = both({"inputs": [given], "outputs": [given]})
    assert read == StreamTests((text,), (text,))
    assert len(read) == 1


@pytest.mark.parametrize("fn_name", [None, ""])
def test_no_function_name_means_streams(fn_name: str | None) -> None:
    assert isinstance(both({"fn_name": fn_name, "inputs": ["1"], "outputs": ["1"]}), StreamTests)


def test_calls() -> None:
    read = both({"fn_name": "f", "inputs": [[1, "a"], [2, "b"]], "outputs": [3, "c"]})
    assert read == CallTests("f", ((1, "a"), (2, "b")), (3, "c"))


def test_outputs_of_apps_in_a_list_of_one() -> None:
    assert both({"fn_name": "f", "inputs": [[1], [2]], "outputs": [[3], [4]]}).wrapped
    assert not both({"fn_name": "f", "inputs": [[1], [2]], "outputs": [[3], [4, 5]]}).wrapped
    assert not both({"fn_name": "f", "inputs": [[1], [2]], "outputs": [[3], 4]}).wrapped


def test_livecodebench_writes_an_argument_per_line() -> None:
    read = both({"fn_name": "f", "inputs": ['[1, 2]\n"a"\n', "[]\nnull"], "outputs": ["[3]", "true"]})
    assert read == CallTests("f", (([1, 2], "a"), ([], None)), ([3], True))
    assert not read.wrapped, "its outputs are never wrapped"


def test_integers_of_any_length() -> None:
    digits = "9" * 6000
    read = read_tests(f'{{"fn_name": "f", "inputs": [[{digits}]], "outputs": [{digits}]}}')
    assert isinstance(read, CallTests)
    assert read.outputs[0] == 10**6000 - 1


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ({"1": "a", "-2": "b"}, {1: "a", -2: "b"}),
        ({"1": "a", "b": "b"}, {"1": "a", "b": "b"}),
        ({"1.5": 1}, {"1.5": 1}),
        ({}, {}),
        ([{"1": 2}], [{"1": 2}]),
    ],
)
def test_keys_that_were_integers(argument: Any, read: Any) -> None:
    assert both({"fn_name": "f", "inputs": [[argument]], "outputs": [1]}).inputs == ((read,),)


def test_mbpp() -> None:
    read = both(
        {"test_list": ["assert f(1) == 2", "assert g(f(1))"], "test_setup_code": "", "challenge_test_list": ["x"]}
    )
    assert isinstance(read, AssertionTests)
    assert [test.source for test in read.tests] == ["assert f(1) == 2", "assert g(f(1))"]
    assert {test.names for test in read.tests} == {("f", "g")}
    assert read.entry_point is None


@pytest.mark.parametrize(
    ("tests", "names", "setup"),
    [
        (["assert f(1) == 2"], ("f",), ""),
        (["assert math.isclose(f(1), 2)"], ("f",), "import math\n"),
        (["assert set(f([1])) == set([1])"], ("f",), ""),
        (["assert sum(1, 2) == 3"], ("sum",), ""),
        (["assert all(f(x) for x in [1, 2])"], ("f",), ""),
        (["assert calendar(1) == 2"], ("calendar",), ""),
        (["assert Pair(1).x == 1"], ("Pair",), ""),
        (["assert (lambda x: f(x))(1)"], ("f",), ""),
    ],
)
def test_names_under_test(tests: list[str], names: tuple[str, ...], setup: str) -> None:
    read = both({"test_list": tests})
    assert read.tests[0].names == names
    assert read.tests[0].setup == setup


def test_setup_code_runs_in_the_judge_alone_unless_it_uses_the_program() -> None:
    alone = both({"test_list": ["assert f(a) == 2"], "test_setup_code": "a = 1\r\n", "test_imports": ["import math"]})
    assert alone.tests[0].setup == "import math\na = 1\n"
    assert alone.tests[0].names == ("f",)
    uses = both({"test_list": ["assert f(root)"], "test_setup_code": "root = Node(1)"})
    assert uses.tests[0].names == ("Node", "f")
    assert uses.tests[0].source == "root = Node(1)\nassert f(root)"


def test_human_eval() -> None:
    prompt = "import math\ndef helper(x):\n    return x\n\ndef f(x):\n    '''doc'''\n"
    read = both({"entry_point": "f", "test": CHECK, "prompt": prompt})
    assert isinstance(read, AssertionTests)
    (test,) = read.tests
    assert test.names == ("f",)
    assert test.setup == prompt
    assert test.source == f"{CHECK}\ncheck(f)\n"
    assert (read.prompt, read.entry_point) == (prompt, "f")


def test_human_eval_without_prompt() -> None:
    assert both({"entry_point": "f", "test": CHECK}).prompt == ""


def test_checker_and_tolerance() -> None:
    read = both({"inputs": ["1"], "outputs": ["1"], "checker": CHECKER, "tolerance": 0.001})
    assert (read.checker, read.tolerance) == (CHECKER, 0.001)
    assert both({"inputs": ["1"], "outputs": ["1"], "checker": None, "tolerance": None}).tolerance == 1e-9


MALFORMED: dict[str, tuple[Any, str]] = {
    "none": (None, "there are no `tests`"),
    "a list": ([], "is list, not a dict"),
    "a number": (3, "is int, not a dict"),
    "not json": ("{", "not JSON"),
    "json, but no dict": ("[1]", "is list, not a dict"),
    "deep json": ("[" * 100_000, "not JSON"),
    "empty": ({}, "it holds nothing"),
    "unknown": ({"cases": 1}, "it holds 'cases'"),
    "no outputs": ({"inputs": ["1"]}, "`tests.outputs` is missing"),
    "no inputs": ({"outputs": ["1"]}, "`tests.inputs` is missing"),
    "inputs are text": ({"inputs": "1", "outputs": ["1"]}, "`tests.inputs` is str"),
    "uneven": ({"inputs": ["1", "2"], "outputs": ["1"]}, "2 inputs and 1 outputs"),
    "no test": ({"inputs": [], "outputs": []}, "empty"),
    "input is a dict": ({"inputs": [{}], "outputs": ["1"]}, "`tests.inputs[0]` is dict"),
    "output is null": ({"inputs": ["1"], "outputs": [None]}, "`tests.outputs[0]` is missing"),
    "arguments are no list": ({"fn_name": "f", "inputs": [[1], 2], "outputs": [1, 2]}, "`tests.inputs[1]` is int"),
    "arguments are no json": ({"fn_name": "f", "inputs": ["x"], "outputs": ["1"]}, "`tests.inputs[0]` is text"),
    "output is no json": ({"fn_name": "f", "inputs": ["1"], "outputs": ["x"]}, "`tests.outputs[0]` is text"),
    "function name": ({"fn_name": 3, "inputs": [[1]], "outputs": [1]}, "`tests.fn_name` is int"),
    "no assertions": ({"test_list": []}, "`tests.test_list`"),
    "assertions are text": ({"test_list": "assert f(1)"}, "`tests.test_list`"),
    "an assertion is no text": ({"test_list": [1]}, "`tests.test_list[0]` is int"),
    "an assertion is no python": ({"test_list": ["assert f("]}, "`tests.test_list[0]` is not Python"),
    "no name": ({"test_list": ["assert 1"]}, "calls no function"),
    "setup is no python": (
        {"test_list": ["assert f(1)"], "test_setup_code": "("},
        "`tests.test_setup_code` is not Python",
    ),
    "imports are text": ({"test_list": ["assert f(1)"], "test_imports": "import x"}, "`tests.test_imports`"),
    "no entry point": ({"test": CHECK}, "`tests.entry_point` is missing"),
    "entry point is no name": ({"entry_point": "f()", "test": CHECK}, "`tests.entry_point`"),
    "no test code": ({"entry_point": "f"}, "`tests.test` is missing"),
    "no check": ({"entry_point": "f", "test": "assert f(1)"}, "defines no function `check`"),
    "prompt is no python": ({"entry_point": "f", "test": CHECK, "prompt": "def f(:"}, "`tests.prompt` is not Python"),
    "checker": ({"inputs": ["1"], "outputs": ["1"], "checker": "x = 1"}, "defines no function `check("),
    "tolerance": ({"inputs": ["1"], "outputs": ["1"], "tolerance": "1e-6"}, "`tests.tolerance`"),
    "no tolerance": ({"inputs": ["1"], "outputs": ["1"], "tolerance": True}, "`tests.tolerance`"),
}


@pytest.mark.parametrize(("tests", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(tests: Any, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_tests(tests)
    assert type(raised.value) is ValueError, "kin of ValueError would count as our own fault"
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
