"""Calls into a program, and the conversation of a judge with a program that it shares no process with.

A request is (operation, object, arguments, named arguments) as plain data; objects of the program are numbers that it
gave out. The judge sees exact built-in types and `Remote`s, so no code of the program ever runs in it.
"""

from __future__ import annotations

import builtins
import json
import operator
import sys
import traceback
import types
from typing import Any, Callable, NoReturn  # noqa: UP035 - Python 3.8

from .. import plain
from . import python
from .frames import Messages, split

_PRESET_STAR = ("typing", "string", "collections", "heapq", "bisect", "math", "itertools", "functools", "builtins")
_PRESET = ("collections", "heapq", "bisect", "math", "itertools", "functools", "operator", "string", "re", "random")
_PRESET_MORE = ("sys", "copy", "json", "datetime", "typing", "statistics", "time")
_ERROR_TEXT = 2_000


def _preset() -> dict[str, Any]:
    """What LeetCode-style answers take for granted."""
    names: dict[str, Any] = {}
    for module in _PRESET_STAR:
        exec(f"from {module} import *", names)  # noqa: S102 - our own text
    for module in _PRESET + _PRESET_MORE:
        names[module] = __import__(module)
    return names


PRESET = _preset()


def describe(error: BaseException) -> str:
    """`TypeError: …`, also when its own text cannot be had."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - an exception of the program may raise anything
        text = ""
    name = type(error).__name__
    return f"{name}: {text}"[:_ERROR_TEXT] if text else name


def _module(name: str, path: str, preset: dict[str, Any] | None = None) -> dict[str, Any]:
    module = types.ModuleType(name)
    sys.modules[name] = module
    module.__dict__.update(preset or {})
    module.__dict__.update(__name__=name, __file__=path, __builtins__=builtins)
    return module.__dict__


def _load(job: dict[str, Any], preset: dict[str, Any] | None) -> dict[str, Any]:
    """The program's names; it ends the process as it would end the interpreter."""
    code = python.code_of(job)
    namespace = _module("solution", code.co_filename, preset)
    status = python.attempt(code, namespace)
    if status:
        python.leave(status)
    return namespace


