"""Plain data: what may cross between processes that do not trust each other, as JSON in which containers are tagged.

Crosses with its type: None, bool, int of any size, float (nan, inf, -0.0), complex, str (lone surrogates too), bytes,
bytearray, list, tuple, set, frozenset, dict, range, deque, dict views, Decimal, Fraction, naive datetimes, built-in
types, Ellipsis, NotImplemented, and exceptions (as the nearest built-in class, with their arguments).
Crosses as something simpler: a subclass (namedtuple, IntEnum, Counter, defaultdict, OrderedDict) as its base class's
value, numpy scalars and arrays as numbers and lists, an iterator or generator as an iterator over what it had left.
Anything else is a reference where the caller gives `refer` (iterators are then too), or a PlainError.

What `decode` returns is made of exact built-in types, whoever wrote the bytes: no code of theirs runs when it is
compared. This file also stands alone in the image, hence Python 3.8 and the standard library only.
"""

from __future__ import annotations

import base64
import builtins
import collections
import datetime
import decimal
import fractions
import itertools
import json
import sys
import types
from collections import Counter
from typing import Any, Callable, cast  # noqa: UP035 - Python 3.8

MAX_BYTES = 16 << 20
MAX_DEPTH = 200
MAX_NODES = 2_000_000
MAX_ITERATED = 200_000
_SAFE = 1 << 53
_SAME_HASH = 100

Refer = Callable[[object], int]
Resolve = Callable[[int], object]


class PlainError(ValueError):
    """A value that is not plain data, or bytes that are none."""


