"""Plain data survives the trip with its types; what a program can write instead raises PlainError and nothing else."""

import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.sandbox.plain import MAX_DEPTH, PlainError, decode, encode

texts = st.text(st.characters(codec=None, categories=None))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | texts
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=6)
values = st.recursive(
    keys,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner, max_size=5)
        | st.sets(keys, max_size=5)
        | st.lists(inner).map(collections.deque)
    ),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a == b and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return bool(a == b)


@given(values)
@settings(max_examples=300, deadline=None)
def test_round_trip(value: object) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        10**6000,
        -(10**6000),
        2**53,
        -(2**53),
        math.inf,
        -math.inf,
        -0.0,
        "\ud800\udc00",
        "\udfff",
        bytearray(b"x"),
        range(1, 9, 2),
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
        datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
        datetime.date(2020, 1, 2),
        datetime.timedelta(1, 2, 3),
        int,
        ValueError,
        Ellipsis,
        NotImplemented,
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values(value: object) -> None:
    assert same(decode(encode(value)), value)


def test_nan_and_views() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode({1: 2}.keys())) == {1}
    assert list(decode(encode({1: 2}.items()))) == [(1, 2)]
    assert list(decode(encode({1: 2}.values()))) == [2]
    assert list(decode(encode(n * n for n in range(4)))) == [0, 1, 4, 9]


class Liar(str):
    """Says that it equals everything and that it is a plain text."""

    __hash__ = str.__hash__

    @property
    def __class__(self) -> type:
        return str

    def __eq__(self, other: object) -> bool:
        return True

    def __str__(self) -> str:
        return "lie"


class Number(enum.IntEnum):
    ONE = 1


def test_a_subclass_is_its_base_value() -> None:
    pair = collections.namedtuple("pair", "a b")
    for value, plain in [
        (Liar("x"), "x"),
        (Number.ONE, 1),
        (pair(1, 2), (1, 2)),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
    ]:
        assert same(decode(encode([value])), [plain])


def test_exceptions_keep_the_nearest_builtin_class() -> None:
    class Own(KeyError):
        pass

    error = decode(encode(Own("k")))
    assert type(error) is KeyError and error.args == ("k",)
    assert type(decode(encode(ZeroDivisionError("division by zero")))) is ZeroDivisionError


def test_what_is_not_plain() -> None:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

    deep: list[Any] = []
    for _ in range(MAX_DEPTH + 10):
        deep = [deep]
    ring: list[Any] = []
    ring.append(ring)
    for value in (Anything(), [Anything()], object(), lambda: 1, deep, ring, iter(int, 1), b"x" * (17 << 20)):
        with pytest.raises(PlainError):
            encode(value)


def test_references() -> None:
    known = [object(), object()]
    data = encode([known[1], {"a": known[0]}], known.index)
    assert decode(data, known.__getitem__) == [known[1], {"a": known[0]}]
    with pytest.raises(PlainError):
        decode(data)
    with pytest.raises(PlainError):
        decode(b'["h",7]', known.__getitem__)


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    assert same(decode(encode([numpy.float64(1.5), numpy.int64(3), numpy.bool_(True)])), [1.5, 3, True])
    assert same(decode(encode(numpy.array([[1, 2], [3, 4]]))), [[1, 2], [3, 4]])


@given(st.binary(max_size=200) | values.map(lambda value: encode(value)[:-1]))
@settings(max_examples=300, deadline=None)
def test_hostile_bytes(data: bytes) -> None:
    with contextlib.suppress(PlainError):
        decode(data)


json_values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=10,
)
tags = st.sampled_from(list("ltdSFsifbBcqrKVMIDQmveynh"))


@given(
    st.recursive(
        json_values, lambda inner: st.builds(lambda tag, rest: [tag, *rest], tags, st.lists(inner, max_size=4))
    )
)
@settings(max_examples=500, deadline=None)
def test_hostile_trees(tree: object) -> None:
    with contextlib.suppress(PlainError):
        decode(json.dumps(tree).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000,
        b'["l",' * 100_000,
        b"1" * 10_000,
        b"NaN",
        b'["i","zz"]',
        b'["y","open"]',
        b'["e","eval",["t"]]',
        b'["Q",1,0]',
        b'["r",1,2,0]',
        b'["S",["l"]]',
        json.dumps(["S", *[["i", hex(n * (2**61 - 1))] for n in range(5000)]]).encode(),
        json.dumps(["Q", ["i", hex(2**400_000 + 1)], ["i", hex(2**400_000 - 1)]]).encode(),
    ],
    ids=lambda data: data[:20].decode(),
)
def test_bytes_that_would_hang_or_break(data: bytes) -> None:
    with pytest.raises(PlainError):
        decode(data)