def _find(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    first, *rest = name.split(".")
    if first not in namespace and not rest and hasattr(namespace.get("Solution"), name):
        return getattr(namespace["Solution"](), name)
    found = namespace.get(first, vars(builtins).get(first))
    if first not in namespace:
        raise NameError(f"name {first!r} is not defined")
    for part in rest:
        found = getattr(found() if isinstance(found, type) and found.__name__ == "Solution" else found, part)
    return found  # type: ignore[return-value]


def _answer(channel: Messages, function: Callable[[], Any]) -> NoReturn:
    """Send what it returns as b"V" and plain data, or b"E" and why there is none; the traceback goes to stderr."""
    try:
        body = b"V" + plain.encode(function())
        status = 0
    except SystemExit as error:
        python.leave(python.exit_status(error))
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its answer
        traceback.print_exc()
        body, status = b"E" + describe(error).encode("utf-8", "replace"), 1
    channel.write(body)
    python.leave(status)


def call(job: dict[str, Any], language: dict[str, Any]) -> NoReturn:
    """Call one function of the program."""
    channel = Messages(3)
    head, data = split(channel.read())
    namespace = _load(job, PRESET)
    _answer(channel, lambda: _find(namespace, head["function"])(*plain.decode(data)))


def check(job: dict[str, Any], language: dict[str, Any]) -> NoReturn:
    """Call a problem's own checker."""
    channel = Messages(3)
    head, data = split(channel.read())

    def run() -> Any:
        namespace = _module("checker", "<checker>", PRESET)
        exec(compile(head["source"], "<checker>", "exec", dont_inherit=True), namespace)  # noqa: S102 - in the judge
        return _find(namespace, "check")(*plain.decode(data))

    _answer(channel, run)


# the program's side


class Objects:
    """The objects that the judge knows by number."""

    def __init__(self) -> None:
        self._objects: list[object] = []
        self._numbers: dict[int, int] = {}

    def number(self, value: object) -> int:
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return self._numbers[id(value)]

    def object(self, number: int) -> object:
        return self._objects[number]


def _call(target: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return target(*arguments, **named)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": _call,
    "get": getattr,
    "set": setattr,
    "iter": iter,
    "next": next,
    "len": len,
    "item": operator.getitem,
    "text": str,
}


def serve(job: dict[str, Any], language: dict[str, Any]) -> NoReturn:
    """Answer a judge's requests until it ends."""
    channel = Messages(3)
    channel.read()
    objects = Objects()
    namespace = _load(job, None)
    while True:
        try:
            request = channel.read()
        except EOFError:
            python.leave(0)
        channel.write(_reply(request, namespace, objects))


def _reply(request: bytes, namespace: dict[str, Any], objects: Objects) -> bytes:
    what, target, arguments, named = plain.decode(request, objects.object)
    try:
        if what == "names":
            present = {name: namespace[name] for name in arguments if name in namespace}
            return plain.encode(("ok", present, None), objects.number)
        before = [_bytes(argument, objects) for argument in arguments]
        value = OPERATIONS[what](target, *arguments, **named)
        changed = {
            place: argument
            for place, argument in enumerate(arguments)
            if before[place] is not None and _bytes(argument, objects) != before[place]
        }
        return plain.encode(("ok", value, changed), objects.number)
    except BaseException as error:  # noqa: BLE001 - whatever the program raises goes to the judge
        try:
            return plain.encode(("error", error, None), objects.number)
        except plain.PlainError:
            return plain.encode(("error", Exception(describe(error)), None))


_CHANGEABLE: set[type] = {list, dict, set, bytearray, plain.collections.deque}


def _bytes(argument: Any, objects: Objects) -> bytes | None:
    """What an argument that can be changed in place looks like."""
    if type(argument) not in _CHANGEABLE:
        return None
    try:
        return plain.encode(argument, objects.number)
    except plain.PlainError:
        return b""


# the judge's side


class Remote:
    """An object of the program: equal to itself alone; calls, attributes and items are asked of the program.

    No question is asked whose answer, yes or no, a test would take for granted: `in` compares items here, and methods
    are called only of objects that the test itself made (`Node(1)`), or where a test expects text it could be given
    something whose every `startswith` is true.
    """

    __slots__ = ("_number", "_of_test", "_other")
    _number: int
    _of_test: bool
    _other: Program

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not self._of_test:
            raise TypeError("the program returned an object that is no plain data; a test does not call its methods")
        return self._other.ask("call", self, arguments, named, of_test=self._number in self._other.classes)

    def __getattr__(self, name: str) -> Any:
        return self._other.ask("get", self, (name,), of_test=self._of_test)

    def __setattr__(self, name: str, value: Any) -> None:
        self._other.ask("set", self, (name, value))

    def __iter__(self) -> Any:
        return self._other.ask("iter", self)

    def __next__(self) -> Any:
        return self._other.ask("next", self)

    def __len__(self) -> Any:
        return self._other.ask("len", self)

    def __getitem__(self, key: Any) -> Any:
        return self._other.ask("item", self, (key,))

    def __str__(self) -> str:
        return self._other.ask("text", self)

    def __bool__(self) -> bool:
        return True


class Program:
    """The judge's end of the conversation."""

    def __init__(self, channel: Messages) -> None:
        self._channel = channel
        self._remotes: dict[int, Remote] = {}
        self.classes: set[int] = set()
        """What the tests name in capitals: the tests' word that it is a class, not the program's."""

    def names(self, wanted: list[str]) -> dict[str, Any]:
        """Those of the program's names that the tests use."""
        found: dict[str, Any] = self.ask("names", None, wanted, of_test=True)
        for name, value in found.items():
            if type(value) is Remote and name[:1].isupper():
                self.classes.add(_number_of(value))
        return found

    def remote(self, number: int, *, of_test: bool) -> Remote:
        if number not in self._remotes:
            made = object.__new__(Remote)
            object.__setattr__(made, "_number", number)
            object.__setattr__(made, "_of_test", of_test)
            object.__setattr__(made, "_other", self)
            self._remotes[number] = made
        return self._remotes[number]

    def ask(self, what: str, target: object, arguments: Any = (), named: Any = None, *, of_test: bool = False) -> Any:
        """Raises what the program raised, as the built-in exception nearest to it; CannotPass what cannot be asked."""
        request = plain.encode((what, target, tuple(arguments), dict(named or {})), _number_of)
        self._channel.write(b"C" + request)
        reply: Any = plain.decode(self._channel.read(), lambda number: self.remote(number, of_test=of_test))
        if reply.__class__ is not tuple or len(reply) != 3:
            raise plain.PlainError("the program's reply is none")
        how, value, changed = reply
        if how == "error":
            raise value if isinstance(value, Exception) else Exception(f"the program ended: {describe(value)}")
        # What changes its arguments and returns None, as `list.sort` does, is meant to. What returns a value might
        # change what it is compared with: `assert f(xs) == sorted(xs)`.
        effects: dict[int, Any] = (changed or {}) if value is None else {}
        for place, argument in effects.items():
            _become(arguments[place], argument)
        return value


class CannotPass(Exception):
    """A test gives the program what only the judge has, such as a function: nothing that the program did."""


def _number_of(value: object) -> int:
    if type(value) is not Remote:
        raise CannotPass(f"a test cannot pass {type(value).__name__} to the program")
    return object.__getattribute__(value, "_number")


def _become(old: Any, new: Any) -> Any:
    """Change a container to what the program made of it, keeping the identity of what is inside where it can."""
    kind: Any = old.__class__
    if kind is not new.__class__:
        return new
    if kind in (list, plain.collections.deque):
        items = [_become(a, b) for a, b in zip(old, new)] + list(new)[len(old) :]  # noqa: B905 - Python 3.8
        old.clear()
        old.extend(items)
    elif kind is dict:
        items = {key: _become(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(items)
    elif kind is set:
        old.clear()
        old.update(new)
    elif kind is bytearray:
        old[:] = new
    else:
        return new
    return old


def judge(job: dict[str, Any], language: dict[str, Any]) -> NoReturn:
    """Run test code, and say b"D" and how it ended."""
    channel = Messages(3)
    head, _ = split(channel.read())
    namespace = _module("tests", "<tests>")
    broken = True
    error = None
    try:
        parts = [compile(head[part], f"<{part}>", "exec", dont_inherit=True) for part in ("setup", "source")]
        exec(parts[0], namespace)  # noqa: S102 - the problem's own code, in the judge
        broken = False
        namespace.update(Program(channel).names(head["names"]))
        exec(parts[1], namespace)  # noqa: S102
    except EOFError:
        python.leave(1)
    except BaseException as caught:  # noqa: BLE001 - test code says no by raising anything at all
        traceback.print_exc()
        error = describe(caught)
        broken = broken or isinstance(caught, CannotPass)
    done = {"passed": error is None, "error": error, "judge_failed": broken}
    channel.write(b"D" + json.dumps(done).encode())
    python.leave(0)


ACTIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], NoReturn]] = {
    "call": call,
    "check": check,
    "serve": serve,
    "judge": judge,
}