def encode(value: object, refer: Refer | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a value. `refer` numbers each object that is not plain. Raises PlainError."""
    try:
        tree = _Encoder(refer, max_bytes).tree(value, 0)
        data = json.dumps(tree, allow_nan=False, separators=(",", ":"), check_circular=False).encode("ascii")
    except (RecursionError, RuntimeError) as error:  # deeper than the stack here, or changed while it was read
        raise PlainError(f"cannot be read: {error}") from None
    if len(data) > max_bytes:
        raise PlainError(f"longer than {max_bytes} bytes")
    return data


def decode(data: bytes, resolve: Resolve | None = None, max_bytes: int = MAX_BYTES) -> Any:
    """The value of bytes that anybody may have written. Raises PlainError, whatever they are."""
    if len(data) > max_bytes:
        raise PlainError(f"longer than {max_bytes} bytes")
    if data.count(b"[") > MAX_NODES:
        raise PlainError(f"more than {MAX_NODES} containers")
    try:
        tree = _READER.decode(data.decode("ascii"))
        return _Decoder(resolve).value(tree, 0)
    except PlainError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError) as error:
        raise PlainError(f"not plain data: {type(error).__name__}") from None


class _Encoder:
    def __init__(self, refer: Refer | None, max_bytes: int) -> None:
        self.refer = refer
        self.left = max_bytes
        self.nodes = MAX_NODES

    def tree(self, value: object, depth: int) -> Any:
        """What JSON can write: scalars as they are, all else as a list that begins with a tag."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        self._spend(1)
        writer = _WRITERS.get(kind)
        if writer is None:
            writer = _writer_of_base(kind)
        if writer is not None:
            return writer(self, value, depth)
        return self._other(value, kind, depth)

    def items(self, tag: str, values: Any, depth: int) -> list[Any]:
        if depth >= MAX_DEPTH:
            raise PlainError(f"nested deeper than {MAX_DEPTH}")
        self.nodes -= 1
        if self.nodes < 0:
            raise PlainError(f"more than {MAX_NODES} containers")
        depth += 1
        tree = self.tree
        return [tag, *[tree(value, depth) for value in values]]

    def list_(self, value: Any, depth: int) -> list[Any]:
        if value.__class__ is list and set(map(type, value)) == {int}:
            self._spend(2 * len(value))
            if min(value) > -_SAFE and max(value) < _SAFE:
                return ["l", *value]
        return self.items("l", _own(list).__iter__(value), depth)

    def text(self, value: str, depth: int) -> Any:
        value = str.__str__(value)
        self._spend(len(value))
        if value.isascii():
            return value
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return ["s", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()]
        return value

    def integer(self, value: int, depth: int) -> Any:
        value = int.__int__(value)
        if -_SAFE < value < _SAFE:
            return value
        self._spend(value.bit_length() // 4)
        return ["i", hex(value)]

    def raw(self, value: Any, depth: int) -> Any:
        self._spend(len(memoryview(value)))
        tag = "B" if issubclass(type(value), bytearray) else "b"
        return [tag, base64.b64encode(memoryview(value)).decode()]

    def error(self, value: BaseException, depth: int) -> Any:
        try:
            arguments = self.items("t", _own(tuple).__iter__(value.args), depth + 1)
        except PlainError:
            arguments = ["t", self.text(str(value)[:10_000], depth)]
        return ["e", builtin_class(value).__name__, arguments]

    def iterator(self, value: Any, depth: int) -> Any:
        if self.refer is not None:
            return ["h", self.refer(value)]
        items: list[Any] = []
        for item in value:
            items.append(item)
            if len(items) > MAX_ITERATED:
                raise PlainError(f"an iterator of more than {MAX_ITERATED} items")
        return self.items("I", items, depth)

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, (numpy.generic, numpy.ndarray)):
            plain = value.tolist()
            if type(plain) is not kind:
                return self.tree(plain, depth + 1)
        if issubclass(kind, type) and getattr(builtins, value.__name__, None) is value:
            return ["y", value.__name__]
        if kind in _ITERATORS or (kind.__module__ == "itertools" and hasattr(value, "__next__")):
            return self.iterator(value, depth)
        if self.refer is not None:
            return ["h", self.refer(value)]
        raise PlainError(f"{kind.__name__} is not plain data")

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise PlainError("too long to be sent")


def builtin_class(error: BaseException) -> type[BaseException]:
    """The nearest class of an exception that every Python has."""
    for kind in type(error).__mro__:
        if getattr(builtins, kind.__name__, None) is kind and issubclass(kind, BaseException):
            return kind
    return Exception


def _number(encoder: _Encoder, value: Any, depth: int) -> Any:
    value = float.__float__(value)
    return value if value - value == 0 else ["f", float.__repr__(value)]


def _complex(encoder: _Encoder, value: Any, depth: int) -> Any:
    parts = (complex.real.__get__(value), complex.imag.__get__(value))  # type: ignore[attr-defined]
    return encoder.items("c", parts, depth)


def _dict(encoder: _Encoder, value: Any, depth: int) -> Any:
    return encoder.items("d", itertools.chain.from_iterable(_own(dict).items(value)), depth)


def _moment(encoder: _Encoder, value: Any, depth: int) -> Any:
    if getattr(value, "tzinfo", None) is not None:
        raise PlainError("a date and time with a zone is not plain data")
    return ["m", type(value).__name__, value.isoformat()]


def _own(kind: Any) -> Any:
    """A class whose methods are called on values of its subclasses, which may have overridden them."""
    return kind


_EMPTY: Any = {}


def _iterable(tag: str, iterate: Callable[[Any], Any] = iter) -> Callable[[_Encoder, Any, int], Any]:
    return lambda encoder, value, depth: encoder.items(tag, iterate(value), depth)


_WRITERS: dict[type, Callable[[_Encoder, Any, int], Any]] = {
    int: _Encoder.integer,
    str: _Encoder.text,
    float: _number,
    list: _Encoder.list_,
    tuple: _iterable("t", _own(tuple).__iter__),
    dict: _dict,
    set: _iterable("S", _own(set).__iter__),
    frozenset: _iterable("F", _own(frozenset).__iter__),
    bytes: _Encoder.raw,
    bytearray: _Encoder.raw,
    complex: _complex,
    collections.deque: _iterable("q", _own(collections.deque).__iter__),
    range: lambda encoder, value, depth: encoder.items("r", (value.start, value.stop, value.step), depth),
    type(_EMPTY.keys()): _iterable("K"),
    type(_EMPTY.values()): _iterable("V"),
    type(_EMPTY.items()): _iterable("M"),
    decimal.Decimal: lambda encoder, value, depth: ["D", encoder.text(decimal.Decimal.__str__(value), depth)],
    fractions.Fraction: lambda encoder, value, depth: encoder.items("Q", (value.numerator, value.denominator), depth),
    datetime.datetime: _moment,
    datetime.date: _moment,
    datetime.time: _moment,
    datetime.timedelta: lambda encoder, value, depth: ["v", value.days, value.seconds, value.microseconds],
    BaseException: _Encoder.error,
    type(Ellipsis): lambda encoder, value, depth: ["n", "Ellipsis"],
    type(NotImplemented): lambda encoder, value, depth: ["n", "NotImplemented"],
}
_BASES = (str, int, float, tuple, dict, list, set, frozenset, bytes, bytearray, complex, collections.deque)
_ITERABLES: Any = (
    *([], (), "", b"", _own(set)(), range(0), range(1 << 70), _own(collections.deque)()),
    *(_EMPTY.keys(), _EMPTY.values(), _EMPTY.items()),
)
_ITERATORS: set[type] = {
    *(types.GeneratorType, map, filter, zip, enumerate, reversed, type(reversed(_ITERABLES[0]))),
    *(type(iter(each)) for each in _ITERABLES),
}


def _writer_of_base(kind: type) -> Any:
    for base in (*_BASES, BaseException):
        if issubclass(kind, base):
            return _WRITERS[base]
    return None


class _Decoder:
    def __init__(self, resolve: Resolve | None) -> None:
        self.resolve = resolve

    def value(self, tree: Any, depth: int) -> Any:
        kind = cast(Any, type(tree))
        if kind is not list:
            if kind is dict:
                raise PlainError("an object without a tag")
            return tree
        if depth > MAX_DEPTH + 4:
            raise PlainError(f"nested deeper than {MAX_DEPTH}")
        if not tree or type(tree[0]) is not str:
            raise PlainError("a container without a tag")
        reader = _READERS.get(tree[0])
        if reader is None:
            raise PlainError("a container with an unknown tag")
        return reader(self, tree, depth + 1)

    def items(self, tree: list[Any], depth: int) -> list[Any]:
        if set(map(type, tree)) <= _SCALARS:
            return tree[1:]
        value = self.value
        return [value(item, depth) for item in tree[1:]]

    def keys(self, tree: list[Any], depth: int) -> list[Any]:
        return self.spread(self.items(tree, depth))

    def spread(self, keys: list[Any]) -> list[Any]:
        """So many keys with one hash that it would take long are no honest program's."""
        if len(keys) > _SAME_HASH and Counter(map(hash, keys)).most_common(1)[0][1] > _SAME_HASH:
            raise PlainError("too many keys with one hash")
        return keys

    def dict_(self, tree: list[Any], depth: int) -> dict[Any, Any]:
        items = self.items(tree, depth)
        if len(items) % 2:
            raise PlainError("a key without a value")
        return dict(zip(self.spread(items[0::2]), items[1::2]))  # noqa: B905 - Python 3.8

    def pairs(self, tree: list[Any], depth: int) -> Any:
        pairs = self.items(tree, depth)
        if not all(type(pair) is tuple and len(pair) == 2 for pair in pairs):
            raise PlainError("an item that is no pair")
        self.spread([pair[0] for pair in pairs])
        return dict(pairs).items()

    def text(self, tree: list[Any]) -> str:
        _, text = tree
        if type(text) is not str:
            raise PlainError("a tag without its text")
        return text

    def integer(self, tree: list[Any], depth: int) -> int:
        return int(self.text(tree), 16)

    def raw(self, tree: list[Any], depth: int) -> bytes:
        return base64.b64decode(self.text(tree), validate=True)

    def error(self, tree: list[Any], depth: int) -> BaseException:
        _, name, arguments = tree
        kind = getattr(builtins, name)
        if not (type(kind) is type and issubclass(kind, BaseException)):
            raise PlainError("no exception of that name")
        values = self.value(arguments, depth)
        if type(values) is not tuple:
            raise PlainError("an exception without arguments")
        try:
            return kind(*cast("tuple[Any, ...]", values))
        except TypeError:  # such as UnicodeDecodeError with a text
            return Exception(*cast("tuple[Any, ...]", values))

    def type_(self, tree: list[Any], depth: int) -> type:
        found = getattr(builtins, self.text(tree))
        if type(found) is not type:
            raise PlainError("no type of that name")
        return found

    def moment(self, tree: list[Any], depth: int) -> Any:
        _, name, text = tree
        return {"datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}[name].fromisoformat(text)

    def fraction(self, tree: list[Any], depth: int) -> Any:
        numerator, denominator = self.items(tree, depth)
        if type(numerator) is not int or type(denominator) is not int:
            raise PlainError("a fraction of something else")
        if max(numerator.bit_length(), denominator.bit_length()) > 1 << 16:
            raise PlainError("a fraction that would take long to reduce")
        return fractions.Fraction(numerator, denominator)

    def complex_(self, tree: list[Any], depth: int) -> complex:
        real, imaginary = self.items(tree, depth)
        if type(real) is not float or type(imaginary) is not float:
            raise PlainError("a complex number of something else")
        return complex(real, imaginary)

    def reference(self, tree: list[Any], depth: int) -> object:
        _, number = tree
        if self.resolve is None or type(number) is not int:
            raise PlainError("a reference where none is allowed")
        return self.resolve(number)


_NAMED = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}
_SCALARS = {str, int, float, bool, type(None)}
_READERS: dict[str, Callable[[_Decoder, list[Any], int], Any]] = {
    "l": _Decoder.items,
    "t": lambda decoder, tree, depth: tuple(decoder.items(tree, depth)),
    "d": _Decoder.dict_,
    "S": lambda decoder, tree, depth: set(decoder.keys(tree, depth)),
    "F": lambda decoder, tree, depth: frozenset(decoder.keys(tree, depth)),
    "s": lambda decoder, tree, depth: decoder.raw(tree, depth).decode("utf-8", "surrogatepass"),
    "i": _Decoder.integer,
    "f": lambda decoder, tree, depth: float(decoder.text(tree)),
    "b": _Decoder.raw,
    "B": lambda decoder, tree, depth: bytearray(decoder.raw(tree, depth)),
    "c": _Decoder.complex_,
    "q": lambda decoder, tree, depth: collections.deque(decoder.items(tree, depth)),
    "r": lambda decoder, tree, depth: range(*decoder.items(tree, depth)),
    "K": lambda decoder, tree, depth: dict.fromkeys(decoder.keys(tree, depth)).keys(),
    "V": lambda decoder, tree, depth: dict(enumerate(decoder.items(tree, depth))).values(),
    "M": _Decoder.pairs,
    "I": lambda decoder, tree, depth: iter(decoder.items(tree, depth)),
    "D": lambda decoder, tree, depth: decimal.Decimal(decoder.text(tree)),
    "Q": _Decoder.fraction,
    "m": _Decoder.moment,
    "v": lambda decoder, tree, depth: datetime.timedelta(*tree[1:]),
    "e": _Decoder.error,
    "y": _Decoder.type_,
    "n": lambda decoder, tree, depth: _NAMED[decoder.text(tree)],
    "h": _Decoder.reference,
}


def _short_int(text: str) -> int:
    if len(text) > 20:
        raise PlainError("a long number without a tag")
    return int(text)


def _no_constant(text: str) -> Any:
    raise PlainError(f"{text} is not plain data")


_READER = json.JSONDecoder(parse_int=_short_int, parse_constant=_no_constant)
