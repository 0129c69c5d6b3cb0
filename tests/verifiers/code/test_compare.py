"""What is the same output and the same value: tables, then properties."""

import math
import threading
from decimal import Decimal, localcontext

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rlvr.verifiers.code.compare import compare_output, compare_value, show_text, show_value

TOLERANCE = 1e-9
BIG = 10**20

# (expected, got, same)
OUTPUTS = [
    ("5", "5\n", True),
    ("5\n", "5", True),
    ("5", "5 \t\n\n \n", True),
    ("5", "5\r\n", True),
    ("5", "6", False),
    ("5", "", False),
    ("", "", True),
    ("", "\n", True),
    ("", "5", False),
    ("1 2 3", "1  2\t3", True),
    ("1 2 3", "1 2", False),
    ("1 2", "1 2 3", False),
    ("1\n2", "1 2", False),
    ("1 2", "1\n2", False),
    ("1\n2", "1\n2\n3", False),
    ("1\n2\n3", "1", False),  # only the first line is right
    ("1\n2\n3", "1\n", False),
    ("1\n\n2", "1\n2", False),
    ("1\n\n2", "1\n \n2", True),
    ("1", "\n1", False),
    ("  1", "1", True),
    ("YES", "yes", False),
    ("YES", "YES.", False),
    ("1", "1.0", False),
    ("1", "+1", False),
    ("1", "01", False),
    ("-0", "0", False),
    ("1.0", "1", True),
    ("1.0", "1.00", True),
    ("1.0", "1e0", True),
    ("1.", "1", True),
    (".5", "0.5", True),
    ("1e3", "1000", True),
    ("0.1", "0.10000000001", True),
    ("0.1", "0.1000001", False),
    ("-0.0", "0.0", True),
    ("0.0", "1e-12", False),
    ("1.5", "-1.5", False),
    ("1.5", "nan", False),
    ("1.5", "inf", False),
    ("1.5", "1.5x", False),
    ("1.5", "1_0.5", False),
    ("1.5", "١.٥", False),
    ("nan", "nan", True),
    ("nan", "NaN", False),
    ("inf", "inf", True),
    ("inf", "1e999", False),
    ("1e400", "2e400", False),
    ("1e400", "1.0000000000001e400", True),
    (str(BIG), str(BIG), True),
    (str(BIG), str(BIG + 1), False),
    (str(BIG), f"{BIG}.0", False),
    (str(BIG), "1e20", False),
    ("9007199254740993", "9007199254740992", False),
    (f"{BIG}.5", f"{BIG}.5", True),
    ("1.0", "1e999999999", False),
    ("1.0", "1" * 100_000, False),
    ("3 0.3333333333", "3 0.33333333331", True),
    ("3 0.3333333333", "4 0.3333333333", False),
    ("1,2", "1, 2", False),
    ("[1, 2]", "[1, 2]", True),
    ("é", "é", True),
    ("é", "e\u0301", False),
    ("a b", "a\u00a0b", False),
    ("a", "a\u200b", False),
    ("a", "a\x00", False),
    ("a\x0cb", "a b", True),
    ("a", "\udcff", False),
]

