"""The equality of an audit's own comparisons, with a budget: a policy may write any number of answers that hang."""

from time import monotonic

from ..verifiers.math import equivalent

TIMEOUT_S = 0.5
"""Processor seconds for one comparison, which may take some seconds of the clock where its worker is killed."""
QUICK_S = 0.01
"""What took no longer costs nothing: such comparisons are as many as the rows."""
BUDGET_S = 20.0
"""Seconds that the slow comparisons of one check may take together."""


class Equality:
    """`equivalent` until the slow comparisons have taken `BUDGET_S` together; further ones are left out and counted."""

    def __init__(self) -> None:
        self.left_out = 0
        self._spent = 0.0

    def __call__(self, a: str, b: str) -> bool | None:
        """None where the comparison was stopped, or left out; the same text is always equal."""
        if a == b:
            return True
        if self._spent >= BUDGET_S:
            self.left_out += 1
            return None
        start = monotonic()
        found = equivalent(a, b, timeout_s=TIMEOUT_S)
        took = monotonic() - start
        if took > QUICK_S:
            self._spent += took
        return found

    @property
    def note(self) -> str | None:
        """What an audit says of comparisons that were left out."""
        if not self.left_out:
            return None
        many = f"{self.left_out:,} comparison{'s' if self.left_out > 1 else ''} of answers"
        return f"not everywhere: {many} left out after {BUDGET_S:g} s of slow ones"
