"""What Prometheus may ask. Names and labels are bounded: no session's name is among them."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from avatar_operator.cache import Cache
from avatar_operator.status import Status

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_LONG_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """All metrics of one process, in a registry of their own.

    Args:
        cache: sessions are counted in it when somebody asks.
        queued: how many keys wait.
        leading: whether this process leads.
    """

    def __init__(self, cache: Cache, queued: Callable[[], int], leading: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "avatar_operator_api_requests",
            "Requests to the API server",
            ["verb", "code"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "avatar_operator_api_request_seconds",
            "Time until the API server answered",
            ["verb"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._reconciles = Counter(
            "avatar_operator_reconciles", "Looks at a session", ["result"], registry=self.registry
        )
        self._reconcile_seconds = Histogram(
            "avatar_operator_reconcile_seconds", "Time of one look", buckets=_SECONDS, registry=self.registry
        )
        self._outcomes = Counter(
            "avatar_sessions_finished", "Sessions that ended, by reason", ["reason"], registry=self.registry
        )
        self._stages = Histogram(
            "avatar_session_stage_seconds",
            "Time of each stage of sessions that succeeded",
            ["stage"],
            buckets=_LONG_SECONDS,
            registry=self.registry,
        )
        self._queue_wait = Histogram(
            "avatar_session_queue_seconds",
            "From a session's creation to its Job",
            buckets=_LONG_SECONDS,
            registry=self.registry,
        )
        Gauge("avatar_operator_queued_keys", "Sessions to be looked at", registry=self.registry).set_function(
            queued
        )
        Gauge("avatar_operator_leader", "1 while this process leads", registry=self.registry).set_function(
            leading
        )
        self.registry.register(_Sessions(cache))

    def called(self, verb: str, code: int, seconds: float) -> None:
        """A request was answered; code 0: it was not."""
        self._calls.labels(verb, str(code)).inc()
        self._call_seconds.labels(verb).observe(seconds)

    def reconciled(self, seconds: float, result: str) -> None:
        """A session was looked at."""
        self._reconciles.labels(result).inc()
        self._reconcile_seconds.observe(seconds)

    def wrote(self, before: Status, after: Status) -> None:
        """A status was written."""
        if after.finished and not before.finished and after.succeeded is not None:
            self._outcomes.labels(str(after.succeeded.reason)).inc()
            for stage in after.timings.stages if after.timings else ():
                self._stages.labels(stage.stage).observe(max(0, stage.end - stage.begin))
        old = before.timings.queue_seconds if before.timings else None
        new = after.timings.queue_seconds if after.timings else None
        if new is not None and old is None:
            self._queue_wait.observe(new)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


class _Sessions(Collector):
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Sessions that there are, by phase and reason."""
        family = GaugeMetricFamily(
            "avatar_sessions", "Sessions by phase and reason", labels=["phase", "reason"]
        )
        counts: Count[tuple[str, str]] = Count()
        for uid in self._cache.uids:
            session = self._cache.session(uid)
            if session is not None:
                outcome = session.status.succeeded
                counts[session.status.phase or "New", str(outcome.reason) if outcome else ""] += 1
        for labels, number in counts.items():
            family.add_metric(list(labels), number)
        yield family
