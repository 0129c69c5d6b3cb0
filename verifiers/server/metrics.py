"""What /metrics tells, in Prometheus' text. Each application has a registry of its own."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..types import REASONS, Verdict
from .pool import Pool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0)
_MAX_REASONS = 100


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rlvr_requests", "Requests, by route and status code", ("route", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "rlvr_request_seconds", "Seconds from the first byte of a request to the last of its answer", ("route",),
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._items = Counter(
            "rlvr_items", "Verdicts, by status and reason", ("status", "reason"), registry=self._registry
        )
        self._rejected = Counter(
            "rlvr_rejected_items", "Items refused because the queue was full (429)", registry=self._registry
        )
        self._unjudged = Counter(
            "rlvr_unjudged_paid", "Items that were not judged and paid --unjudged", registry=self._registry
        )
        self._hang_ups = Counter(
            "rlvr_hang_ups", "Requests whose client left before the answer", registry=self._registry
        )
        self._reasons = set(REASONS)

    def watch(self, pool: Pool) -> None:
        """Tell what the pool holds at the time of each look."""
        self._registry.register(_OfPool(pool))

    def request(self, route: str, code: int, seconds: float) -> None:
        """One answer was sent."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def verdict(self, verdict: Verdict) -> None:
        """One item was answered. A reward's own reasons have labels of their own, up to a hundred."""
        reason = verdict.reason
        if reason not in self._reasons:
            if len(self._reasons) < len(REASONS) + _MAX_REASONS:
                self._reasons.add(reason)
            else:
                reason = "other"
        self._items.labels(verdict.status, reason).inc()

    def rejected(self, items: int) -> None:
        """The queue was full."""
        self._rejected.inc(items)

    def paid(self, items: int) -> None:
        """Items that were not judged were paid a number."""
        self._unjudged.inc(items)

    def hang_up(self) -> None:
        """A client left."""
        self._hang_ups.inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)


class _OfPool(Collector):
    """What is asked of the pool at the time of a look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        pool = self._pool
        fast, slow = pool.under_way
        yield GaugeMetricFamily("rlvr_queue_items", "Items that wait for a worker", pool.waiting)
        yield GaugeMetricFamily("rlvr_queue_limit", "Items that may wait", pool.queue)
        lanes = GaugeMetricFamily("rlvr_items_under_way", "Items that a worker is at, by lane", labels=["lane"])
        lanes.add_metric(["fast"], fast)
        lanes.add_metric(["slow"], slow)
        yield lanes
        yield GaugeMetricFamily("rlvr_workers", "Worker processes", len(pool.pids))
        yield CounterMetricFamily("rlvr_worker_restarts", "Workers started again, whatever for", pool.restarts)
        yield CounterMetricFamily("rlvr_timeouts", "Times an item was killed at its time limit", pool.timeouts)
        yield CounterMetricFamily("rlvr_slow_items", "Times an item left the fast lane", pool.moved)


class Measured:
    """ASGI middleware: counts and times every request. A path that is no route counts as `other`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app = app
        self._metrics, self._routes = metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, code = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            self._metrics.request(route, code, time.perf_counter() - start)
