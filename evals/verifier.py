"""The verifier that a command line names: `math`, `code`, `format`, `language`, a ready-made reward, or anybody's
`package.module:name`."""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..verifiers import equivalent, verify_format, verify_language, verify_math
from ..verifiers.pool import cores
from ..verifiers.types import Completion, Problem, Verifier
from .errors import UsageError

if TYPE_CHECKING:
    from ..verifiers.rewards import Recipe

Equivalent = Callable[[str, str], bool | None]

# Their work is bounded where they stand (the slow part of math runs in a worker of its own), so they need no pool.
BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "math": verify_math,
    "format": verify_format,
    "language": verify_language,
}


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Chosen:
    """A verifier with its options bound, and what the run must know of it."""

    verifier: Verifier
    needs_answer: bool
    votes: Equivalent | None
    """The equality that cons@k votes with; None where answers are not voted on."""
    bounded: bool
    """Whether it may run in this process: it never hangs."""
    identity: Mapping[str, Any]
    """What a continued run compares: the name, the options, and a hash of the file that defines it."""
    needs_tests: bool = False
    threads: int | None = None
    """How many threads judge, for a verifier that waits for others to do the work."""
    start: Callable[[], None] = _nothing
    """Tries what the verifier needs, in the process that will judge. Raises UsageError."""
    close: Callable[[], None] = _nothing
    """Ends what the verifier holds."""


def choose_verifier(name: str, options: Sequence[str], workers: int | None = None, *, here: bool = True) -> Chosen:
    """The verifier called `name` with `options` ("key=value", the value JSON or text) bound.

    workers: how many the verifier `code` has in its sandbox; None for one per core. here: it will judge in this
    process, so it is started now. `close` the chosen one at the end.
    Raises UsageError when there is no such verifier or option.
    """
    chosen = _choose(name, options, workers)
    if here:
        chosen.start()
    return chosen


def _choose(name: str, options: Sequence[str], workers: int | None) -> Chosen:
    if name == "code":
        return _choose_code(options, workers)
    recipe = _recipes().get(name)
    if recipe is not None:
        return _choose_recipe(recipe, options, workers)
    built_in = BUILT_IN.get(name)
    before = frozenset(sys.modules)
    function = built_in or _imported(name)
    values = _values(name, _keyword_only(function), options)
    identity: dict[str, Any] = {"name": name, "options": values}
    if built_in is None:
        identity["files"] = _files_hash(name.partition(":")[0], before)
    bound = cast(Verifier, partial(function, **values) if values else function)
    if built_in is not None:
        _try_options(name, bound)
    return Chosen(
        verifier=bound,
        needs_answer=name == "math",
        votes=None if name in ("format", "language") else equivalent,
        bounded=built_in is not None,
        identity=identity,
    )


def _choose_code(options: Sequence[str], workers: int | None) -> Chosen:
    from .code import OPTIONS, make_code

    values = _values("code", OPTIONS, options)
    threads = max(1, cores() if workers is None else workers)
    verifier, start, close = make_code(values, threads)
    return Chosen(
        verifier=verifier,
        needs_answer=False,
        votes=eq,  # two programs are the same answer when they are the same text
        bounded=True,
        identity={"name": "code", "options": values},
        needs_tests=True,
        threads=threads,
        start=start,
        close=close,
    )


def _recipes() -> "Mapping[str, Recipe]":
    from ..verifiers.rewards import RECIPES

    return {recipe.name: recipe for recipe in RECIPES}


def _choose_recipe(recipe: "Recipe", options: Sequence[str], workers: int | None) -> Chosen:
    from ..verifiers.rewards import close_own_sandbox

    _values(recipe.name, (), options)
    code = recipe.reads == "tests"
    return Chosen(
        verifier=recipe,
        needs_answer=recipe.reads == "answer",
        votes=eq if code else equivalent,
        bounded=True,
        identity={"name": recipe.name, "options": {}},
        needs_tests=code,
        threads=None if recipe.reads == "answer" else max(1, cores() if workers is None else workers),
        start=partial(_try_code, recipe.name) if code else _nothing,
        close=close_own_sandbox,
    )


def _try_code(name: str) -> None:
    """Before the first row is read, not once for each. Raises UsageError without a sandbox."""
    from ..verifiers.rewards import verify_code_here

    program = Completion("```python\npass\n```")
    tried = verify_code_here(Problem("options", tests={"inputs": [""], "outputs": [""]}), program)
    if tried.reason == "sandbox_unavailable":
        raise UsageError(f"verifier {name}: {tried.detail}")


def _imported(name: str) -> Callable[..., Any]:
    module_name, colon, attribute = name.partition(":")
    if not colon:
        known = ", ".join(("math", "code", "format", "language", *_recipes()))
        raise UsageError(f"verifier {name}: there is no such verifier; one of {known}, or package.module:name")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a file in this folder is found
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything when it is imported; it is the user's
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        message = " ".join(f"{kind}{error}".split())
        raise UsageError(f"verifier {name}: cannot import {module_name} from {here}: {message}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"verifier {name}: {module_name} has no {attribute!r}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"verifier {name}: is {type(found).__name__}, not a function of a problem and a completion")
    return found


def _values(name: str, known: Sequence[str] | None, options: Sequence[str]) -> dict[str, Any]:
    """The options by name; `known` are the names that there are, None for any."""
    values: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise UsageError(f"--option {option}: is not of the form name=value")
        if known is not None and key not in known:
            raise UsageError(f"--option {key}: {name} has no such option; it has {', '.join(known) or 'none'}")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def _keyword_only(function: Callable[..., Any]) -> list[str] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _try_options(name: str, verifier: Verifier) -> None:
    """Built-in verifiers check their options on every call: one call now says what is wrong with them."""
    try:
        verifier(Problem("options", answer="1"), Completion("\\boxed{1}"))
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"verifier {name}: {error}") from None


def _files_hash(module_name: str, before: AbstractSet[str]) -> str | None:
    """The hash of the files of a module and of what it imported from its own folder; None where there is no file."""
    path = getattr(sys.modules[module_name], "__file__", None)
    if path is None:
        return None
    folder = Path(path).parent
    names = {module_name} | (sys.modules.keys() - before)
    paths = {Path(file) for name in names if (file := getattr(sys.modules.get(name), "__file__", None)) is not None}
    inside = [p for p in paths if p.is_relative_to(folder) and "site-packages" not in p.relative_to(folder).parts]
    digest = blake2b(digest_size=16)
    for file in sorted(inside):
        digest.update(f"{file.relative_to(folder)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
