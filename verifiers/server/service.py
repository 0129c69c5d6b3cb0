"""What stands behind the routes: one pool, its numbers, and how a request waits for its verdicts."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from ..adapters.judging import part_names
from ..types import Completion, Problem, UnusableVerifier, Verdict, Verifier
from .lanes import Job
from .metrics import Metrics
from .pool import Pool

_WATCH_AFTER_S = 0.2  # most requests are answered sooner, and need nobody to look whether the client is still there


@dataclass(frozen=True, slots=True)
class Settings:
    """How a reward is served; `rlvr serve --help` says what each is for."""

    reward: str = "reward"
    """Its name, for /health and the documentation."""
    workers: int = 1
    slow: int = 1
    timeout_s: float = 10.0
    patience_s: float = 0.5
    deadline_s: float = 100.0
    queue: int = 10_000
    max_body_bytes: int = 32 << 20
    max_held_bytes: int = 512 << 20
    """Bytes of request bodies that may be held at a time, those that still arrive among them."""
    memory_mb: int | None = None
    unjudged: float | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if min(self.deadline_s, self.max_body_bytes, self.max_held_bytes) <= 0:
            raise ValueError("deadline_s, max_body_bytes and max_held_bytes are above 0")


class Refused(Exception):
    """A request that cannot be taken now; `code` and, where waiting helps, `retry_after_s`."""

    def __init__(self, code: int, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.retry_after_s = code, detail, retry_after_s


class Service:
    """One reward behind a pool. `unusable` holds what keeps the workers from loading it, once that is known."""

    def __init__(self, verifier: Verifier, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.parts = part_names(verifier)
        self.draining = False
        self.unusable: UnusableVerifier | None = None
        self.pool = Pool(
            verifier,
            workers=settings.workers,
            slow=settings.slow,
            timeout_s=settings.timeout_s,
            patience_s=settings.patience_s,
            queue=settings.queue,
            memory_mb=settings.memory_mb,
            on_verdict=self.metrics.verdict,
            on_unusable=self._is_unusable,
        )
        self.metrics.watch(self.pool)

    def _is_unusable(self, error: UnusableVerifier) -> None:
        self.unusable = self.unusable or error

    def retry_after_s(self) -> int:
        """Whole seconds after which a client should try again."""
        return self.pool.retry_after_s(self.settings.deadline_s)

    async def verdicts(
        self, request: Request, pairs: Sequence[tuple[Problem, Completion]], deadline_s: float | None = None
    ) -> list[Verdict] | None:
        """A verdict for each pair, in order; None when the client left. Raises Refused."""
        limit = self.settings.deadline_s if deadline_s is None else min(deadline_s, self.settings.deadline_s)
        if not pairs:
            return []
        self._admit(len(pairs), limit)
        return cast("list[Verdict] | None", await self._answered(request, self.pool.submit(pairs, limit)))

    async def explanation(self, request: Request, gold: str, text: str, extract: str) -> object:
        """A row, a verdict where there is none, or None when the client left. Raises Refused."""
        self._admit(1, self.settings.deadline_s)
        job = self.pool.submit_explanation(gold, text, extract, self.settings.deadline_s)
        answers = await self._answered(request, job)
        return None if answers is None else answers[0]

    def paid(self, verdicts: Sequence[Verdict]) -> None:
        """Count what was paid without being judged."""
        if self.settings.unjudged is not None:
            self.metrics.paid(sum(verdict.score is None for verdict in verdicts))

    def fits(self, items: int) -> None:
        """Raises Refused for more items than may ever wait; asked before they are read one by one."""
        if items > self.settings.queue:
            raise Refused(
                413, f"{items:,} items are more than the {self.settings.queue:,} that may ever wait (--queue)"
            )

    def _admit(self, items: int, deadline_s: float) -> None:
        if self.draining:
            raise Refused(503, "the service is stopping", 1)
        self.fits(items)
        if not self.pool.has_room(items, deadline_s):
            self.metrics.rejected(items)
            again = self.retry_after_s()
            raise Refused(429, f"the queue is full: try again in {again} s", again)

    async def _answered(self, request: Request, job: Job) -> list[object] | None:
        """Wait, and after a moment look whether the client is still there."""
        loop = asyncio.get_running_loop()
        watchers: list[asyncio.Task[None]] = []
        timer = loop.call_later(
            _WATCH_AFTER_S, lambda: watchers.append(loop.create_task(self._cancel_on_hang_up(request, job)))
        )
        try:
            return await job.future
        except asyncio.CancelledError:
            if job.abandoned:
                return None
            self.pool.cancel(job)  # the server gives up, not the client
            raise
        finally:
            timer.cancel()
            for watcher in watchers:
                watcher.cancel()

    async def _cancel_on_hang_up(self, request: Request, job: Job) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if not job.over:
            self.metrics.hang_up()
            job.abandoned = True
            self.pool.cancel(job)


def json_response(value: object, code: int = 200) -> Response:
    """JSON as a response; the values are ours, so that nothing is validated again."""
    return Response(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), code, media_type="application/json"
    )
