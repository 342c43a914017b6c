"""What Prometheus may ask. Names and labels are bounded: no session's name is among them."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from avatar_core.key_files import Look
from avatar_operator.cache import Cache
from avatar_operator.objects import SessionView
from avatar_operator.status import VIDEO_AVAILABLE, Condition, Status

T = TypeVar("T")

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_LONG_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """All metrics of one process, in a registry of their own.

    Args:
        cache: sessions, avatars and providers are counted in it when somebody asks.
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
            "avatar_operator_reconciles", "Looks at an object", ["result"], registry=self.registry
        )
        self._reconcile_seconds = Histogram(
            "avatar_operator_reconcile_seconds", "Time of one look", buckets=_SECONDS, registry=self.registry
        )
        self._looks = Counter(
            "avatar_operator_link_key_looks",
            "Looks at the file of the key for links; refused: away or too short, the key before it stays",
            ["key", "result"],
            registry=self.registry,
        )
        self._outcomes = Counter(
            "avatar_sessions_finished", "Sessions that ended, by reason", ["reason"], registry=self.registry
        )
        self._videos = Counter(
            "avatar_session_videos", "What became of videos, by reason", ["reason"], registry=self.registry
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
        Gauge("avatar_operator_queued_keys", "Objects to be looked at", registry=self.registry).set_function(
            queued
        )
        Gauge("avatar_operator_leader", "1 while this process leads", registry=self.registry).set_function(
            leading
        )
        self.registry.register(_Objects(cache))

    def called(self, verb: str, code: int, seconds: float) -> None:
        """A request was answered; code 0: it was not."""
        self._calls.labels(verb, str(code)).inc()
        self._call_seconds.labels(verb).observe(seconds)

    def looked(self, key: str, look: Look) -> None:
        """The file of the key for links was looked at."""
        self._looks.labels(key, str(look)).inc()

    def reconciled(self, seconds: float, result: str) -> None:
        """An object was looked at."""
        self._reconciles.labels(result).inc()
        self._reconcile_seconds.observe(seconds)

    def wrote(self, before: Status, after: Status) -> None:
        """A status was written."""
        if after.finished and not before.finished and after.succeeded is not None:
            self._outcomes.labels(str(after.succeeded.reason)).inc()
            for stage in after.timings.stages if after.timings else ():
                self._stages.labels(stage.stage).observe(max(0, stage.end - stage.begin))
        video, known = after.condition(VIDEO_AVAILABLE), before.condition(VIDEO_AVAILABLE)
        if video is not None and (
            known is None or (known.truth, known.reason) != (video.truth, video.reason)
        ):
            self._videos.labels(str(video.reason)).inc()
        old = before.timings.queue_seconds if before.timings else None
        new = after.timings.queue_seconds if after.timings else None
        if new is not None and old is None:
            self._queue_wait.observe(new)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


class _Objects(Collector):
    """What there is, counted in the cache when somebody asks."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Sessions by phase and reason, avatars and providers by what their `Ready` says."""
        cache = self._cache
        sessions = _there(map(cache.session, cache.uids))
        avatars = _there(map(cache.avatar_of, cache.avatar_uids))
        providers = _there(map(cache.provider_of, cache.provider_uids))
        yield _family("avatar_sessions", "Sessions by phase and reason", "phase", map(_phase, sessions))
        yield _family(
            "avatar_avatars", "Avatars by readiness", "ready", (_ready(each.status.ready) for each in avatars)
        )
        yield _family(
            "avatar_providers",
            "Providers by readiness",
            "ready",
            (_ready(each.condition) for each in providers),
        )


def _family(name: str, told: str, label: str, found: Iterable[tuple[str, str]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=[label, "reason"])
    for labels, number in Count(found).items():
        family.add_metric(labels, number)
    return family


def _there(objects: Iterable[T | None]) -> Iterator[T]:
    return (each for each in objects if each is not None)


def _phase(session: SessionView) -> tuple[str, str]:
    outcome = session.status.succeeded
    return session.status.phase or "New", str(outcome.reason) if outcome else ""


def _ready(condition: Condition | None) -> tuple[str, str]:
    return (str(condition.truth), str(condition.reason)) if condition else ("Unknown", "")
