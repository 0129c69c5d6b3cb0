"""Many jobs at once, and what they give as soon as they give it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from .types import Generated

Job = TypeVar("Job")
Give = Callable[[Generated], None]


async def drawn(
    jobs: Iterable[Job], draw: Callable[[Job, Give], Awaitable[None]], *, at_once: int
) -> AsyncIterator[Generated]:
    """Run `draw(job, give)` for every job, `at_once` of them at a time in the order given, and yield what they give.

    What a job raises ends the rest and is raised here; closing the iterator cancels them all.
    """
    given: asyncio.Queue[Generated | None] = asyncio.Queue()
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await draw(job, given.put_nowait)

    workers = asyncio.gather(*(work() for _ in range(at_once)))
    workers.add_done_callback(lambda _: given.put_nowait(None))
    try:
        while (one := await given.get()) is not None:
            yield one
        await workers
    finally:
        workers.cancel()
        await asyncio.gather(workers, return_exceptions=True)
