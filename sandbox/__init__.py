"""Isolation for model-written programs. This package imports nothing else of rlvr.

>>> from rlvr.sandbox import DockerSandbox, Limits
>>> DockerSandbox(workers=2, limits=Limits(cpu_s=2)).workers  # no container starts before the first program
2
"""

if __name__ != "rlvr.sandbox":
    raise ImportError("import rlvr.sandbox, not sandbox: the bare name would load a second copy of every class")

from .docker import DockerSandbox
from .languages import LANGUAGES, Language
from .process import ProcessSandbox
from .types import (
    Assertions,
    AssertionsResult,
    Call,
    CallResult,
    Limits,
    MissingLanguage,
    Program,
    RunResult,
    Sandbox,
    SandboxUnavailable,
    Session,
)

__all__ = [
    "LANGUAGES",
    "Assertions",
    "AssertionsResult",
    "Call",
    "CallResult",
    "DockerSandbox",
    "Language",
    "Limits",
    "MissingLanguage",
    "ProcessSandbox",
    "Program",
    "RunResult",
    "Sandbox",
    "SandboxUnavailable",
    "Session",
]
