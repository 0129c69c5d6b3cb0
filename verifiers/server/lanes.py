"""What waits for a worker: items of requests, which take turns."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Item:
    """One task of a request."""

    job: "Job"
    index: int
    frame: bytes
    spent_s: float = 0.0
    """Wall-clock seconds that it has held workers for, over all tries that came to nothing."""
    strikes: int = 0
    """How often it took longer than an item may."""
    struck: float = 0.0
    """When it last did (time.monotonic)."""
    deaths: int = 0
    """How often its worker died of itself."""


class Job:
    """A request that was accepted: its items and what came of them."""

    def __init__(self, frames: Sequence[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.items = [Item(self, index, frame) for index, frame in enumerate(frames)]
        self.answers: list[object] = [None] * len(frames)
        self.left = len(frames)
        self.future: asyncio.Future[list[object]] = loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.abandoned = False
        """Whether its client has left."""

    @property
    def over(self) -> bool:
        """Answered, or given up: nothing of it needs doing any more."""
        return self.future.done()

    def answer(self, item: Item, answer: object) -> None:
        """Keep what came of one item; the last one wakes the request."""
        self.answers[item.index] = answer
        self.left -= 1
        if not self.left:
            self.end()
            self.future.set_result(self.answers)

    def end(self) -> None:
        """Stop its clock and let go of what was sent."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        for item in self.items:
            item.frame = b""


@dataclass(slots=True)
class Turns:
    """Items in the order in which their requests take turns, so that a large request holds up no small one."""

    _jobs: OrderedDict[Job, deque[Item]] = field(default_factory=OrderedDict[Job, deque[Item]])
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def push(self, item: Item) -> None:
        """Behind the other items of its request; the request waits behind others if it is new."""
        self._jobs.setdefault(item.job, deque()).append(item)
        self._count += 1

    def push_first(self, item: Item) -> None:
        """Next of all: it has waited already."""
        self._jobs.setdefault(item.job, deque()).appendleft(item)
        self._jobs.move_to_end(item.job, last=False)
        self._count += 1

    def pop(self) -> Item:
        """The next item; its request goes to the end. Raises KeyError when nothing waits."""
        job, items = self._jobs.popitem(last=False)
        item = items.popleft()
        self._count -= 1
        if items:
            self._jobs[job] = items
        return item

    def ahead_of(self, items: int) -> int:
        """How many items would be taken before the last one of a new request with so many."""
        return sum(min(len(waiting), items) for waiting in self._jobs.values())

    def drop(self, job: Job) -> None:
        """Forget what waits of one request."""
        self._count -= len(self._jobs.pop(job, ()))
