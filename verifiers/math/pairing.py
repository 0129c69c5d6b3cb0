"""Verdicts on the parts put together: True, False, or None where it cannot be told."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def all_of(verdicts: "Iterable[bool | None]") -> bool | None:
    """False when one is False; None when one cannot tell; else True."""
    result: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        if verdict is None:
            result = None
    return result


def unordered(gold: Sequence[T], answer: Sequence[T], equal: "Callable[[T, T], bool | None]") -> bool | None:
    """Whether the members pair off, each with one of the other side: the identical ones first, at once."""
    if len(gold) != len(answer):
        return False
    counts = Counter(answer)
    rest = [member for member in gold if not _taken(member, counts)]
    left = list(counts.elements())
    unsure = False
    for member in rest:
        for place, candidate in enumerate(left):
            verdict = equal(member, candidate)
            if verdict:
                del left[place]
                break
            unsure = unsure or verdict is None
        else:
            return None if unsure else False
    return True


def _taken(member: T, counts: "Counter[T]") -> bool:
    if counts[member] <= 0:
        return False
    counts[member] -= 1
    return True