# (expected as JSON can write it, got, same)
VALUES = [
    (5, 5, True),
    (5, 6, False),
    (1, True, False),
    (True, 1, False),
    (True, True, True),
    (0, False, False),
    (0, None, False),
    (None, None, True),
    (None, 0, False),
    (1, 1.0, False),
    (1.0, 1, True),
    (1.0, True, False),
    (1.0, 1.0 + 1e-12, True),
    (1.0, 1.001, False),
    (0.0, 1e-12, False),
    (0.0, 0, True),
    (1.5, "1.5", False),
    ("1", 1, False),
    ("1", "1", True),
    ("a", "a\n", False),
    ("a", b"a", False),
    (BIG, BIG, True),
    (BIG, BIG + 1, False),
    (BIG, float(BIG), False),
    (float(BIG), BIG, True),
    (2.0**1000, 2**1000, True),
    (math.nan, math.nan, True),
    (math.nan, 1.0, False),
    (1.0, math.nan, False),
    (math.inf, math.inf, True),
    (math.inf, -math.inf, False),
    (math.inf, 10**400, False),
    (1.0, math.inf, False),
    ([1, 2], [1, 2], True),
    ([1, 2], (1, 2), True),
    ([[1], [2]], [(1,), (2,)], True),
    ([1, 2], [2, 1], False),
    ([1, 2], [1], False),
    ([1], [1, 2], False),
    ([], (), True),
    ([], None, False),
    ([], "", False),
    ([1, 2], {1, 2}, False),
    ([1], frozenset({1}), False),
    ([1, 2], range(1, 3), False),
    (["a"], "a", False),
    ("ab", ["a", "b"], False),
    ([True], [1], False),
    ([0.5], [0.5 + 1e-13], True),
    ({"a": 1}, {"a": 1}, True),
    ({"a": 1}, {"a": 2}, False),
    ({"a": 1}, {}, False),
    ({"a": 1}, {"a": 1, "b": 2}, False),
    ({"1": "x"}, {1: "x"}, True),
    ({1: "x"}, {1: "x"}, True),
    ({"1": "x"}, {1: "x", "1": "x"}, False),
    ({"1": "x"}, {True: "x"}, False),
    ({"1": "x"}, {1.0: "x"}, False),
    ({"1": [1, 2]}, {1: (1, 2)}, True),
    ({}, [], False),
    ({}, set(), False),
    (1, Decimal(1), False),
    (1 + 0j, 1, False),
    ({1, 2}, {2, 1}, True),
]


@pytest.mark.parametrize(("expected", "got", "same"), OUTPUTS, ids=range(len(OUTPUTS)))
def test_outputs(expected: str, got: str, same: bool) -> None:
    assert (compare_output(expected, got, TOLERANCE) is None) is same


@pytest.mark.parametrize(("expected", "got", "same"), VALUES, ids=range(len(VALUES)))
def test_values(expected: object, got: object, same: bool) -> None:
    assert (compare_value(expected, got, TOLERANCE) is None) is same


def test_integers_past_what_python_writes() -> None:
    huge = 10**5000
    assert compare_value(huge, huge, TOLERANCE) is None
    assert compare_value(huge, huge + 1, TOLERANCE) is not None
    assert compare_value(1.0, huge, TOLERANCE) is not None
    assert compare_value({"1": 2}, {huge: 2}, TOLERANCE) is not None


def test_the_tolerance_is_the_problems_own() -> None:
    assert compare_output("1.0", "1.01", 0.1) is None
    assert compare_output("10", "10.1", 0.1) is not None, "integers are exact at any tolerance"
    assert compare_output("1.0", "1.0000000001", 0.0) is not None
    assert compare_output("1.0", "1.000", 0.0) is None
    assert compare_value([1.0], [1.01], 0.1) is None
    assert compare_value([10], [10.1], 0.1) is not None


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext(prec=2):
        assert compare_output("1.25", "1.2500001", 1e-9) is not None
        assert compare_value(1.25, 1.2500001, 1e-9) is not None


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ("5", "6", 'line 1: expected "5", got "6"'),
        ("1\n2", "1", 'line 2: expected "2", got nothing'),
        ("1", "1\n2", 'line 2: expected nothing more, got "2"'),
        ("1 2 3", "1 9 3", 'line 1, token 2: expected "2", got "9"'),
        ("1 2", "1", 'line 1: expected 2 tokens, got 1: "1"'),
        ("a", "a\u200b", 'line 1: expected "a", got "a\\u200b"'),
        ("a", '"\\', 'line 1: expected "a", got "\\"\\\\"'),
        ("a", "b" * 100, f'line 1: expected "a", got "{"b" * 60}…" (100 characters)'),
    ],
)
def test_what_is_said_of_outputs(expected: str, got: str, said: str) -> None:
    assert compare_output(expected, got, TOLERANCE) == said


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        (5, 6, "expected 5, got 6"),
        (True, 1, "expected True, got 1"),
        ([1, [2, 3]], [1, [2, 4]], "expected 3, got 4 at [1][1]"),
        ([1], [1, 2], "expected 1 items, got 2: [1, 2]"),
        ({"a": 1}, {"a": "1"}, 'expected 1, got "1" at [("str", "a")]'),
        (1, 1 << 100_000, "expected 1, got an integer of 100,001 bits"),
    ],
    ids=range(6),
)
def test_what_is_said_of_values(expected: object, got: object, said: str) -> None:
    assert compare_value(expected, got, TOLERANCE) == said


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
TOKENS = st.text(alphabet="ab01.-e", min_size=1, max_size=8)
OUTPUT = st.lists(st.lists(TOKENS, max_size=4).map(" ".join), max_size=5).map("\n".join)


