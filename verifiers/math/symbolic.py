"""The symbolic tail: `math-verify` on two LaTeX texts, in a worker process that is killed at its deadline.

One lazily started worker per process, guarded by a lock and made anew after a fork. The worker parses LaTeX with
`latex2sympy2_extended` only: `math-verify`'s own way of reading plain expressions is `parse_expr`, which is `eval`.
"""

import atexit
import json
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..process import Child, ChildDied, ChildTimeout, FrameChannel

WALL_FACTOR = 6
"""Wall-clock backstop, as a multiple of the processor seconds allowed."""
MEMORY_MB = 3000
_START_S = 120.0
_ORPHAN_S = 600.0


class TailTimeout(Exception):
    """The comparison was killed at its deadline."""


class TailMemory(Exception):
    """The comparison was killed at its memory limit, or crashed the worker."""


@lru_cache(maxsize=65536)
def symbolically_equal(gold: str, answer: str, timeout_s: float) -> bool:
    """Whether math-verify calls two LaTeX texts equal, `gold` in the place of the gold.

    `timeout_s` is processor seconds of the worker (so that a busy machine changes no verdict), with six times as much
    wall-clock time as a backstop. Raises TailTimeout, TailMemory or TailUnavailable, which
    are not cached.
    """
    return _tail.ask(json.dumps([gold, answer]).encode(), timeout_s)


class TailUnavailable(Exception):
    """The worker does not start: our side's fault."""


class _Tail:
    """The worker of this process, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None

    def ask(self, question: bytes, timeout_s: float) -> bool:
        with self._lock:
            child = self._child or self._start()
            try:
                child.send(question)
                answer = self._receive(child, timeout_s * WALL_FACTOR, timeout_s)
            except ChildTimeout:
                raise TailTimeout from None
            except ChildDied as death:
                raise TailMemory(str(death)) from None
        if answer == b"memory":
            raise TailMemory
        return answer == b"equal"

    def _start(self) -> Child:
        try:
            self._child = child = Child(__name__)
            self._receive(child, _START_S, None)
            return child
        except (ChildDied, ChildTimeout, OSError) as error:
            raise TailUnavailable(f"the math-verify worker does not start: {error}") from None

    def _receive(self, child: Child, wall_s: float, cpu_s: float | None) -> bytes:
        try:
            return child.receive(wall_s, cpu_s=cpu_s)
        except BaseException:  # Ctrl-C too, see below
            self.stop()  # also when interrupted: a late answer must not be taken for the next question's
            raise

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def after_fork(self) -> None:
        child, self._child = self._child, None
        self._lock = threading.Lock()
        if child is not None:
            child.forget()


_tail = _Tail()
atexit.register(_tail.stop)
os.register_at_fork(after_in_child=_tail.after_fork)


def serve(_: str) -> None:
    """The worker: `[gold, answer]` in; `equal`, `different` or `memory` out, after a first frame that says it is up."""
    import logging
    import resource

    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))
    compare = _comparison()
    channel = FrameChannel(_ORPHAN_S)
    channel.write(b"ready")
    while (question := channel.read()) is not None:
        try:
            equal = compare(*json.loads(question))
        except MemoryError:
            channel.write(b"memory")
        except Exception:  # noqa: BLE001 - the libraries raise anything at all on hostile text; it is no mathematics
            channel.write(b"different")
        else:
            channel.write(b"equal" if equal else b"different")


def _comparison() -> Callable[[str, str], bool]:
    from latex2sympy2_extended import NormalizationConfig, normalize_latex  # pyright: ignore[reportMissingTypeStubs]
    from math_verify import parser, verify  # pyright: ignore[reportMissingTypeStubs]

    parse: Callable[[str], Any] = getattr(parser, "parse_latex_cached")  # noqa: B009 - untyped

    # `malformed_operators` mends what models write without a backslash: `sqrt(3)`, `\\sqrt3`.
    config = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")

    def read(latex: str) -> Any:
        return parse(normalize_latex(latex, config))

    def compare(gold: str, answer: str) -> bool:
        parsed_gold, parsed_answer = read(gold), read(answer)
        exact = _same_rational(parsed_gold, parsed_answer)
        if exact is not None:
            return exact
        return verify(parsed_gold, parsed_answer, allow_set_relation_comp=True, timeout_seconds=None)

    return compare


def _same_rational(gold: Any, answer: Any) -> bool | None:
    """Exactly, where both are rational (math-verify's 15 digits would call 2^-99 and 2^-98 equal); else None."""
    if not all(getattr(side, "is_number", False) for side in (gold, answer)):
        return None
    values = [side.doit() for side in (gold, answer)]
    return bool(values[0] == values[1]) if all(value.is_Rational for value in values) else None
