"""How fast items are judged, for `Retry-After` and for requests that could not be answered in time."""


class Pace:
    """How fast the fast lane goes through its items while some wait; at other times that cannot be seen."""

    def __init__(self) -> None:
        self.begun = 0
        self._looked, self._was_backlog = 0.0, False
        self._items, self._seconds = 0, 0.0
        self._seconds_per_item = 0.0

    def look(self, now: float, *, backlog: bool) -> None:
        """Some times a second."""
        if backlog and self._was_backlog:
            self._items += self.begun
            self._seconds += now - self._looked
            if self._seconds >= 1:
                latest = self._seconds / max(1, self._items)
                earlier = self._seconds_per_item or latest
                self._seconds_per_item = 0.5 * (earlier + latest)
                self._items, self._seconds = 0, 0.0
        self.begun, self._looked, self._was_backlog = 0, now, backlog

    def seconds_for(self, items: int) -> float:
        """0 as long as nothing is known."""
        return items * self._seconds_per_item