def as_tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(as_tuples(each) for each in value)
    return {key: as_tuples(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(PLAIN)
def test_a_value_equals_itself_and_its_tuples(value: object) -> None:
    assert compare_value(value, value, TOLERANCE) is None
    assert compare_value(value, as_tuples(value), TOLERANCE) is None


@given(PLAIN, PLAIN)
def test_without_tolerance_equal_values_have_equal_text(one: object, other: object) -> None:
    same = compare_value(one, other, 0.0) is None
    if repr(one) == repr(other):
        assert same
    elif same:  # then only as a float that an integer or a zero of the other sign gives
        assert "." in repr(one) or "e" in repr(one)


@given(st.text())
def test_any_output_equals_itself(text: str) -> None:
    assert compare_output(text, text, TOLERANCE) is None


@given(OUTPUT, OUTPUT)
def test_different_tokens_differ(one: str, other: str) -> None:
    if compare_output(one, other, 0.0) is None:
        assert len(one.rstrip().split("\n")) == len(other.rstrip().split("\n"))
        assert len(one.split()) == len(other.split())
        for a, b in zip(one.split(), other.split(), strict=True):
            assert a == b or Decimal(a) == Decimal(b)


@given(st.integers(min_value=0), st.data())
def test_a_changed_digit_of_an_integer_never_passes(number: int, data: st.DataObject) -> None:
    digits = str(number)
    place = data.draw(st.integers(0, len(digits) - 1))
    digit = data.draw(st.sampled_from("0123456789"))
    changed = digits[:place] + digit + digits[place + 1 :]
    assume(changed != digits)
    for tolerance in (0.0, TOLERANCE, 0.5):
        assert compare_output(digits, changed, tolerance) is not None
        assert compare_value(number, int(changed), tolerance) is not None


@given(PLAIN, st.text())
def test_descriptions_are_one_short_line_of_visible_characters(value: object, text: str) -> None:
    for line in (
        show_value(value),
        show_text(text),
        compare_value(value, text, 0.0) or "",
        compare_output("x", text, 0.0) or "",
    ):
        assert line.isprintable()
        assert len(line) < 500


def test_a_value_of_any_size_is_shown() -> None:
    deep: list[object] = []
    for _ in range(150):
        deep = [deep]
    for value in (
        deep,
        list(range(100_000)),
        {n: n for n in range(10_000)},
        10**10_000,
        "a" * 10**6,
        {1, 2},
        b"a" * 10**6,
    ):
        assert len(show_value(value)) < 300


def test_comparison_is_the_same_in_any_thread() -> None:
    said: list[str | None] = []
    thread = threading.Thread(target=lambda: said.append(compare_output("1.25", "1.2500000001", 1e-9)))
    thread.start()
    thread.join()
    assert said == [None]
