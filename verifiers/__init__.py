"""Verifiable rewards: plain functions of a problem and a completion that return a `Verdict`."""

if __name__ != "rlvr.verifiers":
    raise ImportError("import rlvr.verifiers, not verifiers: the bare name would load a second copy of every class")

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .compose import all_of, any_of, by_source, gate, weighted
from .format import verify_format
from .types import REASONS, STATUSES, Completion, Problem, Status, Verdict, Verifier

if TYPE_CHECKING:
    from .code import verify_code
    from .language import verify_language
    from .math import equivalent, verify_math
    from .pool import WorkerPool, score_many
    from .shaping import length_penalty, repetition_penalty
    from .threads import score_async, score_threads

__all__ = [
    "REASONS", "STATUSES", "Completion", "Problem", "Status", "Verdict", "Verifier", "WorkerPool",
    "all_of", "any_of", "by_source", "equivalent", "gate", "length_penalty", "repetition_penalty", "score_async",
    "score_many", "score_threads", "verify_code", "verify_format", "verify_language", "verify_math", "weighted",
]  # fmt: skip

# Imported when first asked for: together they cost as much as all the rest.
_WHEN_NEEDED = {
    "verify_code": "code",
    "verify_language": "language",
    "verify_math": "math",
    "equivalent": "math",
    "length_penalty": "shaping",
    "repetition_penalty": "shaping",
    "score_many": "pool",
    "WorkerPool": "pool",
    "score_async": "threads",
    "score_threads": "threads",
}


def __getattr__(name: str) -> Any:
    if name not in _WHEN_NEEDED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHEN_NEEDED[name]}", __name__), name)
    globals()[name] = value
    return value
