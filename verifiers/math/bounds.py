"""What a comparison may cost. Work is counted, not timed, so that the machine changes no verdict."""

import threading

MAX_BITS = 60_000
_work = threading.local()


class TooMuch(Exception):
    """More terms or more work than an answer needs: nothing is known."""


class TooBig(TooMuch):
    """A number past every bound, which was not computed."""


def allow(work: int) -> None:
    """Start to count anew in this thread; a unit is about 5 microseconds."""
    _work.left = work


def charge(work: int) -> None:
    """Count work that is about to be done. Raises TooMuch where none is left."""
    _work.left -= work
    if _work.left < 0:
        raise TooMuch


def bounded(bits: int) -> int:
    """What arithmetic on a number of so many bits costs. Raises TooBig past `MAX_BITS`."""
    if bits > MAX_BITS:
        raise TooBig
    return bits // 100
