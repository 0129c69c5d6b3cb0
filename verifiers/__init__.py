"""Verifiable rewards: plain functions of a problem and a completion that return a `Verdict`."""

if __name__ != "rlvr.verifiers":
    raise ImportError("import rlvr.verifiers, not verifiers: the bare name would load a second copy of every class")

from .compose import all_of, any_of, by_source, gate, weighted
from .format import verify_format
from .language import verify_language
from .math import equivalent, verify_math
from .pool import WorkerPool, score_many
from .shaping import length_penalty, repetition_penalty
from .types import REASONS, STATUSES, Completion, Problem, Status, Verdict, Verifier

__all__ = [
    "REASONS", "STATUSES", "Completion", "Problem", "Status", "Verdict", "Verifier", "WorkerPool",
    "all_of", "any_of", "by_source", "equivalent", "gate", "length_penalty", "repetition_penalty", "score_many",
    "verify_format", "verify_language", "verify_math", "weighted",
]  # fmt: skip
